"""Warm processes that run jobs: started once, renewed now and then, gone when their parent is gone."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from invsync.errors import SystemFailed
from invsync.jobs import launch

RENEW_AFTER = 200  # runs, so that no leak of a notebook's libraries grows for days


class Workers:
    """A few processes of which each runs one job at a time."""

    def __init__(self, count: int) -> None:
        self._count, self._lock, self._runs = count, threading.Lock(), 0
        self._pool = self._new()

    def run(self, job: str, given: dict[str, Any], engine: str) -> dict[str, Any]:
        """Run a job and wait for it; its run.json. The errors are those of the job."""
        with self._lock:
            self._runs += 1
            if self._runs > RENEW_AFTER * self._count:
                self._renew()
            pool = self._pool
            future = pool.submit(launch.run, job, given, engine=engine)
        try:
            return future.result()
        except BrokenProcessPool:
            with self._lock:
                if pool is self._pool:
                    self._renew()
            raise SystemFailed(f"A process died in {job} of {given['shop']}: the next run takes over.") from None

    def close(self) -> None:
        """Let what runs come to its end, and stop."""
        self._pool.shutdown()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn"), initializer=_settle_in)

    def _renew(self) -> None:
        self._pool.shutdown(wait=False)
        self._pool, self._runs = self._new(), 0


def _settle_in() -> None:
    """The parent decides when to stop; without it there is nothing left to do, and any run is resumed by the next."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
