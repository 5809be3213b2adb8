"""Warm processes that run jobs: started on demand, renewed after many runs, ended with their parent.

Most of a run is waiting for Shopify and the OMS. A run that waits for long must not keep the runs of other shops
from starting: it leaves its place to them, and the next run of its shop and job starts in one of the places for slow
runs. A process that dies ends the run that it worked on, and no other.
"""

import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Self

from invsync import scrub
from invsync.errors import SystemFailed
from invsync.jobs import launch
from invsync.runs.record import Record

RENEW_AFTER = 200  # runs a process, so that a leak of a notebook's libraries stays small
SLOW_SECONDS = 20.0  # after which a run may count as slow: a warm one takes a second or two
SLOW_TIMES, LATELY = 5, 50  # the median of so many runs: where all take long, as on a busy machine, none is slow
SLOW_PLACES = 8  # slow runs at once; each has a process of its own
Run = Future[dict[str, Any]]


class Worker:
    """A process that runs one job at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool, self._runs = ProcessPoolExecutor(1, context, initializer=_initialize), 0

    def start(self, job: str, shop: str, config: str, engine: str) -> Run:
        """Start a run; raises BrokenProcessPool where the process has died since its last one."""
        self._runs += 1
        return self._pool.submit(launch.run, job, {"shop": shop, "config": config}, engine=engine)

    def is_spent(self) -> bool:
        """Whether the process has run so many jobs that another should take its place."""
        return self._runs >= RENEW_AFTER

    def end(self) -> None:
        """End the process; it is idle or dead."""
        self._pool.shutdown(wait=False)


class Place:
    """The right to run, which a run that turns out slow gives up for a place among the slow ones."""

    def __init__(self, places: threading.Semaphore, slow_places: threading.Semaphore, *, slow: bool) -> None:
        self._slow_places, self.slow = slow_places, slow
        self._held = slow_places if slow else places

    def __enter__(self) -> Self:
        self._held.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.release()

    def wait_for(self, run: Run, seconds: float) -> None:
        """Wait until a run has ended, and note whether it was slow: whether it took longer than these seconds."""
        self.slow = not wait([run], seconds).done
        while not run.done():
            if self._held is not self._slow_places and self._slow_places.acquire(blocking=False):
                self._held.release()
                self._held = self._slow_places
            wait([run], None if self._held is self._slow_places else seconds)


class Workers:
    """Places for `count` runs at once, and `SLOW_PLACES` more for slow ones, each with a process while it runs."""

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._places, self._slow_places = threading.Semaphore(count), threading.Semaphore(SLOW_PLACES)
        self._idle: list[Worker] = []
        self._slow: set[tuple[str, str]] = set()  # the shops and jobs whose last run was slow
        self._seconds: deque[float] = deque(maxlen=LATELY)

    def run(self, job: str, shop: str, config: str, engine: str) -> Record:
        """Run a job of a shop, wait for it, and return its record; raise the job's errors.

        Raises SystemFailed where the process died.
        """
        with Place(self._places, self._slow_places, slow=(shop, job) in self._slow) as place:
            began, (worker, run) = time.monotonic(), self._started(job, shop, config, engine)
            place.wait_for(run, self.slow_seconds())
            with self._lock:
                self._seconds.append(time.monotonic() - began)
                (self._slow.add if place.slow else self._slow.discard)((shop, job))
                self._keep(worker, is_dead=isinstance(run.exception(), BrokenProcessPool))
        try:
            return Record.of(run.result())
        except BrokenProcessPool:
            raise SystemFailed(f"A process died in {job} of {shop}: the next run takes over.") from None

    def slow_seconds(self) -> float:
        """Return the seconds after which a run counts as slow."""
        with self._lock:
            median = statistics.median(self._seconds) if self._seconds else 0.0
        return max(SLOW_SECONDS, SLOW_TIMES * median)

    def close(self) -> None:
        """End the processes; no run may be under way."""
        for worker in self._idle:
            worker.end()

    def _started(self, job: str, shop: str, config: str, engine: str) -> tuple[Worker, Run]:
        """Start a run in an idle process, or in a new one where none is left or those that are left have died."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else Worker()
            with suppress(BrokenProcessPool):
                return worker, worker.start(job, shop, config, engine)
            worker.end()

    def _keep(self, worker: Worker, *, is_dead: bool) -> None:
        """Keep an idle process for the next run, unless there are enough for all places that are in use."""
        enough = self._count + min(len(self._slow), SLOW_PLACES)
        if is_dead or worker.is_spent() or len(self._idle) >= enough:
            worker.end()
        else:
            self._idle.append(worker)


def _initialize() -> None:
    """Let the parent decide when to stop, and end with it: the next run resumes a run that was cut short.

    No secret is written on standard error.
    """
    scrub.guard_standard_error()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
