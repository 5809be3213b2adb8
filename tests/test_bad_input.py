"""Bad input end to end: what is wrong is named and held, the rest goes on; what cannot go on says so and sends nothing."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from builders import exported

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.shopify import retry

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
ONLINE, STORE = 7, 8
CLASSES = ["applied", "already_right", "superseded", "refused", "held", "unknown"]


class Rehearsal:
    """A shop with an online location fed by WH and one for the store SHOP; products A and B are sold in both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, ExitStack()
        self.shop = Shop(token="shpat_sandbox_0123456789")
        self.oms = Oms(f"sqlite:///{folder}/oms.db").create()
        self.config = demo.configure(folder, self._stack.enter_context(serve(self.shop)))
        for location, name in (ONLINE, "Online"), (STORE, "Shop"):
            self.shop.add_location(location, name)
        with self.oms.batch():
            self.oms.add_facility("WH", "Warehouse")
            self.oms.add_facility("SHOP", "Shop", "RETAIL_STORE")
            self.oms.leave_group("SHOP", START)
            self.oms.map_location("_NA_", ONLINE)
            self.oms.map_location("SHOP", STORE)
            self.product(1, "A")
            self.product(2, "B")

    def product(self, item: int, sku: str, **facts: Any) -> None:
        """A product with 95 units at WH and 30 at SHOP, of which Shopify shows 100 and 25."""
        self.oms.add_product(f"P{item}", sku)
        self.oms.map_product(f"P{item}", item)
        self.oms.set_stock(f"P{item}", "WH", 95, START)
        self.oms.set_stock(f"P{item}", "SHOP", 30, START)
        self.shop.add_item(item, sku, **facts)
        self.shop.set_level(item, ONLINE, 100)
        self.shop.set_level(item, STORE, 25)

    def write(self, statement: str) -> None:
        """Change the OMS past its writers."""
        with self.oms.batch() as connection:
            connection.execute(sa.text(statement))

    def run(self, hours: float = 1) -> dict[str, Any]:
        given = {"shop": "demo", "config": str(self.config), "at": (START + timedelta(hours=hours)).isoformat()}
        return launch.run(demo.JOB, given, engine="inprocess")

    def kept(self, facts: dict[str, Any], name: str) -> Path:
        return self.folder / "reports" / "demo" / demo.JOB / facts["run_id"] / name

    def shown(self, item: int) -> list[int | None]:
        return [self.shop.available(item, location) for location in (ONLINE, STORE)]

    def close(self) -> None:
        """Take the shop off the network."""
        self._stack.close()


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setenv(demo.TOKEN_ENV, "shpat_sandbox_0123456789")
    monkeypatch.setattr(retry, "backoff", lambda tries: 0.0)
    built = Rehearsal(tmp_path)
    yield built
    built.close()
    built.oms.close()


Break = Callable[[Rehearsal], Any]


def stock(column: str, value: str, facility: str = "WH") -> Break:
    where = f"where product_id = 'P2' and facility_id = '{facility}'"
    return lambda r: r.write(f"update product_facility set {column} = {value} {where}")


def stock_elsewhere(r: Rehearsal) -> None:
    r.oms.add_facility("DEPOT", "Depot", virtual=True)
    r.oms.set_stock("P2", "DEPOT", 12, START)


def not_on_shopify(r: Rehearsal) -> None:
    r.oms.add_product("P3", "C")
    r.oms.set_stock("P3", "WH", 4, START)


def two_rows_in_the_export(r: Rehearsal) -> None:
    with r.oms.batch() as connection:
        stock = exported(connection, r.folder / "export") / "product_facility.csv"
    (row,) = (line for line in stock.read_text().splitlines(keepends=True) if line.startswith("P2,WH,"))
    stock.write_text(stock.read_text() + row)
    source = f'kind = "database"\nurl = "sqlite:///{r.folder}/oms.db"'
    files = f'kind = "files"\npath = "{stock.parent}"'
    assert source in r.config.read_text()
    r.config.write_text(r.config.read_text().replace(source, files))


