"""The real client against the sandbox shop over HTTP."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from invsync.config.settings import OmsSettings, ShopSettings
from invsync.sandbox.admin.costs import Bucket
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.shopify import Shopify

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    for location in (10, 11):
        shop.add_location(location, f"L{location}")
    for item in range(1, 6):
        shop.add_item(item, f"S{item}")
        shop.set_level(item, 10, 5)
    shop.place_order(1, "#1", NOW, [(1, 2), (2, 1)], 10)
    return shop


@pytest.fixture
def shopify(shop: Shop) -> Iterator[Shopify]:
    with serve(shop) as url:
        oms = OmsSettings(shop_id="S")
        settings = ShopSettings(domain="acme.myshopify.com", endpoint=url, token_env="TOKEN", oms=oms)
        secrets = {"TOKEN": shop.token}
        with Shopify.open(settings, secrets=secrets, sleep=lambda s: time.sleep(min(s, 0.02))) as opened:
            yield opened


def test_levels_and_orders_are_what_the_shop_holds(shopify: Shopify) -> None:
    pairs = pl.DataFrame({"inventory_item_id": [1, 2, 3], "location_id": [10, 10, 11]})
    sold = shopify.orders(NOW)

    assert shopify.levels(pairs)["available"].to_list() == [3, 4, None]
    units = sold.filter(pl.col("open") > 0).select("order_id", "inventory_item_id", "location_id", "open")
    assert sorted(units.rows()) == [(1, 1, 10, 2), (1, 2, 10, 1)]


@pytest.mark.parametrize(
    ("seconds", "bucket", "bulk"), [(60, Bucket(), 1), (60, Bucket(60, 0.01), 2), (0, Bucket(), 2)]
)
def test_after_one_bulk_query_many_levels_are_read_by_their_items_where_that_is_quicker(
    shopify: Shopify, shop: Shop, seconds: float, bucket: Bucket, bulk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invsync.shopify.reads.BULK_FROM", 500)
    for item in range(100, 700):
        shop.add_item(item, f"S{item}")
        shop.set_level(item, 10, item)
    pairs = pl.DataFrame({"inventory_item_id": range(100, 700), "location_id": [10] * 600})
    before = shopify.levels(pairs)
    shop.bucket = bucket
    shopify._client.bulk_query_seconds = seconds
    shop.set_level(100, 10, 7)

    after = shopify.levels(pairs)

    assert sum("bulkOperationRunQuery" in request["query"] for request in shop.requests) == bulk
    assert after["available"][0] == 7 and after["available"][1:].equals(before["available"][1:])
    assert (
        after[1:]
        .drop("available_at", "on_hand_at", "committed_at")
        .equals(before[1:].drop("available_at", "on_hand_at", "committed_at"))
    )


@pytest.mark.parametrize("transport", ["direct", "bulk"])
def test_a_file_is_applied_once_by_either_transport(
    shopify: Shopify, shop: Shop, tmp_path: Path, transport: Any
) -> None:
    path, result = tmp_path / "adjustments.jsonl", tmp_path / "result.jsonl"
    path.write_text("".join(json.dumps(line(item)) + "\n" for item in (3, 4, 5)))

    for _ in range(2):
        shopify.submit(path, result, transport=transport)

    answers = [json.loads(text) for text in result.read_text().splitlines()]
    assert sorted(answer["__lineNumber"] for answer in answers) == [0, 1, 2]
    assert all(not answer["data"]["inventoryAdjustQuantities"]["userErrors"] for answer in answers)
    assert [shop.available(item, 10) for item in (3, 4, 5)] == [6, 6, 6]


def line(item: int) -> dict[str, Any]:
    change = {
        "inventoryItemId": f"gid://shopify/InventoryItem/{item}",
        "locationId": "gid://shopify/Location/10",
        "delta": 1,
        "changeFromQuantity": 5,
    }
    given = {"name": "available", "reason": "correction", "changes": [change]}
    return {"input": given, "idempotencyKey": f"k{item}"}
