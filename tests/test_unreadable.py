"""A value that nobody can read is never the neutral one: its pairs are held by name, or the read is refused by place."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from builders import exported
from rehearsal import HARD, ONLINE, RECENT, START, STORE, Rehearsal, of_shop, open_rehearsal

from invsync import doctor
from invsync.errors import UsageError
from invsync.explain import explain

LATER = START + timedelta(hours=1)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        rehearsal.product(1, "A", oms=10, available=1)
        rehearsal.product(2, "B", oms=20, available=2)
        yield rehearsal


def write(shop: Rehearsal, sql: str) -> None:
    with shop.oms.batch() as connection:
        connection.execute(sa.text(sql))


def files(shop: Rehearsal) -> Path:
    """Read the OMS as exported files from now on."""
    with shop.oms.batch() as connection:
        folder = exported(connection, shop.config.parent / "export")
    database = f'kind = "database"\nurl = "sqlite:///{shop.config.parent}/oms.db"'
    assert database in shop.config.read_text()
    shop.config.write_text(shop.config.read_text().replace(database, f'kind = "files"\npath = "{folder}"'))
    return folder


def edit(folder: Path, name: str, column: str, value: str, row: int = 0) -> None:
    """Write another text into one cell."""
    path = folder / f"{name}.csv"
    rows = pl.read_csv(path, infer_schema=False)
    texts = rows[column].to_list()
    texts[row] = value
    rows.with_columns(pl.Series(column, texts, dtype=pl.String)).write_csv(path)


def kept_by_deltas(shop: Rehearsal) -> None:
    """A shop whose deltas have a baseline."""
    shop.keep_by_deltas()
    shop.oms.add_delta_reason("VAR_DAMAGED")
    assert shop.run(job=HARD)["exit_code"] == 0
    shop.run(job="push-deltas")


def hide(shop: Rehearsal, table: str) -> None:
    """Let a table of buffers hide units."""
    path = shop.config.parent / "buffers.csv"
    path.write_text(table)
    shop.config.write_text(f'{shop.config.read_text()}\n[shops.demo.buffer]\ntable = "{path}"\n')


def ended(shop: Rehearsal, facts: dict[str, Any]) -> dict[int, str]:
    """The outcome of each item's pair, and the reason why it was held."""
    rows = shop.outcomes(facts).drop_nulls("inventory_item_id")
    return {row["inventory_item_id"]: row["reason"] or row["outcome"] for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        ("order_item", "quantity", "3 pcs"),
        ("order_item", "quantity", "1,5"),
        ("order_header", "external_id", "5.51235E+12"),
        ("order_header", "order_date", "31.12.2025"),
        ("order_item_ship_group", "facility_id", "#REF!"),
        ("inventory_item_detail", "available_to_promise_diff", "-2 pcs"),
        ("inventory_item_detail", "created_stamp", "12/31/2025 0:00"),
        ("shopify_shop_product", "shop_id", "#NAME?"),
    ],
)
def test_a_value_of_one_product_holds_its_pairs_and_the_others_go_on(
    shop: Rehearsal, name: str, column: str, text: str
) -> None:
    shop.oms.import_order("O1", 5512345678901, [("P1", 3)], START)
    shop.oms.damage("P1", "WH", 1, START, "C1")
    edit(files(shop), name, column, text)

    facts = shop.run(job=HARD)

    assert facts["exit_code"] == 4 and shop.available(1, 2) == [1, 20]
    (message,) = (one for one in facts["messages"] if "cannot be read" in one)
    assert f"{name}.csv, line 2: {column} {text!r} is not" in message
    assert "malformed" in shop.outcomes(facts)["reason"].to_list()


