"""Which Shopify orders the OMS knows, and the units of them it has reserved or issued."""

import re
from datetime import datetime

import polars as pl

from invsync import tables
from invsync.oms.statements import Rows, Statements

HEADERS: tables.Schema = {"external_id": tables.TEXT, "order_date": tables.STAMP}
KEY: tables.Schema = {"external_id": tables.TEXT, "product_id": tables.TEXT, "facility_id": tables.TEXT}
RESERVED: tables.Schema = KEY | {"reserved": tables.QUANTITY}
MOVED: tables.Schema = KEY | {"atp": tables.QUANTITY, "qoh": tables.QUANTITY}
GID = re.escape("gid://shopify/Order/")


def headers(sql: Statements) -> Rows:
    """external_id and order_date of every order that has an external id."""
    query = sql.plain("order_header", list(HEADERS))
    return query.where(sql["order_header"].c.external_id.is_not(None))


def shopify_order() -> pl.Expr:
    """The Shopify order id in external_id, bare or as a gid; null for another system's id."""
    return (
        pl.col("external_id")
        .str.strip_chars()
        .str.extract(rf"^(?:{GID})?([0-9]{{1,19}})(?:\?.*)?$")
        .cast(pl.Int64, strict=False)
    )


def orders(headers: pl.DataFrame, since: datetime | None) -> pl.DataFrame:
    """KNOWN_ORDERS; an order without a date is never left out."""
    recent = headers if since is None else headers.filter(
        pl.col("order_date").is_null() | (pl.col("order_date") >= since)
    )  # fmt: skip
    return recent.select(external_id=shopify_order()).drop_nulls().unique()


def newest(headers: pl.DataFrame) -> datetime | None:
    """The newest order_date among the Shopify orders."""
    found = headers.filter(shopify_order().is_not_null())["order_date"].max()
    return found if isinstance(found, datetime) else None


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
