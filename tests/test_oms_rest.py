"""HotWax read over its HTTP APIs: the same frames as its database, and no trap that ends in a wrong zero."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from invsync import tables
from invsync.errors import OmsFailed, UsageError
from invsync.oms import Source, open_source
from invsync.oms.rest import endpoints
from invsync.oms.rest.connector import RestSettings
from invsync.oms.sql.connector import DatabaseSettings
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.server import hosting

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
MOQUI, OFBIZ = "/rest/s1/oms/entityData", "/api/performFind"
PRODUCTS = 12
ASKED = range(7000, 7000 + 2 * PRODUCTS)
ENTITIES = sa.MetaData()  # the sandbox's, with shopify_shop_order
for _table in METADATA.tables.values():
    _table.to_metadata(ENTITIES)
if "shopify_shop_order" not in ENTITIES.tables:
    _key = [sa.Column(name, sa.String(40), primary_key=True) for name in ("shop_id", "order_id")]
    sa.Table("shopify_shop_order", ENTITIES, *_key, sa.Column("shopify_order_id", sa.String(255)))


def fill(url: str) -> None:
    """A shop of twelve products in two warehouses, with every kind of event and orders in every state."""
    oms = Oms(url).create()
    with oms.batch():
        for facility in ("W1", "W2"):
            oms.add_facility(facility, facility)
        oms.map_location("_NA_", 900)
        oms.map_location("W1", 901)
        for n in range(PRODUCTS):
            oms.add_product(f"P{n}", f"SKU{n}")
            oms.map_product(f"P{n}", 4000 + n)
            for facility in ("W1", "W2"):
                oms.set_stock(f"P{n}", facility, 10 + n, NOON - DAY, minimum_stock=n % 3)
        for n in range(PRODUCTS):
            oms.import_order(f"O{n}", 7000 + n, [(f"P{n}", 2), (f"P{(n + 1) % PRODUCTS}", 1.5)], NOON - 2 * n * MINUTE)
        for n in range(0, PRODUCTS, 3):
            oms.reserve(f"O{n}", "W1", NOON - n * MINUTE)
        oms.release("O3", NOON)
        oms.cancel_order("O4", NOON)
        oms.damage("P1", "W1", 1, NOON, "PI1")
        oms.receive("P2", "W2", 5, NOON, "S1")
        oms.take_back("P3", "W1", 1, NOON, "R1")
        oms.reset("P4", "W1", 3, NOON, origin="SANDBOX_REMOTE")
        oms.leave_group("W2", NOON)
    oms.close()
    execute(
        url,
        "update order_header set external_id = 'POS-5', order_date = '2001-01-01 00:00:00'"
        " where order_id in ('O5', 'O6')",
    )
    execute(url, "update order_header set product_store_id = 'ELSEWHERE' where order_id = 'O7'")
    execute(url, "update order_item set product_id = null where order_id = 'O8' and order_item_seq_id = '00001'")
    ENTITIES.create_all(engine := sa.create_engine(url))
    engine.dispose()
    for order in ("O5", "O6", "O7"):
        named = {"shop_id": "OTHER", "order_id": order, "shopify_order_id": f"700{order[1:]}"}
        execute(url, f"insert into shopify_shop_order ({', '.join(named)}) values {tuple(named.values())}")


def execute(url: str, sql: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)
    engine.dispose()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("filled") / "oms.db"
    fill(f"sqlite:///{file}")
    return file


@pytest.fixture
def url(filled: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(filled, tmp_path)}"


@pytest.fixture
def hotwax(url: str, monkeypatch: pytest.MonkeyPatch) -> HotWax:
    instance = HotWax(url)
    monkeypatch.setattr("invsync.sandbox.hotwax.METADATA", ENTITIES)
    monkeypatch.setenv("HOTWAX_PASSWORD", instance.password)
    return instance


Opened = Callable[..., Source]


@pytest.fixture
def opened(hotwax: HotWax, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens the reader over HTTP; waits between tries are not waited for."""
    monkeypatch.setattr(endpoints, "BACKOFF", 0)
    with ExitStack() as stack:
        address = stack.enter_context(hosting(create_app(hotwax)))

        def reader(**options: Any) -> Source:
            facts = {"url": address, "username": hotwax.user, "password_env": "HOTWAX_PASSWORD"} | options
            if facts.get("ofbiz_url") is True:
                facts["ofbiz_url"] = address
            source = open_source(RestSettings(shop_id="SANDBOX", **facts))
            stack.callback(source.close)
            return source

        yield reader


