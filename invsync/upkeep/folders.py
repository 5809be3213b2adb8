"""The folders that runs left on this disk: which the state knows, which it misses, and which may go."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from invsync.errors import SystemFailed
from invsync.runs.restored import RUN_ID
from invsync.state import State
from invsync.state.keeping import Keeping, Kept

GONE = ".gone"


def of_runs(reports: Path, shop: str) -> list[Path]:
    """Every run's folder of this shop, oldest first."""
    return sorted(reports.joinpath(shop).glob(f"*/{RUN_ID}"), key=lambda folder: folder.name)


def begun(run_id: str) -> datetime | None:
    """When a run began, as its id tells; None where it is no id of ours."""
    try:
        return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def old(reports: Path, state: State, keeping: Keeping, shop: Kept, limit: datetime | None) -> list[Path]:
    """The folders that may go: of runs before the limit that nobody needs, and none that is the newest of its job.

    One that is newer than all that the state knows stays: by it a restored state is known.
    """
    if limit is None:
        return []
    folders = of_runs(reports, shop.name)
    newest = {folder.parent: folder for folder in folders}
    stay = keeping.needed(shop) | {folder.name for folder in newest.values()}
    known = state.runs.newest(shop.name) or ""
    return [
        folder
        for folder in folders
        if folder.name not in stay and folder.name < known and _is_before(folder.name, limit)
    ]


def _is_before(run_id: str, limit: datetime) -> bool:
    at = begun(run_id)
    return at is not None and at < limit


def remove(folders: list[Path]) -> int:
    """Remove these folders, each out of sight in one step before its files go; how many went."""
    for folder in folders:
        aside = folder.with_name(f"_{folder.name}{GONE}")
        with _removing(folder):
            folder.rename(aside)
            shutil.rmtree(aside)
    return len(folders)


def sweep(reports: Path, shop: str) -> None:
    """Remove what an earlier removal that was killed left behind."""
    for aside in reports.joinpath(shop).glob(f"*/_*{GONE}"):
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
