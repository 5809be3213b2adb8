"""Whether a shop's jobs still run: an alert for each one that no run has finished for too long."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from invsync import alerts
from invsync.alerts import NO_RUN, Alert
from invsync.config import settings
from invsync.schedule.table import Entry, entries
from invsync.state import State, iso

GRACE = timedelta(minutes=10)


def overdue(state: State, entries: list[Entry], now: datetime) -> list[Alert]:
    """An alert for each job whose last two times passed without a run that finished."""
    return [alert for entry in entries if (alert := _overdue(state, entry, now))]


def _overdue(state: State, entry: Entry, now: datetime) -> Alert | None:
    due = entry.before(entry.before(now - GRACE))
    last = state.runs.last_advance(entry.shop, entry.job)
    ended = datetime.fromisoformat(last["finished_at"]) if last else None
    if ended is not None and ended >= due:
        return None
    since = f"since {iso(ended)}" if ended else "ever"
    facts = {"job": entry.job, "cron": entry.cron, "last_finished": iso(ended) if ended else None}
    return Alert(
        NO_RUN, entry.shop, f"No {entry.job} of {entry.shop} has finished {since}: see what schedules it.", facts
    )


def check(config: Path, shops: Sequence[str]) -> list[Alert]:
    """The jobs of these shops, or of all, that do not run; the pager hears of them."""
    configured = settings.load(config)
    with closing(State(configured.state.url)) as state:
        silent = overdue(state, entries(configured, shops), datetime.now(UTC))
    alerts.send(silent, configured)
    return silent