def same(mine: tables.Snapshot, theirs: tables.Snapshot) -> None:
    for name in (f.name for f in fields(tables.Snapshot)):
        a, b = getattr(mine, name), getattr(theirs, name)
        if isinstance(a, pl.DataFrame):
            assert a.sort(a.columns).equals(b.sort(b.columns)), name
    assert mine.newest_known == theirs.newest_known


def all_the_same(mine: Source, url: str) -> None:
    theirs = open_source(DatabaseSettings(url=url, shop_id="SANDBOX"))
    few = pl.Series(["P1", "P4", "P9"])
    same(
        mine.snapshot(few, orders=ASKED, events_from=NOON - MINUTE),
        theirs.snapshot(few, orders=ASKED, events_from=NOON - MINUTE),
    )
    same(mine.snapshot(orders=ASKED), theirs.snapshot(orders=ASKED))
    same(mine.snapshot(few), theirs.snapshot(few))
    for window in ((NOON, NOON + MINUTE), (NOON - 10 * MINUTE, NOON - 5 * MINUTE), (NOON + DAY, NOON + 2 * DAY)):
        a, b = (s.changed_products(*window, group="FAC_GRP") for s in (mine, theirs))
        assert a is not None and b is not None and a.to_list() == b.to_list()
        assert mine.events(*window).sort("event_id").equals(theirs.events(*window).sort("event_id"))
    assert mine.delta_reasons().sort("reason").equals(theirs.delta_reasons().sort("reason"))
    assert (mine.row_count(), mine.remotes(), mine.store) == (theirs.row_count(), theirs.remotes(), theirs.store)
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert mine.cancelled_orders(long_ago) == theirs.cancelled_orders(long_ago)
    theirs.close()


@pytest.mark.parametrize("change", ["status_id = 'ITEM_CANCELLED'", "cancel_quantity = 1"])
def test_an_order_that_was_cancelled_afterwards_is_reported_over_http_too(
    opened: Opened, url: str, change: str
) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as oms, oms:
        oms.execute(
            f"update order_item set {change}, last_updated_stamp = '2099-01-01 10:00:00' where order_id ="
            " (select order_id from order_header where external_id is not null limit 1)"
        )
    later, theirs = datetime(2099, 1, 1, tzinfo=UTC), open_source(DatabaseSettings(url=url, shop_id="SANDBOX"))

    orders = opened().cancelled_orders(later)

    assert len(orders) == 1 and orders == theirs.cancelled_orders(later)


def test_moqui_gives_the_frames_of_the_database(opened: Opened, url: str) -> None:
    all_the_same(opened(page_size=7), url)


def test_ofbiz_gives_them_where_moqui_no_longer_does(opened: Opened, hotwax: HotWax, url: str) -> None:
    hotwax.traps.removed = {MOQUI}
    all_the_same(opened(page_size=7, ofbiz_url=True), url)
    assert {address for address, _ in hotwax.requests} == {OFBIZ}


def test_ofbiz_gives_one_entity_that_moqui_does_not_know(opened: Opened, hotwax: HotWax, url: str) -> None:
    hotwax.traps.hidden = {"OrderItem", "ExternalInventoryReset"}
    all_the_same(opened(ofbiz_url=True), url)
    assert {entity for address, entity in hotwax.requests if address == OFBIZ} >= {"OrderItem"}


