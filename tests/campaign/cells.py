"""The cells of the crash matrix: a shop for each, whose OMS has just counted 3 more of every product."""

import os
import sqlite3
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

from invsync.config.settings import ShopSettings
from invsync.jobs import launch, start
from invsync.jobs.parameters import Parameters
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Level, Shop
from invsync.shopify import Shopify
from invsync.state import Lease

ITEMS = range(1, 301)  # two lines
WAS, TARGET = 7, 10
JOBS = {RECENT: "resets", HARD: "deltas", DELTAS: "deltas"}
CERTIFICATES = httpx.create_ssl_context()


@dataclass
class Cell:
    """One shop whose OMS has just counted 3 more of every product."""

    job: str
    shop: Shop
    config: Path

    def run(self, job: str | None = None, transport: str = "bulk") -> dict[str, Any]:
        parameters = {"shop": "demo", "config": str(self.config), "transport": transport}
        return launch.run(job or self.job, parameters, engine="inprocess")

    def wrong(self) -> list[str]:
        """What is not as it should be: levels that are not right, changes that were not made exactly once."""
        levels = [f"{i} shows {n}" for i in ITEMS if (n := self.shop.available(i, ONLINE)) != TARGET]
        made = Counter(entry["inventory_item_id"] for entry in self.shop.journal)
        return levels + [f"{i} changed {made[i]} times" for i in ITEMS if made[i] != 1]

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
                parameters = {"shop": "demo", "config": str(config)}
                assert launch.run(earlier, parameters, engine="inprocess")["exit_code"] == 0
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
    monkeypatch.setattr(start, "_shopify", in_no_time)
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
    return Shopify.open(
        shop,
        secrets={demo.TOKEN_ENV: TOKEN},
        sleep=lambda seconds: None,
        read_only=given.dry_run,
        before_write=lease.check,
        transport_override=httpx.HTTPTransport(verify=CERTIFICATES),
    )
