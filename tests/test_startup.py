"""A command starts quickly: it imports what a run needs, and leaves the process as it was."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa

from invsync.startup import deferred, quick_imports
from invsync.state.schema import META

SLOW = ["altair", "rfc3987_syntax", "httpx._main", "sqlalchemy.dialects.mssql", "sqlalchemy.dialects.postgresql"]


def printed(text: str) -> str:
    """What a fresh interpreter prints that runs this text."""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that is slow to import, and two libraries that import it."""
    (tmp_path / "slow_grammar.py").write_text("def fits(word): return word == 'yes'\n")
    (tmp_path / "a_library.py").write_text("import slow_grammar\nfrom slow_grammar import fits\n")
    (tmp_path / "an_eager_library.py").write_text("from slow_grammar import fits\nanswer = fits('yes')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("slow_grammar", "a_library", "an_eager_library"):
        sys.modules.pop(name, None)


def test_a_command_and_a_notebook_import_nothing_that_a_run_without_differences_does_not_need() -> None:
    for module in ("invsync.jobs", "invsync.jobs.launch"):
        text = f"import sys, gc, {module}; print([name for name in {SLOW} if name in sys.modules], gc.isenabled())"
        assert printed(text) == "[] True"


def test_addresses_are_validated_as_without_us() -> None:
    pytest.importorskip("rfc3987_syntax", reason="JupyterLab is not installed")
    check = "from jsonschema import FormatChecker as F; print(F().conforms('a b', 'iri'), F().conforms('a:b', 'iri'))"

    assert printed(f"import invsync.jobs.launch; {check}") == printed(check) == "False True"


def test_a_deferred_module_is_imported_when_it_is_used(libraries: None) -> None:
    with deferred("slow_grammar"):
        library = import_module("a_library")
    assert "slow_grammar" not in sys.modules

    assert [library.fits("yes"), library.fits("no"), library.slow_grammar.fits("yes")] == [True, False, True]
    assert import_module("slow_grammar").fits is sys.modules["slow_grammar"].fits


def test_a_library_may_use_it_at_once(libraries: None) -> None:
    with deferred("slow_grammar"):
        assert import_module("an_eager_library").answer
        assert import_module("slow_grammar").__file__


def test_a_module_that_is_not_installed_stays_so() -> None:
    with deferred("no_such_grammar"), pytest.raises(ModuleNotFoundError):
        import_module("no_such_grammar")


def test_a_module_that_is_imported_already_stays_what_it_is() -> None:
    with deferred("json"):
        assert import_module("json").loads("1") == 1
    assert "json" in sys.modules


def test_garbage_is_collected_after_the_imports_where_it_was_before() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()

    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_another_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with quick_imports():
            pass
        assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01)
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg://"])
def test_the_index_of_waiting_deliveries_is_partial_in_each_database(url: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    lines: list[str] = []
    engine = sa.create_mock_engine(url, lambda made, *_, **__: lines.append(str(made.compile(dialect=engine.dialect))))
    META.create_all(engine, checkfirst=False)

    assert [line for line in lines if "webhook_waiting" in line and "WHERE covered_by IS NULL" in line]