def test_without_ofbiz_what_moqui_does_not_give_is_named(opened: Opened, hotwax: HotWax) -> None:
    source = opened()
    hotwax.traps.hidden = {"OrderItem", "ShopifyShopRemote"}
    assert source.remotes() == frozenset()
    with pytest.raises(OmsFailed, match="order_item"):
        source.snapshot(pl.Series(["P1"]))
    hotwax.traps.removed = {MOQUI}
    with pytest.raises(OmsFailed, match="ofbiz_url"):
        source.remotes()


@pytest.mark.parametrize(
    "traps",
    [
        {"envelope": ""},
        {"envelope": "entityList"},
        {"totals": True},
        {"largest_page": 3},
        {"largest_page": 3, "totals": True},
        {"zero_bytes": True},
        {"spurious": 1},
        {"cut": 5},
        {"error": 5},
        {"expired": 1},
        {"slow": 0.001},
        {"ignored": {"lastUpdatedStamp", "createdStamp", "orderDate"}},
        {"date_shift": timedelta(hours=5)},
        {"date_shift": timedelta(hours=-5)},
    ],
    ids=lambda traps: ", ".join(
        f"{name} {sorted(value) if isinstance(value, set) else value}" for name, value in traps.items()
    ),
)
def test_each_trap_ends_in_the_right_frames(opened: Opened, hotwax: HotWax, url: str, traps: dict[str, Any]) -> None:
    source = opened()
    for name, value in traps.items():
        setattr(hotwax.traps, name, value)
    all_the_same(source, url)


def test_one_answer_without_a_body_after_another_failure_is_no_empty_list(opened: Opened, hotwax: HotWax) -> None:
    source = opened()
    hotwax.traps.error = hotwax.traps.spurious = 1
    assert source.row_count() == 2 * PRODUCTS


@pytest.mark.parametrize(
    ("traps", "words"),
    [
        ({"ignored": {"productId"}}, "ignores the filter on productId"),
        ({"ignored": {"pageIndex"}, "largest_page": 3}, "short"),
        ({"ignored": {"pageIndex"}, "largest_page": 3, "totals": True}, "short"),
        ({"short": 99, "totals": True}, "short"),
        ({"cut": 99}, "no answer in 6 tries"),
        ({"error": 99}, "HTTP 502"),
        ({"expired": 99}, "check its token"),
        ({"removed": {MOQUI}}, "ofbiz_url"),
    ],
    ids=str,
)
def test_or_in_a_clear_refusal(opened: Opened, hotwax: HotWax, traps: dict[str, Any], words: str) -> None:
    source = opened()
    for name, value in traps.items():
        setattr(hotwax.traps, name, value)
    with pytest.raises(OmsFailed, match=words):
        source.snapshot(pl.Series(["P1"]), orders=ASKED)


def test_the_shops_table_names_old_orders_too(opened: Opened) -> None:
    seen = opened().snapshot(orders=[7005, 7006])
    assert sorted(seen.known_orders["external_id"]) == [7005, 7006]
    assert sorted(seen.booked.select("external_id", "product_id", "facility_id", "units").rows(), key=str) == [
        (7005, "P5", None, 2.0),
        (7005, "P6", None, 1.5),
        (7006, "P6", "W1", 2.0),
        (7006, "P7", "W1", 1.5),
    ]


def test_without_the_shops_table_its_orders_are_unknown(opened: Opened, hotwax: HotWax) -> None:
    source, hotwax.traps.hidden = opened(), {"ShopifyShopOrder"}
    assert source.snapshot(orders=[7000, 7005]).known_orders["external_id"].to_list() == [7000]


def test_no_order_is_read_where_none_is_asked_for(opened: Opened, hotwax: HotWax) -> None:
    source = opened()
    hotwax.requests.clear()
    assert source.snapshot().booked.is_empty()
    assert not {"ShopifyShopOrder", "OrderItemShipGrpInvRes", "InventoryItemDetail"} & {e for _, e in hotwax.requests}


