"""The calls of a policy's runs and their cost by Shopify's published rules: an object 1 point, a list its logarithm."""

import polars as pl

from invsync.simulate import engine
from invsync.simulate.events import BATCHED, HARD_SYNC_AT
from invsync.simulate.history import DAY_MINUTES
from invsync.simulate.scenario import Scenario

BATCH, ORDERS_A_PAGE = 250, 25
LEVEL_POINTS, PRODUCT_POINTS, ORDER_POINTS = 4, 5, 79  # a list of one level, of one item's product, of one order
WRITE_POINTS = 10  # a line written


def runs(scenario: Scenario, ledger: pl.DataFrame, lines: pl.DataFrame, *, days: int) -> pl.DataFrame:
    """One row a run: pairs looked at, pairs written, orders read (null if it reads none), calls and points.

    A job also runs when nothing has changed. A hard sync reads all pairs. The webhooks of one minute are one run.
    """
    looks = ledger.filter("looked").group_by("kind", "at").agg(looked=pl.len(), written=pl.col("writes").sum())
    taken = ledger.filter(pl.col("kind") == engine.SALE, pl.col("sold") > 0)["line"]
    placed = lines[taken].unique("order").select("at")
    parts = [looks.filter(pl.col("kind") == engine.HOOK).select("looked", "written", orders="looked")]
    if scenario.policy in BATCHED:
        ticks = _ticks(looks, placed, engine.JOB, days, every=scenario.cadence, first=scenario.cadence)
        reads = scenario.policy in ("reset_by_header", "reset_in_flight")
        parts.append(ticks.with_columns(orders=pl.when(reads).then("orders")))
    if scenario.policy == "deltas_and_hard_sync":
        ticks = _ticks(looks, placed, engine.HARD, days, every=DAY_MINUTES, first=HARD_SYNC_AT)
        parts.append(ticks.with_columns(looked=pl.lit(ledger["pair"].n_unique())))
    return pl.concat(parts, how="vertical_relaxed").with_columns(calls=_calls(), points=_points())


def _ticks(
    looks: pl.DataFrame, placed: pl.DataFrame, kind: int, days: int, *, every: float, first: float
) -> pl.DataFrame:
    """All runs of a schedule, with the orders placed since the run before."""
    number = ((pl.col("at") - first) / every).round(6).ceil().cast(pl.Int64)
    looked = looks.filter(pl.col("kind") == kind).select("looked", "written", number=number)
    orders = placed.group_by(number=number).agg(orders=pl.len())
    ticks = pl.DataFrame({"number": range(int((days * DAY_MINUTES - first) // every) + 1)})
    rows = ticks.join(looked, on="number", how="left").join(orders, on="number", how="left").fill_null(0)
    return rows.select("looked", "written", "orders")


def _calls() -> pl.Expr:
    """Calls that read levels and orders, write lines, and read the levels back."""
    batches = [(pl.col(name) / BATCH).ceil() for name in ("looked", "written", "written")]
    pages = (pl.max_horizontal("orders", pl.when(pl.col("orders").is_not_null()).then(1)) / ORDERS_A_PAGE).ceil()
    return pl.sum_horizontal(*batches, pages).cast(pl.Int64)


def _points() -> pl.Expr:
    """The points of these calls."""
    orders = pl.when(pl.col("orders").is_not_null()).then(
        ORDER_POINTS * _lists(pl.max_horizontal("orders", 1), ORDERS_A_PAGE)
    )
    looked = (LEVEL_POINTS + PRODUCT_POINTS) * _lists(pl.col("looked"), BATCH)
    levels = looked + LEVEL_POINTS * _lists(pl.col("written"), BATCH)
    return pl.sum_horizontal(levels, orders, WRITE_POINTS * (pl.col("written") / BATCH).ceil())


def _lists(rows: pl.Expr, batch: int) -> pl.Expr:
    """The cost of reading these rows batch by batch, as a multiple of the cost of one row."""
    rest = rows % batch
    last = pl.when(rest > 0).then(pl.max_horizontal(rest.log(2), 1.0)).otherwise(0.0)
    return rows // batch * pl.lit(batch).log(2) + last
