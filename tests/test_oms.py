"""The OMS reader on a real database and on exported folders, made here with plain DDL.

The campaign runs these tests again on MariaDB and PostgreSQL, with another `url`.
"""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from invsync import mapping, tables
from invsync.errors import OmsFailed, UsageError
from invsync.oms import Source, open_source
from invsync.oms.files.connector import FilesSettings
from invsync.oms.sql import known_orders
from invsync.oms.sql.connector import DatabaseSettings
from invsync.oms.sql.reader import connect
from invsync.oms.sql.values import bound, column, number, stamp

COLUMNS = {
    "product_facility": "product_id, facility_id, minimum_stock, last_inventory_count,"
    "computed_last_inventory_count, allow_brokering, last_updated_stamp",
    "facility": "facility_id, facility_type_id, facility_name",
    "facility_type": "facility_type_id, parent_type_id",
    "facility_group": "facility_group_id, facility_group_type_id",
    "facility_group_member": "facility_id, facility_group_id, from_date, thru_date, last_updated_stamp",
    "product_store_facility": "product_store_id, facility_id, from_date, thru_date, last_updated_stamp",
    "shopify_shop": "shop_id, product_store_id, is_enabled",
    "shopify_shop_location": "shop_id, facility_id, shopify_location_id, created_stamp, last_updated_stamp",
    "shopify_shop_product": "shop_id, product_id, shopify_product_id, shopify_inventory_item_id, created_stamp,"
    "last_updated_stamp",
    "shopify_shop_order": "shop_id, order_id, shopify_order_id",
    "order_header": "order_id, order_type_id, external_id, order_date, product_store_id",
    "order_item": "order_id, order_item_seq_id, product_id, quantity, status_id, ship_group_seq_id,last_updated_stamp",
    "order_item_ship_group": "order_id, ship_group_seq_id, facility_id",
    "product": "product_id, internal_name",
    "product_store": "product_store_id, reserve_inventory",
    "inventory_item": "inventory_item_id, product_id, facility_id",
    "inventory_item_detail": "inventory_item_id, inventory_item_detail_seq_id, order_id, return_id, shipment_id,"
    "available_to_promise_diff, quantity_on_hand_diff, reason_enum_id, physical_inventory_id,"
    "reset_item_id, created_stamp",
    "inventory_item_variance": "inventory_item_id, physical_inventory_id, variance_reason_id, reason_enum_id",
    "external_inventory_reset": "reset_item_id, origin_system_message_remote_id",
    "order_item_ship_grp_inv_res": "order_id, ship_group_seq_id, order_item_seq_id, inventory_item_id, quantity",
    "enumeration_group_member": "enumeration_id, enumeration_group_id, from_date, thru_date",
    "shopify_shop_remote": "shop_id, system_message_remote_id, purpose_type_id",
}
NUMBERS = ("quantity", "minimum_stock", "last_inventory_count", "computed_last_inventory_count")
STAMPS = {"sqlite": "text", "mysql": "datetime(3)", "postgresql": "timestamp(3)"}
LONG_AGO = "2020-01-01 00:00:00"
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "product_facility": [
        ("A", "W1", 2, 10, 8, "Y", "2026-03-01 10:00:00"),
        ("B", "W1", 0, 5, "abc", None, "2026-03-01 10:00:00.500"),
        ("C", "W2", 0, 5, 5, None, None),
    ],
    "facility": [("W1", "WAREHOUSE", "One"), ("W2", "WAREHOUSE", "Two"), ("_NA_", "NA", "Queue")],
    "facility_type": [("WAREHOUSE", None), ("NA", "VIRTUAL_FACILITY")],
    "facility_group": [("FAC_GRP", "CHANNEL_FAC_GROUP")],
    "facility_group_member": [
        ("W1", "FAC_GRP", LONG_AGO, None, LONG_AGO),
        ("W2", "FAC_GRP", LONG_AGO, None, LONG_AGO),
    ],
    "product_store_facility": [("STORE", "W1", LONG_AGO, None, LONG_AGO)],
    "shopify_shop": [("SHOP", "STORE", "Y"), ("OFF", "STORE", "N"), ("BARE", None, None)],
    "shopify_shop_location": [
        ("SHOP", "_NA_", "900", LONG_AGO, LONG_AGO),
        ("SHOP", "W1", "901", None, None),
        ("OFF", "W2", "999", LONG_AGO, LONG_AGO),
    ],
    "shopify_shop_product": [
        ("SHOP", "A", "v1", "1", LONG_AGO, LONG_AGO),
        ("SHOP", "C", "v2", "1", None, None),
        ("OFF", "A", "v9", "9", LONG_AGO, LONG_AGO),
    ],
    "shopify_shop_order": [("OFF", "O3", "gid://shopify/Order/7003"), ("SHOP", "O4", "7099"), ("SHOP", "O8", "7008")],
    "order_header": [
        ("O1", "SALES_ORDER", "7001", "2026-02-28 09:00:00", "STORE"),
        ("O2", "SALES_ORDER", "gid://shopify/Order/7002", "2026-03-01 09:00:00.25", "STORE"),
        ("O3", "PURCHASE_ORDER", "PO-17", "2026-03-05 09:00:00", "STORE"),
        ("O4", "SALES_ORDER", "7004", None, "ELSEWHERE"),
    ],
    "order_item": [
        ("O1", "1", "A", 2, "ITEM_APPROVED", "1", LONG_AGO),
        ("O1", "2", "A", 4, "ITEM_CANCELLED", "1", LONG_AGO),
        ("O2", "1", "A", 3, "ITEM_CREATED", "1", LONG_AGO),
        ("O2", "2", "A", 8, "ITEM_CREATED", "2", LONG_AGO),
        ("O3", "1", "A", 16, "ITEM_CREATED", "1", LONG_AGO),
        ("O4", "1", "A", 32, "ITEM_CREATED", "1", LONG_AGO),
    ],
    "order_item_ship_group": [
        ("O1", "1", "_NA_"),
        ("O2", "1", "_NA_"),
        ("O2", "2", "W1"),
        ("O3", "1", "_NA_"),
        ("O4", "1", "_NA_"),
    ],
    "product": [("A", "SKU-A"), ("B", "SKU-B")],
    "product_store": [("STORE", "Y")],
    "inventory_item": [("I1", "A", "W1"), ("I2", "B", "W1")],
    "inventory_item_detail": [
        ("I1", "1", "O1", None, None, -2, 0, None, None, None, LONG_AGO),
        ("I1", "2", "O1", None, None, 0, -1, None, None, None, LONG_AGO),
        ("I1", "3", "O2", None, None, -5, -5, None, "PI9", None, LONG_AGO),
        ("I1", "4", "O2", "R1", None, 5, 5, "RTN_ITM_RCPT", None, None, "2026-03-01 10:00:00"),
        ("I1", "5", "O4", None, None, -1, 0, None, None, None, "2026-03-01T10:00:01.5"),
        ("I1", "6", "O4", None, None, 1, 0, "INV_RES_RELEASE", None, None, "2026-03-01 10:00:02"),
        ("I2", "1", None, None, None, -1, -1, None, "PI1", None, "2026-03-01 10:00:01"),
        ("I2", "2", None, None, None, "abc", 0, "CYCLE_COUNT", "PI2", None, None),
        ("I2", "3", None, None, "S1", 4, 4, "VAR_SHIP_RECV", None, None, "2026-03-01 10:00:03"),
        ("I2", "4", None, None, None, 2, 2, "VAR_EXT_RESET", None, "RI1", "2026-03-01 10:00:04"),
        ("I2", "5", None, None, None, -1, -1, None, "PI3", None, "2026-03-01 10:00:05"),
        ("I9", "1", None, None, None, 1, 1, "VAR_FOUND", None, None, "2026-03-01 10:00:06"),
    ],
    "inventory_item_variance": [
        ("I2", "PI1", "VAR_LOST", "VAR_DAMAGED"),
        ("I2", "PI2", "VAR_LOST", "VAR_LOST"),
        ("I2", "PI3", "VAR_STOLEN", None),
        ("I1", "PI1", "VAR_FOUND", "VAR_FOUND"),
    ],
    "external_inventory_reset": [("RI1", "OTHER_SHOP"), ("RI2", None)],
    "order_item_ship_grp_inv_res": [("O1", "1", "1", "I1", 2)],
    "enumeration_group_member": [
        ("VAR_DAMAGED", "SHPFY_INV_DLT_REASON", "2026-01-01 00:00:00", "2026-06-01 00:00:00"),
        ("CYCLE_COUNT", "SHPFY_INV_DLT_REASON", LONG_AGO, None),
        ("POS_SALE", "ANOTHER_GROUP", LONG_AGO, None),
    ],
    "shopify_shop_remote": [("SHOP", "SHOP_RW", "P"), ("SHOP", "SHOP_FEED", "P"), ("OFF", "OFF_RW", "P")],
}

