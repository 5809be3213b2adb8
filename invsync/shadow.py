"""Shadow mode: what another system did to Shopify's levels from one look to the next.

A look compares every level with the number that may be sold there, as a run does, and sends nothing. Two looks in a
row tell what was written in between: what is on hand changes by shipments, which the orders show, and by whoever
writes levels. A sold unit was put back on sale where somebody raised a level, and the raise covers units of orders in
flight.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from invsync import equation, tables
from invsync.tables import FLAG, ID, KEY, QUANTITY, STAMP, TEXT, UNITS
from invsync.vocabulary import DEFERRED, DEFERRED_FOR_AN_HOUR

ON_HAND = ["available", "committed", "reserved", "damaged", "quality_control", "safety_stock"]  # their sum, at Shopify
SHIPMENTS = pl.List(pl.Struct({"order_id": ID, "shipped": UNITS}))
# One level as one look saw it. `right` is what may be sold there without the shop's buffer, null where that is not
# known. `written` are the units that somebody added since the look before (null: no look before), and `put_back` those
# of them that were sold already when they were added. The level has been wrong since `wrong_since`. `ended` is when an
# episode began that this look saw ended, and `ended_off` how far the level was off in it.
LOOK: tables.Schema = {
    "inventory_item_id": ID,
    "location_id": ID,
    "product_id": TEXT,
    "sku": TEXT,
    "at": STAMP,
    "available": UNITS,
    "on_hand": UNITS,
    "in_flight": UNITS,
    "right": QUANTITY,
    "off": UNITS,
    "written": UNITS,
    "put_back": UNITS,
    "wrong_since": STAMP,
    "ended": STAMP,
    "ended_off": UNITS,
}
KEPT = LOOK | {"shipments": SHIPMENTS}  # for the look that follows
# One product at a location over a span of looks: `hours` is how long its level was wrong, and `is_wrong` whether it
# still is.
BY_LEVEL: tables.Schema = {
    "inventory_item_id": ID,
    "location_id": ID,
    "product_id": TEXT,
    "sku": TEXT,
    "put_back": UNITS,
    "times": UNITS,
    "episodes": UNITS,
    "hours": QUANTITY,
    "off": UNITS,
    "is_wrong": FLAG,
}


def look(
    variances: pl.DataFrame, levels: pl.DataFrame, sold: pl.DataFrame, before: pl.DataFrame, *, at: datetime
) -> pl.DataFrame:
    """KEPT of every level of VARIANCES, given LEVELS, SOLD, and the KEPT rows of the look before (none at first)."""
    known = pl.col("held").is_null() | pl.col("held").is_in([DEFERRED, DEFERRED_FOR_AN_HOUR])
    judged = variances.with_columns(buffer=pl.lit(0)).with_columns(right=pl.when(known).then(equation.target()))
    shown = levels.select(*KEY, on_hand=pl.sum_horizontal(ON_HAND))
    rows = judged.join(shown, on=KEY, how="left").join(_shipments(sold), on=KEY, how="left")
    rows = rows.join(before.select(*KEY, *(pl.col(name).name.prefix("last_") for name in LAST)), on=KEY, how="left")
    rows = rows.join(_shipped_since(sold, before), on=KEY, how="left").join(
        _sold_since(sold, before), on=KEY, how="left"
    )
    rows = rows.with_columns(
        at=pl.lit(at, dtype=STAMP),
        off=(pl.col("available") - pl.col("right")).floor(),
        written=pl.col("on_hand") - pl.col("last_on_hand") + pl.col("shipped_since").fill_null(0),
    )
    rows = rows.with_columns(put_back=_put_back(), wrong_since=_wrong_since(), **_ended())
    return tables.conform(rows, KEPT, "look")


LAST = ["on_hand", "off", "in_flight", "wrong_since"]


def _put_back() -> pl.Expr:
    """Units that were raised since the last look, are beyond what may be sold, and belong to orders of that time.

    It is 0 where nobody knows what may be sold.
    """
    sold = pl.max_horizontal("in_flight", pl.col("last_in_flight") + pl.col("sold_since").fill_null(0))
    beyond = pl.min_horizontal(pl.col("off").clip(lower_bound=0), sold)
    raised = pl.col("written").fill_null(0).clip(lower_bound=0)
    return pl.when(pl.col("off").is_not_null()).then(pl.min_horizontal(raised, beyond)).otherwise(0)


def _is_same_fault() -> pl.Expr:
    return (pl.col("off").sign() == pl.col("last_off").sign()).fill_null(False)


def _wrong_since() -> pl.Expr:
    since = pl.when(_is_same_fault()).then("last_wrong_since").otherwise("at")
    return pl.when(pl.col("off") != 0).then(since)


def _ended() -> dict[str, pl.Expr]:
    over = pl.col("last_wrong_since").is_not_null() & ~_is_same_fault()
    return {"ended": pl.when(over).then("last_wrong_since"), "ended_off": pl.when(over).then("last_off")}


def _shipments(sold: pl.DataFrame) -> pl.DataFrame:
    """The shipped units of each level by order: inventory_item_id, location_id, shipments."""
    shipped = sold.filter(pl.col("shipped") != 0)
    return shipped.group_by(KEY).agg(shipments=pl.struct("order_id", "shipped"))


def _shipped_since(sold: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The units of each level that were shipped since the look before: inventory_item_id, location_id, shipped_since.

    An order that changed before that look, and that it did not show, shipped before it as well.
    """
    earlier = before.select(*KEY, "shipments").explode("shipments").unnest("shipments")
    rows = sold.join(earlier.rename({"shipped": "earlier"}), on=[*KEY, "order_id"], how="left")
    rows = rows.filter(pl.col("earlier").is_not_null() | (pl.col("updated_at") >= _looked_at(before)))
    return rows.group_by(KEY).agg(shipped_since=(pl.col("shipped") - pl.col("earlier").fill_null(0)).sum())