def while_reading(hotwax: HotWax, name: str, act: Callable[[], None]) -> None:
    """Do this once, just before the entity is read for the first time."""
    find, left = hotwax.find, [act]

    def moving(entity: str, *rest: Any) -> Any:
        if entity == name and left:
            left.pop()()
        return find(entity, *rest)

    hotwax.find = moving  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["InventoryItem", "ProductFacility"])
def test_an_order_that_is_reserved_and_shipped_while_it_is_read_is_booked_nowhere(
    opened: Opened, hotwax: HotWax, url: str, name: str
) -> None:
    """Subtracted twice rather than never."""
    source, oms = opened(), Oms(url)

    def ship() -> None:
        oms.reserve("O1", "W1", NOON)
        execute(url, "update order_item set status_id = 'ITEM_COMPLETED' where order_id = 'O1'")

    while_reading(hotwax, name, ship)
    seen = source.snapshot(pl.Series(["P1", "P2"]), orders=[7000, 7001])
    now = open_source(DatabaseSettings(url=url, shop_id="SANDBOX")).snapshot(pl.Series(["P1", "P2"]))
    assert 7001 not in seen.booked["external_id"] and 7001 in seen.known_orders["external_id"]
    assert seen.queue.sort("product_id").equals(now.queue.sort("product_id")) or name == "ProductFacility"
    oms.close()


def test_an_order_that_is_released_while_it_is_read_is_booked_no_more(opened: Opened, hotwax: HotWax, url: str) -> None:
    source, oms = opened(), Oms(url)
    while_reading(hotwax, "ProductFacility", lambda: oms.release("O6", NOON))
    seen = source.snapshot(pl.Series(["P6"]), orders=[7000, 7006])
    assert 7006 not in seen.booked["external_id"] and 7006 in seen.known_orders["external_id"]
    oms.close()


@pytest.mark.parametrize("stamp", ["created_stamp", "last_updated_stamp"])
def test_new_mappings_are_selected(opened: Opened, url: str, stamp: str) -> None:
    source, day = opened(), NOON + DAY
    window = day - MINUTE, day + MINUTE
    execute(url, f"update shopify_shop_product set {stamp} = '{day:%Y-%m-%d %H:%M:%S.%f}' where product_id = 'P3'")
    changed = source.changed_products(*window, group="FAC_GRP")
    assert changed is not None and changed.to_list() == ["P3"]
    execute(url, f"update shopify_shop_location set {stamp} = '{day:%Y-%m-%d %H:%M:%S.%f}' where facility_id = 'W1'")
    assert source.changed_products(*window, group="FAC_GRP") is None


def test_a_cut_full_read_goes_on_where_it_was(opened: Opened, hotwax: HotWax, url: str) -> None:
    source, theirs = opened(page_size=5), open_source(DatabaseSettings(url=url, shop_id="SANDBOX"))
    whole = theirs.snapshot(orders=ASKED)
    asked = []
    for cuts in (0, 4):
        hotwax.requests.clear()
        hotwax.traps.cut = cuts
        same(source.snapshot(orders=ASKED), whole)
        asked.append((len(hotwax.requests), hotwax.requests.count((MOQUI, "ProductFacility"))))
    pages, ahead = ceil(2 * PRODUCTS / 5) + 1, 3
    assert pages <= asked[0][1] <= pages + ahead
    assert asked[1][0] <= asked[0][0] + 4 + ahead * len(METADATA.tables) and asked[1][1] <= pages + ahead + 4


def test_never_more_requests_at_once_than_are_allowed(opened: Opened, hotwax: HotWax) -> None:
    source = opened(page_size=2, at_once=3)
    find, lock, inside, seen = hotwax.find, Lock(), [0], set[int]()

    def enters(by: int) -> None:
        with lock:
            inside[0] += by
            seen.add(inside[0])

    def watched(*asked: Any) -> Any:
        enters(1)
        time.sleep(0.005)
        try:
            return find(*asked)
        finally:
            enters(-1)

    hotwax.find = watched  # type: ignore[method-assign]
    source.snapshot(orders=ASKED)
    assert max(seen) == 3