ASKED = range(7000, 7100)
FRAMES = [field.name for field in fields(tables.Snapshot) if hasattr(tables, field.name.upper())]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty database."""
    (tmp_path / "oms.db").touch()
    return f"sqlite:///{tmp_path / 'oms.db'}"


@pytest.fixture
def hotwax(url: str) -> str:
    """A small HotWax database; where a number cannot be text, the unreadable ones are null."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for name, rows in ROWS.items():
            columns = COLUMNS[name].replace(" ", "").split(",")
            typed = ", ".join(f"{column} {kind(column, engine.dialect.name)}" for column in columns)
            connection.exec_driver_sql(f"create table {name} ({typed})")
            table = sa.table(name, *map(sa.column, columns))
            plain = [[None if v == "abc" and "sqlite" not in url else v for v in row] for row in rows]
            connection.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in plain])
    engine.dispose()
    return url


def kind(column: str, dialect: str) -> str:
    if column.endswith(("_date", "_stamp")):
        return STAMPS[dialect]
    return "numeric(26, 6)" if column in NUMBERS or column.endswith("_diff") else "varchar(63)"


def opened(url: str, shop_id: str = "SHOP", **options: str) -> Source:
    return open_source(DatabaseSettings(url=url, shop_id=shop_id, **options))


