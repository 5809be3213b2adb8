"""Orders as units: which left a location, which came back, which are still open."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any

import polars as pl

from invsync import tables
from invsync.shopify.client import Client, operation
from invsync.shopify.reads import number
from invsync.shopify.retry import TooCostly

ORDERS_A_PAGE = 25
LISTED = 3  # fulfilments and refunds that come with their order; longer lists are read by the order's id
ENDED = frozenset({"CLOSED", "CANCELLED"})  # fulfilment orders that hold no units
UNDONE = frozenset({"CANCELLED", "ERROR", "FAILURE"})  # fulfilments that shipped nothing
UNSHIPPED, SHIPPED = "CANCEL", "RETURN"  # what a refund restocks: units that were not fulfilled, units that were
FRAGMENT = re.compile(r"^fragment (\w+) on .*?^}\n", flags=re.MULTILINE | re.DOTALL)
Node = dict[str, Any]


def orders(client: Client, since: datetime, *, open_too: bool = False, ids: Sequence[int] = ()) -> pl.DataFrame:
    """SOLD of the orders that changed at or after `since` (naive is UTC), whatever their age and status.

    With `open_too`, of the open orders that did not change since then as well; in any case of the orders `ids`.
    """
    searched = [_orders(client, f"updated_at:>='{_second(since)}'")]
    if open_too:
        searched.append(_orders(client, f"status:open updated_at:<'{_second(since)}'"))
    return _frame(client, chain(*searched, _named(client, ids)))


def orders_named(client: Client, ids: Sequence[int]) -> pl.DataFrame:
    """SOLD of these orders, read by their ids, whether the search lists them yet or not."""
    return _frame(client, _named(client, ids))


def readable(client: Client) -> int:
    """Read the first order with every field that a run reads; how many there were: 1 or 0."""
    page = client.data("orders", {"first": 1, "after": None, "query": ""}, text=document("orders"))["orders"]
    return len(page["nodes"])


def _second(moment: datetime) -> str:
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"


@cache
def document(name: str) -> str:
    """operations/<name>.graphql with the fragments of order_parts.graphql that it needs."""
    text, fragments = operation(name), {m[1]: m[0] for m in FRAGMENT.finditer(operation("order_parts"))}
    needed: dict[str, str] = {}
    waiting = re.findall(r"\.\.\.(\w+)", text)
    while waiting:
        one = waiting.pop()
        if one not in needed:
            needed[one] = fragments[one]
            waiting += re.findall(r"\.\.\.(\w+)", fragments[one])
    return "\n".join([text, *(fragments[one] for one in fragments if one in needed)])


def _named(client: Client, ids: Sequence[int]) -> Iterator[Node]:
    """The orders of these ids that still exist."""
    size, start = ORDERS_A_PAGE, 0
    while start < len(ids):
        gids = [f"gid://shopify/Order/{order}" for order in ids[start : start + size]]
        try:
            nodes = client.data("orders_by_id", {"ids": gids}, text=document("orders_by_id"))["nodes"]
        except TooCostly:
            if size == 1:
                raise
            size //= 2
            continue
        start += size
        yield from (node for node in nodes if node)


def _orders(client: Client, query: str) -> Iterator[Node]:
    """Every order of the query once, though paging may meet an order again."""
    first, after, seen = ORDERS_A_PAGE, None, set[str]()
    while True:
        variables = {"first": first, "after": after, "query": query}
        try:
            page = client.data("orders", variables, text=document("orders"))["orders"]
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


def _rest(client: Client, owner: Node, field: str, name: str) -> Iterator[Node]:
    """The nodes of a first page and of all its further pages, read by the owner's id."""
    page = owner[field]
    yield from page["nodes"]
    while page["pageInfo"]["hasNextPage"]:
        variables = {"id": owner["id"], "after": page["pageInfo"]["endCursor"]}
        node = client.data(name, variables, text=document(name))["node"]
        if not node:  # deleted while it was read
            return
        page = node[field]
        yield from page["nodes"]


