"""The crash matrix: each job, each of its steps, each thing that can go wrong there; every cell right in the end."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, TOKEN
from tripwire import Tripwire

from invsync.jobs import launch, opening
from invsync.jobs.parameters import Parameters
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Level, Shop
from invsync.settings import ShopSettings
from invsync.shopify import Shopify
from invsync.state import Lease

ITEMS = range(1, 301)  # two lines
WAS, TARGET = 7, 10
STEPS = {
    "levels read": "query levels", "orders read": "query orders", "adjustment": "mutation adjust",
    "staged upload": "/_upload", "upload asked for": "stagedUploadsCreate", "bulk start": "bulkOperationRunMutation(",
    "bulk watched": "query bulkOperation", "result fetched": "/_results/",
}  # fmt: skip
WRONG = ["error_before", "error_after", "cut_before", "cut_after", "throttle", "throttle_429", "garbage"]
BULK = ["bulk_stuck", "bulk_partial", "garbage_line"]
JOBS = {RECENT: "resets", HARD: "deltas", DELTAS: "deltas"}
CERTIFICATES = httpx.create_ssl_context()


@dataclass
class Cell:
    """One shop whose OMS has just counted 3 more of every product."""

    job: str
    shop: Shop
    config: Path

    def run(self, job: str | None = None, transport: str = "bulk") -> dict[str, Any]:
        told = {"shop": "demo", "config": str(self.config), "transport": transport}
        return launch.run(job or self.job, told, engine="inprocess")

    def wrong(self) -> list[str]:
        """What is not as it should be: levels that are not right, changes that were not made exactly once."""
        found = [f"{i} shows {n}" for i in ITEMS if (n := self.shop.available(i, ONLINE)) != TARGET]
        made = Counter(entry["inventory_item_id"] for entry in self.shop.journal)
        return found + [f"{i} changed {made[i]} times" for i in ITEMS if made[i] != 1]

    def age(self, hours: int) -> None:
        """Let so many hours pass for the outbox and for Shopify's memory of keys."""
        then = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        with closing(sqlite3.connect(self.config.parent / "invsync.db")) as state, state:
            state.execute("update outbox set committed_at = ?", [then])
        self.shop.attempts.clear()


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each job a folder with the OMS and a state in which the job has run before."""
    return {job: _template(tmp_path_factory.mktemp(job), job) for job in JOBS}


def _template(folder: Path, job: str) -> Path:
    os.environ[demo.TOKEN_ENV] = TOKEN
    then = datetime.now(UTC) - timedelta(hours=1)
    with closing(Oms(f"sqlite:///{folder}/oms.db").create()) as oms:
        with oms.batch():
            oms.add_facility("WH", "Warehouse")
            oms.map_location("_NA_", ONLINE)
            oms.add_delta_reason("VAR_SHIP_RECV")
            oms.stock_up([(f"P{item}", f"S{item}", item, WAS) for item in ITEMS], "WH", then)
        shop = _shop()
        with serve(shop) as endpoint:
            config = _configure(folder, endpoint, job)
            for earlier in {HARD, job}:
                told = {"shop": "demo", "config": str(config)}
                assert launch.run(earlier, told, engine="inprocess")["exit_code"] == 0
        with oms.batch():
            for item in ITEMS:
                oms.receive(f"P{item}", "WH", TARGET - WAS, datetime.now(UTC) - timedelta(seconds=1), "SHIP1")
    return folder


def _shop() -> Shop:
    shop = Shop(token=TOKEN)
    shop.add_location(ONLINE, "Online")
    for item in ITEMS:
        shop.add_item(item, f"S{item}")
        shop.levels[item, ONLINE] = Level(WAS, True, changed_at={"available": datetime.now(UTC) - timedelta(days=3)})
    return shop


def _configure(folder: Path, endpoint: str, job: str) -> Path:
    config = demo.configure(folder, endpoint)
    text = config.read_text().replace("[shops.demo.oms]", f'keep_by = "{JOBS[job]}"\nbulk_stall = 1\n[shops.demo.oms]')
    config.write_text(text + "[shops.demo.guards]\nmax_changed_share = 1.0\n")
    return config


@pytest.fixture
def cells(tmp_path: Path, templates: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    monkeypatch.setattr(opening, "_shopify", in_no_time)
    shop, number = Shop(token=TOKEN), 0
    with serve(shop) as endpoint:

        def cell(job: str) -> Cell:
            nonlocal number
            number += 1
            folder = tmp_path / str(number)
            folder.mkdir()
            for name in ("oms.db", "invsync.db"):
                (folder / name).write_bytes((templates[job] / name).read_bytes())
            shop.__dict__.update(_shop().__dict__)
            return Cell(job, shop, _configure(folder, endpoint, job))

        yield cell


def in_no_time(shop: ShopSettings, given: Parameters, lease: Lease) -> Shopify:
    """Shopify as a run opens it, whose waits cost no time."""
    return Shopify.open(shop, secrets={demo.TOKEN_ENV: TOKEN}, sleep=lambda seconds: None, read_only=given.dry_run,
                        before_write=lease.check, transport_override=httpx.HTTPTransport(verify=CERTIFICATES))  # fmt: skip


def judge(cell: Cell, fault: str, step: str, first: dict[str, Any]) -> None:
    """Run the job again, as the schedule would, and tell the cell's line of the table."""
    last = first
    if first["exit_code"]:
        cell.shop.faults.clear()
        last = cell.run()
    seen = first["messages"][-1] if first["messages"] else first["status"]
    print(f"| {cell.job} | {step} | {fault} | {first['exit_code']} {seen} | {last['exit_code']} |")
    assert last["exit_code"] == 0, last["messages"]
    assert cell.wrong() == []


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", STEPS)
def test_one_fault_on_the_way(cells: Any, job: str, step: str) -> None:
    for fault in WRONG:
        cell = cells(job)
        cell.shop.faults.arm(fault, match=STEPS[step])
        facts = cell.run(transport="direct" if step == "adjustment" else "bulk")
        judge(cell, fault, step, facts)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("fault", BULK)