@pytest.fixture
def source(hotwax: str) -> Iterator[Source]:
    """The reader on it."""
    reader = opened(hotwax)
    yield reader
    reader.close()


def execute(url: str, sql: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)
    engine.dispose()


def export(url: str, folder: Path, kind: str) -> Path:
    folder.mkdir()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        for name in ROWS:
            result = connection.exec_driver_sql(f"select * from {name}")
            columns = zip(*result.all(), strict=True)
            frame = pl.DataFrame(
                [
                    pl.Series(n, [None if v is None else str(v) for v in c])
                    for n, c in zip(result.keys(), columns, strict=True)
                ]
            )
            if kind == "csv":
                frame.write_csv(folder / f"{name}.csv")
            else:
                frame.write_parquet(folder / f"{name}.parquet")
    engine.dispose()
    return folder


def test_snapshot_has_the_schemas_and_the_shops_rows(source: Source) -> None:
    seen = source.snapshot()
    for name in FRAMES:
        assert getattr(seen, name).schema == pl.Schema(getattr(tables, name.upper())), name
    assert seen.product_facility.height == 3 and source.row_count() == 3
    assert set(seen.shopify_shop_location["shopify_location_id"]) == {"900", "901"}
    assert source.store == "STORE"


def test_a_number_that_is_none_does_not_stop_the_read(source: Source) -> None:
    seen = source.snapshot()
    sellable = dict(seen.product_facility.select("product_id", "computed_last_inventory_count").rows())
    assert sellable["A"] == 8 and isnan(sellable["B"])


def test_queue_counts_open_sales_items_of_the_store_at_virtual_facilities(source: Source) -> None:
    """2 + 3; not the cancelled, the brokered, the purchase order's or the other store's."""
    assert source.snapshot().queue.rows() == [("A", 5.0)]


def test_queue_is_empty_when_the_store_does_not_reserve(hotwax: str, source: Source) -> None:
    execute(hotwax, "update product_store set reserve_inventory = 'N'")
    assert source.snapshot().queue.is_empty()


def rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.sort(frame.columns, nulls_last=True).rows()


def test_an_order_is_known_by_its_header_before_the_shops_table(source: Source) -> None:
    """7003 is another system's order that the shop's table names; 7099 is 7004 by its header; 7008 has none."""
    seen = source.snapshot(orders=ASKED)
    assert rows(seen.known_orders) == [(7001,), (7002,), (7003,), (7004,)]
    assert rows(source.snapshot(orders=[7002, 7005]).known_orders) == [(7002,)]
    assert seen.newest_known == datetime(2026, 3, 1, 9, 0, 0, 250000, tzinfo=UTC)


