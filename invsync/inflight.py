"""The ledger of units in flight: sold on Shopify, and still in the OMS's number.

    in flight = max(0, sold - booked)        an order, an item and a pair at a time

`sold` are units of the order that left `available` at a location and have not come back: units in open fulfilment
orders, units shipped, less units that were shipped and restocked. `booked` are units that the pair's OMS quantity
lacks because of the order: an aggregate lacks what waits in its brokering queue and what is reserved or issued at any
facility, a physical location what is reserved or issued at its own. No order's age, status or header decides anything.

The order search may lag behind the levels. `committed`, read in one read with `available`, is the witness: committed
units beyond the open units of every visible order belong to an order that is not visible yet, and count too.

Where the tables cannot decide, units are hidden rather than sold twice:

    removed by an edit or a refund      sold until the OMS knows the order's line: then the OMS decides
    not routed to a location yet        sold at the aggregate; a physical location has the witness
    booked at a store that does not
    count online                        taken off what that store itself sold first
"""

from datetime import datetime, timedelta

import polars as pl

from invsync import tables
from invsync.mapping import AGGREGATE_FACILITY, digits
from invsync.tables import KEY

ITEM, ORDER = "inventory_item_id", ["order_id", "inventory_item_id"]
NOT_VISIBLE = "not visible yet"
LINE = ["order_id", "product_id"]


def in_flight(
    sold: pl.DataFrame, unseen: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, *, counted: pl.DataFrame
) -> pl.DataFrame:
    """IN_FLIGHT, oldest first: one row an order and pair with the units (> 0) to take off the OMS quantity there.

    `sold` is SOLD, `unseen` what `unexplained` returns less what is settled; `counted` is what
    `mapping.counted_facilities` returns: location_id, facility_id.
    """
    sold, pairs = tables.checked(sold, tables.SOLD, "sold"), tables.checked(pairs, tables.PAIRS, "pairs")
    places = sites(pairs, snapshot)
    lines = _lines(sold, pairs, snapshot)
    orders = pl.concat([_online(lines, pairs, snapshot, places, counted), _physical(lines, pairs, snapshot, places)])
    about = sold.select("order_id", "name", "created_at").unique("order_id", keep="any")
    visible = orders.filter(pl.col("units") > 0).join(about, on="order_id", how="left")
    rows = pl.concat([visible, _unseen(sold, unseen, pairs, places, counted)], how="diagonal_relaxed")
    return tables.conform(rows, tables.IN_FLIGHT, "in_flight").sort("created_at", "order_id", *KEY, nulls_last=True)


