"""What goes wrong around a run, for end-to-end tests: it is killed, it loses its lease, its files vanish, others write too."""

import multiprocessing
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rehearsal import DELTAS, ONLINE, START, TOKEN, Rehearsal

from invsync.jobs import launch, run
from invsync.jobs.delivery import Delivery
from invsync.sandbox import demo
from invsync.shopify import Shopify
from invsync.shopify.writes import Results
from invsync.state import lease

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["invsync.jobs.launch", "trouble"])
MOMENTS: dict[str, tuple[type, str, str]] = {
    "before its commit": (Delivery, "send_files", "before"),
    "after its commit": (Delivery, "deliver", "before"),
    "at its first answer": (Results, "add", "before"),
    "after its answers": (Delivery, "deliver", "after"),
    "before its record": (run.Run, "_conclude", "before"),
}


class Kept:
    """A shop with 10 units of product A online, the jobs that keep it, and a clock that goes on by five minutes a run."""

    def __init__(self, rehearsal: Rehearsal, by: str = DELTAS) -> None:
        self.rehearsal, self.shop, self.oms, self.now, self.by = rehearsal, rehearsal.shop, rehearsal.oms, START, by
        self.shop.clock = lambda: self.now
        self.counts = 0
        rehearsal.product(1, "A", oms=10, available=10)
        if by == DELTAS:
            rehearsal.keep_by_deltas()
        self.run()

    def counted(self, units: int, product: str = "P1", facility: str = "WH", reason: str = "CYCLE_COUNT") -> None:
        """Book a count that adds `units` in the OMS; an event of another reason is a manual adjustment."""
        self.counts, self.now = self.counts + 1, self.now + MINUTE
        count = f"PI{self.counts}" if reason == "CYCLE_COUNT" else None
        self.oms.adjust(product, facility, units, self.now, reason, physical_inventory_id=count)

    def run(self, job: str | None = None, **given: Any) -> dict[str, Any]:
        self.now += 5 * MINUTE
        return self.rehearsal.run(self.now, job or self.by, **given)

    def killed(self, moment: str, job: str | None = None, **given: Any) -> None:
        """A run in a process of its own that ends at once at this moment."""
        self.now += 5 * MINUTE
        given = {"shop": "demo", "config": str(self.rehearsal.config), "at": self.now.isoformat(), **given}
        assert elsewhere(moment, launch.run, job or self.by, given) == 9

    def taken_over(self, monkeypatch: pytest.MonkeyPatch, job: str | None = None, exit_code: int = 0) -> None:
        """This process sleeps for more than a minute; a run of another one takes the shop over and ends with this code."""
        given = {"shop": "demo", "config": str(self.rehearsal.config), "at": self.now.isoformat()}
        for held in lease._HELD.values():
            held._ended.set()  # nobody beats while a process sleeps
        self.sql("update lease set heartbeat = '2026-03-01T00:00:00Z'")
        assert elsewhere(None, launch.run, job or self.by, given) == exit_code
        monkeypatch.setattr("invsync.state.clock.boottime", lambda: time.monotonic() + 61)

    @property
    def available(self) -> int | None:
        return self.shop.available(1, ONLINE)

    def changes(self) -> list[int]:
        """Every change of the shop's journal."""
        return [row["delta"] for row in self.shop.journal]

    def keep_by(self, job: str) -> None:
        """Switch the way in which the shop is kept."""
        path, self.by = self.rehearsal.config, job
        text = path.read_text().replace('keep_by = "deltas"\n', "")
        path.write_text(text)
        if job == DELTAS:
            self.rehearsal.keep_by_deltas()

    def folders(self) -> list[Path]:
        """The folders of all runs, oldest first."""
        return sorted((self.rehearsal.config.parent / "reports").glob("*/*/*"), key=lambda path: path.name)

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Read or change the state database past every rule."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(text, values).fetchall()

    @property
    def database(self) -> Path:
        return self.rehearsal.config.parent / "invsync.db"

    def backup(self) -> Callable[[], None]:
        """Keep the state database; what is returned restores it."""
        copy = self.database.with_suffix(".backup")
        shutil.copy(self.database, copy)
        return lambda: shutil.copy(copy, self.database) and None


def elsewhere(moment: str | None, *call: Any) -> int | None:
    """The exit code of a process that makes this call of `launch` and is killed at this moment, if one is given."""
    process = PROCESSES.Process(target=_elsewhere, args=(moment, *call))
    process.start()
    process.join(60)
    return process.exitcode


def _elsewhere(moment: str | None, call: Callable[..., Any], *arguments: Any) -> None:
    os.environ |= {demo.TOKEN_ENV: TOKEN}
    if moment is not None:
        place, name, when = MOMENTS[moment]
        end = getattr(place, name)

        def ended(*args: Any, **options: Any) -> None:
            if when == "after":
                end(*args, **options)
            os._exit(9)

        setattr(place, name, ended)
    facts = call(*arguments, engine="inprocess")
    os._exit(facts["exit_code"])


def once(
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    then: Callable[[], Any],
    *,
    after: bool = False,
    always: bool = False,
) -> None:
    """Let something happen before the next call of this method, or after it; or at each one."""
    real = getattr(place, name)
    left = [True]

    def wrapped(*args: Any, **options: Any) -> Any:
        happens = left[0]
        left[0] = always
        if happens and not after:
            then()
        answer = real(*args, **options)
        if happens and after:
            then()
        return answer

    monkeypatch.setattr(place, name, wrapped)


def foreign(kept: Kept, monkeypatch: pytest.MonkeyPatch, units: int, *, always: bool = False) -> None:
    """Another system writes its number right after our next write."""
    once(monkeypatch, Shopify, "submit", lambda: kept.shop.set_level(1, ONLINE, units), after=True, always=always)