def test_no_order_is_read_where_none_is_asked_for(source: Source) -> None:
    seen = source.snapshot()
    assert [seen.known_orders.height, seen.ordered.height, seen.booked.height] == [0, 0, 0]
    assert seen.newest_known is not None


@pytest.mark.parametrize("spelling", [" 7001 ", "7001?x=1", "gid://shopify/Order/7001", "gid://shopify/Order/7001?x=1"])
@pytest.mark.parametrize("name", ["order_header set external_id", "shopify_shop_order set shopify_order_id"])
def test_an_id_is_known_in_any_spelling(hotwax: str, source: Source, name: str, spelling: str) -> None:
    execute(hotwax, "update order_header set external_id = 'POS-1' where order_id = 'O1'")
    execute(hotwax, "update shopify_shop_order set order_id = 'O1' where order_id = 'O8'")
    execute(hotwax, f"update {name} = '{spelling}' where order_id = 'O1'")
    assert rows(source.snapshot(orders=[7001]).booked) == [(7001, "A", "W1", 2.0), (7001, "A", None, 2.0)]


def test_many_orders_are_read_as_few_are(source: Source) -> None:
    few, many = source.snapshot(orders=ASKED), source.snapshot(orders=range(5000, 5000 + known_orders.WHOLE_FROM + 100))
    assert all(rows(getattr(few, name)) == rows(getattr(many, name)) for name in ("known_orders", "ordered", "booked"))


def test_ordered_are_the_items_that_are_not_cancelled(source: Source) -> None:
    ordered = rows(source.snapshot(orders=ASKED).ordered)
    assert ordered == [(7001, "A", 2.0), (7002, "A", 11.0), (7003, "A", 16.0), (7004, "A", 32.0)]


@pytest.mark.parametrize("status", ["ITEM_CANCELLED", "ITEM_REJECTED"])
def test_a_product_whose_items_are_all_cancelled_is_ordered_0(hotwax: str, source: Source, status: str) -> None:
    execute(hotwax, f"update order_item set status_id = '{status}' where order_id = 'O4'")
    execute(hotwax, "update order_item set status_id = null where order_id = 'O1'")
    assert rows(source.snapshot(orders=[7001, 7004]).ordered) == [(7001, "A", 6.0), (7004, "A", 0.0)]


def test_an_item_without_a_product_is_left_out(hotwax: str, source: Source) -> None:
    execute(hotwax, "update order_item set product_id = null where order_id = 'O2'")
    seen = source.snapshot(orders=[7002])
    assert rows(seen.known_orders) == [(7002,)] and seen.ordered.is_empty()
    assert rows(seen.booked) == [(7002, "A", "W1", 5.0)]


def test_headers_of_one_order_add_up(hotwax: str, source: Source) -> None:
    execute(hotwax, "update order_header set external_id = '7001' where order_id = 'O2'")
    seen = source.snapshot(orders=[7001])
    assert rows(seen.ordered) == [(7001, "A", 13.0)]
    assert rows(seen.booked) == [(7001, "A", "W1", 7.0), (7001, "A", None, 5.0)]


BOOKED = [(7001, "A", "W1", 2.0), (7001, "A", None, 2.0), (7002, "A", "W1", 5.0), (7002, "A", None, 3.0)]


def test_booked_is_the_queue_and_the_larger_of_reserved_and_issued(source: Source) -> None:
    """O1: 2 reserved, 1 of them shipped; O2: 5 shipped, its return aside; O4: released, and of another store."""
    seen = source.snapshot(orders=ASKED)
    assert rows(seen.booked) == BOOKED
    assert seen.queue["quantity"].sum() == seen.booked.filter(pl.col("facility_id").is_null())["units"].sum()


def test_an_order_of_any_age_is_booked(hotwax: str, source: Source) -> None:
    execute(hotwax, "update order_header set order_date = '2001-01-01 00:00:00'")
    assert rows(source.snapshot(orders=ASKED).booked) == BOOKED