def test_a_bulk_operation_that_goes_wrong(cells: Any, job: str, fault: str) -> None:
    cell = cells(job)
    cell.shop.faults.arm(fault)
    judge(cell, fault, "bulk operation", cell.run())


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["cut_before", "cut_after"])
def test_shopify_stays_away(cells: Any, job: str, step: str, fault: str) -> None:
    cell = cells(job)
    cell.shop.faults.arm(fault, times=1_000_000, match=STEPS[step])
    judge(cell, f"{fault}, for good", step, cell.run(transport="direct" if step == "adjustment" else "bulk"))


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
def test_a_file_that_is_too_old_to_be_sent_again(cells: Any, job: str, applied: bool) -> None:
    """Its keys are forgotten, so a replay would count twice: what Shopify shows decides, or a hard sync."""
    cell = cells(job)
    cell.shop.faults.arm("cut_after" if applied else "cut_before", times=1_000_000, match="mutation adjust")
    first = cell.run(transport="direct")
    cell.shop.faults.clear()
    cell.age(25)

    last = cell.run()
    told = last["messages"]
    healed = cell.run(HARD) if JOBS[job] == "deltas" else last

    print(f"| {job} | expired key, {'applied' if applied else 'not applied'} | {first['exit_code']} | {told} |")
    assert any("not sent again" in message for message in told)
    assert cell.wrong() == [] and healed["exit_code"] == 0
    if job == DELTAS and applied:
        assert any("run a hard sync" in message for message in told)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", ["levels read", "adjustment", "upload asked for", "bulk start", "bulk watched"])
def test_killed_at_a_request(cells: Any, job: str, step: str) -> None:
    cell = cells(job)
    victim: list[subprocess.Popen[bytes]] = []
    cell.shop.requests = Tripwire(lambda row, _: STEPS[step] in row["query"], lambda: victim[0].kill())
    transport = "direct" if step == "adjustment" else "bulk"
    command = [sys.executable, "-m", "invsync.cli", "run", job, "--shop", "demo", "--config", str(cell.config),
               "--engine", "inprocess", "--transport", transport]  # fmt: skip
    victim.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert victim[0].wait(300) == -signal.SIGKILL
    cell.shop.requests = []

    facts = cell.run()

    print(f"| {job} | {step} | kill -9 | {facts['messages'][-1:]} | {facts['exit_code']} |")
    assert facts["exit_code"] == 0 and cell.wrong() == []
