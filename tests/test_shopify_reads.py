"""Levels, orders and locations are read into tables."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from builders import rows
from polars.testing import assert_frame_equal

from invsync import tables
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.errors import ShopifyFailed
from invsync.shopify import Shopify
from invsync.shopify.level_nodes import chunks
from invsync.shopify.reads import parse_levels

ITEM, LOCATION = "gid://shopify/InventoryItem/", "gid://shopify/Location/"
Level = tuple[int, bool]


class LevelsShop:
    """A shop of items with levels that answers `nodes` and the bulk query, and counts its queries."""

    def __init__(self, levels: dict[tuple[int, int], Level], *, most: int = 10**9) -> None:
        self.levels, self.most = levels, most
        self.asked: list[tuple[int, int]] = []
        self.bulk_lines: list[str] = []
        self.bulk_status = "COMPLETED"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/levels.jsonl":
            assert "X-Shopify-Access-Token" not in request.headers
            return httpx.Response(200, text="".join(line + "\n" for line in self.bulk_lines))
        call = json.loads(request.content)
        if "bulkOperationRunQuery" in call["query"]:
            return self.ok({"bulkOperationRunQuery": {"bulkOperation": {"id": "gid://b/1"}, "userErrors": []}})
        if "bulkOperation(" in call["query"]:
            return self.ok(
                {
                    "bulkOperation": {
                        "id": "gid://b/1",
                        "status": self.bulk_status,
                        "errorCode": None,
                        "objectCount": "4",
                        "url": "https://files.example/levels.jsonl" if self.bulk_lines else None,
                        "partialDataUrl": None,
                    }
                }
            )
        return self.nodes(call["query"], call["variables"])

    def nodes(self, text: str, variables: dict[str, Any]) -> httpx.Response:
        ids = [int(gid.removeprefix(ITEM)) for gid in variables["ids"]]
        aliases = dict(re.findall(r"(level\d+): inventoryLevel\(locationId: \$(location\d+)", text))
        places = {a: int(variables[v].removeprefix(LOCATION)) for a, v in aliases.items()}
        self.asked.append((len(ids), len(places)))
        if len(ids) * len(places) > self.most:
            error = {"message": "too costly", "extensions": {"code": "MAX_COST_EXCEEDED"}}
            return httpx.Response(200, json={"errors": [error]})
        return self.ok({"nodes": [self.node(i, places) for i in ids]})

    def node(self, item: int, places: dict[str, int]) -> dict[str, Any] | None:
        if item >= 9_000:
            return None
        node = {
            "id": f"{ITEM}{item}",
            "sku": f"S{item}",
            "tracked": True,
            "variant": {"requiresComponents": False},
        }
        return node | {alias: self.level(item, place) for alias, place in places.items()}

    def level(self, item: int, place: int) -> dict[str, Any] | None:
        if (item, place) not in self.levels:
            return None
        available, active = self.levels[item, place]
        return {"isActive": active, "quantities": [{"name": "available", "quantity": available, "updatedAt": None}]}

    @staticmethod
    def ok(data: dict[str, Any]) -> httpx.Response:
        return httpx.Response(200, json={"data": data}, headers={"X-Shopify-API-Version": "2026-10"})


def opened(handler: Any, *, read_only: bool = False) -> Shopify:
    shop = ShopSettings(domain="acme.myshopify.com", token_env="TOKEN", oms=OmsSettings(shop_id="S"))
    return Shopify.open(
        shop,
        secrets={"TOKEN": "shpat_x"},
        sleep=lambda _: None,
        read_only=read_only,
        transport_override=httpx.MockTransport(handler),
    )


def pairs(*rows: tuple[int, int]) -> pl.DataFrame:
    schema = {"inventory_item_id": pl.Int64, "location_id": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_every_asked_pair_has_one_row_and_no_level_is_null() -> None:
    shop = LevelsShop({(1, 10): (5, True), (1, 11): (-2, False), (2, 11): (7, True)})

    frame = opened(shop).levels(pairs((2, 10), (1, 10), (1, 11), (9_001, 10)))

    expected = rows(
        tables.LEVELS,
        (2, 10, None, None, True, False, "S2"),
        (1, 10, 5, True, True, False, "S1"),
        (1, 11, -2, False, True, False, "S1"),
        (9_001, 10, None, None, None, None, None),
    )
    assert_frame_equal(frame, expected)


def test_no_pairs_need_no_call() -> None:
    shop = LevelsShop({})

    assert opened(shop).levels(pairs()).schema == tables.LEVELS
    assert shop.asked == []


def test_a_call_stays_within_250_ids_and_1000_levels() -> None:
    asked = pairs(*[(item, place) for item in range(600) for place in range(20 if item < 100 else 2)])
    calls = list(chunks(asked))

    assert all(len(ids) <= 250 and len(ids) * len(places) <= 1_000 for ids, places in calls)
    assert sorted(item for ids, _ in calls for item in ids) == list(range(600))


def test_a_query_that_is_too_costly_is_halved_and_stays_small() -> None:
    levels = {(item, place): (item, True) for item in range(300) for place in (1, 2)}
    shop = LevelsShop(levels, most=150)

    frame = opened(shop).levels(pairs(*levels))

    assert frame["available"].to_list() == [available for available, _ in levels.values()]
    assert sum(ids * places > 150 for ids, places in shop.asked) == 2


CHILD_FIRST = [
    '{"id":"gid:\\/\\/shopify\\/InventoryLevel\\/7?inventory_item_id=1","isActive":true,'
    '"location":{"id":"gid:\\/\\/shopify\\/Location\\/10"},"quantities":[{"name":"available","quantity":5},{"name":"committed","quantity":2}],'
    '"__parentId":"gid:\\/\\/shopify\\/InventoryItem\\/1"}',
    '{"id":"gid:\\/\\/shopify\\/InventoryItem\\/2","sku":null,"tracked":false,"variant":{"requiresComponents":true}}',
    '{"id":"gid:\\/\\/shopify\\/InventoryItem\\/1","sku":"A","tracked":true,"variant":{"requiresComponents":false}}',
    '{"id":"gid:\\/\\/shopify\\/InventoryLevel\\/8?inventory_item_id=1","isActive":false,'
    '"location":{"id":"gid:\\/\\/shopify\\/Location\\/11"},"quantities":[],'
    '"__parentId":"gid:\\/\\/shopify\\/InventoryItem\\/1"}',
]


def test_children_may_come_before_their_parents(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    path.write_text("\n".join(CHILD_FIRST) + "\n")

    expected = rows(tables.LEVELS, (1, 10, 5, True, True, False, "A", 2), (1, 11, None, False, True, False, "A"))
    assert_frame_equal(parse_levels(path), expected)


def test_an_empty_result_file_is_an_empty_frame(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    path.write_text("")

    assert_frame_equal(parse_levels(path), tables.empty(tables.LEVELS))


def test_a_garbled_result_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    path.write_text(CHILD_FIRST[0] + "\n<html>oops\n")

    with pytest.raises(ShopifyFailed, match="garbled"):
        parse_levels(path)


def test_a_repeated_line_of_a_level_counts_once_and_two_different_lines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    once = next(line for line in CHILD_FIRST if '"quantity":5' in line or '"quantity": 5' in line)
    path.write_text("\n".join([*CHILD_FIRST, once]) + "\n")
    assert parse_levels(path).filter(inventory_item_id=1, location_id=10)["available"].to_list() == [5]

    path.write_text(
        "\n".join(
            [*CHILD_FIRST, once.replace('"quantity":5', '"quantity":6').replace('"quantity": 5', '"quantity": 6')]
        )
        + "\n"
    )
    with pytest.raises(ShopifyFailed, match="two for the level of item 1 at location 10"):
        parse_levels(path)


def test_many_items_are_read_by_a_bulk_query() -> None:
    shop = LevelsShop({})
    shop.bulk_lines = CHILD_FIRST
    asked = pairs((1, 10), (2, 10), *[(item, 10) for item in range(10, 5_010)])

    frame = opened(shop).levels(asked)

    assert shop.asked == [] and frame.height == asked.height
    assert frame.row(0)[:8] == (1, 10, 5, True, True, False, "A", 2)
    assert frame.row(1)[:7] == (2, 10, None, None, False, True, None)


def test_a_read_only_client_reads_many_items_without_a_bulk_query() -> None:
    shop = LevelsShop({(1, 10): (5, True)})

    frame = opened(shop, read_only=True).levels(pairs(*[(item, 10) for item in range(1, 5_100)]))

    assert frame.height == 5_099 and frame["available"][0] == 5
    assert len(shop.asked) == 21


def test_a_failed_bulk_query_is_an_error() -> None:
    shop = LevelsShop({})
    shop.bulk_status = "FAILED"

    with pytest.raises(ShopifyFailed, match="ended FAILED"):
        opened(shop).levels(pairs(*[(item, 10) for item in range(5_001)]))


def page(nodes: list[Any], cursor: str | None = None) -> dict[str, Any]:
    return {"nodes": nodes, "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}


def gid(kind: str, number: int) -> dict[str, str]:
    return {"id": f"gid://shopify/{kind}/{number}"}


def line(number: int, item: int | None, quantity: int, current: int, unfulfilled: int) -> dict[str, Any]:
    return gid("LineItem", number) | {
        "quantity": quantity,
        "currentQuantity": current,
        "unfulfilledQuantity": unfulfilled,
        "variant": item and {"inventoryItem": gid("InventoryItem", item)},
    }


def part(number: int, state: str, place: int | None, lines: dict[str, Any]) -> dict[str, Any]:
    return gid("FulfillmentOrder", number) | {
        "status": state,
        "assignedLocation": {"location": place and gid("Location", place)},
        "lineItems": lines,
    }


def wanted(number: int, item: int | None, units: int) -> dict[str, Any]:
    return {
        "inventoryItemId": item and f"{ITEM}{item}",
        "remainingQuantity": units,
        "lineItem": gid("LineItem", number),
    }


def moved(number: int, units: int, **more: Any) -> dict[str, Any]:
    return {"quantity": units, "lineItem": gid("LineItem", number), **more}


def shipped(number: int, state: str, place: int, lines: dict[str, Any]) -> dict[str, Any]:
    return gid("Fulfillment", number) | {
        "status": state,
        "location": gid("Location", place),
        "fulfillmentLineItems": lines,
    }


def refunded(number: int, units: int, kind: str, place: int | None = None) -> dict[str, Any]:
    back = {"restockType": kind, "restocked": kind != "NO_RESTOCK", "location": place and gid("Location", place)}
    return gid("Refund", number) | {"refundLineItems": page([moved(number, units, **back)])}


def order(number: int, lines: dict[str, Any], parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return gid("Order", number) | {
        "name": f"#{number}",
        "createdAt": "2026-11-23T10:00:00Z",
        "updatedAt": "2026-11-23T11:00:00Z",
        "lineItems": lines,
        "fulfillmentOrders": parts,
        "fulfillments": [],
        "refunds": [],
        **more,
    }


SHIPPED = [shipped(n, "SUCCESS", 10, page([moved(31, 1)])) for n in (1, 2)]


def orders_shop(request: httpx.Request) -> httpx.Response:
    """Pages of every list: of orders, lines, fulfilment orders and their lines, fulfilments and refunds."""
    call = json.loads(request.content)
    name, given = re.match(r"query (\w+)", call["query"])[1], call["variables"]  # type: ignore[index]
    one = order(
        1,
        page([line(11, 7, 4, 4, 4), line(12, None, 9, 9, 9)], "L"),
        page(
            [part(1, "OPEN", 10, page([wanted(11, 7, 2)], "F")), part(2, "CLOSED", 10, page([wanted(13, 8, 1)]))], "P"
        ),
    )
    three = order(
        3,
        page([line(31, 7, 9, 4, 1)]),
        page([part(6, "IN_PROGRESS", 11, page([wanted(31, 7, 1)]))]),
        fulfillments=[*SHIPPED, shipped(3, "CANCELLED", 10, page([moved(31, 9)]))],
    )
    data = {
        "orders": lambda: {"orders": page([one], "O") if given["after"] is None else page([one, three])},
        "orderLineItems": lambda: {"node": {"lineItems": page([line(13, 8, 1, 1, 1)])}},
        "orderFulfillmentOrders": lambda: {
            "node": {
                "fulfillmentOrders": page(
                    [
                        part(3, "ON_HOLD", 11, page([wanted(11, 7, 1), wanted(12, None, 5)])),
                        part(5, "OPEN", None, page([wanted(13, 8, 1)])),
                    ]
                )
            }
        },
        "fulfillmentOrderLineItems": lambda: {"node": {"lineItems": page([wanted(11, 7, 1)])}},
        "orderMoves": lambda: {
            "node": {
                "fulfillments": [*SHIPPED, shipped(4, "SUCCESS", 10, page([moved(31, 2)], "S"))],
                "refunds": [
                    refunded(31, 2, "RETURN", 12),
                    refunded(31, 1, "CANCEL", 11),
                    refunded(31, 1, "NO_RESTOCK"),
                ],
            }
        },
        "fulfillmentLineItems": lambda: {"node": {"fulfillmentLineItems": page([moved(31, 1)])}},
        "locations": lambda: {
            "locations": page([{"id": f"{LOCATION}10", "name": "A", "isActive": True}], "X")
            if given["after"] is None
            else page([{"id": f"{LOCATION}11", "name": "B", "isActive": False}])
        },
    }
    if name == "orders":
        assert given["query"] == "updated_at:>='2026-11-20T00:00:00Z'"
    return LevelsShop.ok(data[name]())  # type: ignore[no-untyped-call]


def test_orders_are_read_with_all_their_pages() -> None:
    """Order 1 waits at three places; of 9 units of order 3 one is open, 5 were shipped, of which 2 came back to another
    location, one was restocked before it was shipped, and 2 were taken off the order otherwise."""
    sold = opened(orders_shop).orders(datetime(2026, 11, 20, tzinfo=UTC))

    created, updated = datetime(2026, 11, 23, 10, tzinfo=UTC), datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert sold.schema == tables.SOLD
    assert set(sold.select("name", "created_at", "updated_at").rows()) == {
        ("#1", created, updated),
        ("#3", created, updated),
    }
    units = sold.select("order_id", "inventory_item_id", "location_id", "open", "shipped", "removed").rows()
    assert sorted(units, key=repr) == [
        (1, 7, 10, 3, 0, 0),
        (1, 7, 11, 1, 0, 0),
        (1, 7, None, 0, 0, 0),
        (1, 8, None, 1, 0, 0),
        (3, 7, 10, 0, 5, 0),
        (3, 7, 11, 1, 0, 0),
        (3, 7, 12, 0, -2, 0),
        (3, 7, None, 0, 0, 2),
    ]


def test_a_shop_without_orders_gives_an_empty_frame() -> None:
    sold = opened(lambda _: LevelsShop.ok({"orders": page([])})).orders(datetime(2026, 11, 20), open_too=True)

    assert_frame_equal(sold, tables.empty(tables.SOLD))


def test_locations_come_from_all_pages() -> None:
    assert opened(orders_shop).locations().rows() == [(10, "A", True), (11, "B", False)]
