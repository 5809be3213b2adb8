"""What the OMS holds of Shopify's orders: which it knows, what their items say, and the units that its numbers lack."""

from collections.abc import Iterable
from math import nan
from typing import Any

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms.sql.statements import Statements

ORDER: tables.Schema = {"order_id": tables.TEXT}
HEADERS: tables.Schema = ORDER | {"external_id": tables.TEXT}
LINE: tables.Schema = ORDER | {"product_id": tables.TEXT}
ITEMS: tables.Schema = LINE | {"units": tables.QUANTITY}
PLACED: tables.Schema = LINE | {"facility_id": tables.TEXT}
RESERVED: tables.Schema = PLACED | {"units": tables.QUANTITY}
MOVED: tables.Schema = PLACED | {"atp": tables.QUANTITY, "qoh": tables.QUANTITY}
KNOWN: tables.Schema = ORDER | {"external_id": tables.ID}
TOLD = {"items", "reserved", "moved"}  # the frames of which ORDERED and BOOKED are made
SHOPIFY_ORDER = r"^ *(gid://shopify/Order/)?([0-9]{1,19})([?].*|[.]0+)? *$"
WHOLE_FROM = 2_000  # orders beyond which one read of every header is cheaper than asking by id


def spellings(orders: Iterable[int]) -> list[str]:
    """The texts by which these Shopify orders are named: bare digits, and as a gid."""
    return [text for order in orders for text in (str(order), f"gid://shopify/Order/{order}")]


def newest(sql: Statements) -> sa.Select[Any, int]:
    """The newest order_date among the Shopify orders, and how many of them there are."""
    order = sql["order_header"].c
    return sa.select(sa.func.max(order.order_date), sa.func.count()).where(
        order.external_id.regexp_match(SHOPIFY_ORDER)
    )


def shopify_order() -> pl.Expr:
    """The Shopify order id in external_id, bare or as a gid; null for another system's id."""
    return pl.col("external_id").str.extract(SHOPIFY_ORDER, 2).cast(pl.Int64, strict=False)


def identified(headers: pl.DataFrame, named: pl.DataFrame, asked: Iterable[int] | None = None) -> pl.DataFrame:
    """KNOWN: the OMS's order ids of the Shopify orders that were asked for, or of all; several may carry the same.

    `named` are the HEADERS of shopify_shop_order; a header's own Shopify id comes first.
    """
    own = headers.select("order_id", external_id=shopify_order())
    other = named.select("order_id", external_id=shopify_order()).join(own.drop_nulls(), on="order_id", how="anti")
    both = pl.concat([own, other.join(own, on="order_id", how="semi")]).drop_nulls().unique()
    return both if asked is None else both.filter(pl.col("external_id").is_in(list(asked)))


def orders(known: pl.DataFrame) -> pl.DataFrame:
    """KNOWN_ORDERS."""
    return known.select("external_id").unique()


def ordered(items: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """ORDERED from ITEMS; of a product with a quantity that nobody can read, the order says nothing."""
    rows = items.with_columns(pl.col("units").fill_null(nan)).drop_nulls().join(known, on="order_id")
    found = rows.group_by("external_id", "product_id").agg(pl.col("units").sum()).filter(pl.col("units").is_not_nan())
    return tables.conform(found, tables.ORDERED, "ordered")


def booked(queued: pl.DataFrame, reserved: pl.DataFrame, moved: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """BOOKED: what waits in the queue, and the larger of reserved and issued at each facility.

    A shipped unit has left the reservation but stands in the events; a reserved one stands in both, so the two are
    never added. Events are net: a reservation that was released counts 0. A sum with an unreadable number counts 0.
    """
    held = reserved.group_by(list(PLACED)).agg(pl.col("units").sum())
    net = moved.group_by(list(PLACED)).agg(pl.col("atp", "qoh").sum()).drop_nans()
    issued = net.select(*PLACED, units=-pl.min_horizontal("atp", "qoh"))
    placed = pl.concat([held, issued]).drop_nans().drop_nulls()
    largest = placed.group_by(list(PLACED)).agg(pl.col("units").max())
    waiting = queued.drop_nans().drop_nulls().select(*LINE, pl.lit(None, tables.TEXT).alias("facility_id"), "units")
    rows = pl.concat([largest, waiting]).filter(pl.col("units") > 0).join(known, on="order_id")
    found = rows.group_by("external_id", "product_id", "facility_id").agg(pl.col("units").sum())
    return tables.conform(found, tables.BOOKED, "booked")
