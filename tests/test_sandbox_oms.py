"""HotWax's tables as HotWax keeps them, and real sales replayed into both sides."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from invsync.sandbox.oms import Oms
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import LOCATION, World, sales

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oms.db"


@pytest.fixture
def oms(path: Path) -> Oms:
    oms = Oms(f"sqlite:///{path}").create()
    oms.add_facility("WH", "Warehouse")
    oms.add_product("P1", "SKU1")
    return oms


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def test_seeds_name_the_shop_its_store_and_the_queue(oms: Oms, path: Path) -> None:
    assert rows(path, "select shop_id, product_store_id, is_enabled from shopify_shop") == [("SANDBOX", "STORE", "Y")]
    query = """select parent_type_id from facility join facility_type using (facility_type_id)
               where facility_id = '_NA_'"""
    assert rows(path, query) == [("VIRTUAL_FACILITY",)]
    assert rows(path, "select facility_group_type_id from facility_group") == [("CHANNEL_FAC_GROUP",)]


def test_stamps_are_naive_utc_text(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 5, NOON.astimezone(UTC))
    kind, text = rows(path, "select typeof(last_updated_stamp), last_updated_stamp from product_facility")[0]
    assert kind == "text" and text.startswith("2026-11-23 12:00:00")


@pytest.mark.parametrize(("count", "sellable"), [(10, 7), (3, 0), (2, 0), (-1, 0)])
def test_sellable_is_the_count_less_the_minimum_never_negative(oms: Oms, path: Path, count: int, sellable: int) -> None:
    oms.set_stock("P1", "WH", count, NOON, minimum_stock=3)
    query = "select last_inventory_count, computed_last_inventory_count from product_facility"
    assert rows(path, query) == [(count, sellable)]


def test_adjust_appends_an_event_and_its_variance(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.adjust("P1", "WH", -4, NOON + timedelta(minutes=1), "VAR_DAMAGED", physical_inventory_id="PI1")
    query = """select inventory_item_detail_seq_id, available_to_promise_diff, reason_enum_id
               from inventory_item_detail order by 1"""
    assert rows(path, query) == [("00001", 10, None), ("00002", -4, "VAR_DAMAGED")]
    assert rows(path, "select variance_reason_id from inventory_item_variance") == [("VAR_DAMAGED",)]
    assert rows(path, "select available_to_promise_total, quantity_on_hand_total from inventory_item") == [(6, 6)]


def test_reserve_moves_units_from_the_queue_to_the_facility(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.import_order("O1", 70, [("P1", 3)], NOON)
    assert rows(path, "select facility_id from order_item_ship_group") == [("_NA_",)]
    oms.reserve("O1", "WH", NOON)
    assert rows(path, "select facility_id from order_item_ship_group") == [("WH",)]
    assert rows(path, "select available_to_promise_total, quantity_on_hand_total from inventory_item") == [(7, 10)]
    assert rows(path, "select quantity from order_item_ship_grp_inv_res") == [(3,)]


def test_released_units_come_back_where_they_were_reserved(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.import_order("O1", 70, [("P1", 3)], NOON)
    oms.reserve("O1", "WH", NOON)
    oms.release("O1", NOON + timedelta(minutes=1))
    assert rows(path, "select available_to_promise_total, quantity_on_hand_total from inventory_item") == [(10, 10)]
    assert rows(path, "select count(*) from order_item_ship_grp_inv_res") == [(0,)]
    query = "select order_id, available_to_promise_diff from inventory_item_detail where reason_enum_id like 'INV_RES%'"
    assert rows(path, query) == [("O1", 3)]
    assert rows(path, "select status_id from order_item") == [("ITEM_CANCELLED",)]


def test_each_movement_names_what_caused_it(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.receive("P1", "WH", 5, NOON, "S1")
    oms.take_back("P1", "WH", 1, NOON, "R1")
    oms.damage("P1", "WH", 2, NOON, "PI1")
    query = """select reason_enum_id, available_to_promise_diff, shipment_id, return_id, physical_inventory_id
               from inventory_item_detail where reason_enum_id is not null order by inventory_item_detail_seq_id"""
    assert rows(path, query) == [
        ("VAR_SHIP_RECV", 5, "S1", None, None),
        ("RTN_ITM_RCPT", 1, None, "R1", None),
        ("VAR_DAMAGED", -2, None, None, "PI1"),
    ]
    assert rows(path, "select last_inventory_count from product_facility") == [(14,)]


def test_a_reset_has_its_origin_and_no_effective_date(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.reset("P1", "WH", 7, NOON, origin="SANDBOX_REMOTE")
    oms.reset("P1", "WH", 9, NOON)
    query = """select d.available_to_promise_diff, effective_date, origin_system_message_remote_id
               from inventory_item_detail d join external_inventory_reset using (reset_item_id)
               order by inventory_item_detail_seq_id"""
    assert rows(path, query) == [
        (-3, None, "SANDBOX_REMOTE"),
        (2, None, None),
    ]
    assert rows(path, "select last_inventory_count from product_facility") == [(9,)]


def test_an_event_may_be_committed_long_after_its_stamp(oms: Oms, path: Path) -> None:
    oms.set_stock("P1", "WH", 10, NOON)
    oms.adjust("P1", "WH", -1, NOON - timedelta(hours=1), "VAR_MANUAL", physical_inventory_id="PI1")
    query = "select inventory_item_detail_seq_id from inventory_item_detail order by created_stamp"
    assert rows(path, query) == [("00002",), ("00001",)]


def test_a_batch_that_fails_leaves_nothing(oms: Oms, path: Path) -> None:
    with pytest.raises(RuntimeError), oms.batch():
        oms.set_stock("P1", "WH", 10, NOON)
        raise RuntimeError
    assert rows(path, "select count(*) from product_facility") == [(0,)]


def online(path: Path) -> dict[int, float]:
    """What HotWax would sell online: the warehouse's sellable units less the queue, by item."""
    query = """select shopify_inventory_item_id, computed_last_inventory_count - coalesce(
        (select sum(quantity) from order_item i join order_item_ship_group using (order_id)
         where i.product_id = f.product_id and facility_id = '_NA_'), 0)
        from product_facility f join shopify_shop_product using (product_id)"""
    return {int(item): count for item, count in rows(path, query)}


