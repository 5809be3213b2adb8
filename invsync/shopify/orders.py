"""Orders as units: those that left a location, those that came back, and those that are open."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain

import polars as pl

from invsync import tables
from invsync.shopify.client import Client, Node, operation
from invsync.shopify.gids import number
from invsync.shopify.retry import TooCostly

PAGE = 25  # orders
LISTED = 3  # fulfilments and refunds that come with their order; longer lists are read by the order's id
ENDED = frozenset({"CLOSED", "CANCELLED"})  # fulfilment orders that hold no units
UNDONE = frozenset({"CANCELLED", "ERROR", "FAILURE"})  # fulfilments that shipped nothing
UNSHIPPED, SHIPPED = "CANCEL", "RETURN"  # what a refund restocks: units that were not fulfilled, units that were
FRAGMENT = re.compile(r"^fragment (\w+) on .*?^}\n", flags=re.MULTILINE | re.DOTALL)
Row = tuple[int, str, str, str, int, int | None, int, int, int]  # of SOLD, with its stamps as texts


def orders(client: Client, since: datetime, *, open_too: bool = False, ids: Sequence[int] = ()) -> pl.DataFrame:
    """Return SOLD of the orders that changed at or after `since` (naive is UTC), whatever their age and status.

    With `open_too`, also of the open orders that did not change since then; always of the orders with these `ids`.
    """
    searched = [_orders(client, f"updated_at:>='{_second(since)}'")]
    if open_too:
        searched.append(_orders(client, f"status:open updated_at:<'{_second(since)}'"))
    return _frame(client, chain(*searched, _by_id(client, ids)))


def orders_named(client: Client, ids: Sequence[int]) -> pl.DataFrame:
    """Return SOLD of these orders, read by their ids, whether the search lists them yet or not."""
    return _frame(client, _by_id(client, ids))


def readable(client: Client) -> int:
    """Read the first order with every field that a run reads; return how many there were, 1 or 0."""
    page = client.data("orders", {"first": 1, "after": None, "query": ""}, text=document("orders"))["orders"]
    return len(page["nodes"])


def _second(moment: datetime) -> str:
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"


@cache
def document(name: str) -> str:
    """Return operations/<name>.graphql with the fragments of order_parts.graphql that it needs."""
    text, fragments = operation(name), {m[1]: m[0] for m in FRAGMENT.finditer(operation("order_parts"))}
    needed: set[str] = set()
    unread = re.findall(r"\.\.\.(\w+)", text)
    while unread:
        fragment = unread.pop()
        if fragment not in needed:
            needed.add(fragment)
            unread += re.findall(r"\.\.\.(\w+)", fragments[fragment])
    return "\n".join([text, *(fragments[fragment] for fragment in fragments if fragment in needed)])


def _by_id(client: Client, ids: Sequence[int]) -> Iterator[Node]:
    """The orders of these ids that still exist."""
    size, start = PAGE, 0
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
    """Every order of the query, once each, though a later page may repeat an order."""
    first, after, seen = PAGE, None, set[str]()
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


def _all(client: Client, owner: Node, field: str, name: str) -> Iterator[Node]:
    """The nodes of the first page in this field, and of all further pages, read by the owner's id."""
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


def _sold(client: Client, order: Node) -> Iterator[Row]:
    """The rows of SOLD of one order."""
    lines = {line["id"]: line for line in _all(client, order, "lineItems", "order_line_items")}
    items = {
        line_id: number(line["variant"]["inventoryItem"]["id"])
        for line_id, line in lines.items()
        if (line.get("variant") or {}).get("inventoryItem")
    }
    open_, shipped = Counter[tuple[str, int | None]](), Counter[tuple[str, int | None]]()  # units by line and location
    restocked = Counter[tuple[str, str]]()  # units by line and kind
    for line_id, place, units, item in _open(client, order):
        open_[line_id, place] += units
        items.setdefault(line_id, item)
    moved = _moves(client, order)
    for line_id, place, units in _shipped(client, moved["fulfillments"]):
        shipped[line_id, place] += units
    for line_id, place, units, kind in _restocked(client, moved["refunds"]):
        restocked[line_id, kind] += units
        shipped[line_id, place] -= units if kind == SHIPPED else 0
    units_of: dict[tuple[int, int | None], list[int]] = {(item, None): [0, 0, 0] for item in items.values()}
    for column, counted in enumerate((open_, shipped)):
        for (line_id, place), units in counted.items():
            if line_id in items:
                units_of.setdefault((items[line_id], place), [0, 0, 0])[column] += units
    for line_id, line in lines.items():
        if line_id in items:
            routed, sent = _of(open_, line_id), _of(shipped, line_id) + restocked[line_id, SHIPPED]
            rest = max(0, line["quantity"] - restocked[line_id, UNSHIPPED] - routed - sent)
            unrouted = min(rest, max(0, min(line["unfulfilledQuantity"], line["currentQuantity"]) - routed))
            units_of[items[line_id], None][0] += unrouted
            units_of[items[line_id], None][2] += rest - unrouted
    about = (number(order["id"]), order["name"], order["createdAt"], order["updatedAt"])
    for (item, place), (unfulfilled, left, removed) in units_of.items():
        yield (*about, item, place, unfulfilled, left, removed)


def _of(counted: Counter[tuple[str, int | None]], line_id: str) -> int:
    return sum(units for (line, _), units in counted.items() if line == line_id)


def _place(location: Node | None) -> int | None:
    return number(location["id"]) if location else None


def _open(client: Client, order: Node) -> Iterator[tuple[str, int | None, int, int]]:
    """Units of open fulfilment orders: line, location, units, item."""
    for part in _all(client, order, "fulfillmentOrders", "order_fulfillment_orders"):
        if part["status"] in ENDED:
            continue
        place = _place((part["assignedLocation"] or {}).get("location"))
        for line in _all(client, part, "lineItems", "fulfillment_order_line_items"):
            if line["inventoryItemId"]:
                yield line["lineItem"]["id"], place, line["remainingQuantity"], number(line["inventoryItemId"])


def _moves(client: Client, order: Node) -> Node:
    """The order with all its fulfilments and refunds."""
    if max(len(order["fulfillments"]), len(order["refunds"])) < LISTED:
        return order
    return client.data("order_moves", {"id": order["id"]}, text=document("order_moves"))["node"] or order


def _shipped(client: Client, fulfilments: list[Node]) -> Iterator[tuple[str, int | None, int]]:
    """Units that were shipped: line, location, units."""
    for fulfilment in fulfilments:
        if fulfilment["status"] not in UNDONE:
            for line in _all(client, fulfilment, "fulfillmentLineItems", "fulfillment_line_items"):
                yield line["lineItem"]["id"], _place(fulfilment["location"]), line["quantity"] or 0


def _restocked(client: Client, refunds: list[Node]) -> Iterator[tuple[str, int | None, int, str]]:
    """Units that refunds restocked: line, location, units, kind."""
    for refund in refunds:
        for line in _all(client, refund, "refundLineItems", "refund_line_items"):
            if line["restocked"] and line["restockType"] in (UNSHIPPED, SHIPPED):
                yield line["lineItem"]["id"], _place(line["location"]), line["quantity"], line["restockType"]
