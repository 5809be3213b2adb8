"""HotWax read from files: whole or refused, from a folder, an object store or SFTP, with its own feeds laid over."""

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import fsspec
import polars as pl
import pytest
from builders import exported

from invsync import mapping
from invsync.errors import OmsFailed, UsageError
from invsync.ledger.orders import SHOWN, looked_back
from invsync.oms import Source, open_source
from invsync.oms.files.connector import FilesSettings
from invsync.sandbox.oms import Oms

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RESET = "FacilityId,IdType,IdValue,AvailableQty,LocationSeqId\n"
VARIANCE = "facilityId,externalFacilityId,idType,idValue,availableDelta,locationSeqId,varianceReasonId,comments\n"
CONFIGURATION = "product-id,internal-name,product-id-value,facility-id,external-id,ATP,minimum-stock,inv-group-member\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two products at a warehouse, exported at noon."""
    oms = Oms(f"sqlite:///{tmp_path / 'oms.db'}").create()
    oms.add_facility("WH", "Warehouse")
    oms.map_location("_NA_", 900)
    for number, sku in enumerate(("SKU-A", "SKU-B")):
        oms.add_product(f"P{number}", sku)
        oms.map_product(f"P{number}", 40 + number)
        oms.set_stock(f"P{number}", "WH", 10, NOON, minimum_stock=2)
    with oms.batch() as connection:
        folder = exported(connection, tmp_path / "export")
    oms.close()
    for file in folder.iterdir():
        os.utime(file, (NOON.timestamp(), NOON.timestamp()))
    return folder


def feed(folder: Path, name: str, text: str, minutes: int = 1) -> None:
    (folder / name).write_text(text)
    os.utime(folder / name, (NOON.timestamp() + 60 * minutes,) * 2)


def opened(path: str | Path, **options: str) -> Source:
    return open_source(FilesSettings(path=str(path), shop_id="SANDBOX", **options))


def counts(source: Source) -> dict[str, tuple[float, float]]:
    stock = source.snapshot().product_facility
    rows = stock.select("product_id", "last_inventory_count", "computed_last_inventory_count").rows()
    return {product: (last, sellable) for product, last, sellable in rows}


def test_a_reset_newer_than_the_stock_says_the_count(folder: Path) -> None:
    feed(folder, "reset.csv", RESET + "WH,SKU,SKU-A,7,\nWH,PRODUCT_ID,P1,1,\n")
    assert counts(opened(folder)) == {"P0": (7.0, 5.0), "P1": (1.0, 0.0)}


def test_two_rows_of_one_product_and_facility_leave_no_number_to_send(folder: Path) -> None:
    stock = folder / "product_facility.csv"
    head, first, *rest = stock.read_text().splitlines(keepends=True)
    stock.write_text("".join([head, first, *rest, first]))

    snapshot = opened(folder).snapshot()

    assert snapshot.product_facility["product_id"].to_list() == ["P0", "P1"]
    assert snapshot.unreadable.select("product_id", "place").rows() == [
        ("P0", "product_facility.csv, line 2"),
        ("P0", "product_facility.csv, line 4"),
    ]


def test_a_reset_older_than_the_stock_says_nothing(folder: Path) -> None:
    feed(folder, "reset.csv", RESET + "WH,SKU,SKU-A,7,\n", minutes=-1)
    assert counts(opened(folder))["P0"] == (10.0, 8.0)


def test_headers_are_taken_in_any_case(folder: Path) -> None:
    feed(folder, "reset.csv", RESET.upper() + "WH,sku,SKU-A,7,\n")
    assert counts(opened(folder))["P0"] == (7.0, 5.0)


