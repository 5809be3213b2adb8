"""A business day of real sales beside the job: not one unit that was sold goes back on sale."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
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

TOKEN = "shpat_planted_0123456789abcdef"
OPENS, CLOSES, EVERY = timedelta(hours=8), timedelta(hours=18), timedelta(minutes=15)
Units = Mapping[str, int]


def one_day(rows: pl.DataFrame) -> pl.DataFrame:
    """The sales and variances of products on the first day, until the shop closes."""
    until = pl.col("invoiced_at").min().dt.truncate("1d") + CLOSES
    return rows.filter(
        pl.col("invoiced_at") < until,
        pl.col("sku").str.contains(r"^\d{5}"),
        pl.col("invoice").str.contains(r"^\d+$"),
        (pl.col("quantity") > 0) | (pl.col("unit_price") == 0),
    )


def left(first: Units, day: pl.DataFrame, at: datetime) -> Units:
    """What is left to sell: the first stock, what was found or lost so far, less what was sold so far."""
    moved = pl.when(pl.col("unit_price") == 0).then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    so_far = day.filter(pl.col("invoiced_at") <= at.replace(tzinfo=None))
    units = dict(so_far.group_by("sku").agg(moved.sum()).iter_rows())
    return {sku: stock + units.get(sku, 0) for sku, stock in first.items()}


def for_sale(world: World) -> Units:
    found = {sku: world.shop.available(item, LOCATION) for sku, item in world.items.items()}
    return {sku: units for sku, units in found.items() if units is not None}


def in_the_oms(world: World) -> Units:
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


def beyond(shown: Units, truth: Units) -> int:
    """Units that would be shown for sale and are not there."""
    return sum(max(0, units - truth[sku]) for sku, units in shown.items())


@pytest.mark.parametrize("lag", [5, 30])
def test_a_day_of_real_sales_puts_no_sold_unit_back_on_sale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    day = one_day(sales())
    world = World(Shop(token=TOKEN), Oms(f"sqlite:///{tmp_path}/oms.db").create(), day, lag)
    first = for_sale(world)
    before, seen = in_the_oms(world), Counter[str]()
    at, end = world.start + OPENS, world.start + CLOSES + timedelta(minutes=lag)
    with serve(world.shop) as endpoint:
        config = str(demo.configure(tmp_path, endpoint))
        while at < end + EVERY:
            world.advance(at)
            truth, plain = left(first, day, at), in_the_oms(world)
            facts = launch.run(demo.JOB, {"shop": "demo", "config": config, "at": at.isoformat()}, engine="inprocess")
            touched = {sku: units for sku, units in plain.items() if units != before[sku]}
            put_back = beyond(for_sale(world), truth)
            assert facts["exit_code"] == 0, f"{at:%H:%M} {facts['messages']}"
            assert put_back == 0, f"{at:%H:%M} {put_back} units"
            seen += Counter(runs=1, put_back=put_back, plain_touched=beyond(touched, truth),
                            plain_all=beyond(plain, truth), kept=facts["in_flight"]["units"])  # fmt: skip
            before = plain
            at += EVERY

    sold = day.filter(pl.col("unit_price") > 0)["quantity"].sum()
    print(
        f"orders {lag} minutes late, {seen['runs']} runs, {sold} units sold in {len(first)} products: "
        f"{put_back} put back on sale; OMS quantities would have put back {seen['plain_touched']} units by the "
        f"products that changed in the OMS, {seen['plain_all']} by every product at every run"
    )
    assert seen["put_back"] == 0 and seen["plain_all"] >= seen["plain_touched"] > 0
    assert sold > 0 and for_sale(world) == truth == in_the_oms(world)
    world.oms.close()
