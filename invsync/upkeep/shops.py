"""The shops of a configuration as the state keeps them, and from when on each thing may go."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from invsync.config.settings import Settings
from invsync.state import State
from invsync.state.keeping import Kept, Limits


def shops(configured: Settings, state: State, names: Sequence[str] = ()) -> list[Kept]:
    """These shops, or all; one that never ran is not there."""
    known = []
    for name in names or configured.shops:
        shop = configured.shop(name)
        overlap, fresh = timedelta(hours=shop.delta_overlap_hours), timedelta(minutes=shop.plan_max_age)
        if (kept_as := state.shops.known_as(shop.identity)) is not None:
            known.append(Kept(name, kept_as, overlap, fresh))
    return known


def limits(configured: Settings, now: datetime) -> Limits:
    """Before when each thing may go."""
    kept = configured.state
    return Limits(
        *(before(days, now) for days in (kept.keep_claims_days, kept.keep_runs_days, kept.keep_webhooks_days))
    )


def before(days: int, now: datetime) -> datetime | None:
    """The moment so many days ago; None for 0, which is for ever."""
    return now - timedelta(days=days) if days else None
