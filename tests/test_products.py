"""Products are read beside the levels of their items, and kept in the outcomes of every run."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rehearsal import HARD, ONLINE, RECENT, START, TOKEN, Rehearsal
from runfolders import leave
from test_charts import outcomes
from trouble import Kept, elsewhere

from invsync import tables
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.catalogue import descriptions
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Product, Shop
from invsync.sandbox.world import sales
from invsync.shopify import Shopify, reads
from invsync.site import folders

PARASOL = Product(71, "Paper Parasol", "Acme Supply", "Parasols", "Home & Garden > Decor", "https://cdn.example/71.jpg")
DESCRIBED = {"product": PARASOL, "variant_title": "Pink", "price": "2.95"}
SHOWN = {
    "inventory_item_id": 1,
    "shopify_product_id": 71,
    "shopify_variant_id": 1,
    "title": "Paper Parasol",
    "variant_title": "Pink",
    "vendor": "Acme Supply",
    "product_type": "Parasols",
    "category": "Home & Garden > Decor",
    "image_url": "https://cdn.example/71.jpg",
    "price": 2.95,
    "currency": "GBP",
}
PAIRS = pl.DataFrame({"inventory_item_id": [1, 2], "location_id": [ONLINE, ONLINE]})


@pytest.fixture
def shop() -> Shop:
    shop = Shop(token=TOKEN)
    shop.add_location(ONLINE, "Online")
    shop.add_item(1, "A", **DESCRIBED)
    shop.add_item(2, "B")
    for item in (1, 2):
        shop.set_level(item, ONLINE, 3)
    return shop


def opened(endpoint: str) -> Shopify:
    settings = ShopSettings(
        domain="sandbox.myshopify.com", token_env="TOKEN", endpoint=endpoint, oms=OmsSettings(shop_id="S")
    )
    return Shopify.open(settings, secrets={"TOKEN": TOKEN}, sleep=lambda _: None)


@pytest.mark.parametrize("bulk_from", [5_000, 1])
def test_a_read_of_levels_by_ids_and_in_bulk_shows_the_same_products(
    shop: Shop, bulk_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "BULK_FROM", bulk_from)
    with serve(shop) as endpoint, opened(endpoint) as shopify:
        shopify.levels(PAIRS)
        shopify.locations()
        first, second = shopify.products.sort("inventory_item_id").to_dicts()

    assert any("bulkOperationRunQuery" in request["query"] for request in shop.requests) == (bulk_from == 1)
    assert first == SHOWN
    assert second["title"] == "B" and second["variant_title"] is second["category"] is second["image_url"] is None


def test_products_cost_no_request_of_their_own_and_are_asked_for_once(shop: Shop) -> None:
    with serve(shop) as endpoint, opened(endpoint) as shopify:
        shopify.levels(PAIRS[:1])
        shopify.levels(PAIRS[:1])
        shopify.levels(PAIRS)

        assert shopify.products.height == 2
    asked = [request["variables"]["products"] for request in shop.requests]
    assert asked == [True, False, True]


def test_a_price_that_nobody_can_read_is_null_and_the_levels_are_read(shop: Shop) -> None:
    shop.items[1].price = "on request"

    with serve(shop) as endpoint, opened(endpoint) as shopify:
        assert shopify.levels(PAIRS)["available"].to_list() == [3, 3]
        assert shopify.products.filter(inventory_item_id=1)["price"].to_list() == [None]


def shown(rows: pl.DataFrame, item: int = 1) -> dict[str, Any]:
    """The columns of PRODUCTS of an item's row."""
    return rows.filter(inventory_item_id=item).select(list(tables.PRODUCTS)).row(0, named=True)


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_a_reset_keeps_the_products_of_every_pair_in_its_outcomes(rehearsal: Rehearsal, job: str) -> None:
    rehearsal.product(1, "A", oms=8, available=5, **DESCRIBED)
    rehearsal.product(2, "B", oms=4, available=4)

    rows = rehearsal.outcomes(rehearsal.run(job=job))

    assert rows.schema == pl.Schema(tables.OUTCOMES_FILE)
    assert shown(rows) == SHOWN and shown(rows, 2)["title"] == "B"


