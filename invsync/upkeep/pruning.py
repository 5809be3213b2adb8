"""Remove what the settings no longer keep, shop by shop while no run is at work; the run folders go last."""

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
from invsync.state.retention import Retention, Shop
from invsync.upkeep import folders
from invsync.upkeep.shops import cutoff, cutoffs, shops

Counts = dict[str, int]


@dataclass
class Pruned:
    """What was removed, or would be, by shop and kind; why shops were skipped; whether the database file was shrunk."""

    removed: dict[str, Counts] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    shrunk: bool = False


def prune(config: Path, names: Sequence[str] = (), *, dry_run: bool = False) -> Pruned:
    """Remove of these shops, or of all, what the settings no longer keep and no run needs; a dry run only counts.

    It may be killed at any point: the next prune removes the rest. Raises SystemFailed where a folder cannot be removed.
    """
    configured = settings.load(config)
    pruned = Pruned()
    with closing(State(configured.state.url)) as state:
        for shop in shops(configured, state, names):
            if dry_run:
                pruned.removed[shop.name] = prunable(configured, state, shop)
            else:
                _prune(configured, state, shop, pruned)
        if not dry_run and any(sum(counts.values()) for counts in pruned.removed.values()):
            pruned.shrunk = _shrink(state)
    return pruned


def prunable(configured: Settings, state: State, shop: Shop) -> Counts:
    """Return how much of each kind a prune of this shop would remove now."""
    now = state.now()
    retention = Retention(state.engine, now)
    rows = retention.count(shop, cutoffs(configured, now))
    return rows | {"folders": len(_expired_folders(configured, state, retention, shop, now))}


def _prune(configured: Settings, state: State, shop: Shop, pruned: Pruned) -> None:
    now, reports = state.now(), Path(configured.reports.path)
    retention = Retention(state.engine, now)
    try:
        with state.lease(shop.kept_as, new_run_id()) as lease:
            expired = _expired_folders(configured, state, retention, shop, now)
            removed = retention.prune(lease, shop, cutoffs(configured, now))
            folders.sweep(reports, shop.name)
            pruned.removed[shop.name] = removed | {"folders": folders.remove(expired)}
    except LeaseHeld as error:
        pruned.skipped[shop.name] = str(error)


def _expired_folders(configured: Settings, state: State, retention: Retention, shop: Shop, now: datetime) -> list[Path]:
    limit = cutoff(configured.reports.keep_days, now)
    return folders.expired(Path(configured.reports.path), state, retention, shop, limit)


def _shrink(state: State) -> bool:
    """Shrink the database file; where other runs use it, the next prune does."""
    try:
        return Retention(state.engine, state.now()).vacuum()
    except InvsyncError:
        return False