@pytest.mark.parametrize(
    "sql",
    [
        "update product_store set reserve_inventory = 'N'",
        "update order_header set product_store_id = 'ELSEWHERE'",
        "update order_header set order_type_id = 'PURCHASE_ORDER'",
        "update order_item_ship_group set facility_id = 'W2'",
        "update order_item set status_id = 'ITEM_COMPLETED' where status_id <> 'ITEM_CANCELLED'",
    ],
)
def test_what_the_queue_does_not_count_is_not_booked_in_it(hotwax: str, source: Source, sql: str) -> None:
    execute(hotwax, sql)
    seen = source.snapshot(orders=ASKED)
    assert seen.queue.is_empty() and seen.ordered["units"].sum() == 61
    assert rows(seen.booked) == [row for row in BOOKED if row[2]]


def test_only_the_wanted_products_are_ordered_and_booked(hotwax: str, source: Source) -> None:
    execute(hotwax, f"insert into order_item values ('O1', '9', 'B', 7, null, '1', '{LONG_AGO}')")
    seen = source.snapshot(pl.Series(["B"]), orders=ASKED)
    assert rows(seen.ordered) == [(7001, "B", 7.0)] and rows(seen.booked) == [(7001, "B", None, 7.0)]
    assert seen.known_orders.height == 4


def test_a_number_that_is_none_books_and_orders_nothing() -> None:
    id_of = pl.DataFrame([("O1", 7001)], schema=known_orders.KNOWN, orient="row")
    lines = [("O1", "A", float("nan")), ("O1", "A", 2.0), ("O1", "B", None), ("O1", "B", 1.0), ("O1", "C", 3.0)]
    items = pl.DataFrame(lines, schema=known_orders.ITEMS, orient="row")
    reserved = items.select("order_id", "product_id", pl.lit("W1").alias("facility_id"), "units")
    moved = reserved.select(*known_orders.PLACED, atp=-pl.col("units"), qoh=pl.lit(-9.0)).filter(
        pl.col("product_id") == "A"
    )
    assert rows(known_orders.ordered(items, id_of)) == [(7001, "C", 3.0)]
    assert rows(known_orders.booked(items.clear(), reserved, moved, id_of)) == [
        (7001, "B", "W1", 1.0),
        (7001, "C", "W1", 3.0),
    ]


def test_a_partial_snapshot_still_sees_a_shared_inventory_item(source: Source) -> None:
    seen = source.snapshot(pl.Series(["A"]))
    assert seen.product_facility["product_id"].to_list() == ["A"]
    rules = mapping.Rules(aggregate_location=None, group="FAC_GRP", store="STORE", at=seen.now)
    assert set(mapping.pairs(seen, rules)[1]["reason"]) == {"ambiguous_mapping"}


def test_a_partial_snapshot_reads_in_chunks(hotwax: str, source: Source) -> None:
    many = ",".join(f"('P{n}','W1',0,1,1,'Y','{LONG_AGO}')" for n in range(1201))
    execute(hotwax, f"insert into product_facility values {many}")
    assert source.snapshot(pl.Series([f"P{n}" for n in range(1201)])).product_facility.height == 1201
    assert source.snapshot(pl.Series([], dtype=pl.String)).product_facility.is_empty()


def changed(source: Source, from_: datetime, thru: datetime) -> list[str]:
    products = source.changed_products(from_, thru, group="FAC_GRP", store="STORE")
    assert products is not None
    return products.to_list()


def test_the_window_is_half_open_and_a_null_stamp_is_touched(source: Source) -> None:
    ten = datetime(2026, 3, 1, 10, tzinfo=UTC)
    half = ten + timedelta(milliseconds=500)
    assert changed(source, ten, half) == ["A", "C"]
    assert changed(source, half, half + timedelta(seconds=1)) == ["B", "C"]
    assert changed(source, ten - timedelta(hours=1), ten) == ["C"]


@pytest.mark.parametrize(
    "sql",
    [
        "update facility_group_member set thru_date = '2026-03-02 00:00:00' where facility_id = 'W1'",
        "update facility_group_member set from_date = '2026-03-02T00:00:00' where facility_id = 'W1'",
        "update product_store_facility set last_updated_stamp = '2026-03-02 00:00:00.000'",
        "update facility_group_member set last_updated_stamp = null where facility_id = 'W1'",
    ],
)
def test_a_membership_touched_selects_its_facilitys_products(hotwax: str, source: Source, sql: str) -> None:
    execute(hotwax, sql)
    day = datetime(2026, 3, 2, tzinfo=UTC)
    assert changed(source, day, day + timedelta(seconds=1)) == ["A", "B", "C"]