def test_a_delta_run_keeps_the_products_of_its_pairs(rehearsal: Rehearsal) -> None:
    kept = Kept(rehearsal)
    rehearsal.shop.items[1].product = PARASOL
    kept.counted(20)

    rows = rehearsal.outcomes(kept.run())

    assert rows.schema == pl.Schema(tables.OUTCOMES_FILE) and shown(rows)["title"] == "Paper Parasol"


def test_a_rehearsal_its_application_and_its_inverse_name_the_products(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=8, available=5, **DESCRIBED)
    planned = rehearsal.run(dry_run=True)
    applied = rehearsal.apply(planned)
    undone = rehearsal.undo(applied)

    for facts, name in (planned, "plan"), (applied, "outcomes"), (undone, "plan"):
        assert shown(pl.read_parquet(rehearsal.folder(facts) / f"{name}.parquet")) == SHOWN


def test_an_application_that_reads_nothing_back_names_the_products_of_the_plan(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=8, available=5, **DESCRIBED)
    planned = rehearsal.run(dry_run=True)
    rehearsal.shop.refuse.add(1)

    assert shown(rehearsal.outcomes(rehearsal.apply(planned))) == SHOWN


def test_a_stopped_run_names_the_products_that_it_did_not_change(rehearsal: Rehearsal) -> None:
    for item in range(1, 5):
        rehearsal.product(item, f"S{item}", oms=0, available=5)

    facts = rehearsal.run()

    assert facts["status"] == "stopped" and shown(rehearsal.outcomes(facts), 3)["title"] == "S3"


def test_what_a_killed_run_left_open_names_its_products_when_it_is_settled(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=8, available=5, **DESCRIBED)
    given = {"shop": "demo", "config": str(rehearsal.config), "at": (START + timedelta(hours=1)).isoformat()}
    assert elsewhere("after its answers", launch.run, RECENT, given) == 9
    (killed,) = (rehearsal.config.parent / "reports" / "demo" / RECENT).iterdir()

    rehearsal.run(START + timedelta(hours=2))

    rows = pl.read_parquet(killed / "outcomes.parquet")
    assert rows.schema == pl.Schema(tables.OUTCOMES_FILE) and shown(rows)["title"] == "Paper Parasol"


def test_a_run_of_an_older_version_can_be_undone(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=8, available=5, **DESCRIBED)
    facts = rehearsal.run()
    path = rehearsal.folder(facts) / "outcomes.parquet"
    pl.read_parquet(path).select(list(tables.OUTCOMES)).write_parquet(path)

    assert rehearsal.undo(facts)["counts"]["planned"] == 1


def test_runs_of_older_and_newer_versions_are_read_together(tmp_path: Path) -> None:
    older = outcomes({"inventory_item_id": 1})
    newer = outcomes({"inventory_item_id": 2}).with_columns(title=pl.lit("Paper Parasol"))
    for place, frames in enumerate([(older, newer), (newer, older)]):
        root = tmp_path / str(place)
        for hours, frame in enumerate(frames):
            leave(root, frame, at=START + timedelta(hours=hours))

        rows = folders.looked(root, folders.table(root, folders.stamps(root)))
        assert sorted(rows["inventory_item_id"]) == [1, 2]


def test_the_sandbox_describes_what_it_sells_by_the_words_and_prices_of_the_sales() -> None:
    sold = sales()
    described = descriptions(sold, "Sandbox")
    prices = sold.filter(pl.col("sku") == "15044A", pl.col("unit_price") > 0)["unit_price"]
    priced = sold.filter(pl.col("unit_price") > 0, pl.col("sku").str.contains(r"^\d{5}"))

    assert described["15044A"]["product"] is not None and described["15044A"]["variant_title"] == "Pink"
    assert described["15044A"]["product"].title == described["15044B"]["product"].title == "Paper Parasol"
    assert described["15044A"]["price"] == f"{prices.median():.2f}"
    assert set(priced["sku"]) <= set(described)


def test_the_demos_shop_shows_titles_and_prices(tmp_path: Path) -> None:
    world = demo.build(tmp_path)
    item = world.shop.items[world.items["15044A"]]

    assert item.product is not None and (item.product.title, item.variant_title) == ("Paper Parasol", "Pink")
