"""A loopback shop and a SQLite OMS for end-to-end tests: one warehouse that feeds one aggregate location."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

ONLINE, STORE, TOKEN = 7, 8, "shpat_planted_0123456789abcdef"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
RECENT, HARD, DELTAS = "upload-recent-changes", "hard-sync", "push-deltas"


@dataclass
class Rehearsal:
    """The shop, the OMS, and the configuration that connects them."""

    shop: Shop
    oms: Oms
    config: Path

    def product(self, item: int, sku: str, *, oms: float, available: int, **item_facts: Any) -> None:
        self.oms.add_product(f"P{item}", sku)
        self.oms.map_product(f"P{item}", item)
        self.oms.set_stock(f"P{item}", "WH", oms, START)
        self.shop.add_item(item, sku, **item_facts)
        self.shop.set_level(item, ONLINE, available)

    def store(self, facility: str = "ST", location: int = STORE) -> None:
        """A shop of bricks whose own stock has a location of its own."""
        self.shop.add_location(location, facility)
        self.oms.add_facility(facility, facility, type="RETAIL_STORE")
        self.oms.map_location(facility, location)

    def run(self, when: datetime = START + timedelta(hours=1), job: str = RECENT, **given: Any) -> dict[str, Any]:
        added = {"shop": "demo", "config": str(self.config), "at": when.isoformat(), **given}
        return launch.run(job, added, engine="inprocess")

    def apply(self, facts: dict[str, Any]) -> dict[str, Any]:
        return launch.apply(facts["run_id"], str(self.config), engine="inprocess")

    def undo(self, facts: dict[str, Any]) -> dict[str, Any]:
        return launch.undo(facts["run_id"], str(self.config), engine="inprocess")

    def keep_by_deltas(self) -> None:
        of_shop(self.config, 'keep_by = "deltas"')

    def available(self, *items: int, at: int = ONLINE) -> list[int | None]:
        return [self.shop.available(item, at) for item in items]

    def folder(self, facts: dict[str, Any]) -> Path:
        return self.config.parent / "reports" / "demo" / facts["job"] / facts["run_id"]

    def outcomes(self, facts: dict[str, Any]) -> pl.DataFrame:
        return pl.read_parquet(self.folder(facts) / "outcomes.parquet")

    def state(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.config.parent / "invsync.db") as connection:
            return connection.execute(sql).fetchall()


def of_shop(config: Path, *lines: str) -> Path:
    """The configuration with these lines more in its shop's table."""
    added = "\n".join(lines)
    config.write_text(config.read_text().replace("[shops.demo.oms]", f"{added}\n[shops.demo.oms]"))
    return config


def inputs(folder: Path) -> list[dict[str, Any]]:
    """The input of every line of the run's first file."""
    return [json.loads(line)["input"] for line in (folder / "adjustments.jsonl").open()]


@contextmanager
def open_rehearsal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    shop, oms = Shop(token=TOKEN), Oms(f"sqlite:///{folder}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    oms.add_facility("WH", "Warehouse")
    oms.map_location("_NA_", ONLINE)
    with serve(shop) as endpoint:
        yield Rehearsal(shop, oms, demo.configure(folder, endpoint))
    oms.close()