def test_variances_add_to_the_count_and_are_events(folder: Path) -> None:
    feed(folder, "var.csv", VARIANCE + "WH,,SKU,SKU-A,-2,,VAR_DAMAGED,broken\n,WH,SKU,SKU-A,-1,,VAR_LOST,\n")
    source = opened(folder)
    assert counts(source)["P0"] == (7.0, 5.0)
    events = source.events(NOON.replace(minute=1), None).sort("event_id")
    first = events["event_id"][0].partition("#")[0]
    assert events.select("event_id", "product_id", "facility_id", "atp", "reason", "names_movement").rows() == [
        (f"{first}#0/1", "P0", "WH", -2.0, "VAR_DAMAGED", False),
        (f"{first}#1/1", "P0", "WH", -1.0, "VAR_LOST", False),
    ]


def event_ids(folder: Path) -> list[str]:
    """The events that feeds gave."""
    return sorted(opened(folder).events(NOON + timedelta(minutes=1), None)["event_id"])


def test_a_feed_is_the_same_whenever_it_comes_again_and_another_when_its_content_is(folder: Path) -> None:
    rows = VARIANCE + "WH,,SKU,SKU-A,-2,,VAR_DAMAGED,\nWH,,SKU,SKU-A,-2,,VAR_DAMAGED,\n"
    feed(folder, "var.csv", rows)
    first = event_ids(folder)
    assert len(set(first)) == 2

    feed(folder, "var.csv", rows, minutes=90)
    assert event_ids(folder) == first
    (folder / "var.csv").rename(folder / "copy of var.csv")
    assert event_ids(folder) == first
    feed(folder, "copy of var.csv", rows.replace("-2", "-3", 1), minutes=95)
    assert not set(event_ids(folder)) & set(first)


def test_the_same_rows_exported_at_another_time_are_another_feed(folder: Path) -> None:
    rows = VARIANCE + "WH,,SKU,SKU-A,-2,,VAR_DAMAGED,\n"
    feed(folder, "variance_20261123T1201.csv", rows)
    feed(folder, "variance_20261124T1201.csv", rows)

    assert len(set(event_ids(folder))) == 2 and counts(opened(folder))["P0"] == (6.0, 4.0)


@pytest.mark.parametrize(("written", "now"), [(-30, -30), (30, 0)])
def test_the_clock_of_exported_files_is_that_of_the_oldest_or_of_the_newest_stock(
    folder: Path, written: int, now: int
) -> None:
    at = NOON + timedelta(minutes=written)
    os.utime(folder / "facility.csv", (at.timestamp(),) * 2)
    for name in ("product_facility.csv", "order_item.csv"):
        os.utime(folder / name, ((NOON + timedelta(hours=1)).timestamp(),) * 2)

    assert abs(opened(folder).now() - (NOON + timedelta(minutes=now))) <= timedelta(seconds=1)


@pytest.mark.parametrize(
    ("details", "at", "booked"),
    [
        (True, NOON, 3),
        (True, NOON + timedelta(minutes=5), 0),
        (False, NOON, 0),
    ],
)
def test_an_order_that_was_reserved_after_the_stock_was_exported_is_not_booked(
    tmp_path: Path, details: bool, at: datetime, booked: float
) -> None:
    oms = Oms(f"sqlite:///{tmp_path / 'oms.db'}").create()
    oms.add_facility("WH", "Warehouse")
    oms.add_product("P0", "SKU-A")
    oms.set_stock("P0", "WH", 10, NOON)
    with oms.batch() as connection:
        folder = exported(connection, tmp_path / "export")
    stock = (folder / "product_facility.csv").read_bytes()
    oms.import_order("O1", 1001, [("P0", 3)], at)
    oms.reserve("O1", "WH", at)
    shutil.rmtree(folder)
    with oms.batch() as connection:
        exported(connection, folder)
    (folder / "product_facility.csv").write_bytes(stock)
    os.utime(folder / "product_facility.csv", (NOON.timestamp(),) * 2)
    if not details:
        (folder / "inventory_item_detail.csv").unlink()

    snapshot = opened(folder).snapshot(orders=[1001])

    assert snapshot.booked["units"].sum() == booked and snapshot.ordered["units"].to_list() == [3.0]


