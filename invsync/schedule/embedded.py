"""The embedded scheduler: each shop's jobs by cron and its real-time sync, one at a time, until it is told to stop."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from invsync import alerts, upkeep
from invsync.config import settings
from invsync.errors import InvsyncError, LeaseHeld
from invsync.inbox import Inbox
from invsync.jobs.start import new_run_id
from invsync.schedule import silence
from invsync.schedule.table import Entry, entries
from invsync.schedule.workers import Workers
from invsync.state import State
from invsync.vocabulary import REALTIME

DRAIN_SECONDS, REST_SECONDS, AGAIN_SECONDS, WATCH_SECONDS = 0.5, 30.0, 20.0, 300.0
PRUNE, DAILY = "state prune", "40 4 * * *"  # after the night's hard sync
Tell = Callable[[dict[str, Any]], None]


class Cron(BaseTrigger):  # type: ignore[misc]
    """Cron's own meaning of weekdays and of day-or-weekday, which APScheduler's text reader does not share."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The next time after the previous one; times that passed meanwhile are one."""
        return self._entry.after(max(previous or now, now).astimezone(UTC))


@dataclass
class Keeper:
    """One shop: its jobs are run one after another, and told."""

    shop: str
    config: str
    engine: str
    workers: Workers
    inbox: Inbox
    stop: threading.Event
    tell: Tell
    rests_until: float = field(default=0.0)

    def run(self, job: str) -> int:
        """Run a job now, again and again while another run holds the shop; its exit code."""
        code = LeaseHeld.exit_code
        while code == LeaseHeld.exit_code and not self.stop.is_set():
            code = self._once(job)
            if code == LeaseHeld.exit_code:
                self.stop.wait(AGAIN_SECONDS)
        return code

    def drain(self) -> None:
        """Run the real-time sync if deliveries wait; after one that did not end well, rest for a while."""
        if time.monotonic() < self.rests_until or self.stop.is_set() or not self.inbox.count(self.shop):
            return
        if self._once(REALTIME):
            self.rests_until = time.monotonic() + REST_SECONDS

    def prune(self) -> None:
        """Remove what the settings no longer keep of this shop."""
        try:
            line = vars(upkeep.prune(Path(self.config), [self.shop])) | {"status": "done", "exit_code": 0}
        except InvsyncError as error:
            line = {"status": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
        self.tell({"shop": self.shop, "job": PRUNE, **line})

    def _once(self, job: str) -> int:
        began = time.monotonic()
        try:
            facts = self.workers.run(job, {"shop": self.shop, "config": self.config}, self.engine)
            line = {name: facts[name] for name in ("run_id", "status", "exit_code", "counts")}
        except InvsyncError as error:
            line = {"status": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
        self.tell({"shop": self.shop, "job": job, "seconds": round(time.monotonic() - began, 2), **line})
        return int(line["exit_code"])


def run(config: Path, shops: Sequence[str], *, engine: str, only_realtime: bool, tell: Tell) -> None:
    """Keep these shops, or all, until SIGTERM; another scheduler at work on all of them is LeaseHeld."""
    configured = settings.load(config)
    table, state, stop = entries(configured, shops), State(configured.state.url), threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as held:
        kept = _leased(state, list(dict.fromkeys(entry.shop for entry in table)), held, tell)
        table = [entry for entry in table if entry.shop in kept]
        workers = Workers(max(1, min(len(kept), os.cpu_count() or 1)))
        held.callback(workers.close)
        inbox = Inbox(state.engine)
        keepers = {shop: Keeper(shop, str(config), engine, workers, inbox, stop, tell) for shop in kept}
        scheduler = _scheduler(keepers, [] if only_realtime else table, state)
        if not only_realtime:
            watch = IntervalTrigger(seconds=WATCH_SECONDS)
            scheduler.add_job(lambda: alerts.send(silence.overdue(state, table, datetime.now(UTC)), configured), watch)
        scheduler.start()
        stop.wait()
        scheduler.shutdown()


def _leased(state: State, shops: list[str], held: ExitStack, tell: Tell) -> list[str]:
    """The shops that no other scheduler keeps."""
    kept = []
    for shop in shops:
        try:
            held.enter_context(state.lease(f"{shop} scheduler", new_run_id()))
            kept.append(shop)
        except LeaseHeld as error:
            if len(shops) == 1:
                raise
            tell({"shop": shop, "status": "LeaseHeld", "exit_code": error.exit_code, "message": str(error)})
    if not kept:
        raise LeaseHeld("Another scheduler keeps every one of these shops: wait for it, or stop it.")
    return kept


def _scheduler(keepers: dict[str, Keeper], table: list[Entry], state: State) -> BackgroundScheduler:
    """One thread a shop; a job whose time passed since its last run is due at once."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
    now = datetime.now(UTC)
    for shop, keeper in keepers.items():
        scheduler.add_executor(ThreadPoolExecutor(1), shop)
        scheduler.add_job(keeper.drain, IntervalTrigger(seconds=DRAIN_SECONDS), executor=shop)
        if table:
            scheduler.add_job(keeper.prune, Cron(Entry(shop, PRUNE, DAILY)), executor=shop)
    for entry in table:
        first = now if _is_missed(state, entry, now) else entry.after(now)
        scheduler.add_job(keepers[entry.shop].run, Cron(entry), [entry.job], executor=entry.shop, next_run_time=first)
    return scheduler


def _is_missed(state: State, entry: Entry, now: datetime) -> bool:
    """Whether the last time that was due has had no run since."""
    last = state.runs.last_advance(entry.shop, entry.job)
    return last is None or datetime.fromisoformat(last["finished_at"]) < entry.before(now + timedelta(seconds=1))