def _frame(client: Client, nodes: Iterable[Node]) -> pl.DataFrame:
    rows = [row for order in {node["id"]: node for node in nodes}.values() for row in _sold(client, order)]
    stamps: tables.Schema = {"created_at": pl.String(), "updated_at": pl.String()}
    frame = pl.DataFrame(rows, schema=tables.SOLD | stamps, orient="row").with_columns(
        pl.col("created_at", "updated_at").str.to_datetime(time_unit="us", time_zone="UTC")
    )
    return tables.conform(frame, tables.SOLD, "sold")


def _sold(client: Client, order: Node) -> Iterator[tuple[Any, ...]]:
    """The rows of SOLD of one order."""
    lines = {line["id"]: line for line in _rest(client, order, "lineItems", "order_line_items")}
    items = {
        line_id: number(line["variant"]["inventoryItem"]["id"])
        for line_id, line in lines.items()
        if (line.get("variant") or {}).get("inventoryItem")
    }
    open_, shipped, given_back = Counter[Any](), Counter[Any](), Counter[Any]()  # units by line and location
    for line_id, place, units, item in _open(client, order):
        open_[line_id, place] += units
        items.setdefault(line_id, item)
    moved = _moves(client, order)
    for line_id, place, units in _shipped(client, moved["fulfillments"]):
        shipped[line_id, place] += units
    for line_id, place, units, kind in _given_back(client, moved["refunds"]):
        given_back[line_id, kind] += units
        shipped[line_id, place] -= units if kind == SHIPPED else 0
    units_of: dict[tuple[int, int | None], list[int]] = {(item, None): [0, 0, 0] for item in items.values()}
    for column, counted in enumerate((open_, shipped)):
        for (line_id, place), units in counted.items():
            if line_id in items:
                units_of.setdefault((items[line_id], place), [0, 0, 0])[column] += units
    for line_id, line in lines.items():
        if line_id in items:
            in_parts, sent = _of(open_, line_id), _of(shipped, line_id) + given_back[line_id, SHIPPED]
            rest = max(0, line["quantity"] - given_back[line_id, UNSHIPPED] - in_parts - sent)
            unrouted = min(rest, max(0, min(line["unfulfilledQuantity"], line["currentQuantity"]) - in_parts))
            units_of[items[line_id], None][0] += unrouted
            units_of[items[line_id], None][2] += rest - unrouted
    about = (number(order["id"]), order["name"], order["createdAt"], order["updatedAt"])
    for (item, place), amounts in units_of.items():
        yield (*about, item, place, *amounts)


def _of(counted: Counter[Any], line_id: str) -> int:
    return sum(units for (line, _), units in counted.items() if line == line_id)


def _place(location: Node | None) -> int | None:
    return number(location["id"]) if location else None


def _open(client: Client, order: Node) -> Iterator[tuple[str, int | None, int, int]]:
    """Units of open fulfilment orders: line, location, units, item."""
    for part in _rest(client, order, "fulfillmentOrders", "order_fulfillment_orders"):
        if part["status"] in ENDED:
            continue
        place = _place((part["assignedLocation"] or {}).get("location"))
        for line in _rest(client, part, "lineItems", "fulfillment_order_line_items"):
            if line["inventoryItemId"]:
                yield line["lineItem"]["id"], place, line["remainingQuantity"], number(line["inventoryItemId"])


def _moves(client: Client, order: Node) -> Node:
    """The order's fulfilments and refunds, whole."""
    if max(len(order["fulfillments"]), len(order["refunds"])) < LISTED:
        return order
    return client.data("order_moves", {"id": order["id"]}, text=document("order_moves"))["node"] or order


def _shipped(client: Client, fulfilments: list[Node]) -> Iterator[tuple[str, int | None, int]]:
    for one in fulfilments:
        if one["status"] not in UNDONE:
            for line in _rest(client, one, "fulfillmentLineItems", "fulfillment_line_items"):
                yield line["lineItem"]["id"], _place(one["location"]), line["quantity"] or 0


def _given_back(client: Client, refunds: list[Node]) -> Iterator[tuple[str, int | None, int, str]]:
    """Units that refunds restocked: line, location, units, kind."""
    for one in refunds:
        for line in _rest(client, one, "refundLineItems", "refund_line_items"):
            if line["restocked"] and line["restockType"] in (UNSHIPPED, SHIPPED):
                yield line["lineItem"]["id"], _place(line["location"]), line["quantity"], line["restockType"]
