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

NEEDED = {
    "database": {"url": "sqlite:///oms.db"},
    "rest": {"url": "https://oms.example.com", "token_env": "T"},
    "files": {"path": "export"},
}


@pytest.mark.parametrize("kind", REGISTERED)
def test_a_connector_declares_settings_of_its_own_kind_a_reader_and_checks(kind: str) -> None:
    """Each has settings that name it, a reader that can be imported, and checks with names of their own."""
    declared = connector(kind)
    own = oms_settings({"kind": kind, "shop_id": "S"} | NEEDED[kind])
    names = [check.name for check in checks_of(declared)]

    assert type(own) is declared.settings and own.kind == kind and any(own.address)
    assert callable(resolve_name(declared.reader)) and len(set(names)) == len(names)


@pytest.mark.parametrize("kind", REGISTERED)
def test_setup_asks_for_keys_that_the_settings_have(kind: str) -> None:
    """A setup that is answered with defaults, or with a word where there is none, gives keys of the settings."""

    def ask(key: str, question: str, default: str | None = None) -> str:
        assert key and question
        return "word" if default is None else default

    assert set(connector(kind).setup(ask)) <= set(connector(kind).settings.model_fields)


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
        f'[shops.{kind}]\ndomain = "x.example"\ntoken_env = "T"\n[shops.{kind}.oms]\nkind = "{kind}"\nshop_id = "S"\n'
        + "".join(f'{key} = "{value}"\n' for key, value in keys.items())
        for kind, keys in NEEDED.items()
    )
    (tmp_path / "invsync.toml").write_text(shops)
    script = (
        "import sys; from pathlib import Path; from invsync.config import settings; "
        "print(*settings.load(Path('invsync.toml')).shops); "
        "print(sorted({'fsspec', 'httpx', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == ["database rest files", "[]"], done.stderr


def test_a_source_says_what_it_can_do() -> None:
    """Whoever needs a capability asks the source for it, never for its kind."""
    readers = {kind: connector(kind).reader.partition(":")[0] for kind in REGISTERED}
    classes = {"database": "Database", "rest": "Rest", "files": "Exported"}
    sources: dict[str, type[Source]] = {kind: resolve_name(f"{readers[kind]}:{classes[kind]}") for kind in classes}

    assert {kind for kind, source in sources.items() if source.keeps_history} == {"database"}
    assert {kind for kind, source in sources.items() if source.pads_event_ids} == {"files"}
