"""The step of a run, read from notebooks as papermill leaves them on the way."""

import json
import threading
from pathlib import Path

from invsync.cli import progress


def notebook(folder: Path, run_id: str, running: int | None) -> Path:
    """A report with two headings whose given cell runs, or whose cells are all done."""
    cells = [
        ("markdown", ["# Hard sync\n", "\n", "Every pair."]),
        ("code", ["run = open_run()"]),
        ("markdown", "## The difference"),
        ("code", "run.decide()"),
    ]
    made = [
        {
            "cell_type": kind,
            "source": source,
            "metadata": {"papermill": {"status": "running" if number == running else "completed"}},
        }
        for number, (kind, source) in enumerate(cells)
    ]
    path = folder / run_id / "report.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": made}))
    return path


def test_the_step_is_the_heading_above_the_running_cell(tmp_path: Path) -> None:
    assert progress.step(notebook(tmp_path, "a", 1)) == "Hard sync"
    assert progress.step(notebook(tmp_path, "a", 3)) == "The difference"
    assert progress.step(notebook(tmp_path, "a", None)) is None


def test_a_notebook_that_is_being_written_has_no_step_yet(tmp_path: Path) -> None:
    path = notebook(tmp_path, "a", 1)
    path.write_text(path.read_text()[:40])

    assert progress.step(path) is None and progress.step(tmp_path / "none.ipynb") is None


def test_each_step_of_the_new_run_is_told_once(tmp_path: Path) -> None:
    notebook(tmp_path, "20260101T000000Z-old0", 1)
    heard: list[str] = []
    arrived = threading.Semaphore(0)

    def hear(heading: str) -> None:
        heard.append(heading)
        arrived.release()

    with progress.told(tmp_path, hear):
        for running in (1, 3):
            notebook(tmp_path, "20260102T000000Z-new0", running)
            assert arrived.acquire(timeout=10)

    assert heard == ["Hard sync", "The difference"]