def test_feeds_are_laid_over_in_the_order_of_their_times(folder: Path) -> None:
    feed(folder, "a.csv", VARIANCE + "WH,,SKU,SKU-A,-2,,VAR_DAMAGED,\n", minutes=2)
    feed(folder, "b.csv", RESET + "WH,SKU,SKU-A,7,\n", minutes=1)
    assert counts(opened(folder))["P0"] == (5.0, 3.0)


def test_the_configuration_export_stands_for_the_stock(folder: Path) -> None:
    (folder / "product_facility.csv").unlink()
    feed(folder, "configuration.csv", CONFIGURATION + "P0,SKU-A,1,WH,WH,9,3,FAC_GRP\nP1,SKU-B,2,WH,WH,2,3,FAC_GRP\n")
    assert counts(opened(folder)) == {"P0": (9.0, 6.0), "P1": (2.0, 0.0)}


def test_a_row_of_a_feed_that_names_no_product_is_reported_while_the_others_land(folder: Path) -> None:
    feed(folder, "reset.csv", RESET + "WH,SKU,SKU-A,7,\nWH,SKU,SKU-Z,7,\n")
    source = opened(folder)
    assert counts(source)["P0"] == (7.0, 5.0)
    assert source.snapshot().unreadable.select("product_id", "place", "value").rows() == [
        (None, "reset.csv, line 3", "SKU-Z"),
    ]


def test_a_product_that_a_feed_names_itself_must_be_one_of_the_oms(folder: Path) -> None:
    feed(folder, "reset.csv", RESET.replace("IdType", "ProductId,IdType") + "WH,P0,,,7,\nWH,GHOST,,,7,\n")
    source = opened(folder)
    assert counts(source)["P0"] == (7.0, 5.0)
    assert source.snapshot().unreadable.select("product_id", "place").rows() == [(None, "reset.csv, line 3")]


def test_a_count_of_a_product_and_facility_without_a_row_changes_nothing(folder: Path) -> None:
    feed(folder, "reset.csv", RESET + "_NA_,SKU,SKU-A,7,\n")
    assert counts(opened(folder)) == {"P0": (10.0, 8.0), "P1": (10.0, 8.0)}


@pytest.mark.parametrize("kind", ["SKU", "sku", "UPCA", "UPC-A", "ERP_ID", "Product_Id"])
def test_a_feed_names_products_by_any_of_their_ids(folder: Path, kind: str) -> None:
    (folder / "good_identification.csv").write_text(
        "good_identification_type_id,product_id,id_value,from_date,thru_date\n"
        "UPCA,P0,012345678905,2020-01-01 00:00:00,\nERP_ID,P0,E-0,2020-01-01 00:00:00,\nERP_ID,P1,E-0,2019-01-01,2020-01-01\n"
    )
    value = {"UPCA": "12345678905", "UPC-A": " 012345678905", "ERP_ID": "E-0", "Product_Id": "P0"}.get(kind, "SKU-A")
    feed(folder, "reset.csv", RESET + f"WH,{kind},{value},7,\n")
    assert counts(opened(folder)) == {"P0": (7.0, 5.0), "P1": (10.0, 8.0)}


def test_other_files_of_the_folder_are_left_alone_and_one_that_is_nearly_a_feed_is_named(folder: Path) -> None:
    (folder / "facility_identification.csv").write_text("facility_id,facility_iden_type_id,id_value\nWH,ERP,1\n")
    (folder / "external_inventory_reset_item.csv").write_text("reset_item_id,external_facility_id\n1,WH\n")
    assert counts(opened(folder))["P0"] == (10.0, 8.0)

    feed(folder, "stock.csv", RESET.replace("IdType", "Kind") + "WH,SKU,SKU-A,7,\n")
    with pytest.raises(
        OmsFailed, match=r"stock\.csv is neither a table nor a feed: as a feed of kind reset it lacks .* id_type"
    ):
        opened(folder)


