"""A run that papermill executed by itself gets its page, its truth and its copy; what ours have, theirs have too."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import papermill
import pytest
from rehearsal import HARD, Rehearsal, open_rehearsal

from invsync.engine import inprocess
from invsync.errors import UsageError
from invsync.jobs import external, launch
from invsync.state import State


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as built:
        built.product(1, "S1", oms=10, available=7)
        yield built


def execute(rehearsal: Rehearsal, **given: object) -> Path:
    """Papermill by itself, as an orchestrator calls it."""
    inprocess.register()
    output = rehearsal.config.parent / "executed.ipynb"
    given_all = {"shop": "demo", "config": str(rehearsal.config), "dry_run": False, **given}
    try:
        papermill.execute_notebook(
            launch.jobs()[HARD], output, parameters=given_all, progress_bar=False, engine_name=inprocess.NAME
        )
    except papermill.PapermillExecutionError:
        return output
    return output


def test_a_run_of_papermills_own_is_made_whole(rehearsal: Rehearsal) -> None:
    facts = external.adopt(execute(rehearsal), str(rehearsal.config))

    folder = rehearsal.folder(facts)
    assert (facts["status"], facts["counts"]["applied"], rehearsal.available(1)) == ("done", 1, [10])
    assert {"report.html", "report.ipynb", "outcomes.parquet"} <= {file["name"] for file in facts["files"]}
    assert json.loads((folder / "run.json").read_text()) == facts


def test_a_run_that_a_guard_stopped_is_adopted_as_stopped(rehearsal: Rehearsal) -> None:
    with rehearsal.config.open("a") as file:
        file.write("[shops.demo.guards]\nmin_pairs = 0\nmax_changed_share = 0.1\n")

    facts = external.adopt(execute(rehearsal), str(rehearsal.config))

    assert (facts["status"], facts["exit_code"]) == ("stopped", 3)


def test_a_run_that_failed_is_adopted_as_failed_and_remembered(rehearsal: Rehearsal) -> None:
    rehearsal.shop.rotate_token()

    facts = external.adopt(execute(rehearsal), str(rehearsal.config))

    assert (facts["status"], facts["exit_code"]) == ("failed", 5)
    assert "refused the token" in facts["messages"][-1]
    recorded = State(f"sqlite:///{rehearsal.config.parent}/invsync.db").runs.one(facts["run_id"])
    assert recorded is not None and recorded["status"] == "failed"


def test_a_refused_notebook_is_reported_and_adopts_no_other_run(rehearsal: Rehearsal) -> None:
    rehearsal.run(datetime.now(UTC), job=HARD)

    with pytest.raises(UsageError, match="Parameter dry_run must be bool"):
        external.adopt(execute(rehearsal, dry_run="false"), str(rehearsal.config))


def test_a_notebook_that_papermill_did_not_execute_is_refused(rehearsal: Rehearsal, tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "other.ipynb")

    for name in ("other.ipynb", "none.ipynb"):
        with pytest.raises(UsageError, match="is not a job's notebook that papermill executed"):
            external.adopt(tmp_path / name, str(rehearsal.config))


def test_a_run_is_copied_to_the_storage_whole(rehearsal: Rehearsal, tmp_path: Path) -> None:
    storage = tmp_path / "bucket"
    rehearsal.config.write_text(
        rehearsal.config.read_text().replace("[reports]", f'[reports]\ncopy_to = "file://{storage}"')
    )

    facts = rehearsal.run(datetime.now(UTC), job=HARD)

    folder, copy = rehearsal.folder(facts), storage / "demo" / HARD / facts["run_id"]
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    assert {name: (copy / name).read_bytes() for name in names} == {
        name: (folder / name).read_bytes() for name in names
    }


def test_a_storage_that_fails_does_not_fail_the_run(rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = rehearsal.config  # a file, where a folder would have to be
    rehearsal.config.write_text(wrong.read_text().replace("[reports]", f'[reports]\ncopy_to = "file://{wrong}"'))

    assert rehearsal.run(datetime.now(UTC), job=HARD)["exit_code"] == 0
    assert "copy it by hand" in capsys.readouterr().err


def test_an_unknown_storage_is_a_usage_error_before_anything_is_done(rehearsal: Rehearsal) -> None:
    rehearsal.config.write_text(rehearsal.config.read_text().replace("[reports]", '[reports]\ncopy_to = "xyz://a"'))

    with pytest.raises(UsageError, match="copy_to xyz://a cannot be used"):
        rehearsal.run(datetime.now(UTC), job=HARD)
    assert rehearsal.available(1) == [7]