ROWS: dict[str, tuple[Break, str, str, int, list[int]]] = {
    "a quantity that is no number": (stock("computed_last_inventory_count", "'12x'"), "P2", "malformed", 4, [100, 30]),
    "a quantity of the store that is no number": (
        stock("computed_last_inventory_count", "'-'", "SHOP"),
        "P2",
        "malformed",
        4,
        [95, 25],
    ),
    "an inventory item id that is no number": (
        lambda r: r.write("update shopify_shop_product set shopify_inventory_item_id = 'two' where product_id = 'P2'"),
        "P2",
        "malformed",
        4,
        [100, 25],
    ),
    "a fractional quantity": (stock("computed_last_inventory_count", "101.5"), "P2", "fractional", 4, [100, 30]),
    "a quantity too large": (stock("computed_last_inventory_count", "3e9"), "P2", "too_large", 4, [100, 30]),
    "a row without a quantity": (
        stock("computed_last_inventory_count", "null", "SHOP"),
        "P2",
        "no_oms_row",
        0,
        [95, 25],
    ),
    "stock at a facility that is not mapped": (stock_elsewhere, "P2", "unmapped_location", 0, [95, 30]),
    "a product that is not on Shopify": (not_on_shopify, "P3", "unmapped_product", 0, [95, 30]),
    "two rows of one product and facility": (two_rows_in_the_export, "P2", "malformed", 4, [100, 30]),
    "a product with two inventory items": (
        lambda r: r.oms.map_product("P2", 22),
        "P2",
        "ambiguous_mapping",
        4,
        [100, 25],
    ),
    "a location that is aggregate and physical at once": (
        lambda r: r.oms.map_location("WH", ONLINE),
        "P2",
        "ambiguous_mapping",
        4,
        [100, 30],
    ),
    "an item that Shopify does not know": (lambda r: r.shop.items.pop(2), "P2", "unknown_item", 4, [100, 25]),
    "an item that Shopify does not track": (
        lambda r: r.shop.add_item(2, "B", tracked=False),
        "P2",
        "untracked",
        0,
        [100, 25],
    ),
    "a bundle": (lambda r: r.shop.add_item(2, "B", requires_components=True), "P2", "bundle", 0, [100, 25]),
    "an inactive level": (lambda r: r.shop.set_level(2, STORE, 25, active=False), "P2", "inactive_level", 4, [95, 25]),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_held_by_name_and_the_rest_goes_on(rehearsal: Rehearsal, case: str) -> None:
    damage, product, reason, exit_code, shown = ROWS[case]
    damage(rehearsal)

    facts = rehearsal.run()

    outcomes = pl.read_parquet(rehearsal.kept(facts, "outcomes.parquet"))
    held = outcomes.filter(pl.col("outcome") == "held")
    assert facts["exit_code"] == exit_code, facts["messages"]
    assert set(held.select("product_id", "reason").iter_rows()) >= {(product, reason)}
    assert rehearsal.shown(2) == shown and rehearsal.shown(1)[1] == 30
    assert sum(facts["counts"][name] for name in CLASSES) == facts["counts"]["selected"] <= facts["counts"]["read"]


def every_second_row_missing(r: Rehearsal) -> None:
    assert r.run(0.5)["exit_code"] == 0
    r.write("delete from product_facility where product_id = 'P2'")


def without_scope(scope: str) -> Break:
    def take(r: Rehearsal) -> None:
        r.shop.scopes = ",".join(granted for granted in r.shop.scopes.split(",") if granted != scope)

    return take


def of_version(version: str) -> Break:
    return lambda r: r.config.write_text(
        r.config.read_text().replace("[shops.demo.oms]", f'api_version = "{version}"\n[shops.demo.oms]')
    )


RUNS: dict[str, tuple[Break, int, str]] = {
    "half of the OMS rows": (every_second_row_missing, 3, "min_rows_share is 0.5 against the limit 0.8"),
    "an OMS without a table": (
        lambda r: r.write("drop table facility_group_member"),
        5,
        "The OMS lacks the table(s) facility_group_member",
    ),
    "an OMS that is gone": (lambda r: (r.folder / "oms.db").unlink(), 5, "oms.db does not exist"),
    "an OMS that cannot be read": (
        lambda r: (r.folder / "oms.db").write_bytes(b"not a database" * 99),
        5,
        "could not be read",
    ),
    "an unreachable shop": (Rehearsal.close, 5, "Shopify gave no answer in 6 tries"),
    "a shop that fails": (lambda r: r.shop.faults.arm("error_before", 99), 5, "HTTP 502"),
    "a garbage answer": (lambda r: r.shop.faults.arm("garbage", 99), 5, "Shopify gave no answer in 6 tries"),
    "a wrong token": (lambda r: r.shop.rotate_token(), 5, "Shopify refused the token for demo.myshopify.com"),
    "no scope to read levels": (without_scope("read_inventory"), 5, "lacks the scope read_inventory"),
    "no scope to read orders": (without_scope("read_orders"), 5, "lacks the scope read_orders"),
    "no scope to write": (without_scope("write_inventory"), 5, "lacks the scope write_inventory"),
    "a retired API version": (of_version("2025-07"), 5, "served API version 2026-01"),
    "an API version that never was": (of_version("2027-10"), 5, "HTTP 404"),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_that_cannot_go_on_says_why_and_sends_nothing(rehearsal: Rehearsal, case: str) -> None:
    damage, exit_code, words = RUNS[case]
    damage(rehearsal)
    before = list(rehearsal.shop.journal)

    facts = rehearsal.run()

    said = facts["messages"][-1]
    assert facts["exit_code"] == exit_code, said
    assert facts["status"] == ("stopped" if exit_code == 3 else "failed")
    assert words in said and said.endswith(".") and "\n" not in said
    assert rehearsal.shop.journal == before
    assert json.loads(rehearsal.kept(facts, "run.json").read_text()) == facts
    assert (
        said[:40] in rehearsal.kept(facts, "report.html").read_text() and rehearsal.kept(facts, "report.ipynb").exists()
    )