def test_counts_of_one_time_that_disagree_are_refused_and_others_are_not(folder: Path) -> None:
    feed(folder, "a.csv", RESET + "WH,SKU,SKU-A,7,\n")
    feed(folder, "b.csv", RESET + "WH,SKU,SKU-B,6,\n")
    assert counts(opened(folder)) == {"P0": (7.0, 5.0), "P1": (6.0, 4.0)}

    feed(folder, "c.csv", RESET + "WH,SKU,SKU-A,9,\n")
    with pytest.raises(OmsFailed, match=r"a\.csv and c\.csv were written at the same time and disagree"):
        opened(folder)


@pytest.mark.parametrize("lost", [1, 5, 30])
def test_a_csv_file_that_ends_too_early_is_refused(folder: Path, lost: int) -> None:
    file = folder / "product_facility.csv"
    file.write_bytes(file.read_bytes()[:-lost])
    with pytest.raises(OmsFailed, match=r"product_facility\.csv is not whole"):
        opened(folder)


def test_a_last_line_that_lacks_values_is_refused(folder: Path) -> None:
    with (folder / "product_facility.csv").open("a") as file:
        file.write("P9,WH\n")
    with pytest.raises(OmsFailed, match="lacks values"):
        opened(folder)


def test_a_parquet_file_that_ends_too_early_is_refused(folder: Path) -> None:
    rows = pl.read_csv(folder / "product_facility.csv")
    rows.write_parquet(folder / "product_facility.parquet")
    (folder / "product_facility.csv").unlink()
    content = (folder / "product_facility.parquet").read_bytes()
    (folder / "product_facility.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(OmsFailed, match=r"product_facility\.parquet could not be read"):
        opened(folder)


def test_the_files_of_an_object_store_are_read(folder: Path) -> None:
    store = fsspec.filesystem("memory")
    for file in folder.iterdir():
        store.pipe_file(f"/bucket/{file.name}", file.read_bytes())
    assert counts(opened("memory://bucket")) == counts(opened(folder))
    store.rm("/bucket", recursive=True)


def test_stamps_of_the_mapping_and_the_shops_orders_may_be_missing(folder: Path) -> None:
    later = NOON.replace(hour=13)
    for name in ("shopify_shop_product", "shopify_shop_location"):
        rows = pl.read_csv(folder / f"{name}.csv", infer_schema=False)
        rows.drop("created_stamp", "last_updated_stamp").write_csv(folder / f"{name}.csv")
    (folder / "shopify_shop_order.csv").unlink(missing_ok=True)
    source = opened(folder)
    changed = source.changed_products(NOON, later, group="FAC_GRP")
    assert changed is not None and changed.to_list() == ["P0", "P1"]
    assert source.snapshot(orders=[1]).known_orders.is_empty()


def test_a_product_mapped_anew_is_selected(folder: Path) -> None:
    later = NOON.replace(hour=13)
    file = folder / "shopify_shop_product.csv"
    rows = pl.read_csv(file, infer_schema=False)
    made = pl.when(product_id="P1").then(pl.lit(f"{later:%Y-%m-%d %H:%M:%S}")).otherwise("created_stamp")
    rows.with_columns(created_stamp=made).write_csv(file)
    changed = opened(folder).changed_products(later, later.replace(minute=1), group="FAC_GRP")
    assert changed is not None and changed.to_list() == ["P1"]


def test_the_shops_orders_are_read_where_they_are_exported(folder: Path) -> None:
    header = pl.read_csv(folder / "order_header.csv", infer_schema=False)
    row = {"order_id": "O1", "order_type_id": "SALES_ORDER", "external_id": "POS-1"}
    pl.concat([header, pl.DataFrame([row])], how="diagonal_relaxed").write_csv(folder / "order_header.csv")
    (folder / "shopify_shop_order.csv").write_text("shop_id,order_id,shopify_order_id\nSANDBOX,O1,7001\n")
    assert opened(folder).snapshot(orders=[7001, 7002]).known_orders["external_id"].to_list() == [7001]


@pytest.fixture
def sftp(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The folder behind a real SFTP server on loopback, whose key this user knows."""
    home, key = tmp_path / "home", asyncssh.generate_private_key("ssh-ed25519")
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SFTP_PASSWORD", "planted")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("hotwax", "planted")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_factory=Server, server_host_keys=[key], sftp_factory=True)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    known = f"[127.0.0.1]:{server.get_port()} {key.export_public_key().decode()}"
    (home / ".ssh" / "known_hosts").write_text(known)
    yield f"sftp://hotwax@127.0.0.1:{server.get_port()}{folder}"
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def test_the_files_of_an_sftp_server_are_read(sftp: str, folder: Path) -> None:
    assert counts(opened(sftp, password_env="SFTP_PASSWORD")) == counts(opened(folder))


def test_the_refusal_of_an_sftp_server_is_reported_without_the_password(
    sftp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", "hunter2")
    with pytest.raises(OmsFailed, match="could not be read") as caught:
        opened(sftp, password_env="SFTP_PASSWORD")
    assert "hunter2" not in str(caught.value)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OmsFailed, match="does not exist"):
        opened(tmp_path / "none")
    with pytest.raises(UsageError, match="fsspec driver"):
        opened("nowhere://bucket")


def test_a_reset_that_counts_a_product_twice_otherwise_holds_it(folder: Path) -> None:
    feed(folder, "reset.csv", RESET + "WH,SKU,SKU-A,7,\nWH,PRODUCT_ID,P0,9,\nWH,SKU,SKU-B,3,\nWH,SKU,SKU-B,3,\n")

    snapshot = opened(folder).snapshot()
    sellable = dict(snapshot.product_facility.select("product_id", "computed_last_inventory_count").iter_rows())

    assert sellable["P0"] != sellable["P0"] and sellable["P1"] == 1
    assert snapshot.unreadable.select("product_id", "facility_id", "place", "value").rows() == [
        ("P0", "WH", "reset.csv, line 3", "9.0")
    ]


def test_a_product_that_lost_its_only_facility_is_held_by_name(folder: Path) -> None:
    (folder / "product_facility.csv").unlink()
    feed(folder, "configuration.csv", CONFIGURATION + "P0,SKU-A,,nan,,7,0,\nP1,SKU-B,,WH,,3,0,\n")

    source = opened(folder)
    rules = mapping.Rules(aggregate_location=None, group="FAC_GRP", store=source.store, at=NOON)
    pairs, held = mapping.pairs(source.snapshot(), rules)

    assert pairs["product_id"].to_list() == ["P1"]
    assert held.select("product_id", "sku", "reason").rows() == [("P0", "SKU-A", "malformed")]


def test_order_dates_that_cannot_be_read_look_back_as_far_as_shopify_shows_orders(folder: Path) -> None:
    header = "order_id,order_type_id,external_id,order_date,product_store_id\n"
    columns = (folder / "order_item.csv").read_text().splitlines()[0]
    item = {"order_id": "1", "order_item_seq_id": "1", "product_id": "P0", "quantity": "1"}
    line = ",".join(item.get(column, "") for column in columns.split(","))
    none, unreadable = "", "1,SALES_ORDER,5512345678901,soon,STORE\n"
    since = []
    for rows in (none, unreadable):
        (folder / "order_header.csv").write_text(header + rows)
        (folder / "order_item.csv").write_text(f"{columns}\n{line}\n" if rows else f"{columns}\n")
        since.append(looked_back(NOON, 14, opened(folder).snapshot().newest_known))

    assert since == [NOON - timedelta(days=14), NOON - SHOWN]
