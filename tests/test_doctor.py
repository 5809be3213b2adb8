"""The doctor against a real shop and a real OMS with planted faults: each is reported by name, with its repair."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import polars as pl
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from invsync import doctor, web
from invsync.cli import app
from invsync.config import settings
from invsync.doctor import mapped, systems
from invsync.doctor.checks import ask
from invsync.doctor.findings import Findings
from invsync.doctor.questions import QUESTIONS
from invsync.doctor.variants import answer as kept_ids
from invsync.errors import UsageError
from invsync.oms import open_source
from invsync.oms.rest import checks as apis
from invsync.oms.rest import probes
from invsync.oms.rest.connector import RestSettings
from invsync.oms.rest.entities import Api
from invsync.oms.rest.source import Rest
from invsync.oms.sql.rights import granted
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import create_app as shop_app
from invsync.sandbox.server import hosting, serve
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
        checks: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for check in doctor.examine(self.config, "acme"):
            checks.setdefault((check.group, check.name), []).append((check.status, check.message))
        return checks

    def answers(self) -> dict[str, tuple[str, str]]:
        """The one answer to each question."""
        return {name: answer for (group, name), (answer,) in self.checks().items() if group == "questions"}

    def answer(self, name: str) -> tuple[str, str]:
        return self.answers()[name]

    def messages(self, status: str) -> list[str]:
        return [message for listed in self.checks().values() for (kind, message) in listed if kind == status]

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

    assert {status for listed in checks.values() for (status, _) in listed} == {"ok"}
    assert list(dict.fromkeys(group for group, _ in checks)) == [
        "configuration",
        "Shopify",
        "HotWax",
        "mapping",
        "items",
        "questions",
    ]
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

    printed = json.loads(answer.stdout)
    assert answer.exit_code == 0 and answer.stdout.count("\n") == 1
    assert {tuple(check) for check in printed["checks"]} == {("group", "name", "status", "message")}
    assert [check["name"] for check in printed["checks"] if check["status"] == "warning"] == ["scopes"]


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

    message = (
        "Shopify refused the token for acme.myshopify.com (HTTP 401: [API] Invalid API key or access token "
        "(unrecognized login or wrong password)): correct or renew the token, and see that the app is still installed."
    )
    assert checks["Shopify", "credentials"] == [("fault", message)]
    assert checks["mapping", "pairs"] == [("ok", "3 pairs of item and location.")]
    assert checks["items", "not examined"][0][0] == "warning"
    assert "shpat_wrong" not in str(checks)


def test_a_retired_version_is_named_with_the_one_that_was_served(clinic: Clinic) -> None:
    clinic.configure("token_env", 'api_version = "2024-01"\ntoken_env')

    assert clinic.checks()["Shopify", "API version"] == [
        (
            "fault",
            "Shopify served API version 2026-01 for acme.myshopify.com but 2024-01 was asked: "
            "set api_version to a supported version.",
        )
    ]


def test_a_missing_scope_is_a_fault_by_name(clinic: Clinic) -> None:
    clinic.shop.scopes = SCOPES.replace(",read_orders", "")

    assert clinic.messages("fault")[0] == "The app lacks read_orders: grant it and install the app again."


def test_orders_that_the_app_may_not_read_are_a_fault_though_it_has_every_scope(clinic: Clinic) -> None:
    words = (
        "This app is not approved to access the Order object. See "
        "https://shopify.dev/docs/apps/launch/protected-customer-data for more details."
    )
    inner = shop_app(clinic.shop)

    async def unapproved(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if b"orders(" in body:
            error = {"message": words, "path": ["orders"], "extensions": {"code": "ACCESS_DENIED"}}
            await JSONResponse({"data": None, "errors": [error]})(scope, receive, send)
        else:
            await inner(scope, partial(_body, [body]), send)

    with hosting(cast("Starlette", unapproved)) as endpoint:
        clinic.configure(settings.load(clinic.config).shop("acme").base_url, endpoint)
        checks = clinic.checks()

    assert checks["Shopify", "scopes"][0][0] == "ok"
    [(status, message)] = checks["Shopify", "orders"]
    assert status == "fault" and words.rstrip(".") in message and "request access to protected customer data" in message


async def _body(parts: list[bytes]) -> dict[str, Any]:
    """What a server hands to an application: the body once, then that the client is gone."""
    return {"type": "http.request", "body": parts.pop()} if parts else {"type": "http.disconnect"}


COLLECTOR = 'otlp_endpoint = "https://collector.example.com"\notlp_headers_env = "COLLECTOR_HEADERS"'


@pytest.mark.parametrize(
    ("name", "value", "check", "status", "words"),
    [
        ("NO_PROXY", "localhost,127.0.0.1,<local>", "proxy", "warning", "name no host (1): <local>;"),
        ("HTTPS_PROXY", "ftp://proxy", "proxy", "fault", "HTTPS_PROXY does not name a proxy that can be used"),
        ("SSL_CERT_FILE", "/none.pem", "certificates", "fault", "What SSL_CERT_FILE names cannot be used"),
        ("PAGER", "nowhere", "pager", "fault", "Secret PAGER holds no web address"),
        ("PAGER", "https://", "pager", "fault", "Secret PAGER holds no web address"),
        ("PAGER", "https://pager.example.com gopher://desk", "pager", "fault", "an address that starts with gopher://"),
        ("PAGER", "", "pager", "fault", "Secret PAGER is"),
        ("COLLECTOR_HEADERS", "", "telemetry", "fault", "Secret COLLECTOR_HEADERS is"),
    ],
)
def test_problems_of_the_environment_are_reported_before_a_run_meets_them(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, status: str, words: str
) -> None:
    monkeypatch.setenv("PAGER", "https://pager.example.com/secret")
    monkeypatch.setenv("COLLECTOR_HEADERS", "Authorization=Bearer abc")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("keyring.get_password", lambda *_: None)
    sections = f'[alerts]\nurl_env = "PAGER"\n[telemetry]\n{COLLECTOR}\n[shops.acme]'
    clinic.configure("[shops.acme]", sections)
    web.trusted.cache_clear()

    [answer] = [answer for answer in clinic.checks()["configuration", check] if answer[0] == status]

    assert words in answer[1]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o622, 1)])
def test_a_secret_in_a_file_that_others_can_read_is_a_warning(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int, warned: int
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    monkeypatch.setenv("ACME_TOKEN_FILE", str(file))

    message = "Secrets in files that other users can read (1): ACME_TOKEN; run chmod 600 on them."
    assert clinic.messages("warning") == [message] * warned


def test_a_scope_too_many_is_a_warning(clinic: Clinic) -> None:
    clinic.shop.scopes = f"{SCOPES},write_products"

    assert clinic.messages("warning") == ["The app has write_products, which no job needs: take it away."]


def test_the_right_to_write_includes_the_right_to_read(clinic: Clinic) -> None:
    clinic.shop.scopes = SCOPES.replace("read_inventory,", "")

    assert clinic.checks()["Shopify", "scopes"][0][0] == "ok"


def test_a_token_of_another_shop(clinic: Clinic) -> None:
    clinic.shop.name = "Other"

    message = "The app belongs to other.myshopify.com, not to acme.myshopify.com: correct domain, or the token."
    assert clinic.messages("warning") == [message]


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

    (message,) = clinic.messages("fault")

    assert words in message


def test_a_missing_table_is_a_fault_by_name(clinic: Clinic) -> None:
    clinic.sql("DROP TABLE facility_group_member")

    assert clinic.messages("fault") == ["The OMS lacks the table(s) facility_group_member: check its schema."]


def test_an_order_that_was_not_imported_makes_the_import_late(clinic: Clinic) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.shop.place_order(1001, "#1001", EARLIER, [(1, 1)], ONLINE)
    clinic.shop.place_order(1002, "#1002", NOW - timedelta(hours=3), [(1, 1)], ONLINE)

    (message,) = clinic.messages("warning")

    assert message.startswith("Order #1002 of ") and "was not imported (the OMS's newest is of " in message


def test_a_young_order_is_not_late(clinic: Clinic) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.shop.place_order(1001, "#1001", EARLIER, [(1, 1)], ONLINE)
    clinic.shop.place_order(1002, "#1002", NOW - timedelta(minutes=5), [(1, 1)], ONLINE)

    assert clinic.messages("warning") == []


def test_a_stamp_in_the_future_is_a_wrong_time_zone(clinic: Clinic) -> None:
    clinic.oms.set_stock("P1", "WH", 5, NOW + timedelta(hours=5))

    (message,) = clinic.messages("fault")

    assert "in the future: set timezone in [shops.acme.oms] to the database's own." in message


def test_an_oms_without_stock_is_a_fault(clinic: Clinic) -> None:
    clinic.sql("DELETE FROM product_facility")

    assert clinic.messages("fault") == ["The table product_facility is empty: check the database or the export."]


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
    assert clinic.messages("warning") == [
        "Facilities with stock that feed no Shopify location (1): ATTIC; map them, or leave them out on purpose.",
        "Products with stock and without a Shopify inventory item (7): LOOSE10, LOOSE11, LOOSE12, LOOSE13, LOOSE14 "
        "and 2 more; map them, or leave them out on purpose.",
    ]


def test_a_product_with_two_items_and_two_products_with_one(clinic: Clinic) -> None:
    clinic.oms.map_product("P1", 99)
    clinic.product(3, "GREEN")
    clinic.oms.map_product("P3", 2)

    assert clinic.messages("fault") == [
        "Products with two inventory items, or that share one (3): BLUE, GREEN, RED; "
        "correct their rows in shopify_shop_product."
    ]


def test_ids_that_are_not_digits(clinic: Clinic) -> None:
    clinic.sql(
        "UPDATE shopify_shop_location SET shopify_location_id = 'high street' WHERE facility_id = 'SHOP1'",
        "UPDATE shopify_shop_product SET shopify_inventory_item_id = 'x2' WHERE product_id = 'P2'",
    )

    assert clinic.messages("fault") == [
        "Facilities whose Shopify location is not digits (1): SHOP1; correct it in shopify_shop_location.",
        "Products whose inventory item is not digits (1): BLUE; correct their rows in shopify_shop_product.",
    ]


def test_a_location_that_is_online_and_physical_at_once(clinic: Clinic) -> None:
    clinic.sql(f"UPDATE shopify_shop_location SET shopify_location_id = '{ONLINE}' WHERE facility_id = 'SHOP1'")

    (first, second) = clinic.messages("fault")

    assert "online and physical at once (2): SHOP1, _NA_; keep one row each" in first
    assert second == "No facility feeds a Shopify location: fill shopify_shop_location."


def test_an_online_location_without_a_group(clinic: Clinic) -> None:
    clinic.configure('facility_group_id = "FAC_GRP"', "")

    assert clinic.messages("fault") == [
        "An aggregate location is mapped but no facility group is named: set facility_group_id."
    ]


def test_an_online_location_that_no_facility_feeds(clinic: Clinic) -> None:
    clinic.sql("DELETE FROM product_store_facility")

    assert clinic.messages("fault") == [
        "No facility counts at location 7, so all is 0 there: let facilities join the group and store STORE."
    ]


def test_a_location_that_is_not_on_shopify(clinic: Clinic) -> None:
    del clinic.shop.locations[STORE]

    assert clinic.messages("fault")[0] == "Locations not on Shopify (1): 8 of facility SHOP1; correct the mapping."


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
    assert clinic.messages("warning") == [
        "Bundles, counted by Shopify from their components (1): BLUE; take them out of shopify_shop_product.",
        "Not tracked by Shopify (1): RED; turn on Track quantity, or take them out of shopify_shop_product.",
    ]


def test_an_item_that_shopify_does_not_know(clinic: Clinic) -> None:
    del clinic.shop.items[1]

    assert clinic.messages("fault") == ["Not known to Shopify (1): RED; map them again in shopify_shop_product."]


@pytest.mark.parametrize(("units", "faults"), [(5, 1), (0, 0)])
def test_an_inactive_level_is_a_fault_where_the_oms_has_stock(clinic: Clinic, units: float, faults: int) -> None:
    clinic.oms.set_stock("P1", "WH", units, EARLIER)
    clinic.shop.set_level(1, ONLINE, 0, active=False)

    messages = clinic.messages("fault")

    message = "Stock in the OMS where Shopify's level is inactive (1): RED; stock them there, or set activate_levels."
    assert messages == [message] * faults


def test_an_inactive_level_is_no_fault_where_the_next_run_activates_it(clinic: Clinic) -> None:
    clinic.shop.set_level(1, ONLINE, 0, active=False)
    clinic.configure("token_env", "activate_levels = true\ntoken_env")

    assert clinic.typed().exit_code == 0
    assert clinic.checks()["items", "inactive level"][0][1].endswith("(1): RED; the next run activates them.")


# -- questions


def test_a_hotwax_that_shows_none_of_its_jobs_is_reported_as_such(clinic: Clinic) -> None:
    assert clinic.answer("other writers") == (
        "ok",
        "None is seen, but this HotWax shows no table service_job, no table job_sandbox, no column "
        "real_time_inventory_push in shopify_shop: look there yourself that none of its own jobs sends stock to this shop.",
    )


JOBS = (
    "CREATE TABLE service_job (job_name TEXT, service_name TEXT, paused TEXT)",
    "CREATE TABLE job_sandbox (job_name TEXT, system_job_enum_id TEXT, status_id TEXT)",
    "ALTER TABLE shopify_shop ADD COLUMN real_time_inventory_push TEXT",
    "INSERT INTO service_job VALUES ('feed', 'InventoryServices.generate#ShopifyInventoryFeed', 'Y')",
    "INSERT INTO service_job VALUES ('orders', 'OrderServices.sync#Orders', 'N')",
    "INSERT INTO job_sandbox VALUES ('Hard sync', 'JOB_UL_INV', 'SERVICE_FINISHED')",
)


@pytest.mark.parametrize(
    ("on", "named"),
    [
        ("UPDATE service_job SET paused = 'N'", "job feed"),
        ("UPDATE job_sandbox SET status_id = 'SERVICE_PENDING'", "job Hard sync"),
        ("UPDATE shopify_shop SET real_time_inventory_push = 'Y'", "the real-time push of shop SANDBOX"),
    ],
)
def test_what_in_hotwax_also_sends_stock_is_named_when_it_is_on(clinic: Clinic, on: str, named: str) -> None:
    clinic.sql(*JOBS)
    paused = clinic.answer("other writers")
    clinic.sql(on)
    status, message = clinic.answer("other writers")

    assert paused == ("ok", "None of HotWax's own jobs that send stock to Shopify is on.")
    assert status == "warning" and message.startswith(f"HotWax itself sends stock to Shopify too (1): {named}; pause")


def test_rows_that_break_the_rule_of_what_may_be_sold_are_counted(clinic: Clinic) -> None:
    clinic.oms.set_stock("P1", "WH", 5, EARLIER, minimum_stock=2)
    right = clinic.answer("sellable rule")
    clinic.sql("UPDATE product_facility SET computed_last_inventory_count = 5 WHERE product_id = 'P1'")

    assert right[0] == "ok" and right[1].startswith("All 2 rows of stock follow")
    assert clinic.answer("sellable rule") == (
        "warning",
        "1 of 2 rows of stock do not follow HotWax's rule (count less safety stock, and never below 0): RED at "
        "WH: 5 where 3 is due; invsync sends what HotWax computed, so let HotWax compute these rows again.",
    )


def test_a_facility_that_takes_no_orders_and_counts_online(clinic: Clinic) -> None:
    clinic.sql("UPDATE facility SET maximum_order_limit = 0 WHERE facility_id IN ('WH', 'REJECTED_ITM_PARKING')")

    status, message = clinic.answer("order limits")

    assert status == "warning" and message.startswith("Facilities count online though their order limit is 0 (1): WH; ")


@pytest.mark.parametrize(
    "types",
    [
        (),
        (
            "CREATE TABLE product_type (product_type_id TEXT, is_digital TEXT)",
            "INSERT INTO product_type VALUES ('DIGITAL_GOOD', 'Y'), ('FINISHED_GOOD', 'N')",
        ),
    ],
)
def test_a_digital_product_that_is_mapped(clinic: Clinic, types: tuple[str, ...]) -> None:
    clinic.product(3, "LOOSE", mapped=False)
    clinic.sql(*types, "UPDATE product SET product_type_id = 'DIGITAL_GOOD' WHERE product_id = 'P3'")
    unmapped = clinic.answer("digital goods")
    clinic.sql("UPDATE product SET product_type_id = 'DIGITAL_GOOD' WHERE product_id = 'P1'")
    status, message = clinic.answer("digital goods")

    assert unmapped == ("ok", "No mapped product is digital.")
    assert status == "warning" and message.startswith("Digital products are mapped (1): RED; ")


@pytest.mark.parametrize(
    ("external", "words"),
    [
        ("1001", "1 of the newest 1 reservations are of Shopify's own orders: HotWax has taken those units off itself"),
        ("ERP-17", "0 of the newest 1 reservations are of Shopify's own orders."),
    ],
)
def test_reservations_of_shopifys_own_orders_are_distinguished(clinic: Clinic, external: str, words: str) -> None:
    clinic.oms.import_order("OM1", external, [("P1", 1)], EARLIER)
    clinic.oms.reserve("OM1", "WH", EARLIER)

    status, message = clinic.answer("reservations")

    assert status == "ok" and message.startswith(words)


@pytest.mark.parametrize(("keep_by", "status"), [("resets", "ok"), ("deltas", "warning")])
def test_a_reservation_of_shopifys_own_order_must_not_be_a_delta(clinic: Clinic, keep_by: str, status: str) -> None:
    clinic.configure("token_env", f'keep_by = "{keep_by}"\ntoken_env')
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.oms.reserve("OM1", "WH", EARLIER)
    clinic.oms.add_delta_reason("INV_RES_CREATE")

    actual, message = clinic.answer("reservations")

    assert (
        actual == status and "INV_RES_CREATE is pushed as a delta, which takes their units off Shopify twice" in message
    )


@pytest.mark.parametrize(("keep_by", "status"), [("resets", "ok"), ("deltas", "warning")])
def test_resets_that_share_an_id(clinic: Clinic, keep_by: str, status: str) -> None:
    clinic.configure("token_env", f'keep_by = "{keep_by}"\ntoken_env')
    clinic.oms.reset("P1", "WH", 4, EARLIER)
    unique = clinic.answer("resets")
    clinic.sql(
        "CREATE TABLE kept AS SELECT * FROM external_inventory_reset",
        "DROP TABLE external_inventory_reset",
        "ALTER TABLE kept RENAME TO external_inventory_reset",
        "INSERT INTO external_inventory_reset SELECT * FROM external_inventory_reset",
    )
    actual, message = clinic.answer("resets")

    assert unique == ("ok", "Each reset by another system has an id of its own (1 looked at).")
    assert actual == status and message.startswith("Resets share a reset_item_id (1): RESET1; ")


def test_an_oms_without_resets_and_one_that_does_not_keep_them(clinic: Clinic) -> None:
    none = clinic.answer("resets")
    clinic.sql("DROP TABLE external_inventory_reset")

    assert none == ("ok", "No other system has reset HotWax's stock yet.")
    assert clinic.answer("resets") == ("ok", "Cannot be told: this HotWax shows no table external_inventory_reset.")


@pytest.mark.parametrize(("keep_by", "status"), [("resets", "ok"), ("deltas", "warning")])
def test_events_that_change_what_may_be_promised_and_what_is_there_differently(
    clinic: Clinic, keep_by: str, status: str
) -> None:
    clinic.configure("token_env", f'keep_by = "{keep_by}"\ntoken_env')
    none = clinic.answer("delta events")
    clinic.oms.adjust("P1", "WH", -1, EARLIER, "CYCLE_COUNT", physical_inventory_id="PI1")
    alike = clinic.answer("delta events")
    clinic.sql("UPDATE inventory_item_detail SET quantity_on_hand_diff = -3 WHERE reason_enum_id = 'CYCLE_COUNT'")
    actual, message = clinic.answer("delta events")

    assert none == ("ok", "None of the newest 2 stock events has a reason that deltas push.")
    assert alike[0] == "ok" and alike[1].endswith("have a reason that deltas push, and each changes ATP and QOH alike.")
    assert actual == status and "in 1 of them ATP and QOH change differently: P1-WH/00002 (ATP -1, QOH -3); " in message


@pytest.mark.parametrize(
    ("kept", "status", "words"),
    [
        ("shopify_inventory_item_id", "ok", "holds the variant's id in all 2 rows looked at."),
        ("'x' || product_id", "ok", "holds neither the variant's nor the product's id in 2 rows looked at; "),
        ("product_id", "ok", "holds neither"),
    ],
)
def test_which_id_hotwax_keeps_of_a_product(clinic: Clinic, kept: str, status: str, words: str) -> None:
    clinic.sql(f"UPDATE shopify_shop_product SET shopify_product_id = {kept}")

    actual, message = clinic.answer("variant ids")

    assert actual == status and words in message


def test_an_oms_that_keeps_the_products_id() -> None:
    rows = pl.DataFrame({"item": [1, 2], "kept": [70, 81], "variant": [71, 81]})

    status, message = kept_ids(rows, {70})

    assert status == "warning" and message.startswith(
        "shopify_product_id holds the product's id in 1 of 2 rows looked at"
    )


def test_exported_files_answer_as_far_as_they_go(clinic: Clinic, tmp_path: Path) -> None:
    engine, folder = sa.create_engine(clinic.oms.url), tmp_path / "export"
    folder.mkdir()
    with engine.connect() as connection:
        for table in clinic.oms.metadata.sorted_tables:
            rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            frame = pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame(schema=table.c.keys())
            frame.write_parquet(folder / f"{table.name}.parquet")
    engine.dispose()
    clinic.configure(f'url = "{clinic.oms.url}"', f'kind = "files"\npath = "{folder}"')

    checks = clinic.checks()

    assert {status for listed in checks.values() for (status, _) in listed} == {"ok"} and ("HotWax", "files") in checks
    assert checks["questions", "sellable rule"][0][1].startswith("All 2 rows of stock follow HotWax's rule")
    assert checks["questions", "order limits"] == [
        ("ok", "Cannot be told: this HotWax shows no column maximum_order_limit in facility.")
    ]


# -- questions that only the HTTP APIs can answer


@pytest.fixture
def hotwax(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[HotWax]:
    """The clinic's OMS behind HotWax's APIs; inventoryItem/detail answers with `detail` where that is set."""
    instance = HotWax(clinic.oms.url)
    monkeypatch.setenv("HOTWAX_PASSWORD", instance.password)
    monkeypatch.setenv("HOTWAX_TOKEN", instance.token)
    with hosting(create_app(instance)) as address:
        login = 'username = "sync"\npassword_env = "HOTWAX_PASSWORD"'
        clinic.configure(f'url = "{clinic.oms.url}"', f'kind = "rest"\nurl = "{address}"\n{login}')
        yield instance


def answered(clinic: Clinic, question: Callable[[Rest], tuple[str, str]]) -> tuple[str, str]:
    """The answer to one question over HTTP, and to no other."""
    findings = sheet(clinic)
    with closing(open_source(findings.shop.oms)) as source:
        ask(findings, {"asked": partial(question, source)})
    [check] = findings.checks
    return check.status, check.message


def test_over_http_every_question_is_answered_and_nothing_is_wrong(clinic: Clinic, hotwax: HotWax) -> None:
    checks = clinic.checks()

    assert {status for listed in checks.values() for (status, _) in listed} == {"ok"}
    assert {"token", "page size", "date filters", "event shape", "resets"} <= {name for _, name in checks}
    assert ("HotWax", "APIs") in checks and ("HotWax", "role") not in checks


@pytest.mark.parametrize("ofbiz", [False, True])
def test_the_apis_answer_as_the_database_does(clinic: Clinic, request: pytest.FixtureRequest, ofbiz: bool) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER)
    clinic.oms.reserve("OM1", "WH", EARLIER)
    clinic.oms.reset("P2", "SHOP1", 4, EARLIER)
    clinic.oms.adjust("P1", "WH", -1, EARLIER, "CYCLE_COUNT", physical_inventory_id="PI1")
    clinic.sql(
        "UPDATE facility SET maximum_order_limit = 0 WHERE facility_id = 'WH'",
        "UPDATE product SET product_type_id = 'DIGITAL_GOOD' WHERE product_id = 'P1'",
        "UPDATE inventory_item_detail SET quantity_on_hand_diff = -3 WHERE reason_enum_id = 'CYCLE_COUNT'",
        "UPDATE product_facility SET computed_last_inventory_count = 9 WHERE product_id = 'P2'",
    )
    of_database = clinic.answers()
    instance = request.getfixturevalue("hotwax")
    if ofbiz:
        clinic.configure("username", f'ofbiz_url = "{settings.load(clinic.config).shop("acme").oms.url}"\nusername')
        instance.traps.removed = {"/rest/s1/oms/entityData"}
    over_http = clinic.answers()

    different = {name for name in QUESTIONS if of_database[name] != over_http[name]}
    assert different == {"other writers"} and "no table service_job over its APIs" in over_http["other writers"][1]
    warned = [name for name, (status, _) in over_http.items() if status == "warning"]
    assert warned == ["sellable rule", "order limits", "digital goods"]


@pytest.mark.parametrize(
    ("largest", "size", "status", "message"),
    [
        (1000, 500, "ok", "All 3 rows of stock come in one page; up to 500 are asked for."),
        (1000, 2, "ok", "A page holds the 2 rows that are asked for."),
        (
            2,
            500,
            "warning",
            "A page holds 2 rows where 500 are asked for: set page_size = 2 in the shop's oms, "
            "so that pages cannot leave rows out between them.",
        ),
    ],
)
@pytest.mark.parametrize("totals", [False, True])
def test_what_a_page_holds(
    clinic: Clinic, hotwax: HotWax, largest: int, size: int, status: str, message: str, totals: bool
) -> None:
    clinic.product(3, "GREEN")
    clinic.configure("username", f"page_size = {size}\nusername")
    hotwax.traps.largest_page, hotwax.traps.totals = largest, totals

    assert answered(clinic, apis.page_size) == (status, message)


@pytest.mark.parametrize(
    ("trap", "words"),
    [
        ({}, "Rows can be asked for by date: product_facility, order_item, inventory_item_detail, order_header."),
        (
            {"ignored": {"lastUpdatedStamp"}},
            "Dates are not honoured for order_item (ignored), product_facility (ignored): ",
        ),
        (
            {"date_shift": timedelta(hours=5)},
            "Dates are not honoured for inventory_item_detail (misread), order_header ",
        ),
    ],
)
def test_whether_dates_are_honoured(clinic: Clinic, hotwax: HotWax, trap: dict[str, Any], words: str) -> None:
    clinic.oms.import_order("OM1", 1001, [("P1", 1)], EARLIER - timedelta(hours=1))
    clinic.oms.import_order("OM2", 1002, [("P1", 1)], EARLIER)
    clinic.oms.set_stock("P1", "WH", 5, EARLIER + timedelta(hours=1))
    for name, value in trap.items():
        setattr(hotwax.traps, name, value)

    status, message = answered(clinic, apis.date_filters)

    assert status == "ok" and message.startswith(words)


def signed(until: datetime) -> str:
    """A token that tells in its second part when it expires, as a JWT does."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": until.timestamp()}).encode()).decode().rstrip("=")
    return f"e30.{claims}.signature"


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("plain", "ok", "The long-lived token works on Moqui and OFBiz; it does not say when it expires."),
        (signed(NOW + timedelta(days=90)), "ok", "The long-lived token works on Moqui and OFBiz until "),
        (signed(NOW + timedelta(days=3)), "warning", "The long-lived token expires at "),
    ],
    ids=["without an end", "ends late", "ends soon"],
)
def test_a_long_lived_token(
    clinic: Clinic, hotwax: HotWax, monkeypatch: pytest.MonkeyPatch, token: str, status: str, words: str
) -> None:
    clinic.configure(
        'username = "sync"\npassword_env = "HOTWAX_PASSWORD"', 'token_env = "HOTWAX_TOKEN"\nofbiz_url = ""'
    )
    address = settings.load(clinic.config).shop("acme").oms.url
    clinic.configure('ofbiz_url = ""', f'ofbiz_url = "{address}"')
    hotwax.token = token
    monkeypatch.setenv("HOTWAX_TOKEN", token)

    actual, message = answered(clinic, apis.token)

    assert actual == status and message.startswith(words)


