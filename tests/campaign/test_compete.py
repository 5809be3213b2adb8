"""Two machines compete for one shop on PostgreSQL while each is paused, continued and killed at random."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from campaign.servers import postgresql
from rehearsal import ONLINE, TOKEN, of_shop

from invsync.sandbox import demo
from invsync.sandbox.adjust import Adjust
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.state import State

MINUTES = float(os.environ.get("INVSYNC_COMPETE_MINUTES", "2"))
ITEMS, STOCK = range(1, 9), 100_000
LASTS = 6  # seconds of a lease here, instead of 60, with its heartbeat and its stop in the same proportion
WORKER = f"""
import json, sys
from datetime import timedelta
from invsync.errors import InvsyncError
from invsync.jobs import launch
from invsync.state import lease
lease.LASTS, lease.BEAT_SECONDS, lease.STOP_SECONDS = timedelta(seconds={LASTS}), {LASTS / 4}, {LASTS / 2}
for line in sys.stdin:
    try:
        facts = launch.run(line.strip(), {{"shop": "demo", "config": sys.argv[1], "dry_run": False}}, engine="inprocess")
        print(json.dumps([facts["exit_code"], facts["messages"], facts["counts"]["held"]]), flush=True)
    except InvsyncError as error:
        print(json.dumps([type(error).__name__, [str(error)], 0]), flush=True)
"""


@dataclass
class Machine:
    """One machine: its own disk, its own worker, which is asked for a run whenever it is idle."""

    config: Path
    counts: Counter[str]
    worker: subprocess.Popen[str] | None = None
    paused_until: float = 0.0
    busy: bool = False
    ended: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-c", WORKER, str(self.config)]
        self.worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.worker.stdout is not None
        os.set_blocking(self.worker.stdout.fileno(), False)
        self.busy = False

    def step(self, rng: random.Random) -> None:
        """Ask for the next run, take the answer of the last, and now and then pause or kill the worker."""
        now = time.monotonic()
        if self.worker is None:
            self.start()
        elif self.paused_until:
            if now > self.paused_until:
                self._signal(signal.SIGCONT)
                self.paused_until = 0.0
        elif rng.random() < 0.008:
            self._kill()
        elif rng.random() < 0.02:
            long = rng.random() < 0.3
            self._signal(signal.SIGSTOP)
            self.paused_until = now + (rng.uniform(LASTS + 1, LASTS * 2) if long else rng.uniform(0.05, 2))
            self.counts["paused for longer than the lease" if long else "paused"] += 1
        else:
            self.work("hard-sync" if rng.random() < 0.05 else "push-deltas")

    def work(self, job: str) -> bool:
        """Whether the worker is idle again; then it is asked for a run of this job."""
        assert self.worker is not None and self.worker.stdin is not None and self.worker.stdout is not None
        if self.busy:
            answer = self.worker.stdout.readline()
            if not answer:
                return False
            self.ended.append(answer)
            self.counts[f"ended {answer[1:].split(',')[0]}"] += 1
        self.worker.stdin.write(f"{job}\n")
        self.worker.stdin.flush()
        self.busy = True
        return True

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self.worker is not None
        self.worker.wait()
        self.worker, self.paused_until = None, 0.0
        self.counts["killed"] += 1

    def _signal(self, number: signal.Signals) -> None:
        assert self.worker is not None
        os.kill(self.worker.pid, number)

    def leave(self) -> None:
        if self.worker is not None:
            self._kill()


@pytest.fixture
def slow_answers(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Shopify takes its time before and after it executes a change, so that pauses and kills meet one under way."""
    rng, execute = random.Random(2), Adjust.inventoryAdjustQuantities

    def slowly(self: Adjust, info: Any, **given: Any) -> Any:
        time.sleep(rng.uniform(0, 0.1))
        answer = execute(self, info, **given)
        time.sleep(rng.uniform(0, 0.1))
        return answer

    monkeypatch.setattr(Adjust, "inventoryAdjustQuantities", slowly)
    return rng