@pytest.mark.parametrize("near", [0, 1, 2, 2 * PRODUCTS - 1, 2 * PRODUCTS, 2 * PRODUCTS + 1, 900])
def test_rows_are_counted_wherever_the_count_begins(opened: Opened, hotwax: HotWax, near: int) -> None:
    source = opened()
    hotwax.requests.clear()
    assert source.row_count(near) == 2 * PRODUCTS
    assert len(hotwax.requests) == 2 or near != 2 * PRODUCTS


def test_one_of_several_requests_logs_in_again(opened: Opened, hotwax: HotWax) -> None:
    source = opened(page_size=2)
    hotwax.traps.slow = 0.002
    for _ in range(5):
        hotwax.traps.expired = 1
        source.snapshot()
    assert hotwax.logins == 1 + 5


def test_a_login_that_a_gateway_fails_is_tried_again(opened: Opened, hotwax: HotWax) -> None:
    hotwax.traps.no_login = 3
    assert opened().store == "STORE"
    hotwax.traps.no_login = 999
    with pytest.raises(OmsFailed, match="no answer in 6 tries"):
        opened()


def test_a_quiet_quarter_asks_little(opened: Opened, hotwax: HotWax) -> None:
    source = opened()
    hotwax.requests.clear()
    changed = source.changed_products(NOON + DAY, NOON + 2 * DAY, group="FAC_GRP")
    assert changed is not None and changed.is_empty()
    assert len(hotwax.requests) == 22


def test_stock_that_moves_while_it_is_read_is_read_again(opened: Opened, hotwax: HotWax, url: str) -> None:
    source, oms = opened(), Oms(url)
    while_reading(
        hotwax,
        "ProductFacility",
        lambda: oms.adjust("P1", "W1", -3, NOON + MINUTE, "VAR_MANUAL", physical_inventory_id="PI9"),
    )
    seen = source.snapshot(pl.Series(["P1"]), orders=ASKED, events_from=NOON)
    same(
        seen,
        open_source(DatabaseSettings(url=url, shop_id="SANDBOX")).snapshot(
            pl.Series(["P1"]), orders=ASKED, events_from=NOON
        ),
    )
    assert "VAR_MANUAL" in seen.events["reason"]
    oms.close()


def test_a_long_lived_token_needs_no_login(opened: Opened, hotwax: HotWax, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTWAX_TOKEN", hotwax.token)
    assert opened(username=None, password_env=None, token_env="HOTWAX_TOKEN").store == "STORE"
    monkeypatch.setenv("HOTWAX_TOKEN", "another")
    with pytest.raises(OmsFailed, match="check its token"):
        opened(username=None, password_env=None, token_env="HOTWAX_TOKEN")


def test_a_wrong_password_is_reported_without_it(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTWAX_PASSWORD", "hunter2")
    with pytest.raises(OmsFailed, match="refused the login of sync") as caught:
        opened()
    assert "hunter2" not in str(caught.value)


def test_the_clock_is_the_servers(opened: Opened) -> None:
    assert abs(opened().now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("options", [{"url": None}, {"username": None}, {"url": "http://acme-maarg.hotwax.io"}])
def test_settings_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    facts = {"url": "https://acme-maarg.hotwax.io", "username": "sync", "password_env": "PASSWORD"} | options
    with pytest.raises(ValueError, match=r"rest needs|plain http"):
        RestSettings(shop_id="SANDBOX", **facts)


def test_an_unset_secret_is_a_usage_error(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTWAX_PASSWORD")
    with pytest.raises(UsageError, match="HOTWAX_PASSWORD"):
        opened()