def test_an_ofbiz_that_is_not_there(clinic: Clinic, hotwax: HotWax) -> None:
    address = settings.load(clinic.config).shop("acme").oms.url
    clinic.configure("username", f'ofbiz_url = "{address}"\nusername')
    works = answered(clinic, apis.token)
    hotwax.traps.removed = {"/api/performFind"}
    status, message = answered(clinic, apis.token)

    assert works == ("ok", "The login of sync works on Moqui and OFBiz; its token is renewed before it expires.")
    assert status == "warning" and message.endswith("correct ofbiz_url.")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            [{"productId": "P1", "lastAvailableToPromise": 1, "lastQuantityOnHand": 1}],
            "a bare list; a row has 3 fields, with the balances before the event",
        ),
        (
            {"details": [{"productId": "P1"}]},
            "an object with details; a row has 1 fields, without the balances before the event",
        ),
        ([], "a bare list"),
        (None, "inventoryItem/detail is not there; no run needs it."),
    ],
)
def test_the_shape_of_stock_events_over_http(answer: Any, words: str) -> None:
    async def reply(request: Request) -> Response:
        return JSONResponse(answer)

    served = Starlette(routes=[] if answer is None else [Route(probes.DETAIL, reply)])
    with hosting(served) as address, httpx.Client(base_url=address) as client:
        oms = RestSettings(url=address, token_env="T", shop_id="SANDBOX")
        sentence = apis.event_sentence(probes.detail(Api(client, oms)))

    assert words in sentence and sentence.endswith("; no run needs it.")


