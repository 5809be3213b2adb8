"""Warm processes that run jobs: started once, renewed after many runs, ended with their parent."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from invsync import scrub
from invsync.errors import SystemFailed
from invsync.jobs import launch
from invsync.runs.record import Record

RENEW_AFTER = 200  # runs a process, so that a leak of a notebook's libraries stays small


class Workers:
    """A pool of processes, each of which runs one job at a time."""

    def __init__(self, count: int) -> None:
        self._count, self._lock, self._runs = count, threading.Lock(), 0
        self._pool = self._new()

    def run(self, job: str, shop: str, config: str, engine: str) -> Record:
        """Run a job of a shop, wait for it, and return its record; raise the job's errors.

        Raises SystemFailed where the process died.
        """
        with self._lock:
            self._runs += 1
            if self._runs > RENEW_AFTER * self._count:
                self._renew()
            pool = self._pool
            future = pool.submit(launch.run, job, {"shop": shop, "config": config}, engine=engine)
        try:
            return Record.of(future.result())
        except BrokenProcessPool:
            with self._lock:
                if pool is self._pool:
                    self._renew()
            raise SystemFailed(f"A process died in {job} of {shop}: the next run takes over.") from None

    def close(self) -> None:
        """Wait for the runs under way, and end the processes."""
        self._pool.shutdown()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn"), initializer=_initialize)

    def _renew(self) -> None:
        self._pool.shutdown(wait=False)
        self._pool, self._runs = self._new(), 0


def _initialize() -> None:
    """Let the parent decide when to stop, and end with it: the next run resumes a run that was cut short.

    No secret is written on standard error.
    """
    scrub.guard_standard_error()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
