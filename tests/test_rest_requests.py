"""How many requests a run makes of HotWax's APIs where nothing changed, or one thing did; every number is exact."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from rehearsal import DELTAS, HARD, ONLINE, RECENT, START, STORE, Rehearsal

from invsync.inbox import LEVEL, Heard, Inbox
from invsync.ledger.witness import Witness
from invsync.oms import Source, open_source
from invsync.oms.rest.connector import RestSettings
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.server import hosting
from invsync.state import State

REALTIME = "realtime-sync"
HOUR, LONG_AGO = timedelta(hours=1), START - timedelta(days=3)
PRODUCTS = range(1, 201)
QUIET = {
    "ShopifyShop": 1,
    "ProductStore": 1,
    "FacilityGroup": 2,
    "ShopifyShopLocation": 2,
    "FacilityGroupMember": 2,
    "ProductStoreFacility": 2,
    "ProductFacility": 4 + 2,  # what changed, and the count of the guard
    "ShopifyShopProduct": 4 + 4,  # by either stamp
    "OrderItem": 4 + 2,  # what changed, and what was cancelled
    "OrderHeader": 1,
}
ONE_CHANGE = QUIET | {
    "ShopifyShopLocation": 4,
    "FacilityGroupMember": 4,
    "ProductStoreFacility": 4,
    "Facility": 4,
    "FacilityType": 4,
    "Product": 2,
    "ProductFacility": 5 + 2 + 2 + 2,
    "ShopifyShopProduct": 8 + 4 + 4,
    "OrderItem": 6 + 1 + 1,
    "OrderHeader": 2,
}
QUIET_DELTAS = {
    "ShopifyShop": 1,
    "ProductStore": 1,
    "FacilityGroup": 2,
    "InventoryItemDetail": 4,
    "ProductFacility": 2,
}
ONE_EVENT = QUIET_DELTAS | {
    "ShopifyShopLocation": 2,
    "FacilityGroupMember": 2,
    "ProductStoreFacility": 2,
    "Facility": 2,
    "FacilityType": 2,
    "Product": 1,
    "ShopifyShopProduct": 4,
    "OrderHeader": 1,
    "OrderItem": 1,
    "ProductFacility": 2 + 2,
    "EnumerationGroupMember": 2,
    "ShopifyShopRemote": 2,
    "InventoryItem": 1 + 2,
    "InventoryItemVariance": 2 + 2,
    "InventoryItemDetail": 5 + 3 + 3,
}
ONE_NAMED_PAIR = ONE_CHANGE | {
    "ProductFacility": 2 + 2 + 2,
    "ShopifyShopProduct": 2 + 4 + 4,
    "OrderItem": 1 + 4 + 1,
}


@dataclass
class Kept:
    """A shop of two warehouses and a store, read over HTTP; each run begins an hour after the one before."""

    rehearsal: Rehearsal
    hotwax: HotWax
    address: str
    begun: list[datetime] = field(default_factory=lambda: [START])

    def run(self, job: str = RECENT, when: datetime | None = None) -> dict[str, Any]:
        self.begun.append(when or self.begun[-1] + HOUR)
        self.hotwax.requests.clear()
        record = self.rehearsal.run(self.begun[-1], job=job)
        assert record["exit_code"] == 0
        return record

    def requests(self) -> dict[str, int]:
        return dict(Counter(entity.rsplit(".", 1)[-1].lstrip("_") for _, entity in self.hotwax.requests))

    def hear(self, item: int) -> None:
        inbox = Inbox(State(f"sqlite:///{self.rehearsal.config.parent}/invsync.db").engine)
        inbox.add([Heard("demo", f"d{datetime.now(UTC)}", LEVEL, inventory_item_id=item, location_id=ONLINE)])

    def source(self) -> Source:
        settings = {"url": self.address, "username": self.hotwax.user, "password_env": "HOTWAX_PASSWORD"}
        return open_source(RestSettings(shop_id="SANDBOX", facility_group_id="FAC_GRP", **settings))


def fill(rehearsal: Rehearsal) -> None:
    """Products at three facilities, right in Shopify, and orders that were shipped long ago."""
    rehearsal.store()
    oms, shop = rehearsal.oms, rehearsal.shop
    with oms.batch():
        oms.add_facility("WH2", "Second warehouse")
        oms.stock_up([(f"P{n}", f"S{n}", n, 10) for n in PRODUCTS], "WH", LONG_AGO)
        for n in PRODUCTS:
            oms.set_stock(f"P{n}", "WH2", 10, LONG_AGO)
            oms.set_stock(f"P{n}", "ST", 5, LONG_AGO)
            shop.add_item(n, f"S{n}")
            shop.set_level(n, ONLINE, 25)
            shop.set_level(n, STORE, 5)
        for n in range(1, 6):
            oms.import_order(f"O{n}", 9000 + n, [(f"P{10 + n}", 1)], LONG_AGO)
    engine = sa.create_engine(oms.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("update order_item set status_id = 'ITEM_COMPLETED'")
    engine.dispose()


@pytest.fixture
def kept(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    fill(rehearsal)
    hotwax, config = HotWax(rehearsal.oms.url), rehearsal.config
    monkeypatch.setenv("HOTWAX_PASSWORD", hotwax.password)
    with hosting(create_app(hotwax)) as address:
        login = f'url = "{address}"\nusername = "{hotwax.user}"\npassword_env = "HOTWAX_PASSWORD"'
        rest = config.read_text().replace('kind = "database"', 'kind = "rest"')
        config.write_text(rest.replace(f'url = "sqlite:///{config.parent.resolve()}/oms.db"', login))
        yield Kept(rehearsal, hotwax, address)


def test_recent_changes_where_nothing_changed(kept: Kept) -> None:
    kept.run()
    for _ in range(2):
        assert kept.run()["counts"]["selected"] == 0
        assert kept.requests() == QUIET
    assert len(kept.hotwax.requests) == 31


def test_recent_changes_where_one_product_changed(kept: Kept) -> None:
    kept.run()
    kept.rehearsal.oms.set_stock("P1", "WH", 9, kept.begun[-1] + HOUR / 2)

    assert kept.run()["counts"]["applied"] == 1
    assert kept.requests() == ONE_CHANGE and len(kept.hotwax.requests) == 63


def test_deltas_where_nothing_happened_and_where_one_event_did(kept: Kept) -> None:
    kept.rehearsal.keep_by_deltas()
    kept.run(HARD)
    kept.run(DELTAS)
    assert kept.run(DELTAS)["counts"]["selected"] == 0
    assert kept.requests() == QUIET_DELTAS and len(kept.hotwax.requests) == 10

    at = kept.begun[-1] + HOUR / 2
    kept.rehearsal.oms.adjust("P1", "WH", -1, at, "VAR_MANUAL", physical_inventory_id="PI1")
    assert kept.run(DELTAS)["counts"]["applied"] == 1
    assert kept.requests() == ONE_EVENT and len(kept.hotwax.requests) == 47

    assert kept.run(DELTAS)["counts"]["selected"] == 0  # the event is read again within the overlap, and counted
    assert kept.requests() == ONE_EVENT


def test_one_named_pair_whether_it_changed_or_not(kept: Kept) -> None:
    kept.run(when=datetime.now(UTC))
    for applied in (0, 0, 1):  # the first run of a job counts the rows of stock from nothing
        kept.hear(2)
        if applied:
            kept.rehearsal.oms.set_stock("P2", "WH", 7, datetime.now(UTC))
        assert kept.run(REALTIME, datetime.now(UTC))["counts"]["applied"] == applied
        assert len(kept.begun) == 3 or kept.requests() == ONE_NAMED_PAIR
    assert len(kept.hotwax.requests) == 50


def test_where_totals_are_sent_no_page_is_asked_for_its_emptiness(kept: Kept) -> None:
    kept.hotwax.traps.totals = True
    kept.run()
    kept.run()
    assert len(kept.hotwax.requests) == 26


def test_the_equation_goes_by_memberships_that_were_read_after_shopify(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.run()
    look, begun = Witness.look, kept.begun[-1]
    kept.rehearsal.oms.set_stock("P1", "WH", 9, begun + HOUR / 2)

    def ending(witness: Witness, *pairs: pl.DataFrame) -> Any:
        seen = look(witness, *pairs)
        kept.rehearsal.oms.leave_group("WH2", begun)
        return seen

    monkeypatch.setattr(Witness, "look", ending)
    kept.run()
    assert kept.rehearsal.available(1) == [9 + 5]


def test_only_a_read_that_selects_pairs_goes_by_memberships_that_were_read_before(kept: Kept) -> None:
    product = pl.Series(["P1"])
    with closing(kept.source()) as source:
        before = source.changed_products(START, START + HOUR)
        kept.rehearsal.oms.leave_group("WH2", START)
        selecting, fresh = source.snapshot(product, to_select=True), source.snapshot(product)
        assert before is not None and before.is_empty()
        assert selecting.facility_group_member["thru_date"].null_count() == selecting.facility_group_member.height
        assert fresh.facility_group_member["thru_date"].drop_nulls().to_list() == [START]
        assert source.snapshot(product, to_select=True).facility_group_member.equals(fresh.facility_group_member)
        assert selecting.facility.equals(fresh.facility) and selecting.facility.height > 2


def test_a_page_without_a_wanted_row_is_not_the_last(kept: Kept) -> None:
    with closing(kept.source()) as source:
        kept.hotwax.requests.clear()
        for products, pages in ((["P1", "P2"], 1), (["P1", "NONE"], 2)):
            kept.hotwax.requests.clear()
            assert source.snapshot(pl.Series(products)).product["product_id"].to_list()[0] == "P1"
            assert kept.requests()["Product"] == pages
        kept.hotwax.traps.largest_page = 3
        assert source.snapshot(pl.Series([f"P{n}" for n in PRODUCTS])).product.height == len(PRODUCTS)


def test_the_clock_goes_on_without_a_request(kept: Kept) -> None:
    with closing(kept.source()) as source:
        kept.hotwax.requests.clear()
        first, second, here = source.now(), source.now(), datetime.now(UTC)
        assert here - timedelta(seconds=5) < first < second <= here
        assert not kept.hotwax.requests