def _sold_since(sold: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The units of orders that were placed since the look before: inventory_item_id, location_id, sold_since."""
    new = sold.filter(pl.col("created_at") >= _looked_at(before))
    units = new.select(*KEY, units=pl.col("open") + pl.col("shipped"))
    return units.group_by(KEY).agg(sold_since=pl.col("units").sum())


def _looked_at(before: pl.DataFrame) -> pl.Expr:
    """When that look was; null where it has no rows, for there was none."""
    return pl.lit(before["at"].max(), dtype=STAMP)


def is_noteworthy() -> pl.Expr:
    """Whether a row of LOOK says more than that a level is right and was right before."""
    return pl.col("wrong_since").is_not_null() | pl.col("ended").is_not_null()


def is_event() -> pl.Expr:
    """Whether a row of LOOK saw something happen: units that were put back, or a level that was right again."""
    return (pl.col("put_back") > 0) | pl.col("ended").is_not_null()


def by_level(looks: pl.DataFrame, *, since: datetime, thru: datetime) -> pl.DataFrame:
    """BY_LEVEL of LOOK rows from `since` to the last look at `thru`, the most units put back first.

    It takes every row of the last look, and at least the events of earlier ones; a level of which nothing is noteworthy
    is left out. An episode counts from `since` at the earliest, and until `thru` where it has not ended.
    """
    start, rows = pl.lit(since, dtype=STAMP), looks.filter(pl.col("at") >= since, is_noteworthy()).sort("at")
    lasted = pl.when(pl.col("ended").is_not_null()).then(pl.col("at") - pl.max_horizontal("ended", start))
    is_open = pl.col("wrong_since").last().is_not_null() & (pl.col("at").last() == thru)
    running = pl.lit(thru, dtype=STAMP) - pl.max_horizontal(pl.col("wrong_since").last(), start)
    levels = rows.group_by(KEY).agg(
        pl.col("product_id", "sku", "off").last(),
        pl.col("put_back").sum(),
        times=(pl.col("put_back") > 0).sum(),
        episodes=pl.col("ended").count() + is_open,
        hours=(lasted.sum() + pl.when(is_open).then(running).otherwise(timedelta(0))) / timedelta(hours=1),
        is_wrong=is_open,
    )
    levels = levels.with_columns(off=pl.when("is_wrong").then("off").otherwise(0))
    ordered = levels.sort("put_back", "hours", *KEY, descending=[True, True, False, False])
    return tables.conform(ordered, BY_LEVEL, "by_level")


@dataclass(frozen=True)
class Totals:
    """What BY_LEVEL says in all: sold units put back, how often, levels wrong ever and now, and hours wrong.

    `hours` is the sum over levels, `longest` the most of one level.
    """

    put_back: int
    times: int
    levels_wrong: int
    wrong_now: int
    hours: float
    longest: float


def totals(levels: pl.DataFrame) -> Totals:
    """The totals of BY_LEVEL."""
    return Totals(
        put_back=int(levels["put_back"].sum()),
        times=int(levels["times"].sum()),
        levels_wrong=levels.filter(pl.col("episodes") > 0).height,
        wrong_now=int(levels["is_wrong"].sum()),
        hours=float(levels["hours"].sum()),
        longest=max(levels["hours"].to_list(), default=0.0),
    )
