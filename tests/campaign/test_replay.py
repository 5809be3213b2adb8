"""Weeks of real sales beside the jobs, the orders late in the OMS: no sold unit goes back on sale, and nothing drifts."""

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
from rehearsal import TOKEN, of_shop

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import LOCATION, WAREHOUSE, World, sales

LAGS = (60, 30, 15, 5)
RESETS, DELTAS, HARD = demo.JOB, "push-deltas", "hard-sync"
WAYS = ("deltas and a nightly hard sync", "deltas", "resets")
EVERY = timedelta(minutes=15)
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
    """How some weeks with one order lag went, under one way of keeping."""

    way: str
    days: int
    lag: int
    runs: int
    sold: int
    products: int
    put_back: int
    plain: Plain
    plain_all: Plain
    drift: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.days} days kept by {self.way}, orders {self.lag:>2} minutes late: {self.runs} runs, "
            f"{self.sold} units sold in {self.products} products, {self.put_back} put back on sale, "
            f"drift at the end {self.drift}; plain OMS - available puts back {self.plain.put_back} by the products "
            f"that changed in the OMS, {self.plain_all.put_back} by every product; {self.seconds:.0f} s"
        )


def of_products(rows: pl.DataFrame) -> pl.DataFrame:
    """The sales and variances of products, `variance` for rows without a price."""
    return rows.filter(
        pl.col("sku").str.contains(r"^\d{5}"),
        pl.col("invoice").str.contains(r"^\d+$"),
        (pl.col("quantity") > 0) | (pl.col("unit_price") == 0),
    ).with_columns(variance=pl.col("unit_price") == 0)


def moments(rows: pl.DataFrame, lag: int) -> Iterator[tuple[datetime, bool]]:
    """Every quarter of an hour of each business day until its last order is in the OMS; whether it is the day's last.

    Half a minute past, as sales are stamped to the minute: what happens in the very moment of a run is the next run's.
    """
    days = rows.group_by_dynamic("invoiced_at", every="1d").agg(
        opens=pl.col("invoiced_at").min().dt.truncate("15m"), closes=pl.col("invoiced_at").max()
    )
    for _, opens, closes in days.sort("invoiced_at").iter_rows():
        at = opens + timedelta(seconds=30)
        while at < closes + timedelta(minutes=lag) + EVERY:
            yield at.replace(tzinfo=UTC), False
            at += EVERY
        yield at.replace(tzinfo=UTC), True


def moved(rows: pl.DataFrame, start: datetime, thru: datetime, *, variance: bool) -> Units:
    """Units by product that were sold, or corrected by a variance, in (start, thru]."""
    after, until = (moment.replace(tzinfo=None) for moment in (start, thru))
    here = rows.filter(pl.col("variance") == variance, pl.col("invoiced_at") > after, pl.col("invoiced_at") <= until)
    return dict(here.group_by("sku").agg(pl.col("quantity").sum()).iter_rows())


def for_sale(world: World) -> dict[str, int]:
    available = {sku: world.shop.available(item, LOCATION) for sku, item in world.items.items()}
    return {sku: units for sku, units in available.items() if units is not None}


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


def replay(folder: Path, days: int, lag: int, way: str = "resets") -> Replay:
    """Run the jobs through the days; the first run that fails or shows a unit that is not there ends it."""
    began, rows = time.monotonic(), of_products(sales(days))
    os.environ[demo.TOKEN_ENV] = TOKEN
    world = World(Shop(token=TOKEN), Oms(f"sqlite:///{folder}/oms.db").create(), rows, lag)
    world.oms.add_delta_reason("VAR_FOUND", "VAR_DAMAGED")
    truth = for_sale(world)
    before, seen = in_the_oms(world), world.start - timedelta(days=1)
    plain, plain_all, runs, put_back = Plain(dict(truth)), Plain(dict(truth)), 0, 0
    with serve(world.shop) as endpoint:
        config = str(of_shop(demo.configure(folder, endpoint), f'keep_by = "{way.split()[0]}"'))
        if way != "resets":
            launch.run(DELTAS, {"shop": "demo", "config": config, "at": world.start.isoformat()}, engine="inprocess")
        for at, closing in moments(rows, lag):
            world.advance(at)
            sold, variances = moved(rows, seen, at, variance=False), moved(rows, seen, at, variance=True)
            truth = {sku: left - sold.get(sku, 0) + variances.get(sku, 0) for sku, left in truth.items()}
            oms = in_the_oms(world)
            for compared, counts in (plain, {sku: n for sku, n in oms.items() if n != before[sku]}), (plain_all, oms):
                compared.sell(sold)
                compared.run(counts, truth)
            for job in due(way, closing=closing):
                facts = launch.run(job, {"shop": "demo", "config": config, "at": at.isoformat()}, engine="inprocess")
                put_back += sum(max(0, units - truth[sku]) for sku, units in for_sale(world).items())
                assert facts["exit_code"] == 0 and put_back == 0, f"{at} lag {lag}: {put_back} units, {facts}"
                runs += 1
            before, seen = oms, at
    shown, counted = for_sale(world), in_the_oms(world)
    world.oms.close()
    drift = sum(abs(shown[sku] - left) + abs(counted[sku] - left) for sku, left in truth.items())
    units = int(rows.filter(~pl.col("variance"))["quantity"].sum())
    took = time.monotonic() - began
    return Replay(way, days, lag, runs, units, len(truth), put_back, plain, plain_all, drift, took)


def due(way: str, *, closing: bool) -> Iterator[str]:
    """The jobs of a moment."""
    yield RESETS if way == "resets" else DELTAS
    if closing and "hard sync" in way:
        yield HARD


def side_by_side(tmp_path: Path, cases: list[tuple[int, int, str]]) -> None:
    """Replay each case, one a core, and judge it."""
    folders = [tmp_path / str(number) for number in range(len(cases))]
    for folder in folders:
        folder.mkdir()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for done in pool.map(replay, folders, *zip(*cases, strict=True)):
            print(done, flush=True)
            assert done.put_back == 0 and done.drift == 0
            assert done.sold > 0 and done.plain_all.put_back >= done.plain.put_back > 0


def test_a_week_of_real_sales_puts_no_sold_unit_back_on_sale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")  # for the processes below, one a core
    side_by_side(tmp_path, [(7, lag, "resets") for lag in LAGS])


def test_a_month_of_real_sales_under_each_way_of_keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    side_by_side(tmp_path, [(31, 15, way) for way in WAYS])
