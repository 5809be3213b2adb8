"""Jobs that have stopped running: an alert for each one that no run has finished for too long."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from invsync import alerts
from invsync.alerts import NO_RUN, Alert
from invsync.config import settings
from invsync.schedule.table import Entry, entries
from invsync.state import State, iso


def watch(state: State, entries: Sequence[Entry], configured: settings.Settings, now: datetime) -> list[Alert]:
    """Send and return the alerts of jobs that have stopped running, and send what waits of every shop."""
    silent = overdue(state, entries, now)
    jobs = {(alert.shop, alert.key) for alert in silent}
    running = [pair for entry in entries if (pair := (entry.shop, alerts.key(NO_RUN, entry.job))) not in jobs]
    alerts.send(silent, configured, now, resolved=running)
    return silent


def overdue(state: State, entries: Sequence[Entry], now: datetime) -> list[Alert]:
    """Return an alert for each job that no run has finished since its last time but one."""
    return [alert for entry in entries if (alert := _overdue(state, entry, now))]


def _overdue(state: State, entry: Entry, now: datetime) -> Alert | None:
    due = entry.due_since(now)
    last = state.runs.last_advance(entry.shop, entry.job)
    ended = datetime.fromisoformat(last["finished_at"]) if last else None
    if ended is not None and ended >= due:
        return None
    finished = f"has finished since {iso(ended)}" if ended else "has ever finished"
    summary = f"No {entry.job} of {entry.shop} {finished}: see what schedules it."
    facts = {"job": entry.job, "cron": entry.cron, "last_finished": iso(ended) if ended else None}
    return Alert(NO_RUN, entry.shop, summary, facts)


def check(config: Path, shops: Sequence[str]) -> list[Alert]:
    """Send and return the alerts of these shops' jobs, or of all, that have stopped running."""
    configured = settings.load(config)
    with closing(State(configured.state.url)) as state:
        return watch(state, entries(configured, shops), configured, datetime.now(UTC))