@pytest.fixture
def databases() -> Iterator[tuple[str, str]]:
    """The URL of the OMS and that of the state; a reader that is paused does not lock PostgreSQL."""
    with postgresql() as url:
        with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.text("create database state"))
        yield url, f"{url.rpartition('/')[0]}/state"


def machine(folder: Path, name: str, endpoint: str, databases: tuple[str, str], counts: Counter[str]) -> Machine:
    """A machine with a folder of its own for reports; the OMS and the state are shared."""
    home = folder / name
    home.mkdir()
    config = demo.configure(home, endpoint)
    text = config.read_text().replace(f"sqlite:///{home}/oms.db", databases[0])
    config.write_text(text.replace(f"sqlite:///{home}/invsync.db", databases[1]))
    of_shop(config, 'keep_by = "deltas"')
    return Machine(config, counts)


def test_each_change_lands_once_whoever_is_paused_or_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, databases: tuple[str, str], slow_answers: random.Random
) -> None:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    shop, oms, rng = Shop(token=TOKEN), Oms(databases[0]).create(), random.Random(1)
    before, counts = datetime.now(UTC) - timedelta(days=2), Counter[str]()
    shop.add_location(ONLINE, "Online")
    oms.add_facility("WH", "Warehouse")
    oms.map_location("_NA_", ONLINE)
    for item in ITEMS:
        oms.add_product(f"P{item}", f"S{item}")
        oms.map_product(f"P{item}", item)
        oms.set_stock(f"P{item}", "WH", STOCK, before)
        shop.add_item(item, f"S{item}")
        shop.set_level(item, ONLINE, STOCK)
    with serve(shop) as endpoint:
        machines = [machine(tmp_path, name, endpoint, databases, counts) for name in ("a", "b")]
        counted, events = Counter[int](), 0
        try:
            machines[0].start()
            machines[0].work("push-deltas")  # the baseline
            while not machines[0].work("push-deltas"):
                time.sleep(0.05)
            until = time.monotonic() + 60 * MINUTES
            while time.monotonic() < until:
                if rng.random() < 0.15:
                    item, units, events = rng.choice(ITEMS), rng.choice([-3, -2, -1, 1, 2, 5]), events + 1
                    oms.adjust(
                        f"P{item}", "WH", units, datetime.now(UTC), "CYCLE_COUNT", physical_inventory_id=f"N{events}"
                    )
                    counted[item] += units
                rng.choice(machines).step(rng)
                time.sleep(0.04)
        finally:
            for one in machines:
                one.leave()
        last = machines[0]
        last.start()
        last.ended.clear()
        # Open files are settled, new events pushed; what another machine changed a moment ago is raised a minute later.
        deadline = time.monotonic() + 120
        while [json.loads(answer)[::2] for answer in last.ended[-2:]] != [[0, 0]] * 2:
            assert time.monotonic() < deadline, last.ended[-2:]
            last.work("push-deltas")
            time.sleep(0.05)
        last.leave()
    landed = Counter[int]()
    for change in shop.journal:
        landed[change["inventory_item_id"]] += change["delta"]
    keys = Counter(change["key"] for change in shop.journal if change["key"])
    state = State(databases[1])
    with state.engine.connect() as connection:
        fence = connection.execute(sa.text("select number from fence where shop = 'demo'")).scalar_one()
        unknown = connection.execute(sa.text("select count(*) from claim where status = 'unknown'")).scalar_one()
    print(
        f"{MINUTES:g} minutes: {events} stock events, {len(shop.journal)} changes in {len(keys)} requests, the shop was "
        f"taken {fence} times; {dict(sorted(counts.items()))}"
    )
    assert {item: landed[item] for item in ITEMS} == {item: counted[item] for item in ITEMS}
    assert {item: shop.available(item, ONLINE) for item in ITEMS} == {item: STOCK + counted[item] for item in ITEMS}
    assert state.outbox.pending("demo") == [] and unknown == 0
    state.close()
    oms.close()
