"""The shops of a configuration as the state keeps them, and the moments before which their rows may go."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from invsync.config.settings import Settings
from invsync.state import State
from invsync.state.retention import Cutoffs, Shop


def shops(configured: Settings, state: State, names: Sequence[str] = ()) -> list[Shop]:
    """Return these shops, or all, without those that never ran."""
    shops = []
    for name in names or configured.shops:
        shop = configured.shop(name)
        overlap, plan_age = timedelta(hours=shop.delta_overlap_hours), timedelta(minutes=shop.plan_max_age)
        if (kept_as := state.shops.known_as(shop.identity)) is not None:
            shops.append(Shop(name, kept_as, overlap, plan_age))
    return shops


def cutoffs(configured: Settings, now: datetime) -> Cutoffs:
    """Return the moments before which each kind of row may go, by [state] of the configuration."""
    kept = configured.state
    return Cutoffs(
        *(cutoff(days, now) for days in (kept.keep_claims_days, kept.keep_runs_days, kept.keep_webhooks_days))
    )


def cutoff(days: int, now: datetime) -> datetime | None:
    """Return the moment this many days ago; None for 0, which keeps for ever."""
    return now - timedelta(days=days) if days else None
