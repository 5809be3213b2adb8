"""The doctor against a real shop and a real OMS with planted faults: each is found, named and told how to mend."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from invsync import doctor, settings
from invsync.cli import app
from invsync.doctor import mapped, systems
from invsync.doctor.findings import Findings
from invsync.errors import UsageError
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import SCOPES, Shop
from invsync.state import State

NOW = datetime.now(UTC).replace(microsecond=0)
EARLIER = NOW - timedelta(days=2)
ONLINE, STORE, TOKEN = 7, 8, "shpat_planted_0123456789abcdef"
CONFIG = """
[state]
url = "sqlite:///{folder}/invsync.db"
[shops.acme]
domain = "acme.myshopify.com"
endpoint = "{endpoint}"
token_env = "ACME_TOKEN"
[shops.acme.oms]
url = "sqlite:///{folder}/oms.db"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
"""


@dataclass
class Clinic:
    """A sound shop: an online location fed by a warehouse, a store with its own, two products with stock."""

    shop: Shop
    oms: Oms
    config: Path

    def product(self, item: int, sku: str, facility: str = "WH", units: float = 5, *, mapped: bool = True) -> None:
        self.oms.add_product(f"P{item}", sku)
        self.oms.set_stock(f"P{item}", facility, units, EARLIER)
        if mapped:
            self.oms.map_product(f"P{item}", item)
            self.shop.add_item(item, sku)
            self.shop.set_level(item, ONLINE, 5)
            self.shop.set_level(item, STORE, 5)

    def sql(self, *texts: str) -> None:
        engine = sa.create_engine(self.oms.url)
        with engine.begin() as connection:
            for text in texts:
                connection.execute(sa.text(text))
        engine.dispose()

    def configure(self, before: str, after: str) -> None:
        assert before in self.config.read_text()
        self.config.write_text(self.config.read_text().replace(before, after))

    def checks(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for check in doctor.examine(self.config, "acme"):
            found.setdefault((check.group, check.name), []).append((check.status, check.message))
        return found

    def found(self, status: str) -> list[str]:
        return [message for told in self.checks().values() for (kind, message) in told if kind == status]

    def typed(self, *more: str) -> Result:
        return CliRunner().invoke(app, ["doctor", "--shop", "acme", "--config", str(self.config), *more])


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("ACME_TOKEN", TOKEN)
    shop, oms = Shop(name="Acme", token=TOKEN), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    sound = Clinic(shop, oms, tmp_path / "invsync.toml")
    with oms.batch():
        for location, name, facility in [(ONLINE, "Online", "_NA_"), (STORE, "High Street", "SHOP1")]:
            shop.add_location(location, name)
            oms.map_location(facility, location)
        oms.add_facility("WH", "Warehouse")
        oms.add_facility("SHOP1", "High Street", type="RETAIL_STORE")
        sound.product(1, "RED", "WH")
        sound.product(2, "BLUE", "SHOP1")
    with serve(shop) as endpoint:
        sound.config.write_text(CONFIG.format(folder=tmp_path, endpoint=endpoint))
        yield sound
    oms.close()


def test_a_sound_shop_has_neither_fault_nor_warning(clinic: Clinic) -> None:
    checks = clinic.checks()

    assert {status for told in checks.values() for (status, _) in told} == {"ok"}
    assert list(dict.fromkeys(group for group, _ in checks)) == [
        "configuration", "Shopify", "HotWax", "mapping", "items",
    ]  # fmt: skip
    assert checks["items", "pairs"] == [("ok", "3 of 3 pairs can be kept right.")]


def test_the_command_shows_a_line_for_every_check_and_ends_with_0_or_4(clinic: Clinic) -> None:
    sound = clinic.typed()
    clinic.shop.scopes = SCOPES.replace(",read_orders", "")
    faulty = clinic.typed()

    assert sound.exit_code == 0 and "Shopify\n  ✓ credentials" in sound.stdout
    assert faulty.exit_code == 4
    assert "  ✗ scopes         The app lacks read_orders: grant it and install the app again.\n" in faulty.stdout


def test_the_command_answers_in_json(clinic: Clinic) -> None:
    clinic.shop.scopes = f"{SCOPES},write_products"

    answer = clinic.typed("--json")

    told = json.loads(answer.stdout)
    assert answer.exit_code == 0 and answer.stdout.count("\n") == 1
    assert {tuple(check) for check in told["checks"]} == {("group", "name", "status", "message")}
    assert [check["name"] for check in told["checks"] if check["status"] == "warning"] == ["scopes"]


def test_looking_changes_nothing(clinic: Clinic) -> None:
    clinic.checks()

    assert clinic.shop.journal == [] and not (clinic.config.parent / "reports").exists()
    assert not [request for request in clinic.shop.requests if "mutation" in request["query"]]


# -- Shopify


def test_a_wrong_token_is_a_fault_and_the_rest_is_still_looked_at(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_TOKEN", "shpat_wrong_fedcba9876543210")

    checks = clinic.checks()

    told = "Shopify refused the token for acme.myshopify.com (HTTP 401): correct or renew the token."
    assert checks["Shopify", "credentials"] == [("fault", told)]
    assert checks["mapping", "pairs"] == [("ok", "3 pairs of item and location.")]
    assert checks["items", "not examined"][0][0] == "warning"
    assert "shpat_wrong" not in str(checks)


def test_a_retired_version_is_named_with_the_one_that_was_served(clinic: Clinic) -> None:
    clinic.configure("token_env", 'api_version = "2024-01"\ntoken_env')

    assert clinic.checks()["Shopify", "API version"] == [
        ("fault", "Shopify served API version 2026-01 for acme.myshopify.com but 2024-01 was asked: "
                  "set api_version to a supported version.")
    ]  # fmt: skip


def test_a_missing_scope_is_a_fault_by_name(clinic: Clinic) -> None:
    clinic.shop.scopes = SCOPES.replace(",read_orders", "")

    assert clinic.found("fault")[0] == "The app lacks read_orders: grant it and install the app again."


def test_a_scope_too_many_is_a_warning(clinic: Clinic) -> None:
    clinic.shop.scopes = f"{SCOPES},write_products"

    assert clinic.found("warning") == ["The app has write_products, which no job needs: take it away."]


def test_the_right_to_write_includes_the_right_to_read(clinic: Clinic) -> None:
    clinic.shop.scopes = SCOPES.replace("read_inventory,", "")

    assert clinic.checks()["Shopify", "scopes"][0][0] == "ok"


def test_a_token_of_another_shop(clinic: Clinic) -> None:
    clinic.shop.name = "Other"

    told = "The app belongs to other.myshopify.com, not to acme.myshopify.com: correct domain, or the token."
    assert clinic.found("warning") == [told]


# -- HotWax


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('shop_id = "SANDBOX"', 'shop_id = "NONE"', "Shop NONE is not in shopify_shop of the OMS: correct shop_id."),
        ('group_id = "FAC_GRP"', 'group_id = "NONE"', "Facility group NONE is not in facility_group of the OMS"),
        ("/oms.db", "/none.db", "none.db does not exist: correct url under the shop's oms."),
    ],
)
def test_what_the_oms_lacks_is_a_fault(clinic: Clinic, before: str, after: str, words: str) -> None:
    clinic.configure(before, after)

    (told,) = clinic.found("fault")

    assert words in told


def test_a_missing_table_is_a_fault_by_name(clinic: Clinic) -> None:
    clinic.sql("DROP TABLE facility_group_member")

    assert clinic.found("fault") == ["The OMS lacks the table(s) facility_group_member: check its schema."]


def test_an_order_that_was_not_imported_makes_the_import_late(clinic: Clinic) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.shop.place_order(1001, "#1001", EARLIER, [(1, 1)], ONLINE)
    clinic.shop.place_order(1002, "#1002", NOW - timedelta(hours=3), [(1, 1)], ONLINE)

    (told,) = clinic.found("warning")

    assert told.startswith("Order #1002 of ") and "was not imported (the OMS's newest is of " in told


def test_a_young_order_is_not_late(clinic: Clinic) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.shop.place_order(1001, "#1001", EARLIER, [(1, 1)], ONLINE)
    clinic.shop.place_order(1002, "#1002", NOW - timedelta(minutes=5), [(1, 1)], ONLINE)

    assert clinic.found("warning") == []


def test_a_stamp_in_the_future_is_a_wrong_time_zone(clinic: Clinic) -> None:
    clinic.oms.set_stock("P1", "WH", 5, NOW + timedelta(hours=5))

    (told,) = clinic.found("fault")

    assert "in the future: set timezone in [shops.acme.oms] to the database's own." in told


def test_an_oms_without_stock_is_a_fault(clinic: Clinic) -> None:
    clinic.sql("DELETE FROM product_facility")

    assert clinic.found("fault") == ["The table product_facility is empty: check the database or the export."]


@pytest.mark.parametrize(
    ("ahead", "words"), [(90, "90 seconds ahead of this machine's"), (-90, "90 seconds behind this machine's")]
)
def test_clocks_that_differ_are_a_warning(clinic: Clinic, ahead: int, words: str) -> None:
    findings = sheet(clinic)
    systems.clock(findings, timedelta(seconds=ahead))

    (check,) = findings.checks

    assert check.status == "warning" and words in check.message


def sheet(clinic: Clinic) -> Findings:
    return Findings("acme", settings.load(clinic.config).shop("acme"), NOW)


# -- mapping


def test_an_unmapped_facility_and_product_are_counted_by_name(clinic: Clinic) -> None:
    clinic.oms.add_facility("ATTIC", "Attic")
    clinic.oms.set_stock("P1", "ATTIC", 3, EARLIER)
    clinic.sql("DELETE FROM facility_group_member WHERE facility_id = 'ATTIC'")
    for item in range(10, 17):
        clinic.product(item, f"LOOSE{item}", mapped=False)

    assert clinic.typed().exit_code == 0
    assert clinic.found("warning") == [
        "Facilities with stock that feed no Shopify location (1): ATTIC; map them, or leave them out on purpose.",
        "Products with stock and without a Shopify inventory item (7): LOOSE10, LOOSE11, LOOSE12, LOOSE13, LOOSE14 "
        "and 2 more; map them, or leave them out on purpose.",
    ]


def test_a_product_with_two_items_and_two_products_with_one(clinic: Clinic) -> None:
    clinic.oms.map_product("P1", 99)
    clinic.product(3, "GREEN")
    clinic.oms.map_product("P3", 2)

    assert clinic.found("fault") == [
        "Products with two inventory items, or that share one (3): BLUE, GREEN, RED; "
        "correct their rows in shopify_shop_product."
    ]


def test_ids_that_are_not_digits(clinic: Clinic) -> None:
    clinic.sql(
        "UPDATE shopify_shop_location SET shopify_location_id = 'high street' WHERE facility_id = 'SHOP1'",
        "UPDATE shopify_shop_product SET shopify_inventory_item_id = 'x2' WHERE product_id = 'P2'",
    )

    assert clinic.found("fault") == [
        "Facilities whose Shopify location is not digits (1): SHOP1; correct it in shopify_shop_location.",
        "Products whose inventory item is not digits (1): BLUE; correct their rows in shopify_shop_product.",
    ]


def test_a_location_that_is_online_and_physical_at_once(clinic: Clinic) -> None:
    clinic.sql(f"UPDATE shopify_shop_location SET shopify_location_id = '{ONLINE}' WHERE facility_id = 'SHOP1'")

    (first, second) = clinic.found("fault")

    assert "online and physical at once (2): SHOP1, _NA_; keep one row each" in first
    assert second == "No facility feeds a Shopify location: fill shopify_shop_location."


def test_an_online_location_without_a_group(clinic: Clinic) -> None:
    clinic.configure('facility_group_id = "FAC_GRP"', "")

    assert clinic.found("fault") == [
        "An aggregate location is mapped but no facility group is named: set facility_group_id."
    ]


def test_an_online_location_that_no_facility_feeds(clinic: Clinic) -> None:
    clinic.sql("DELETE FROM product_store_facility")

    assert clinic.found("fault") == [
        "No facility counts at location 7, so all is 0 there: let facilities join the group and store STORE."
    ]


def test_a_location_that_is_not_on_shopify(clinic: Clinic) -> None:
    del clinic.shop.locations[STORE]

    assert clinic.found("fault")[0] == "Locations not on Shopify (1): 8 of facility SHOP1; correct the mapping."


def test_a_location_that_is_not_active_on_shopify(clinic: Clinic) -> None:
    findings = sheet(clinic)
    rows = {"facility_id": ["SHOP1", None], "location_id": [8, 9], "name": ["High Street", "Online"]}
    mapped.compare(findings, pl.DataFrame(rows | {"is_active": [False, True]}))

    assert [(check.status, check.message) for check in findings.checks] == [
        ("fault", "Locations not active on Shopify (1): 8 of facility SHOP1; correct the mapping."),
        ("ok", "Mapped and active on Shopify: Online."),
    ]


# -- items


def test_an_untracked_item_and_a_bundle_are_warnings(clinic: Clinic) -> None:
    clinic.shop.items[1].tracked = False
    clinic.shop.items[2].requires_components = True

    assert clinic.typed().exit_code == 0
    assert clinic.found("warning") == [
        "Bundles, counted by Shopify from their components (1): BLUE; take them out of shopify_shop_product.",
        "Not tracked by Shopify (1): RED; turn on Track quantity, or take them out of shopify_shop_product.",
    ]


def test_an_item_that_shopify_does_not_know(clinic: Clinic) -> None:
    del clinic.shop.items[1]

    assert clinic.found("fault") == ["Not known to Shopify (1): RED; map them again in shopify_shop_product."]


@pytest.mark.parametrize(("units", "faults"), [(5, 1), (0, 0)])
def test_an_inactive_level_is_a_fault_where_the_oms_has_stock(clinic: Clinic, units: float, faults: int) -> None:
    clinic.oms.set_stock("P1", "WH", units, EARLIER)
    clinic.shop.set_level(1, ONLINE, 0, active=False)

    found = clinic.found("fault")

    told = "Stock in the OMS where Shopify's level is inactive (1): RED; stock them there, or set activate_levels."
    assert found == [told] * faults


def test_an_inactive_level_is_no_fault_where_the_next_run_activates_it(clinic: Clinic) -> None:
    clinic.shop.set_level(1, ONLINE, 0, active=False)
    clinic.configure("token_env", "activate_levels = true\ntoken_env")

    assert clinic.typed().exit_code == 0
    assert clinic.checks()["items", "inactive level"][0][1].endswith("(1): RED; the next run activates them.")


# -- configuration


def test_a_run_at_work_is_no_fault(clinic: Clinic) -> None:
    state = State(f"sqlite:///{clinic.config.parent}/invsync.db")
    with state.lease("acme", "20261123T131500Z-ab12"):
        assert clinic.checks()["configuration", "lease"] == [("ok", "Run 20261123T131500Z-ab12 is at work.")]
    state.close()

    assert clinic.checks()["configuration", "lease"] == [("ok", "No run is at work.")]


def test_a_file_that_a_run_left_open_is_told(clinic: Clinic) -> None:
    State(f"sqlite:///{clinic.config.parent}/invsync.db").close()
    engine = sa.create_engine(f"sqlite:///{clinic.config.parent}/invsync.db")
    with engine.begin() as connection:
        connection.execute(sa.text(
            "INSERT INTO outbox (run_id, part, shop, path, sha256, transport, committed_at) VALUES ('earlier', 1, "
            "'acme', 'adjustments.jsonl', '', 'direct', '2026-11-23T13:15:00Z')"))  # fmt: skip
    engine.dispose()

    assert clinic.found("warning") == [
        "Files without an answer (1): adjustments.jsonl of run earlier; the next run settles them first."
    ]


def test_a_secret_that_is_unset_is_wrong_usage(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_TOKEN")

    with pytest.raises(UsageError, match="Secret ACME_TOKEN is not set"):
        clinic.checks()
    assert clinic.typed().exit_code == 2
