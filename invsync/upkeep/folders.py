"""The run folders on this disk: their list, those that may go, and their removal."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from invsync.errors import SystemFailed
from invsync.runs.restored import RUN_ID
from invsync.state import State
from invsync.state.retention import Retention, Shop

REMOVED = ".gone"  # the suffix of a folder that is being removed


def of_runs(reports: Path, shop: str) -> list[Path]:
    """Return every run folder of this shop, oldest first."""
    return sorted(reports.joinpath(shop).glob(f"*/{RUN_ID}"), key=lambda folder: folder.name)


def begun(run_id: str) -> datetime | None:
    """Return when a run began, from its id; None where it is no id of ours."""
    try:
        return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def expired(reports: Path, state: State, retention: Retention, shop: Shop, cutoff: datetime | None) -> list[Path]:
    """Return the folders of runs before the cutoff that may go: no run needs them, and none is the newest of its job.

    A folder newer than every run that the state knows stays, because it shows that the state was restored.
    """
    if cutoff is None:
        return []
    folders = of_runs(reports, shop.name)
    newest = {folder.parent: folder for folder in folders}
    needed = retention.needed_runs(shop) | {folder.name for folder in newest.values()}
    known = state.runs.newest(shop.name) or ""
    return [
        folder
        for folder in folders
        if folder.name not in needed and folder.name < known and _is_before(folder.name, cutoff)
    ]


def _is_before(run_id: str, cutoff: datetime) -> bool:
    at = begun(run_id)
    return at is not None and at < cutoff


def remove(folders: Sequence[Path]) -> int:
    """Remove these folders, each renamed in one step before its files go; return how many were removed."""
    for folder in folders:
        aside = folder.with_name(f"_{folder.name}{REMOVED}")
        with _removing(folder):
            folder.rename(aside)
            shutil.rmtree(aside)
    return len(folders)


def sweep(reports: Path, shop: str) -> None:
    """Remove what a removal that was killed left behind."""
    for aside in reports.joinpath(shop).glob(f"*/_*{REMOVED}"):
        with _removing(aside):
            shutil.rmtree(aside)


@contextmanager
def _removing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemFailed(
            f"The folder {folder} cannot be removed ({error.strerror}): give invsync the right to, then prune again."
        ) from error
