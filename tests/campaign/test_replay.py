"""A week of real sales beside the job, its orders late by 5 to 60 minutes: no sold unit goes back on sale."""

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import LOCATION, WAREHOUSE, World, sales

LAGS = (60, 30, 15, 5)
EVERY = timedelta(minutes=15)
TOKEN = "shpat_planted_0123456789abcdef"
Units = Mapping[str, int]


@dataclass
class Plain:
    """A shop kept by `OMS - available` alone: what it shows, and the units that it put back on sale."""

    shown: dict[str, int]
    put_back: int = 0

    def sell(self, units: Units) -> None:
        for sku, sold in units.items():
            self.shown[sku] -= sold

    def run(self, oms: Units, truth: Units) -> None:
        """Show the OMS quantity of these products; what is raised above what is left is put back."""
        self.put_back += sum(max(0, units - max(self.shown[sku], truth[sku])) for sku, units in oms.items())
        self.shown |= oms


@dataclass(frozen=True)
class Replay:
    """How a week with one order lag went."""

    lag: int
    runs: int
    sold: int
    products: int
    put_back: int
    plain: Plain
    plain_all: Plain
    right_at_the_end: bool
    seconds: float

    def __str__(self) -> str:
        return (
            f"orders {self.lag:>2} minutes late: {self.runs} runs, {self.sold} units sold in {self.products} products, "
            f"{self.put_back} put back on sale; plain OMS - available puts back {self.plain.put_back} by the products "
            f"that changed in the OMS, {self.plain_all.put_back} by every product; {self.seconds:.0f} s"
        )


def one_week(rows: pl.DataFrame) -> pl.DataFrame:
    """The sales and variances of products in the seven days from the first, `variance` for rows without a price."""
    until = pl.col("invoiced_at").min().dt.truncate("1d") + timedelta(days=7)
    return rows.filter(
        pl.col("invoiced_at") < until,
        pl.col("sku").str.contains(r"^\d{5}"),
        pl.col("invoice").str.contains(r"^\d+$"),
        (pl.col("quantity") > 0) | (pl.col("unit_price") == 0),
    ).with_columns(variance=pl.col("unit_price") == 0)


def moments(week: pl.DataFrame, lag: int) -> Iterator[datetime]:
    """Every quarter of an hour of each business day, and after it until its last order is in the OMS."""
    days = week.group_by_dynamic("invoiced_at", every="1d").agg(
        opens=pl.col("invoiced_at").min().dt.truncate("15m"), closes=pl.col("invoiced_at").max()
    )
    for _, opens, closes in days.sort("invoiced_at").iter_rows():
        at = opens
        while at < closes + timedelta(minutes=lag) + EVERY:
            yield at.replace(tzinfo=UTC)
            at += EVERY


def moved(week: pl.DataFrame, start: datetime, thru: datetime, *, variance: bool) -> Units:
    """Units by product that were sold, or found and lost, after one moment and up to another."""
    after, until = (moment.replace(tzinfo=None) for moment in (start, thru))
    rows = week.filter(pl.col("variance") == variance, pl.col("invoiced_at") > after, pl.col("invoiced_at") <= until)
    return dict(rows.group_by("sku").agg(pl.col("quantity").sum()).iter_rows())


def for_sale(world: World) -> dict[str, int]:
    found = {sku: world.shop.available(item, LOCATION) for sku, item in world.items.items()}
    return {sku: units for sku, units in found.items() if units is not None}


def in_the_oms(world: World) -> dict[str, int]:
    """The OMS quantity: its count at the warehouse less the orders in the brokering queue."""
    stock, item = METADATA.tables["product_facility"].c, METADATA.tables["order_item"].c
    counted = sa.select(stock.product_id, stock.last_inventory_count).where(stock.facility_id == WAREHOUSE)
    queued = sa.select(item.product_id, sa.func.sum(item.quantity)).group_by(item.product_id)
    with world.oms.batch() as connection:
        waiting = {product: int(units) for product, units in connection.execute(queued)}
        return {
            product.removeprefix("P"): int(units) - waiting.get(product, 0)
            for product, units in connection.execute(counted)
        }


def replay(folder: Path, lag: int) -> Replay:
    """Run the job through the week; the first run that fails or shows a unit that is not there ends it."""
    began, week = time.monotonic(), one_week(sales())
    os.environ[demo.TOKEN_ENV] = TOKEN
    world = World(Shop(token=TOKEN), Oms(f"sqlite:///{folder}/oms.db").create(), week, lag)
    truth = for_sale(world)
    before, seen = in_the_oms(world), world.start - timedelta(days=1)
    plain, plain_all, runs, put_back = Plain(dict(truth)), Plain(dict(truth)), 0, 0
    with serve(world.shop) as endpoint:
        config = str(demo.configure(folder, endpoint))
        for at in moments(week, lag):
            world.advance(at)
            sold, found = moved(week, seen, at, variance=False), moved(week, seen, at, variance=True)
            truth = {sku: left - sold.get(sku, 0) + found.get(sku, 0) for sku, left in truth.items()}
            oms = in_the_oms(world)
            for way, told in (plain, {sku: n for sku, n in oms.items() if n != before[sku]}), (plain_all, oms):
                way.sell(sold)
                way.run(told, truth)
            facts = launch.run(demo.JOB, {"shop": "demo", "config": config, "at": at.isoformat()}, engine="inprocess")
            put_back += sum(max(0, units - truth[sku]) for sku, units in for_sale(world).items())
            assert facts["exit_code"] == 0 and put_back == 0, f"{at} lag {lag}: {put_back} units, {facts['messages']}"
            before, seen, runs = oms, at, runs + 1
    right = for_sale(world) == truth == in_the_oms(world)
    world.oms.close()
    units = int(week.filter(~pl.col("variance"))["quantity"].sum())
    return Replay(lag, runs, units, len(truth), put_back, plain, plain_all, right, time.monotonic() - began)


def test_a_week_of_real_sales_puts_no_sold_unit_back_on_sale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")  # for the processes below, one a core
    folders = [tmp_path / str(lag) for lag in LAGS]
    for folder in folders:
        folder.mkdir()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for done in pool.map(replay, folders, LAGS):
            print(done, flush=True)
            assert done.put_back == 0 and done.right_at_the_end
            assert done.sold > 0 and done.plain_all.put_back >= done.plain.put_back > 0
