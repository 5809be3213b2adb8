"""Which Shopify orders the OMS knows, and the units of them it has reserved or issued."""

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms.statements import Rows, Statements

HEADERS: tables.Schema = {"external_id": tables.TEXT}
KEY: tables.Schema = {"external_id": tables.TEXT, "product_id": tables.TEXT, "facility_id": tables.TEXT}
RESERVED: tables.Schema = KEY | {"reserved": tables.QUANTITY}
MOVED: tables.Schema = KEY | {"atp": tables.QUANTITY, "qoh": tables.QUANTITY}
SHOPIFY_ORDER = r"^ *(gid://shopify/Order/)?([0-9]{1,19})([?].*)? *$"


def headers(sql: Statements) -> Rows:
    """external_id of every order that has one."""
    return sql.plain("order_header", list(HEADERS)).where(sql["order_header"].c.external_id.is_not(None))


def newest(sql: Statements) -> Rows:
    """The newest order_date among the Shopify orders."""
    order = sql["order_header"].c
    return sa.select(sa.func.max(order.order_date)).where(order.external_id.regexp_match(SHOPIFY_ORDER))


def shopify_order() -> pl.Expr:
    """The Shopify order id in external_id, bare or as a gid; null for another system's id."""
    return pl.col("external_id").str.extract(SHOPIFY_ORDER, 2).cast(pl.Int64, strict=False)


def orders(headers: pl.DataFrame) -> pl.DataFrame:
    """KNOWN_ORDERS among the headers; another system's orders are left out."""
    return headers.select(external_id=shopify_order()).drop_nulls().unique()


def units(reserved: pl.DataFrame, moved: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """KNOWN_UNITS: the larger of reserved and issued per order, product and facility.

    A shipped unit has left the reservation but stands in the events; a reserved one stands in both, so the
    two are never added. Events are net: a reservation that was released counts 0.
    """
    issued = moved.select(*KEY, units=-pl.min_horizontal("atp", "qoh"))
    both = pl.concat([reserved.rename({"reserved": "units"}), issued]).fill_nan(None)
    found = both.with_columns(external_id=shopify_order()).drop_nulls()
    largest = found.group_by(list(KEY)).agg(pl.col("units").max()).filter(pl.col("units") > 0)
    return tables.conform(largest.join(known, on="external_id", how="semi"), tables.KNOWN_UNITS, "known_units")
