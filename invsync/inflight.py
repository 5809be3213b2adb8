"""Units sold on Shopify that the OMS has not taken off its own numbers yet."""

import polars as pl

from invsync import tables
from invsync.mapping import AGGREGATE_FACILITY, digits, matched
from invsync.tables import KEY


def in_flight(
    orders: pl.DataFrame,
    assigned: pl.DataFrame,
    pairs: pl.DataFrame,
    snapshot: tables.Snapshot,
    *,
    counted: pl.DataFrame,
) -> pl.DataFrame:
    """IN_FLIGHT: one row an order and pair with the units (> 0) to take off the OMS quantity there.

    `counted` is what `mapping.counted_facilities` returns: location_id, facility_id.
    """
    facility_at = _facility_at(pairs, snapshot)
    both = pl.concat([
        _online(orders, assigned, pairs, snapshot, facility_at, counted),
        _physical(assigned, pairs, snapshot, facility_at),
    ]).filter(pl.col("units") > 0)  # fmt: skip
    about = orders.select("order_id", "name", "created_at").unique("order_id", keep="any")
    found = both.join(about, on="order_id", how="left")
    return tables.conform(found, tables.IN_FLIGHT, "in_flight").sort("created_at", "order_id", *KEY)


def unknown_orders(orders: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The ORDERS rows whose order has no header in the OMS: known by header is known whole."""
    return orders.join(snapshot.known_orders, left_on="order_id", right_on="external_id", how="anti")


def _facility_at(pairs: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The one facility behind each physical location of the shop: location_id, facility_id."""
    online = pairs.filter(pl.col("mode") == "aggregate").select("location_id").unique()
    named = snapshot.shopify_shop_location.select("facility_id", location_id=digits("shopify_location_id"))
    alone = (pl.len().over("location_id") == 1) & (pl.col("facility_id") != AGGREGATE_FACILITY)
    return named.drop_nulls().unique().filter(alone).join(online, on="location_id", how="anti")


def _online(
    orders: pl.DataFrame,
    assigned: pl.DataFrame,
    pairs: pl.DataFrame,
    snapshot: tables.Snapshot,
    facility_at: pl.DataFrame,
    counted: pl.DataFrame,
) -> pl.DataFrame:
    """Unknown orders' units less those that a facility outside the aggregate's set will deliver."""
    key = ["order_id", "inventory_item_id"]
    online = pairs.filter(pl.col("mode") == "aggregate").select(KEY)
    units = unknown_orders(orders, snapshot).group_by(key).agg(pl.col("units").sum())
    elsewhere = (
        assigned.join(facility_at, on="location_id")
        .select(*key, "facility_id", outside="units")
        .join(online, on="inventory_item_id")
        .join(counted, on=["location_id", "facility_id"], how="anti")
        .group_by(*key, "location_id")
        .agg(pl.col("outside").sum())
    )
    left = pl.max_horizontal(pl.col("units") - pl.col("outside").fill_null(0), pl.lit(0))
    rows = units.join(online, on="inventory_item_id").join(elsewhere, on=[*key, "location_id"], how="left")
    return rows.select(*key, "location_id", units=left.cast(pl.Int64))


def _physical(
    assigned: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, facility_at: pl.DataFrame
) -> pl.DataFrame:
    """Units of open fulfilment orders less what the OMS reserved or issued for that order there."""
    key = ["order_id", *KEY]
    units = assigned.group_by(key).agg(pl.col("units").sum())
    here = matched(units, pairs.select(*KEY, "product_id", "mode")).filter(pl.col("mode") == "physical")
    taken = snapshot.known_units.group_by("external_id", "product_id", "facility_id").agg(taken=pl.col("units").sum())
    rows = here.join(facility_at.lazy(), on="location_id").join(
        taken.lazy(),
        left_on=["order_id", "product_id", "facility_id"],
        right_on=["external_id", "product_id", "facility_id"],
        how="left",
    )
    left = pl.max_horizontal(pl.col("units") - pl.col("taken").fill_null(0.0), pl.lit(0.0))
    return rows.select(*key, units=left.ceil().cast(pl.Int64)).collect(engine="streaming")
