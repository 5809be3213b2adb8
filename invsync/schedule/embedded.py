"""The embedded scheduler: run each shop's jobs by cron, and its real-time sync when webhooks wait, until it is stopped."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from invsync import upkeep
from invsync.config import settings
from invsync.config.settings import Settings
from invsync.errors import InvsyncError, LeaseHeld, UsageError
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
RELOAD = "reload"
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


@dataclass
class Keeper:
    """The shops that this process keeps, and their jobs in a scheduler; `reload` brings both up to the configuration.

    With `shops`, no others are kept. With `only_realtime`, they have no jobs by cron.
    """

    config: Path
    shops: Sequence[str]
    engine: str
    only_realtime: bool
    report: Report
    configured: Settings
    state: State
    workers: Workers
    stop: threading.Event = field(default_factory=threading.Event)
    table: list[Entry] = field(default_factory=list)
    runners: dict[str, ShopRunner] = field(default_factory=dict)
    leases: dict[str, ExitStack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare the scheduler, which keeps no shop yet."""
        self.inbox = Inbox(self.state.engine)
        self.scheduler = _scheduler(self.runners, [], self.state, self.inbox)
        if not self.only_realtime:
            self.scheduler.add_job(self._watch, IntervalTrigger(seconds=WATCH_SECONDS))

    def keep(self, configured: Settings) -> dict[str, list[str]]:
        """Keep the shops and times of this configuration; return the shops that were added, removed and changed.

        A shop that another scheduler keeps is left out. Raises UsageError where a cron text is wrong; nothing is
        changed then.
        """
        table = entries(configured, self.shops)
        wanted = list(dict.fromkeys(entry.shop for entry in table))
        removed = [shop for shop in self.runners if shop not in wanted]
        changed = [shop for shop in self.runners if shop in wanted and _of(table, shop) != _of(self.table, shop)]
        added = [shop for shop in wanted if shop not in self.runners and self._lease(shop)]
        for shop in [*removed, *changed]:
            self._remove(shop)
        for shop in removed:
            self.leases.pop(shop).close()
        for shop in [*added, *changed]:
            self._add(shop, table)
        self.table, self.configured = [entry for entry in table if entry.shop in self.runners], configured
        return {"added": added, "removed": removed, "changed": changed}

    def reload(self) -> None:
        """Read the configuration again and report what changed; a faulty one is reported and changes nothing."""
        try:
            configured = settings.load(self.config)
            if configured.state.url != self.configured.state.url:
                raise UsageError(f"[state] url of {self.config} has changed: restart the scheduler.")
            line: Line = {**self.keep(configured), "status": "done", "exit_code": 0}
        except InvsyncError as error:
            line = _failure(error)
        self.report({"job": RELOAD, **line})

    def close(self) -> None:
        """Give the shops back."""
        for lease in self.leases.values():
            lease.close()

    def _lease(self, shop: str) -> bool:
        """Whether this process keeps a shop from now on; it does not where another scheduler does."""
        lease = ExitStack()
        try:
            lease.enter_context(self.state.lease(lease_name(shop), new_run_id()))
        except LeaseHeld as error:
            self.report({"shop": shop, **_failure(error)})
            return False
        self.leases[shop] = lease
        return True

    def _add(self, shop: str, table: list[Entry]) -> None:
        runner = ShopRunner(shop, str(self.config), self.engine, self.workers, self.inbox, self.stop, self.report)
        _schedule(self.scheduler, runner, [] if self.only_realtime else _of(table, shop), self.state)
        self.runners[shop] = runner

    def _remove(self, shop: str) -> None:
        """Take a shop's jobs out of the scheduler; a run under way goes on to its end."""
        del self.runners[shop]
        for job in self.scheduler.get_jobs():
            if job.executor == shop:
                job.remove()
        self.scheduler.remove_executor(shop, shutdown=False)

    def _watch(self) -> None:
        watchdog.watch(self.state, self.table, self.configured, datetime.now(UTC))


def run(config: Path, shops: Sequence[str], *, engine: str, only_realtime: bool, report: Report) -> None:
    """Run the jobs of these shops, or of all, until SIGTERM or SIGINT; call `report` with a line for each.

    SIGHUP reads the configuration again. A shop that another scheduler keeps is left out. Raises LeaseHeld where that
    is so for all of them.
    """
    configured, signals = settings.load(config), SimpleQueue[int]()
    table = entries(configured, shops)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, _: signals.put(number))
    workers = Workers(max(1, min(len({entry.shop for entry in table}), os.cpu_count() or 1)))
    with ExitStack() as stack:
        stack.callback(workers.close)
        state = stack.enter_context(closing(State(configured.state.url)))
        keeper = Keeper(config, shops, engine, only_realtime, report, configured, state, workers)
        stack.callback(keeper.close)
        keeper.keep(configured)
        if not keeper.runners:
            raise LeaseHeld("Another scheduler keeps every one of these shops: wait for it, or stop it.")
        keeper.scheduler.start()
        while signals.get() == signal.SIGHUP:
            keeper.reload()
        keeper.stop.set()
        keeper.scheduler.shutdown()


def _of(table: list[Entry], shop: str) -> list[Entry]:
    return [entry for entry in table if entry.shop == shop]


def call_shops(scheduler: BackgroundScheduler, runners: Mapping[str, ShopRunner], inbox: Inbox) -> None:
    """Queue a drain for each shop of which deliveries wait, behind the job that it runs now; one query asks for all."""
    for shop in inbox.shops_waiting():
        runner = runners.get(shop)
        if runner is not None and runner.is_free():
            runner.is_called = True
            scheduler.add_job(runner.drain, executor=shop)


def _scheduler(
    runners: Mapping[str, ShopRunner], table: list[Entry], state: State, inbox: Inbox
) -> BackgroundScheduler:
    """A scheduler that polls the inboxes, and runs these jobs of these shops."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
    scheduler.add_job(lambda: call_shops(scheduler, runners, inbox), IntervalTrigger(seconds=DRAIN_SECONDS))
    for shop, runner in runners.items():
        _schedule(scheduler, runner, _of(table, shop), state)
    return scheduler


def _schedule(scheduler: BackgroundScheduler, runner: ShopRunner, table: list[Entry], state: State) -> None:
    """Give a shop one thread and its jobs; a job that was missed since its last run is due at once."""
    now = datetime.now(UTC)
    scheduler.add_executor(ThreadPoolExecutor(1), runner.shop)
    if table:
        scheduler.add_job(runner.prune, Cron(Entry(runner.shop, PRUNE, DAILY)), executor=runner.shop)
    for entry in table:
        first = now if _is_missed(state, entry, now) else entry.after(now)
        scheduler.add_job(runner.run, Cron(entry), [entry.job], executor=entry.shop, next_run_time=first)


def _is_missed(state: State, entry: Entry, now: datetime) -> bool:
    """Whether no run has finished since the job was last due."""
    last = state.runs.last_advance(entry.shop, entry.job)
    return last is None or datetime.fromisoformat(last["finished_at"]) < entry.before(now + timedelta(seconds=1))
