"""The processes of the scheduler: slow runs give way to others, and a process that dies ends its own run alone."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ClassVar

import pytest

from invsync.errors import SystemFailed, UsageError
from invsync.schedule import workers
from invsync.schedule.workers import Worker, Workers

JOB = "hard-sync"


class Pretended:
    """A process whose runs end when the test says so."""

    runs: ClassVar[dict[str, "Future[dict[str, Any]]"]] = {}
    made = 0

    def __init__(self) -> None:
        Pretended.made += 1

    def start(self, job: str, shop: str, config: str, engine: str) -> "Future[dict[str, Any]]":
        self.runs[shop] = Future()
        return self.runs[shop]

    def is_spent(self) -> bool:
        return False

    def end(self) -> None:
        pass


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Workers:
    """One place for all, and two for slow runs."""
    monkeypatch.setattr(workers, "Worker", Pretended)
    monkeypatch.setattr(workers, "SLOW_SECONDS", 0.05)
    monkeypatch.setattr(workers, "SLOW_PLACES", 2)
    Pretended.runs, Pretended.made = {}, 0
    return Workers(1)


def begin(pool: Workers, shop: str, ends: list[str] | None = None) -> threading.Thread:
    def run() -> None:
        try:
            pool.run(JOB, shop, "x.toml", "inprocess")
        except SystemFailed as error:
            assert ends is not None
            ends.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def end(shop: str, thread: threading.Thread) -> None:
    Pretended.runs.pop(shop).set_result({"shop": shop})
    thread.join(20)


def test_a_run_that_lasts_gives_its_place_to_another_shop(pool: Workers) -> None:
    slow = begin(pool, "slow")
    until(lambda: "slow" in Pretended.runs)

    other = begin(pool, "other")
    until(lambda: "other" in Pretended.runs)
    end("other", other)

    assert slow.is_alive() and not other.is_alive()
    end("slow", slow)


def test_shops_that_were_slow_wait_for_each_other_and_for_nobody_else(pool: Workers) -> None:
    names = ["slow1", "slow2", "slow3"]
    pool._slow |= {(name, JOB) for name in names}
    slow = {name: begin(pool, name) for name in names}
    until(lambda: len(Pretended.runs) == 2)

    for _ in range(5):
        other = begin(pool, "other")
        until(lambda: "other" in Pretended.runs)
        end("other", other)

    assert len(Pretended.runs) == 2
    first = next(iter(Pretended.runs))
    end(first, slow.pop(first))
    until(lambda: len(Pretended.runs) == 2)
    for name, thread in slow.items():
        end(name, thread)


def test_where_all_runs_take_long_none_is_slow(pool: Workers) -> None:
    assert pool.slow_seconds() == workers.SLOW_SECONDS

    pool._seconds.extend([0.01, 0.02, 3.0])
    assert pool.slow_seconds() == pytest.approx(0.1)
    pool._seconds.extend([0.02] * workers.LATELY)
    assert pool.slow_seconds() == pytest.approx(0.1)
    pool._seconds.extend([4.0] * workers.LATELY)
    assert pool.slow_seconds() == pytest.approx(20.0)


def test_a_shop_that_is_quick_again_is_treated_as_before(pool: Workers) -> None:
    pool._slow.add(("acme", JOB))
    thread = begin(pool, "acme")
    until(lambda: "acme" in Pretended.runs)
    end("acme", thread)

    assert pool._slow == set()


def test_processes_of_shops_that_are_quick_again_are_ended(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    pool._slow |= {("slow1", JOB), ("slow2", JOB)}
    kept = []
    for seconds in (0.01, 60.0):
        monkeypatch.setattr(workers, "SLOW_SECONDS", seconds)
        threads = {name: begin(pool, name) for name in ("slow1", "slow2", "other")}
        until(lambda: len(Pretended.runs) == 3)
        time.sleep(0.1)
        for name, thread in threads.items():
            end(name, thread)
        kept.append(len(pool._idle))
        pool._slow.discard(("other", JOB))

    assert (Pretended.made, kept) == (3, [3, 1])


def test_a_process_that_dies_ends_its_run_alone(pool: Workers) -> None:
    ends: list[str] = []
    victim = begin(pool, "acme", ends)
    until(lambda: "acme" in Pretended.runs)
    Pretended.runs["acme"].set_exception(BrokenProcessPool())
    victim.join(20)

    assert ends == [f"A process died in {JOB} of acme: the next run takes over."]
    assert pool._idle == []


def test_a_process_that_died_between_two_runs_is_replaced() -> None:
    pool, dead = Workers(1), Worker()
    with pytest.raises(BrokenProcessPool):
        dead._pool.submit(os._exit, 1).result(60)
    pool._idle.append(dead)

    with pytest.raises(UsageError, match="Job 'none' is unknown"):
        pool.run("none", "acme", "x.toml", "inprocess")
    pool.close()
