"""A run whose notebook another engine executed with papermill: it gets the page and the truth that ours have."""

import shutil
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat

from invsync.config import settings
from invsync.errors import LeaseHeld, SystemFailed, UsageError
from invsync.jobs import launch
from invsync.runs import record
from invsync.state import State

STARTED, ENDED = "start_time", "end_time"
CLOCK = timedelta(seconds=2)


def adopt(notebook: Path, config: str) -> dict[str, Any]:
    """Take an executed notebook into the folder of its run; the run.json, with the page rendered and alerts told.

    A notebook that was refused before it had a folder (wrong usage, or a lease that another run holds) is an error.
    """
    executed = _executed(notebook)
    failure, meta = _failure(executed), executed.metadata["papermill"]
    if isinstance(failure, UsageError | LeaseHeld):
        raise failure
    job = Path(meta["input_path"]).stem.replace("_", "-")
    name, began = meta["parameters"]["shop"], datetime.fromisoformat(meta[STARTED])
    configured = settings.load(Path(config))
    shop = configured.shop(name)
    folder = _folder(Path(configured.reports.path) / name / job, began, meta[ENDED])
    if folder is None:
        raise SystemFailed(f"Notebook {notebook.name} left no run of {job} for {name}: read its last cells.")
    shutil.copyfile(notebook, folder / "report.ipynb")
    run = record.read(folder)
    if run is None and failure is None:
        failure = SystemFailed(f"The notebook {notebook.name} did not end: run the job again.")
    launch.read_secrets(configured, name)
    launch.write_logs(configured)
    closed = launch.close(folder, run or launch.unended(folder), failure, shop)
    with closing(State(configured.state.url)) as state:
        launch.remember(state, folder, closed)
    launch.ended(folder, closed, configured)
    return closed.json()


def _executed(notebook: Path) -> Any:
    try:
        executed = nbformat.read(notebook, as_version=4)
        assert executed.metadata["papermill"]["parameters"]["shop"]
    except (OSError, ValueError, KeyError, AssertionError):
        raise UsageError(f"{notebook} is not a job's notebook that papermill executed: name its output.") from None
    return executed


def _failure(executed: Any) -> Exception | None:
    """The error that ended the notebook."""
    outputs = (output for cell in executed.cells for output in cell.get("outputs", ()))
    raised = [output for output in outputs if output.output_type == "error"]
    return launch.named(raised[0].ename, raised[0].evalue) if raised else None


def _folder(runs: Path, began: datetime, ended: str | None) -> Path | None:
    """The folder of the run that began while this notebook was executed."""
    last = datetime.fromisoformat(ended) if ended else datetime.max.replace(tzinfo=began.tzinfo)
    folders = [
        folder
        for folder in sorted(runs.glob("2*Z-*"))
        if began - CLOCK <= datetime.fromisoformat(launch.started_at(folder.name)) <= last
    ]
    return folders[0] if folders else None