def unknown_orders(sold: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The SOLD rows with units of orders that have no header in the OMS."""
    held = sold.filter(pl.col("open") + pl.col("shipped") > 0)
    return held.join(snapshot.known_orders, left_on="order_id", right_on="external_id", how="anti")


# -- sold less booked


def sites(pairs: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The one facility behind each physical location of the shop: location_id, facility_id."""
    online = pairs.filter(pl.col("mode") == "aggregate")
    named = snapshot.shopify_shop_location.select("facility_id", location_id=digits("shopify_location_id"))
    alone = (pl.len().over("location_id") == 1) & (pl.col("facility_id") != AGGREGATE_FACILITY)
    return named.drop_nulls().unique().filter(alone).join(online, on="location_id", how="anti")


def _lines(sold: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The sold units by order, item and location, with the reason why they would still count."""
    product = pairs.select(ITEM, "product_id").unique(ITEM)
    ordered = snapshot.ordered.rename({"external_id": "order_id", "units": "ordered"})
    known = snapshot.known_orders.select(order_id="external_id", known=pl.lit(True))
    lines = sold.join(product, on=ITEM).join(ordered, on=LINE, how="left").join(known, on="order_id", how="left")
    removed = pl.when(pl.col("ordered").is_null()).then("removed").otherwise(0)
    units = pl.col("open") + pl.col("shipped") + removed
    return lines.select(*ORDER, "product_id", "location_id", units=units, reason=_reason())


def _reason() -> pl.Expr:
    """Why the OMS's number does not lack the units yet, for people."""
    total, open_ = (pl.sum_horizontal(names).sum().over(ORDER) for names in (["open", "shipped"], ["open"]))
    known, ordered = pl.col("known").fill_null(False), pl.col("ordered")
    return (
        pl.when(~known & (open_ == 0))
        .then(pl.lit("shipped before import"))
        .when(~known)
        .then(pl.lit("not imported"))
        .when(ordered.is_null())
        .then(pl.lit("imported without its line"))
        .when(ordered == 0)
        .then(pl.lit("cancelled in the OMS only"))
        .when(ordered < total)
        .then(pl.lit("edited after import"))
        .otherwise(pl.lit("imported, not booked"))
    )


def _booked(snapshot: tables.Snapshot) -> pl.DataFrame:
    """The units that the OMS's quantities lack, by order, product and facility; the queue's have no facility."""
    rows = snapshot.booked.rename({"external_id": "order_id"})
    return rows.group_by(*LINE, "facility_id").agg(booked=pl.col("units").sum())


def _online(
    lines: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, places: pl.DataFrame, counted: pl.DataFrame
) -> pl.DataFrame:
    """What an aggregate owes: units sold anywhere but at a store outside its set, less what is booked for them."""
    online = pairs.filter(pl.col("mode") == "aggregate").select(ITEM, online="location_id")
    each_place = online.select("online").unique().join(places, how="cross")
    outside = each_place.join(
        counted, left_on=["online", "facility_id"], right_on=["location_id", "facility_id"], how="anti"
    )
    group = [*ORDER, "product_id", "online"]
    each = lines.join(online, on=ITEM).join(outside, on=["online", "location_id"], how="left")
    at_stores = each.drop_nulls("facility_id").group_by(*group, "facility_id").agg(out=pl.col("units").sum())
    inside = pl.col("units").filter(pl.col("facility_id").is_null()).sum()
    asked = each.group_by(group).agg(units=inside, reason=pl.col("reason").first())
    taken = asked.select(group).join(_booked(snapshot), on=LINE)
    taken = taken.join(at_stores, on=[*group, "facility_id"], how="left")
    left = pl.max_horizontal(pl.col("booked") - pl.col("out").fill_null(0), pl.lit(0.0))
    booked = taken.group_by(group).agg(booked=left.sum())
    rows = asked.join(booked, on=group, how="left")
    return rows.select(*ORDER, location_id="online", units=_owed(), reason="reason")


def _physical(
    lines: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, places: pl.DataFrame
) -> pl.DataFrame:
    """What a physical location owes: units sold there, less what is booked at its own facility."""
    here = pairs.filter(pl.col("mode") == "physical").select(KEY).join(places, on="location_id")
    rows = lines.join(here, on=KEY).join(_booked(snapshot), on=[*LINE, "facility_id"], how="left")
    return rows.select(*ORDER, "location_id", units=_owed(), reason="reason")


def _owed() -> pl.Expr:
    """Units sold less units booked, whole and never below 0."""
    return pl.max_horizontal(pl.col("units") - pl.col("booked").fill_null(0.0), pl.lit(0.0)).ceil().cast(pl.Int64)


# -- the witness


def unexplained(levels: pl.DataFrame, sold: pl.DataFrame) -> pl.DataFrame:
    """Committed units of LEVELS beyond the open units of all SOLD orders there: item, location, units (> 0)."""
    shown = sold.group_by(KEY).agg(shown=pl.col("open").sum())
    rows = levels.select(*KEY, "committed").drop_nulls().join(shown, on=KEY, how="left")
    rows = rows.select(*KEY, units=pl.col("committed") - pl.col("shown").fill_null(0))
    return rows.filter(pl.col("units") > 0)


def settled(
    excess: pl.DataFrame,
    levels: pl.DataFrame,
    sold: pl.DataFrame,
    before: pl.DataFrame,
    *,
    now: datetime,
    settle: timedelta,
) -> pl.DataFrame:
    """The baseline: units of orders older than Shopify returns, by item and location (> 0).

    What `unexplained` gives is the baseline once the level's `committed` has been quiet for `settle`: every younger
    order is visible by then. In between the baseline only falls. Units of visible orders that are not routed yet may
    be committed anywhere: they are no baseline. `before` is the baseline of the last run.
    """
    quiet = pl.col("committed_at") <= now - settle
    rows = excess.join(levels.select(*KEY, quiet=quiet), on=KEY, how="left")
    rows = rows.join(before.select(*KEY, was="units"), on=KEY, how="left").join(_waiting(sold), on=ITEM, how="left")
    rows = rows.with_columns(pl.col("units") - pl.col("waiting").fill_null(0))
    lower = pl.min_horizontal(pl.col("units"), pl.col("was").fill_null(0))
    baseline = rows.select(*KEY, units=pl.when("quiet").then("units").otherwise(lower))
    return baseline.filter(pl.col("units") > 0)


def less(excess: pl.DataFrame, baseline: pl.DataFrame) -> pl.DataFrame:
    """The unexplained units that are in flight: those beyond the baseline."""
    rows = excess.join(baseline.select(*KEY, old="units"), on=KEY, how="left")
    return rows.select(*KEY, units=pl.col("units") - pl.col("old").fill_null(0)).filter(pl.col("units") > 0)


def at_pairs(
    units: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, counted: pl.DataFrame
) -> pl.DataFrame:
    """Units of levels as each pair sees them: its own, and for an aggregate those of the stores that it counts.

    Shape: inventory_item_id, location_id, units in and out.
    """
    return _seen_from(units, pairs, sites(pairs, snapshot), counted)


def _seen_from(units: pl.DataFrame, pairs: pl.DataFrame, places: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    online = pairs.filter(pl.col("mode") == "aggregate").select(ITEM, online="location_id")
    stores = places.join(counted.rename({"location_id": "online"}), on="facility_id").select("location_id", "online")
    lent = units.join(stores, on="location_id").join(online, on=[ITEM, "online"])
    lent = lent.select(ITEM, location_id="online", units="units")
    both = pl.concat([units.select(*KEY, "units"), lent]).group_by(KEY).agg(pl.col("units").sum())
    return both.join(pairs.select(KEY), on=KEY, how="semi")


def _unseen(
    sold: pl.DataFrame, unseen: pl.DataFrame, pairs: pl.DataFrame, places: pl.DataFrame, counted: pl.DataFrame
) -> pl.DataFrame:
    """IN_FLIGHT rows without an order; units that are not routed yet are committed somewhere, and counted once."""
    mode = pairs.select(*KEY, "mode")
    rows = _seen_from(unseen, pairs, places, counted).join(mode, on=KEY).join(_waiting(sold), on=ITEM, how="left")
    counted_already = pl.when(pl.col("mode") == "aggregate").then("waiting").fill_null(0)
    left = rows.with_columns(pl.col("units") - counted_already).filter(pl.col("units") > 0)
    return left.select(*KEY, "units", name=pl.lit(NOT_VISIBLE), reason=pl.lit(NOT_VISIBLE))


def _waiting(sold: pl.DataFrame) -> pl.DataFrame:
    """Units of visible orders that are not routed to a location yet, by item."""
    return sold.filter(pl.col("location_id").is_null()).group_by(ITEM).agg(waiting=pl.col("open").sum())
