"""A run killed at ten points, and with a part of its lines applied: the next run finishes, nothing is applied twice."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from test_upload_recent_changes import JOB, ONLINE, START, TOKEN, Rehearsal
from tripwire import Tripwire, at_length

from invsync.sandbox import demo
from invsync.sandbox.admin.operations import BUSY
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.state import State

ITEMS = range(1, 751)
WAS, TARGET, A_LINE = 7, 10, 250
PATIENCE = 300.0
FOREVER = 1_000_000
Look = Callable[[], bool]


class Victim:
    """A run of the job as a process of its own, and what can be seen of it from outside."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.shop, self.config = rehearsal.shop, rehearsal.config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, transport: str = "auto") -> None:
        command = [
            sys.executable,
            "-m",
            "invsync.cli",
            "run",
            JOB,
            "--shop",
            "demo",
            "--config",
            str(self.config),
            "--engine",
            "inprocess",
            "--transport",
            transport,
            "--at",
            (START + timedelta(hours=1)).isoformat(),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def kill_with_the_shop_down(self) -> None:
        """From inside the shop's lock: nothing that has not been executed yet ever is."""
        self.shop.faults.arm("cut_before", FOREVER)
        self.kill()

    def ended(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=PATIENCE)

    def until(self, seen: Look) -> None:
        """Look every 2 ms until something is seen; a run that ends before is a failure of the test."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert self._process.poll() is None and time.monotonic() < deadline, "the run ended before the kill"
            time.sleep(0.002)

    def wrote(self, name: str) -> Look:
        folder = self.config.parent / "reports" / "demo" / JOB
        return lambda: any(path.stat().st_size for path in folder.glob(f"*/{name}"))

    def holds_the_lease(self) -> bool:
        return self._rows("lease") > 0

    def committed(self) -> bool:
        return self._rows("outbox") > 0

    def state(self) -> sqlite3.Connection:
        return sqlite3.connect(self.config.parent / "invsync.db", isolation_level=None, timeout=PATIENCE)

    def _rows(self, table: str) -> int:
        try:
            with closing(self.state()) as state:
                return int(state.execute(f"select count(*) from {table}").fetchone()[0])
        except sqlite3.OperationalError:  # the table is not there yet
            return 0


def at_the_start(victim: Victim) -> None:
    victim.start()
    victim.until(victim.holds_the_lease)
    victim.kill()


def at_request(number: int) -> Callable[[Victim], None]:
    def kill(victim: Victim) -> None:
        victim.shop.requests = Tripwire(at_length(number), victim.kill)
        victim.start()

    return kill


def at_change(number: int) -> Callable[[Victim], None]:
    """In the middle of an adjustment, or at its end, and in any case before its answer."""

    def kill(victim: Victim) -> None:
        victim.shop.journal = Tripwire(at_length(number), victim.kill)
        victim.start()

    return kill


def with_a_file_that_is_not_committed(victim: Victim) -> None:
    victim.start()
    victim.until(lambda: len(victim.shop.requests) > 0)
    with closing(victim.state()) as state:
        state.execute("begin immediate")  # the run can read its state and cannot commit to it
        victim.until(victim.wrote("adjustments.jsonl"))
        time.sleep(0.1)
        victim.kill()
        victim.ended()
        state.execute("rollback")
    assert not victim.committed() and not victim.shop.journal


def with_a_committed_file_and_nothing_applied(victim: Victim) -> None:
    victim.start()
    victim.until(victim.wrote("plan.parquet"))
    with victim.shop.lock:  # nothing is executed from here on
        victim.until(victim.committed)
        assert not victim.shop.journal
        victim.kill()
        victim.ended()


def when_it_wrote(name: str) -> Callable[[Victim], None]:
    def kill(victim: Victim) -> None:
        victim.start()
        victim.until(victim.wrote(name))
        victim.kill()

    return kill


POINTS: dict[str, Callable[[Victim], None]] = {
    "holding the lease, before the first request": at_the_start,
    "at the first request": at_request(1),
    "at the third request": at_request(3),
    "after the file, before the outbox": with_a_file_that_is_not_committed,
    "after the outbox, before the first adjustment": with_a_committed_file_and_nothing_applied,
    "in the first adjustment": at_change(1),
    "in the second adjustment": at_change(300),
    "after the last adjustment, before its answer": at_change(len(ITEMS)),
    "at the first answer on disk": when_it_wrote("result.jsonl"),
    "after the levels were read back": when_it_wrote("outcomes.parquet"),
}


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    shop, oms = Shop(token=TOKEN), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    with serve(shop) as endpoint:
        built = Rehearsal(shop, oms, demo.configure(tmp_path, endpoint))
        with oms.batch():
            oms.add_facility("WH", "Warehouse")
            oms.map_location("_NA_", ONLINE)
            for item in ITEMS:
                built.product(item, f"S{item}", oms=TARGET, available=WAS)
        with built.config.open("a") as file:
            file.write("[shops.demo.guards]\nmax_changed_share = 1.0\n")
        State(f"sqlite:///{tmp_path}/invsync.db").close()  # its tables are there before a run is locked out
        yield built
    oms.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_is_finished_by_the_next_and_nothing_is_applied_twice(rehearsal: Rehearsal, point: str) -> None:
    victim = Victim(rehearsal)
    POINTS[point](victim)
    assert victim.ended() == -signal.SIGKILL
    applied = len(rehearsal.shop.journal)

    facts = rehearsal.run(START + timedelta(hours=1, minutes=15))

    changed = [entry["inventory_item_id"] for entry in rehearsal.shop.journal]
    print(f"killed {point}: {applied} of {len(ITEMS)} changes seen; {facts['messages']}")
    assert facts["exit_code"] == 0
    assert rehearsal.available(*ITEMS) == [TARGET] * len(ITEMS)
    assert sorted(changed) == list(ITEMS)
    assert State(f"sqlite:///{rehearsal.config.parent}/invsync.db").outbox.pending("demo") == []


def with_lines_applied(lines: int, transport: str) -> Callable[[Victim], None]:
    """Kill at the last change of this many lines, one a poll; the shop is down until the run is dead."""

    def kill(victim: Victim) -> None:
        victim.shop.bulk_lines_per_poll = 1
        victim.shop.journal = Tripwire(at_length(lines * A_LINE), victim.kill_with_the_shop_down)
        victim.start(transport)

    return kill


def with_the_operation_started(victim: Victim) -> None:
    def starts(row: dict[str, Any], length: int) -> bool:
        return "bulkOperationRunMutation(" in row["query"]

    victim.shop.requests = Tripwire(starts, victim.kill_with_the_shop_down)
    victim.start("bulk")


def finish_operations(shop: Shop) -> None:
    """What Shopify does with a bulk operation that nobody asks after any more."""
    for operation in shop.operations.values():
        while operation.status in BUSY:
            operation.poll()


def nothing(shop: Shop) -> None:
    """Shopify leaves the bulk operation where it stands."""


PARTS: dict[str, tuple[Callable[[Victim], None], int, Callable[[Shop], None], Callable[[Shop], None]]] = {
    "direct, one line of three applied": (with_lines_applied(1, "direct"), 1, nothing, nothing),
    "direct, two lines of three applied": (with_lines_applied(2, "direct"), 2, nothing, nothing),
    "bulk, the operation started": (with_the_operation_started, 0, nothing, finish_operations),
    "bulk, one line of three applied, the rest never": (with_lines_applied(1, "bulk"), 1, nothing, nothing),
    "bulk, one line of three applied, the rest before the next run": (
        with_lines_applied(1, "bulk"),
        1,
        finish_operations,
        nothing,
    ),
    "bulk, one line of three applied, the rest after the next run": (
        with_lines_applied(1, "bulk"),
        1,
        nothing,
        finish_operations,
    ),
    "bulk, two lines of three applied, the rest after the next run": (
        with_lines_applied(2, "bulk"),
        2,
        nothing,
        finish_operations,
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_run_killed_half_way_is_finished_by_the_next_and_nothing_is_applied_twice(
    rehearsal: Rehearsal, part: str
) -> None:
    die, lines, meanwhile, afterwards = PARTS[part]
    victim = Victim(rehearsal)
    die(victim)
    assert victim.ended() == -signal.SIGKILL
    applied = len(rehearsal.shop.journal)
    rehearsal.shop.faults.clear()
    meanwhile(rehearsal.shop)

    facts = rehearsal.run(START + timedelta(hours=1, minutes=15))
    afterwards(rehearsal.shop)

    changed = [entry["inventory_item_id"] for entry in rehearsal.shop.journal]
    print(f"killed {part}: {applied} of {len(ITEMS)} changes seen; {facts['messages']}")
    assert facts["exit_code"] == 0
    assert applied == lines * A_LINE < len(ITEMS)
    assert rehearsal.available(*ITEMS) == [TARGET] * len(ITEMS)
    assert sorted(changed) == list(ITEMS)
    assert State(f"sqlite:///{rehearsal.config.parent}/invsync.db").outbox.pending("demo") == []