@pytest.mark.parametrize(
    ("name", "column", "text", "row"),
    [
        ("facility_group_member", "thru_date", "12/31/2025 0:00", 0),
        ("facility_group_member", "facility_id", "", 0),
        ("product_store_facility", "from_date", "46022.0", 0),
        ("product_facility", "last_updated_stamp", "0000-00-00", 0),
        ("product_facility", "product_id", "1.5E+10", 0),
        ("shopify_shop", "is_enabled", "n", 0),
        ("product_store", "reserve_inventory", "FALSE", 0),
        ("facility", "facility_id", "#REF!", 0),
    ],
)
def test_a_value_that_may_concern_every_product_is_refused_by_its_place(
    shop: Rehearsal, name: str, column: str, text: str, row: int
) -> None:
    edit(files(shop), name, column, text, row)

    facts = shop.run(job=HARD)

    assert facts["exit_code"] == 5 and shop.available(1, 2) == [1, 2]
    assert f"{name}.csv, line {row + 2}: {column}" in facts["messages"][-1]


@pytest.mark.parametrize("indicator", ["y", "yes", "1", "true"])
def test_an_indicator_that_is_none_holds_what_the_facility_feeds(shop: Rehearsal, indicator: str) -> None:
    shop.store()
    shop.oms.set_stock("P1", "ST", 4, START)
    shop.shop.set_level(1, STORE, 3)
    write(
        shop,
        f"update product_facility set allow_brokering = '{indicator}' where product_id = 'P1' and facility_id = 'WH'",
    )

    facts = shop.run(job=HARD)

    assert facts["exit_code"] == 4 and shop.available(1, 2) == [1, 20] and shop.available(1, at=STORE) == [4]
    assert any(f"allow_brokering '{indicator}' is not Y, N or empty" in message for message in facts["messages"])


def test_a_text_among_the_quantities_of_a_database_is_not_0(shop: Rehearsal) -> None:
    shop.oms.import_order("O1", 5512345678901, [("P1", 3)], START)
    write(shop, "update order_item set quantity = '3 pcs'")

    facts = shop.run(job=HARD)

    assert facts["exit_code"] == 4 and shop.available(1, 2) == [1, 20]


def test_a_stamp_of_a_database_that_is_no_date_is_touched_and_held(shop: Rehearsal) -> None:
    assert shop.run(job=RECENT)["exit_code"] == 0
    shop.oms.set_stock("P1", "WH", 4, LATER)
    write(shop, "update product_facility set last_updated_stamp = '3/2/2026 13:00' where product_id = 'P1'")

    facts = shop.run(LATER + timedelta(minutes=30))

    assert facts["exit_code"] == 4 and shop.available(1) == [10] and ended(shop, facts)[1] == "malformed"


def test_a_delta_of_a_product_with_an_unreadable_value_waits_and_is_counted_once_it_is_mended(shop: Rehearsal) -> None:
    kept_by_deltas(shop)
    shop.oms.damage("P1", "WH", 2, LATER, "C1")
    shop.oms.damage("P2", "WH", 5, LATER, "C2")
    write(shop, "update product_facility set allow_brokering = 'maybe' where product_id = 'P1'")

    facts = shop.run(LATER + timedelta(minutes=10), job="push-deltas")
    assert facts["exit_code"] == 4 and shop.available(1, 2) == [10, 15]

    write(shop, "update product_facility set allow_brokering = null where product_id = 'P1'")
    facts = shop.run(LATER + timedelta(days=3), job="push-deltas")
    assert facts["exit_code"] == 0 and shop.available(1, 2) == [8, 15]
    assert shop.state("select event_id from claim where status in ('quarantined', 'released')") == []


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("4.40123E+13,7,4", "line 2: inventory_item_id '4.40123E.13' is not a whole number"),
        ("1,7,2.5", "line 2: units '2.5' is not a whole number"),
        ("1,7,-2", "line 2: units '-2'"),
        ("1,7,", "line 2: units '' is not a value"),
        ("1,8,4", "not mapped .item 1 at location 8"),
        ("3,7,4", "not mapped .item 3 at location 7"),
        ("1,7,4\n1,7,5", "is not a key that no other row has"),
    ],
)
def test_a_table_of_buffers_is_refused_by_its_row(shop: Rehearsal, row: str, why: str) -> None:
    hide(shop, f"inventory_item_id,location_id,units\n{row}\n")

    for job in (HARD, RECENT):
        with pytest.raises(UsageError, match=why):
            shop.run(job=job)
    assert shop.available(1, 2) == [1, 2]