# -- the database role


@pytest.mark.parametrize(
    ("grants", "writes"),
    [
        (["GRANT USAGE ON *.* TO `reader`@`%`", "GRANT SELECT ON `oms`.* TO `reader`@`%`"], []),
        (["GRANT ALL PRIVILEGES ON *.* TO `oms`@`%` WITH GRANT OPTION"], ["facility", "product"]),
        (["GRANT SELECT, UPDATE ON `oms`.`product` TO `x`@`%`"], ["product"]),
        (["GRANT SELECT (facility_id), INSERT (name, type) ON `oms`.`facility` TO `x`@`%`"], ["facility"]),
        (["GRANT SELECT (`update`) ON `oms`.`facility` TO `x`@`%`"], []),
        (["GRANT DELETE ON `o%`.* TO `x`@`%`"], ["facility", "product"]),
        (["GRANT DELETE ON `o\\_s`.* TO `x`@`%`", "GRANT DELETE ON `shop`.* TO `x`@`%`"], []),
        (["GRANT ALL PRIVILEGES ON FUNCTION `oms`.`f` TO `x`@`%`", "GRANT `writers` TO `x`@`%`"], []),
    ],
)
def test_what_grants_let_a_role_write(grants: list[str], writes: list[str]) -> None:
    assert granted(grants, "oms", ["facility", "product"]) == writes


