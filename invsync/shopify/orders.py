"""Orders taken since an instant, and where their open fulfilment orders are assigned."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import polars as pl

from invsync import tables
from invsync.shopify.client import Client
from invsync.shopify.reads import number
from invsync.shopify.retry import TooCostly

ORDERS_A_PAGE = 25
ENDED = frozenset({"CLOSED", "CANCELLED"})
Node = dict[str, Any]


def orders(
    client: Client, since: datetime, *, updated: datetime | None = None, ids: Sequence[int] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ORDERS and ASSIGNED of the orders created at or after `since` (naive is UTC), whatever their status.

    With `updated`, only of those that changed at or after that instant; in any case of the orders `ids` as they are now.
    """
    query = _at_or_after("created_at", since)
    query += f" {_at_or_after('updated_at', updated)}" if updated else ""
    return _frames(client, chain(_orders(client, query), _named(client, ids)))


def orders_named(client: Client, ids: Sequence[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ORDERS and ASSIGNED of these orders, read by their ids: what a search does not find yet is found."""
    return _frames(client, _named(client, ids))


def _frames(client: Client, found: Iterable[Node]) -> tuple[pl.DataFrame, pl.DataFrame]:
    sold: list[Node] = []
    assigned: list[Node] = []
    for order in {node["id"]: node for node in found}.values():
        sold += _sold(client, order)
        assigned += _assigned(client, order)
    return _orders_frame(sold), _assigned_frame(assigned)


def _at_or_after(field: str, moment: datetime) -> str:
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{field}:>='{utc:%Y-%m-%dT%H:%M:%SZ}'"


def _named(client: Client, ids: Sequence[int]) -> Iterator[Node]:
    """The orders of these ids that still exist."""
    for start in range(0, len(ids), ORDERS_A_PAGE):
        gids = [f"gid://shopify/Order/{order}" for order in ids[start : start + ORDERS_A_PAGE]]
        yield from (node for node in client.data("orders_by_id", {"ids": gids})["nodes"] if node)


def _orders(client: Client, query: str) -> Iterator[Node]:
    """Every order of the query once, though paging may meet an order again."""
    first, after, seen = ORDERS_A_PAGE, None, set[str]()
    while True:
        try:
            page = client.data("orders", {"first": first, "after": after, "query": query})["orders"]
        except TooCostly:
            if first == 1:
                raise
            first //= 2
            continue
        yield from (node for node in page["nodes"] if node["id"] not in seen)
        seen |= {node["id"] for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def _rest(client: Client, page: Node, name: str, root: str, owner: str, field: str) -> Iterator[Node]:
    """The nodes of a first page and of all its further pages, read by the owner's id."""
    yield from page["nodes"]
    while page["pageInfo"]["hasNextPage"]:
        found = client.data(name, {"id": owner, "after": page["pageInfo"]["endCursor"]})[root]
        if not found:  # deleted while it was read
            return
        page = found[field]
        yield from page["nodes"]


def _sold(client: Client, order: Node) -> Iterator[Node]:
    for line in _rest(client, order["lineItems"], "order_line_items", "order", order["id"], "lineItems"):
        item = (line.get("variant") or {}).get("inventoryItem")
        if item:
            yield {
                "order_id": number(order["id"]), "name": order["name"],
                "created_at": order["createdAt"], "updated_at": order["updatedAt"],
                "inventory_item_id": number(item["id"]), "units": line["currentQuantity"],
            }  # fmt: skip


def _assigned(client: Client, order: Node) -> Iterator[Node]:
    parts = _rest(client, order["fulfillmentOrders"], "order_fulfillment_orders", "order", order["id"],
                  "fulfillmentOrders")  # fmt: skip
    for part in parts:
        location = (part["assignedLocation"] or {}).get("location")
        if part["status"] in ENDED or not location:
            continue
        lines = _rest(client, part["lineItems"], "fulfillment_order_line_items", "node", part["id"],
                      "lineItems")  # fmt: skip
        for line in lines:
            if line["inventoryItemId"]:
                yield {
                    "order_id": number(order["id"]), "inventory_item_id": number(line["inventoryItemId"]),
                    "location_id": number(location["id"]), "units": line["totalQuantity"],
                }  # fmt: skip


def _orders_frame(rows: list[Node]) -> pl.DataFrame:
    stamps: tables.Schema = {"created_at": pl.String(), "updated_at": pl.String()}
    key = [column for column in tables.ORDERS if column != "units"]
    frame = (
        pl.DataFrame(rows, schema=tables.ORDERS | stamps)
        .with_columns(pl.col("created_at", "updated_at").str.to_datetime(time_unit="us", time_zone="UTC"))
        .group_by(key, maintain_order=True)
        .agg(pl.col("units").sum())
    )
    return tables.conform(frame, tables.ORDERS, "orders")


def _assigned_frame(rows: list[Node]) -> pl.DataFrame:
    key = [column for column in tables.ASSIGNED if column != "units"]
    frame = pl.DataFrame(rows, schema=tables.ASSIGNED)
    frame = frame.group_by(key, maintain_order=True).agg(pl.col("units").sum())
    return tables.conform(frame, tables.ASSIGNED, "assigned")
