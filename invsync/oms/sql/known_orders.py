"""Shopify's orders in the OMS: which it knows, what their items say, and the units that its quantities lack."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import nan
from typing import Any

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms import schemas
from invsync.oms.sql.changed_products import Condition
from invsync.oms.sql.reader import MANY
from invsync.oms.sql.statements import CANCELLED_UNITS, Column, Rows, Statements
from invsync.oms.sql.transaction import Products, Transaction

ORDER: tables.Schema = {"order_id": tables.TEXT}
HEADERS: tables.Schema = ORDER | {"external_id": tables.TEXT}
LINE: tables.Schema = ORDER | {"product_id": tables.TEXT}
ITEMS: tables.Schema = LINE | {"units": tables.QUANTITY}
PLACED: tables.Schema = LINE | {"facility_id": tables.TEXT}
RESERVED: tables.Schema = PLACED | {"units": tables.QUANTITY}
MOVED: tables.Schema = PLACED | {"atp": tables.QUANTITY, "qoh": tables.QUANTITY}
KNOWN: tables.Schema = ORDER | {"external_id": tables.ID}
SHOPIFY_ORDER = r"^ *(gid://shopify/Order/)?([0-9]{1,19})([?].*|[.]0+)? *$"
WHOLE_FROM = 2_000  # orders beyond which one read of every header is cheaper than asking by id


def spellings(orders: Iterable[int]) -> list[str]:
    """Return the texts that may name these Shopify orders: bare digits, and gids."""
    return [text for order in orders for text in (str(order), f"gid://shopify/Order/{order}")]


def newest(sql: Statements) -> sa.Select[Any, int]:
    """Return the query for the newest order_date among Shopify's orders, and their number."""
    order = sql["order_header"].c
    return sa.select(sa.func.max(order.order_date), sa.func.count()).where(
        order.external_id.regexp_match(SHOPIFY_ORDER)
    )


def shopify_order() -> pl.Expr:
    """The Shopify order id in external_id, bare or as a gid; null for another system's id."""
    return pl.col("external_id").str.extract(SHOPIFY_ORDER, 2).cast(pl.Int64, strict=False)


def identified(headers: pl.DataFrame, named: pl.DataFrame, shopify_orders: Iterable[int] | None = None) -> pl.DataFrame:
    """Return KNOWN: the OMS's ids of these Shopify orders, or of all; several may have the same Shopify id.

    `named` are HEADERS of shopify_shop_order; the Shopify id in the header itself takes precedence.
    """
    own = headers.select("order_id", external_id=shopify_order())
    other = named.select("order_id", external_id=shopify_order()).join(own.drop_nulls(), on="order_id", how="anti")
    both = pl.concat([own, other.join(own, on="order_id", how="semi")]).drop_nulls().unique()
    if shopify_orders is None:
        return both
    return both.filter(pl.col("external_id").is_in(list(shopify_orders)))


def orders(known: pl.DataFrame) -> pl.DataFrame:
    """Return KNOWN_ORDERS."""
    return known.select("external_id").unique()