# -- configuration


def test_a_run_at_work_is_no_fault(clinic: Clinic) -> None:
    state = State(f"sqlite:///{clinic.config.parent}/invsync.db")
    with state.lease("acme", "20261123T131500Z-ab12"):
        assert clinic.checks()["configuration", "lease"] == [("ok", "Run 20261123T131500Z-ab12 is at work.")]
    state.close()

    assert clinic.checks()["configuration", "lease"] == [("ok", "No run is at work.")]


def test_a_file_that_a_run_left_open_is_reported(clinic: Clinic) -> None:
    State(f"sqlite:///{clinic.config.parent}/invsync.db").close()
    engine = sa.create_engine(f"sqlite:///{clinic.config.parent}/invsync.db")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO outbox (run_id, part, shop, path, sha256, transport, committed_at) VALUES ('earlier', 1, "
                "'acme', 'adjustments.jsonl', '', 'direct', '2026-11-23T13:15:00Z')"
            )
        )
    engine.dispose()

    assert clinic.messages("warning") == [
        "Files without an answer (1): adjustments.jsonl of run earlier; the next run settles them first."
    ]


def test_a_secret_that_is_unset_is_wrong_usage(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_TOKEN")

    with pytest.raises(UsageError, match="Secret ACME_TOKEN is not set"):
        clinic.checks()
    assert clinic.typed().exit_code == 2