def test_a_day_of_sales_reaches_the_shop_at_once_and_the_oms_late(path: Path) -> None:
    shop, oms = Shop(), Oms(f"sqlite:///{path}").create()
    world = World(shop, oms, sales(), lag_minutes=20)
    world.advance(world.start + timedelta(hours=12))
    imported = rows(path, "select external_id from order_header")
    late = {order.order_id for order in shop.orders.values()} - {int(e) for (e,) in imported}
    assert late and all(world.now - shop.orders[o].created_at < timedelta(minutes=20) for o in late)
    assert shop.clock() == world.now


def test_after_the_lag_only_variances_part_the_two_sides(path: Path) -> None:
    shop, oms = Shop(), Oms(f"sqlite:///{path}").create()
    world = World(shop, oms, sales(), lag_minutes=20, start=NOON.replace(hour=0))
    world.advance(world.start + timedelta(days=1))
    sold = online(path)
    apart = {item for item, count in sold.items() if count != shop.available(item, LOCATION)}
    query = """select distinct cast(shopify_inventory_item_id as integer) from inventory_item_variance
               join inventory_item using (inventory_item_id) join shopify_shop_product using (product_id)"""
    assert apart and apart == {item for (item,) in rows(path, query)}
    assert min(order.created_at for order in shop.orders.values()).date() == NOON.date()


def test_sales_can_pass_faster_and_reach_the_oms_no_sooner(path: Path) -> None:
    slow, quick, day = Shop(), Shop(), timedelta(hours=14)
    World(slow, Oms("sqlite://").create(), sales(), start=NOON).advance(NOON + day)
    World(quick, Oms(f"sqlite:///{path}").create(), sales(), start=NOON, speed=10).advance(NOON + day / 10)

    assert 10 < len(quick.orders) == len(slow.orders)
    known = {int(order) for (order,) in rows(path, "select external_id from order_header")}
    heard = NOON + day / 10 - timedelta(minutes=15)
    late = {number for number, order in quick.orders.items() if order.created_at > heard}
    assert late and set(quick.orders) - known == late
