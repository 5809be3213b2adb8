"""The embedded scheduler: run each shop's jobs by cron, and its real-time sync when webhooks wait, until it is stopped."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from invsync import upkeep
from invsync.config import settings
from invsync.errors import InvsyncError, LeaseHeld
from invsync.inbox import Inbox
from invsync.jobs.start import new_run_id
from invsync.schedule import watchdog
from invsync.schedule.keeping import lease_name
from invsync.schedule.table import Entry, entries
from invsync.schedule.workers import Workers
from invsync.state import State
from invsync.vocabulary import REALTIME

DRAIN_SECONDS, REST_SECONDS, AGAIN_SECONDS, WATCH_SECONDS = 0.5, 30.0, 20.0, 300.0
PRUNE, DAILY = "state prune", "40 4 * * *"  # after the night's hard sync
Line = Mapping[str, object]  # how a run or a prune ended, as JSON can hold it
Report = Callable[[Line], None]


class Cron(BaseTrigger):  # type: ignore[misc]
    """A trigger that reads weekdays and day-or-weekday as cron does; APScheduler's own trigger does not."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the next time after the previous one and after now, so that missed times count once."""
        return self._entry.after(max(previous or now, now).astimezone(UTC))


@dataclass
class ShopRunner:
    """Runs the jobs of one shop, one after another, and reports each."""

    shop: str
    config: str
    engine: str
    workers: Workers
    inbox: Inbox
    stop: threading.Event
    report: Report
    rests_until: float = field(default=0.0)
    is_called: bool = field(default=False)  # a drain is queued or under way

    def run(self, job: str) -> int:
        """Run a job now, again while another run holds the shop; return its exit code."""
        code = LeaseHeld.exit_code
        while code == LeaseHeld.exit_code and not self.stop.is_set():
            code = self._run_once(job)
            if code == LeaseHeld.exit_code:
                self.stop.wait(AGAIN_SECONDS)
        return code

    def is_free(self) -> bool:
        """Whether a drain may be queued: none is, and the shop does not rest."""
        return not self.is_called and time.monotonic() >= self.rests_until

    def drain(self) -> None:
        """Run the real-time sync if deliveries wait; rest for a while after one that did not end well."""
        try:
            if not self.stop.is_set() and self.inbox.count(self.shop) and self._run_once(REALTIME):
                self.rests_until = time.monotonic() + REST_SECONDS
        finally:
            self.is_called = False

    def prune(self) -> None:
        """Remove what the settings no longer keep of this shop."""
        line: Line
        try:
            line = {**vars(upkeep.prune(Path(self.config), [self.shop])), "status": "done", "exit_code": 0}
        except InvsyncError as error:
            line = _failure(error)
        self.report({"shop": self.shop, "job": PRUNE, **line})

    def _run_once(self, job: str) -> int:
        began = time.monotonic()
        line: Line
        try:
            run = self.workers.run(job, self.shop, self.config, self.engine)
            line = {"run_id": run.run_id, "status": run.status, "exit_code": run.exit_code, "counts": run.counts}
            code = run.exit_code
        except InvsyncError as error:
            line, code = _failure(error), error.exit_code
        self.report({"shop": self.shop, "job": job, "seconds": round(time.monotonic() - began, 2), **line})
        return code


def _failure(error: InvsyncError) -> Line:
    return {"status": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}


def run(config: Path, shops: Sequence[str], *, engine: str, only_realtime: bool, report: Report) -> None:
    """Run the jobs of these shops, or of all, until SIGTERM or SIGINT; call `report` with a line for each.

    A shop that another scheduler keeps is left out. Raises LeaseHeld where that is so for all of them.
    """
    configured = settings.load(config)
    table, state, stop = entries(configured, shops), State(configured.state.url), threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as leases:
        kept = _leased(state, list(dict.fromkeys(entry.shop for entry in table)), leases, report)
        table = [entry for entry in table if entry.shop in kept]
        workers = Workers(max(1, min(len(kept), os.cpu_count() or 1)))
        leases.callback(workers.close)
        inbox = Inbox(state.engine)
        runners = {shop: ShopRunner(shop, str(config), engine, workers, inbox, stop, report) for shop in kept}
        scheduler = _scheduler(runners, [] if only_realtime else table, state, inbox)
        if not only_realtime:
            watch = IntervalTrigger(seconds=WATCH_SECONDS)
            scheduler.add_job(lambda: watchdog.watch(state, table, configured, datetime.now(UTC)), watch)
        scheduler.start()
        stop.wait()
        scheduler.shutdown()


def _leased(state: State, shops: list[str], leases: ExitStack, report: Report) -> list[str]:
    """The shops that no other scheduler keeps, each held until the stack is closed."""
    kept = []
    for shop in shops:
        try:
            leases.enter_context(state.lease(lease_name(shop), new_run_id()))
            kept.append(shop)
        except LeaseHeld as error:
            if len(shops) == 1:
                raise
            report({"shop": shop, **_failure(error)})
    if not kept:
        raise LeaseHeld("Another scheduler keeps every one of these shops: wait for it, or stop it.")
    return kept


def call_shops(scheduler: BackgroundScheduler, runners: Mapping[str, ShopRunner], inbox: Inbox) -> None:
    """Queue a drain for each shop of which deliveries wait, behind the job that it runs now; one query asks for all."""
    for shop in inbox.shops_waiting() & runners.keys():
        if runners[shop].is_free():
            runners[shop].is_called = True
            scheduler.add_job(runners[shop].drain, executor=shop)


def _scheduler(runners: dict[str, ShopRunner], table: list[Entry], state: State, inbox: Inbox) -> BackgroundScheduler:
    """A scheduler with one thread a shop; a job that was missed since its last run is due at once."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
    now = datetime.now(UTC)
    for shop, runner in runners.items():
        scheduler.add_executor(ThreadPoolExecutor(1), shop)
        if table:
            scheduler.add_job(runner.prune, Cron(Entry(shop, PRUNE, DAILY)), executor=shop)
    poll = IntervalTrigger(seconds=DRAIN_SECONDS)
    scheduler.add_job(lambda: call_shops(scheduler, runners, inbox), poll)
    for entry in table:
        first = now if _is_missed(state, entry, now) else entry.after(now)
        scheduler.add_job(runners[entry.shop].run, Cron(entry), [entry.job], executor=entry.shop, next_run_time=first)
    return scheduler


def _is_missed(state: State, entry: Entry, now: datetime) -> bool:
    """Whether no run has finished since the job was last due."""
    last = state.runs.last_advance(entry.shop, entry.job)
    return last is None or datetime.fromisoformat(last["finished_at"]) < entry.before(now + timedelta(seconds=1))