def test_a_table_of_buffers_hides_its_units(shop: Rehearsal) -> None:
    hide(shop, f"units;location_id;inventory_item_id\n4;{ONLINE};1.0\n")

    assert shop.run(job=HARD)["exit_code"] == 0 and shop.available(1, 2) == [6, 20]


def test_doctor_names_values_and_buffers_before_the_first_run(shop: Rehearsal) -> None:
    edit(files(shop), "product_facility", "allow_brokering", "yes")
    of_shop(shop.config)
    shop.config.write_text(f'{shop.config.read_text()}\n[shops.demo.buffer]\ntable = "none.csv"\n')

    faults = {check.name: check.message for check in doctor.examine(shop.config, "demo") if check.status == "fault"}

    assert "product_facility.csv, line 2: allow_brokering 'yes' is not Y, N or empty" in faults["values"]
    assert "The buffer table none.csv cannot be read" in faults["buffers"]


def test_an_event_whose_zeros_a_spreadsheet_dropped_is_the_same_event(shop: Rehearsal) -> None:
    kept_by_deltas(shop)
    shop.oms.damage("P1", "WH", 2, LATER, "C1")
    folder = files(shop)
    os.utime(folder / "product_facility.csv")
    assert shop.run(LATER + timedelta(minutes=10), job="push-deltas")["exit_code"] == 0
    assert shop.available(1) == [8]

    path = folder / "inventory_item_detail.csv"
    rows = pl.read_csv(path, infer_schema=False)
    rows.with_columns(pl.col("inventory_item_detail_seq_id").str.strip_chars_start("0")).write_csv(path)

    assert shop.run(LATER + timedelta(minutes=20), job="push-deltas")["exit_code"] == 0
    assert shop.available(1) == [8]


@pytest.mark.parametrize("name", ["order_header", "order_item", "order_item_ship_group", "facility"])
def test_a_record_that_comes_twice_counts_once(shop: Rehearsal, name: str) -> None:
    shop.oms.import_order("O1", 5512345678901, [("P1", 3)], START)
    path = files(shop) / f"{name}.csv"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[1])

    facts = shop.run(job=HARD)

    assert facts["exit_code"] == 0 and shop.available(1, 2) == [7, 20]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("update shopify_shop set is_enabled = 'n'", "shop_id SANDBOX: is_enabled 'n' is not Y, N or empty"),
        ("update product_store set reserve_inventory = 'false'", "reserve_inventory 'false' is not Y, N or empty"),
        ("update shopify_shop set product_store_id = 'NONE'", "Store NONE of shop SANDBOX is not in product_store"),
    ],
)
def test_a_switch_of_the_whole_shop_that_cannot_be_read_in_a_database_is_refused(
    shop: Rehearsal, sql: str, words: str
) -> None:
    write(shop, sql)
    try:
        message = shop.run(job=HARD)["messages"][-1]
    except UsageError as error:
        message = str(error)

    assert words in message and shop.available(1, 2) == [1, 2]


@pytest.mark.parametrize(("name", "column"), [("product_facility", "allow_brokering"), ("order_item", "quantity")])
def test_explain_says_which_value_holds_a_product_and_explains_the_others(
    shop: Rehearsal, name: str, column: str
) -> None:
    shop.oms.import_order("O1", 5512345678901, [("P1", 3)], START)
    edit(files(shop), name, column, "maybe")

    with pytest.raises(UsageError, match=rf"A is held.*{name}\.csv, line 2: {column} 'maybe' is not"):
        explain("demo", "A", str(shop.config))
    assert explain("demo", "B", str(shop.config)).target == 20
