"""Orders taken since an instant, and where their open fulfilment orders are assigned."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl

from invsync import tables
from invsync.shopify.client import Client
from invsync.shopify.reads import number
from invsync.shopify.retry import TooCostly

ORDERS_A_PAGE = 25
ENDED = frozenset({"CLOSED", "CANCELLED"})
Node = dict[str, Any]


def orders(client: Client, since: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ORDERS and ASSIGNED of every order created at or after this instant (naive is UTC)."""
    since = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    query = f"created_at:>='{since:%Y-%m-%dT%H:%M:%SZ}'"
    sold: list[Node] = []
    assigned: list[Node] = []
    for order in _orders(client, query):
        sold += _sold(client, order)
        assigned += _assigned(client, order)
    return _orders_frame(sold), _assigned_frame(assigned)


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
