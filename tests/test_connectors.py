"""The registry of connectors: each is complete, light to load, and chosen by the kind that a shop names."""

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
from pydantic import ValidationError

from invsync.config.connectors import REGISTERED, OmsSettings, connector, oms_settings
from invsync.config.settings import ShopSettings
from invsync.oms import Source
from invsync.oms.checks import checks_of

ADDRESS = "https://oms.example.com"


def answered(kind: str) -> dict[str, str]:
    """A shop's oms table from the setup questions: their defaults, and an address where there is none."""

    def ask(key: str, question: str, default: str | None = None) -> str:
        assert key and question
        return ADDRESS if default is None else default

    answers = {"kind": kind, "shop_id": "S"} | connector(kind).setup(ask)
    return {key: value for key, value in answers.items() if value}


@pytest.mark.parametrize("kind", REGISTERED)
def test_a_connector_is_complete(kind: str) -> None:
    """Its setup answers its settings, its reader can be imported, and its checks have names of their own."""
    declared = connector(kind)
    own = oms_settings(answered(kind))
    names = [check.name for check in checks_of(declared)]

    assert isinstance(own, declared.settings) and own.kind == kind and any(own.address)
    assert callable(resolve_name(declared.reader)) and len(set(names)) == len(names)


def test_a_key_of_another_connector_is_left_out() -> None:
    """So one line, or one variable, switches a shop to another connector."""
    own = oms_settings({"kind": "files", "path": "export", "url": "sqlite:///oms.db", "shop_id": "S"})

    assert isinstance(own, OmsSettings) and "url" not in dict(own)


def test_a_key_of_no_connector_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"oms\.pathh\n  Extra inputs"):
        ShopSettings(domain="x.example", token_env="T", oms={"kind": "files", "pathh": "export", "shop_id": "S"})


def test_a_kind_that_is_not_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="'pigeon' is none of database, rest, files"):
        oms_settings({"kind": "pigeon", "shop_id": "S"})


def test_the_configuration_loads_without_the_readers(tmp_path: Path) -> None:
    """A configuration of all kinds is read before any driver is imported."""
    shops = "".join(
        f'[shops.{kind}]\ndomain = "x.example"\ntoken_env = "T"\n[shops.{kind}.oms]\n'
        + "".join(f'{key} = "{value}"\n' for key, value in answered(kind).items())
        for kind in REGISTERED
    )
    (tmp_path / "invsync.toml").write_text(shops)
    script = (
        "import sys; from pathlib import Path; from invsync.config import settings; "
        "print(*settings.load(Path('invsync.toml')).shops); "
        "print(sorted({'fsspec', 'httpx', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == [" ".join(REGISTERED), "[]"], done.stderr


def test_a_source_says_what_it_can_do() -> None:
    """Whoever needs a capability asks the source for it, never for its kind."""
    readers = {kind: connector(kind).reader.partition(":")[0] for kind in REGISTERED}
    classes = {"database": "Database", "rest": "Rest", "files": "Exported"}
    sources: dict[str, type[Source]] = {kind: resolve_name(f"{readers[kind]}:{classes[kind]}") for kind in classes}

    assert {kind for kind, source in sources.items() if source.keeps_history} == {"database"}
    assert {kind for kind, source in sources.items() if source.respells_event_ids} == {"files"}
