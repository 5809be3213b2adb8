"""Remove what the settings no longer keep, shop by shop while no run is at work, the folders last."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from invsync.config import settings
from invsync.config.settings import Settings
from invsync.errors import InvsyncError, LeaseHeld
from invsync.jobs.start import new_run_id
from invsync.state import State
from invsync.state.keeping import Keeping, Kept
from invsync.upkeep import folders
from invsync.upkeep.shops import before, limits, shops

Counts = dict[str, int]


@dataclass
class Pruned:
    """What went, or would go, of each shop by kind; the shops that were at work; whether the file was written anew."""

    removed: dict[str, Counts] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    shrunk: bool = False


def prune(config: Path, names: Sequence[str] = (), *, dry_run: bool = False) -> Pruned:
    """Remove of these shops, or of all, what the settings allow and nobody needs; a dry run only counts.

    It may be killed at any point: what is left goes the next time.
    """
    configured = settings.load(config)
    pruned = Pruned()
    with closing(State(configured.state.url)) as state:
        for shop in shops(configured, state, names):
            if dry_run:
                pruned.removed[shop.name] = would_go(configured, state, shop)
            else:
                _prune(configured, state, shop, pruned)
        if not dry_run and any(sum(counts.values()) for counts in pruned.removed.values()):
            pruned.shrunk = _shrink(state)
    return pruned


def would_go(configured: Settings, state: State, shop: Kept) -> Counts:
    """How much of each kind would go of this shop now."""
    now = state.now()
    keeping = Keeping(state.engine, now)
    return keeping.count(shop, limits(configured, now)) | {
        "folders": len(_old_folders(configured, state, keeping, shop, now))
    }


def _prune(configured: Settings, state: State, shop: Kept, pruned: Pruned) -> None:
    now, reports = state.now(), Path(configured.reports.path)
    keeping = Keeping(state.engine, now)
    try:
        with state.lease(shop.kept_as, new_run_id()) as lease:
            going = _old_folders(configured, state, keeping, shop, now)
            removed = keeping.prune(lease, shop, limits(configured, now))
            folders.sweep(reports, shop.name)
            pruned.removed[shop.name] = removed | {"folders": folders.remove(going)}
    except LeaseHeld as error:
        pruned.skipped[shop.name] = str(error)


def _old_folders(configured: Settings, state: State, keeping: Keeping, shop: Kept, now: datetime) -> list[Path]:
    limit = before(configured.reports.keep_days, now)
    return folders.old(Path(configured.reports.path), state, keeping, shop, limit)


def _shrink(state: State) -> bool:
    """Give the room back; where others are at work on the file, the next prune does."""
    try:
        return Keeping(state.engine, state.now()).shrink()
    except InvsyncError:
        return False