def ordered(items: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return ORDERED from ITEMS, without the products of an order that have an unreadable quantity."""
    rows = items.with_columns(pl.col("units").fill_null(nan)).drop_nulls().join(known, on="order_id")
    sums = rows.group_by("external_id", "product_id").agg(pl.col("units").sum())
    return tables.conform(sums.filter(pl.col("units").is_not_nan()), tables.ORDERED, "ordered")


def booked(queued: pl.DataFrame, reserved: pl.DataFrame, moved: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return BOOKED: the units in the queue, and the larger of reserved and issued units at each facility.

    A shipped unit is no longer reserved but is in the events; a reserved one is in both, so the two are never added.
    Events are net, so a released reservation counts 0. A sum with an unreadable number counts 0 too.
    """
    held = reserved.group_by(list(PLACED)).agg(pl.col("units").sum())
    net = moved.group_by(list(PLACED)).agg(pl.col("atp", "qoh").sum()).drop_nans()
    issued = net.select(*PLACED, units=-pl.min_horizontal("atp", "qoh"))
    placed = pl.concat([held, issued]).drop_nans().drop_nulls()
    largest = placed.group_by(list(PLACED)).agg(pl.col("units").max())
    waiting = queued.drop_nans().drop_nulls().select(*LINE, pl.lit(None, tables.TEXT).alias("facility_id"), "units")
    rows = pl.concat([largest, waiting]).filter(pl.col("units") > 0).join(known, on="order_id")
    sums = rows.group_by("external_id", "product_id", "facility_id").agg(pl.col("units").sum())
    return tables.conform(sums, tables.BOOKED, "booked")


@dataclass(frozen=True)
class OrderRows:
    """The rows of some orders: ITEMS in the queue and of the orders, RESERVED, and MOVED."""

    queued: pl.DataFrame = field(default_factory=partial(tables.empty, ITEMS))
    reserved: pl.DataFrame = field(default_factory=partial(tables.empty, RESERVED))
    moved: pl.DataFrame = field(default_factory=partial(tables.empty, MOVED))
    items: pl.DataFrame = field(default_factory=partial(tables.empty, ITEMS))


def read_rows(read: Transaction, orders: list[str], products: Products) -> OrderRows:
    """Return the rows of these OMS orders and products."""

    def of(query: Rows, name: str, by: str, schema: tables.Schema) -> pl.DataFrame:
        """Return the query's rows of these orders in a table, and of the products by the product_id of another."""
        if name not in read.catalog:
            return tables.empty(schema)
        column = read.catalog.sql[name].c.order_id
        chunks = (orders[start : start + MANY] for start in range(0, len(orders), MANY))
        parts = (read.of_products(query.where(column.in_(chunk)), by, products, schema) for chunk in chunks)
        return pl.concat([tables.empty(schema), *parts])

    sql = read.catalog.sql
    return OrderRows(
        queued=of(read.if_reserving(sql.queued(read.store)), "order_item", "order_item", ITEMS),
        reserved=of(sql.reserved(), "order_item_ship_grp_inv_res", "inventory_item", RESERVED),
        moved=of(sql.moved(), "inventory_item_detail", "inventory_item", MOVED),
        items=of(sql.items(), "order_item", "order_item", ITEMS),
    )


def read_known(read: Transaction, shopify_orders: Sequence[int]) -> pl.DataFrame:
    """Return KNOWN: the OMS's ids of these Shopify orders."""
    header, link = read.catalog.sql["order_header"].c, read.catalog.sql["shopify_shop_order"].c
    headers = _named(read, _headers(read), header.external_id, shopify_orders)
    if "shopify_shop_order" not in read.catalog:
        return identified(headers, headers.clear(), shopify_orders)
    named = _named(read, sa.select(link.order_id, link.shopify_order_id), link.shopify_order_id, shopify_orders)
    others = named.drop_nulls().join(headers, on="order_id", how="anti")["order_id"].unique().to_list()
    owners = read.rows_of(_headers(read), header.order_id, others, HEADERS)
    return identified(pl.concat([headers, owners]), named, shopify_orders)


def _headers(read: Transaction) -> Rows:
    return read.catalog.sql.plain("order_header", list(HEADERS))


def _named(read: Transaction, query: Rows, name: Column, shopify_orders: Sequence[int]) -> pl.DataFrame:
    """Return HEADERS with these Shopify ids, through an index where they are few, and those with unusual spellings."""
    if len(shopify_orders) > WHOLE_FROM:
        return read.rows(query.where(name.is_not(None)), HEADERS)
    unusual = name.startswith(" ") | name.endswith(" ") | name.contains("?") | name.contains(".0")
    usual = read.rows_of(query, name, spellings(shopify_orders), HEADERS)
    return pl.concat([usual, read.rows(query.where(unusual), HEADERS)]).unique()


def read_cancelled(read: Transaction, touched: Condition) -> list[int]:
    """Return the Shopify orders with a cancelled item that meets a condition; raises OmsFailed for an unreadable id."""
    query = read.catalog.sql.cancelled(in_part=CANCELLED_UNITS in read.catalog.columns).where(touched)
    orders = [str(order) for order in read.connection.execute(query).scalars() if order is not None]
    headers = read.rows_of(_headers(read), read.catalog.sql["order_header"].c.order_id, orders, HEADERS)
    schemas.check_headers(headers)
    return sorted(identified(headers, _links(read, orders))["external_id"].unique())


def _links(read: Transaction, orders: list[str]) -> pl.DataFrame:
    """Return HEADERS of these orders' rows in shopify_shop_order."""
    if "shopify_shop_order" not in read.catalog:
        return tables.empty(HEADERS)
    link = read.catalog.sql["shopify_shop_order"].c
    return read.rows_of(sa.select(link.order_id, link.shopify_order_id), link.order_id, orders, HEADERS)