def test_an_order_item_touched_selects_its_product(hotwax: str, source: Source) -> None:
    execute(hotwax, "update order_item set last_updated_stamp = '2026-03-02 00:00:00' where order_id = 'O1'")
    day = datetime(2026, 3, 2, tzinfo=UTC)
    assert changed(source, day, day + timedelta(seconds=1)) == ["A", "C"]
    assert source.changed_products(None, day) is None


MAPPED = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("stamp", ["created_stamp", "last_updated_stamp"])
@pytest.mark.parametrize(("shop", "selected"), [("SHOP", ["A", "C"]), ("OFF", ["C"])])
def test_a_product_mapped_anew_is_selected(
    hotwax: str, source: Source, shop: str, selected: list[str], stamp: str
) -> None:
    where = f"where product_id = 'A' and shop_id = '{shop}'"
    execute(hotwax, f"update shopify_shop_product set {stamp} = '2026-03-02 00:00:00' {where}")
    assert changed(source, MAPPED, MAPPED + timedelta(seconds=1)) == selected
    assert changed(source, MAPPED - timedelta(seconds=1), MAPPED) == ["C"]


@pytest.mark.parametrize("stamp", ["created_stamp", "last_updated_stamp"])
def test_a_location_mapped_anew_selects_all(hotwax: str, source: Source, stamp: str) -> None:
    named = f"update shopify_shop_location set {stamp} = '2026-03-02 00:00:00' where shop_id = "
    execute(hotwax, named + "'OFF'")
    assert changed(source, MAPPED, MAPPED + timedelta(seconds=1)) == ["C"]
    execute(hotwax, named + "'SHOP' and facility_id = 'W1'")
    assert source.changed_products(MAPPED, MAPPED + timedelta(seconds=1), group="FAC_GRP") is None
    assert changed(source, MAPPED - timedelta(seconds=1), MAPPED) == ["C"]


def test_stamps_are_read_in_the_configured_time_zone(hotwax: str) -> None:
    local = opened(hotwax, timezone="America/New_York")
    stamps = local.snapshot().product_facility["last_updated_stamp"]
    assert stamps[0] == datetime(2026, 3, 1, 15, tzinfo=UTC) and stamps[2] is None
    three = datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert changed(local, three, three + timedelta(milliseconds=1)) == ["A", "C"]


def test_now_is_the_database_clock(source: Source) -> None:
    assert abs(source.now() - datetime.now(UTC)) < timedelta(seconds=5)


TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def events(read: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return read.sort("event_id").select("event_id", *columns).rows()


def test_events_have_their_schema_product_and_facility(source: Source) -> None:
    read = source.events(TEN, TEN + timedelta(hours=1))
    assert read.schema == pl.Schema(tables.EVENTS)
    places = dict(read.select("event_id", pl.concat_str("product_id", "facility_id", separator="@")).rows())
    assert places["I1/4"] == "A@W1" and places["I2/3"] == "B@W1" and places["I9/1"] is None


def test_the_window_of_events_is_half_open_and_a_null_stamp_lies_in_it(source: Source) -> None:
    first = source.events(TEN, TEN + timedelta(seconds=1, milliseconds=500))
    then = source.events(TEN + timedelta(seconds=1, milliseconds=500), None)
    assert [event for (event,) in events(first)] == ["I1/4", "I2/1", "I2/2"]
    assert [event for (event,) in events(then)] == ["I1/5", "I1/6", "I2/2", "I2/3", "I2/4", "I2/5", "I9/1"]
    assert first.filter(event_id="I2/2")["created_at"].to_list() == [None]


def test_the_reason_is_the_events_own_before_its_variances(source: Source) -> None:
    reasons = dict(events(source.events(TEN, None), "reason"))
    assert [reasons[f"I2/{n}"] for n in (1, 2, 5)] == ["VAR_DAMAGED", "CYCLE_COUNT", "VAR_STOLEN"]
    assert reasons["I1/5"] is None and reasons["I1/4"] == "RTN_ITM_RCPT"


def test_an_event_says_whether_it_names_a_movement_and_where_a_reset_came_from(source: Source) -> None:
    read = {event: facts for event, *facts in events(source.events(TEN, None), "names_movement", "origin")}
    assert {event for event, (moves, _) in read.items() if moves} == {"I1/4", "I1/5", "I1/6", "I2/3"}
    assert {event: origin for event, (_, origin) in read.items() if origin} == {"I2/4": "OTHER_SHOP"}


def test_an_events_quantity_that_is_none_is_nan(source: Source) -> None:
    units = dict(events(source.events(TEN, None), "atp"))
    assert isnan(units["I2/2"]) and units["I2/3"] == 4.0


def test_a_snapshot_reads_the_events_of_its_products(source: Source) -> None:
    seen = source.snapshot(pl.Series(["A"]), events_from=TEN + timedelta(seconds=2))
    assert seen.events.schema == pl.Schema(tables.EVENTS)
    assert [event for (event,) in events(seen.events)] == ["I1/6"]
    assert source.snapshot(pl.Series(["A"])).events.is_empty()
    assert source.snapshot(events_from=TEN).events.height == source.events(TEN, None).height


def test_delta_reasons_are_the_groups_members_with_their_dates(hotwax: str, source: Source) -> None:
    reasons = source.delta_reasons()
    assert reasons.schema == pl.Schema(tables.DELTA_REASONS)
    assert {reason: thru for reason, _, thru in reasons.rows()} == {
        "CYCLE_COUNT": None,
        "VAR_DAMAGED": datetime(2026, 6, 1, tzinfo=UTC),
    }
    execute(hotwax, "delete from enumeration_group_member")
    assert source.delta_reasons().is_empty()


def test_remotes_are_those_of_the_shop(source: Source) -> None:
    assert source.remotes() == {"SHOP_RW", "SHOP_FEED"}


def test_what_older_connectors_lack_is_no_fault(hotwax: str) -> None:
    for change in (
        "alter table inventory_item_detail drop column reset_item_id",
        "drop table inventory_item_variance",
        "drop table enumeration_group_member",
        "drop table shopify_shop_remote",
        "drop table shopify_shop_order",
        *(
            f"alter table {name} drop column {lacking}"
            for name in ("shopify_shop_location", "shopify_shop_product")
            for lacking in ("created_stamp", "last_updated_stamp")
        ),
    ):
        execute(hotwax, change)
    older = opened(hotwax)
    read = older.events(TEN, None)
    assert read["origin"].null_count() == read.height > 0
    assert dict(events(read, "reason"))["I2/1"] is None
    assert older.delta_reasons().is_empty() and older.remotes() == frozenset()
    assert rows(older.snapshot(orders=ASKED).booked) == BOOKED
    assert changed(older, MAPPED, MAPPED + timedelta(seconds=1)) == ["C"]


def test_events_are_refused_by_name_where_the_oms_has_none(hotwax: str) -> None:
    execute(hotwax, "drop table inventory_item_detail")
    bare = opened(hotwax)
    assert bare.snapshot(events_from=TEN).events.is_empty()
    with pytest.raises(OmsFailed, match="inventory_item_detail"):
        bare.events(TEN, None)


@pytest.mark.parametrize("shop", ["NOBODY", "OFF", "BARE"])
def test_a_shop_that_cannot_be_synced_is_a_usage_error(hotwax: str, shop: str) -> None:
    with pytest.raises(UsageError, match=shop):
        opened(hotwax, shop)


@pytest.mark.parametrize(("group", "words"), [("NONE", "not in facility_group"), ("PICK", "type PICK_GROUP")])
def test_a_group_that_is_no_channel_is_a_usage_error(hotwax: str, group: str, words: str) -> None:
    execute(hotwax, "insert into facility_group values ('PICK', 'PICK_GROUP')")
    with pytest.raises(UsageError, match=words):
        opened(hotwax, facility_group_id=group)


def test_the_orders_that_the_oms_cancelled_since_a_moment(hotwax: str, source: Source) -> None:
    stamped = "set status_id = '{}', last_updated_stamp = '{}' where order_id = '{}'"
    for status, at, order in (
        ("ITEM_CANCELLED", "2026-03-01 10:00:00", "O1"),
        ("ITEM_REJECTED", "2026-03-01 10:00:01", "O2"),
        ("ITEM_CANCELLED", "2026-03-01 09:59:59", "O4"),
        ("ITEM_COMPLETED", "2026-03-01 11:00:00", "O3"),
    ):
        execute(hotwax, f"update order_item {stamped.format(status, at, order)}")

    assert source.cancelled_orders(TEN) == [7001, 7002]


def test_an_order_that_was_cancelled_in_part_is_one_of_them(hotwax: str) -> None:
    execute(hotwax, "alter table order_item add column cancel_quantity numeric(18, 6)")
    execute(
        hotwax,
        "update order_item set last_updated_stamp = '2026-03-01 10:00:00', cancel_quantity = 1 where order_id = 'O2'",
    )

    assert opened(hotwax).cancelled_orders(TEN) == [7002]


def test_optional_tables_may_be_missing_and_required_ones_are_named(hotwax: str) -> None:
    for name in (
        "product",
        "product_store",
        "inventory_item",
        "inventory_item_detail",
        "order_item_ship_grp_inv_res",
    ):
        execute(hotwax, f"drop table {name}")
    bare = opened(hotwax)
    assert rows(bare.snapshot(orders=ASKED).booked) == [row for row in BOOKED if not row[2]]
    assert bare.snapshot(pl.Series(["A"])).product.is_empty()
    execute(hotwax, "drop table product_facility")
    with pytest.raises(OmsFailed, match="product_facility"):
        opened(hotwax)
    with pytest.raises(OmsFailed, match="product_facility"):
        bare.row_count()


def test_a_missing_database_is_reported_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(OmsFailed, match="does not exist"):
        connect(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_exported_files_give_the_same_frames(hotwax: str, source: Source, tmp_path: Path, kind: str) -> None:
    folder = export(hotwax, tmp_path / kind, kind)
    files = open_source(FilesSettings(path=str(folder), shop_id="SHOP"))
    mine, theirs = files.snapshot(orders=ASKED), source.snapshot(orders=ASKED)
    names = ("product_facility", "facility_group_member", "shopify_shop_product", "queue")
    for name in (*names, "known_orders", "ordered", "booked"):
        order = getattr(mine, name).columns
        assert getattr(mine, name).sort(order).equals(getattr(theirs, name).sort(order)), name
    assert changed(files, TEN, TEN + timedelta(seconds=1)) == ["A", "B", "C"]
    assert files.events(TEN, None).sort("event_id").equals(source.events(TEN, None).sort("event_id"))
    assert files.delta_reasons().sort("reason").equals(source.delta_reasons().sort("reason"))
    assert files.remotes() == source.remotes()
    assert files.cancelled_orders(TEN - timedelta(days=9999)) == source.cancelled_orders(TEN - timedelta(days=9999))


def test_a_folder_without_a_required_table_is_refused_by_name(hotwax: str, tmp_path: Path) -> None:
    folder = export(hotwax, tmp_path / "csv", "csv")
    (folder / "order_item.csv").unlink()
    with pytest.raises(OmsFailed, match="order_item"):
        open_source(FilesSettings(path=str(folder), shop_id="SHOP"))


def test_a_failed_login_never_shows_the_password(tmp_path: Path) -> None:
    with pytest.raises((UsageError, OmsFailed)) as caught:
        open_source(DatabaseSettings(url="mysql+pymysql://u:s3cret@127.0.0.1:1/oms", shop_id="SHOP"))
    assert "s3cret" not in str(caught.value)


def test_a_column_of_numbers_of_all_kinds() -> None:
    values = column("x", [1, 2.5, None, float("inf"), 4], tables.QUANTITY, "UTC").to_list()
    assert values[:3] == [1.0, 2.5, None] and isnan(values[3]) and values[4] == 4.0
    values = column("x", [Decimal("1.50"), "2", "abc", None], tables.QUANTITY, "UTC").to_list()
    assert values[:2] == [1.5, 2.0] and isnan(values[2]) and values[3] is None


def test_values() -> None:
    assert number("12.50") == 12.5 and number("") is None and isnan(number("inf") or 0)
    assert stamp("2026-03-01T10:00:00Z", UTC) == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert stamp("soon", UTC) is None
    assert bound(datetime(2026, 3, 1, 10, 0, 0, 500000)) == "2026-03-01 10:00:00.5"
