"""How large the page of a large run is, and how soon it opens: 100,000 pairs really run, and a million outcomes."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from browsing import DESK, chromium, opened
from playwright.sync_api import expect
from test_charts import ROW
from test_report import SUMMARY, folder

from invsync import report, tables
from invsync.jobs import launch
from invsync.runs.record import Record
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.site import index

PAIRS, WRONG, MILLION, ONLINE = 100_000, 10_000, 1_000_000, 7
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run that reads 100,000 pairs and corrects 10,000 of them; its folder and run.json."""
    home = tmp_path_factory.mktemp("large")
    shop, oms = Shop(token="shpat_sandbox_0123456789"), Oms(f"sqlite:///{home}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.stock_up([(f"P{n}", f"SKU-{n:06d}", n, n % 50) for n in range(1, PAIRS + 1)], "WH", START)
    oms.close()
    for n in range(1, PAIRS + 1):
        off = n % 17 + 1 if n % (PAIRS // WRONG) == 0 else 0
        shop.add_item(n, f"SKU-{n:06d}")
        shop.set_level(n, ONLINE, n % 50 + (off if n % 20 else -off))
    with pytest.MonkeyPatch.context() as patch, serve(shop) as endpoint:
        patch.setenv(demo.TOKEN_ENV, "shpat_sandbox_0123456789")
        given = {"shop": "demo", "config": str(demo.configure(home, endpoint)), "at": f"{START + timedelta(hours=1)}"}
        facts = launch.run(demo.JOB, given, engine="inprocess")
    return home / "reports" / "demo" / demo.JOB / facts["run_id"], facts


def opening(path: Path) -> float:
    """Seconds until the page stands and a pair can be looked up."""
    with chromium() as browser, opened(browser, path) as visit:
        expect(visit.page.locator(".iv-find tbody tr").first).to_be_visible()
        assert visit.asked == [path.resolve().as_uri()] and visit.complaints == []
        assert min(visit.marks()) > 0 and visit.sideways() <= 0
        start = time.perf_counter()
        visit.page.reload()
        expect(visit.page.locator(".iv-find tbody tr").first).to_be_visible()
        return time.perf_counter() - start


def test_a_hundred_thousand_pairs_of_which_ten_thousand_are_sent(run: tuple[Path, dict[str, Any]]) -> None:
    path, facts = run
    size, took = (path / "report.html").stat().st_size, opening(path / "report.html")
    print(
        f"{facts['counts']['selected']:,} pairs read, {facts['counts']['applied']:,} sent: "
        f"page {size / 1e6:.2f} MB, opens in {took:.1f} s"
    )
    assert (facts["counts"]["selected"], facts["counts"]["applied"]) == (PAIRS, WRONG)
    assert size <= 1_500_000 and took < 2


def test_the_index_over_it_finds_each_of_its_items(run: tuple[Path, dict[str, Any]]) -> None:
    root = run[0].parents[2]
    start = time.perf_counter()
    built = index.build(root, {})
    print(f"index of {built.runs} run with {PAIRS:,} pairs: {time.perf_counter() - start:.1f} s")
    with chromium() as browser, opened(browser, root / "index.html", width=DESK) as visit:
        for sku in ("SKU-000010", "SKU-100000", "SKU-000011"):
            visit.page.get_by_label("SKU").fill(sku)
            visit.page.get_by_label("SKU").press("Enter")
            expect(visit.page.locator("#story h3")).to_have_text(sku)


def test_a_million_outcomes_fit_a_page_that_opens_at_once(tmp_path: Path) -> None:
    n = pl.int_range(MILLION, dtype=pl.Int64)
    refused, wrong = n % 250 == 7, n % 5 == 0
    gone = pl.lit("The specified inventory item could not be found.")
    frame = pl.select(n.alias("n")).select(
        **{name: pl.lit(value) for name, value in ROW.items()}
        | {
            "inventory_item_id": 40_000_000_000 + n,
            "location_id": 70_001 + n % 9,
            "in_flight": n % 3,
            "sku": pl.format("SKU-{}-{}", n * 7919 % 999_983, n % 97),
            "available": n % 197,
            "delta": pl.when(wrong).then(n * 31 % 41 - 20).otherwise(0),
            "reason": pl.when(refused).then(pl.lit("INVALID_INVENTORY_ITEM")),
            "outcome": pl.when(refused)
            .then(pl.lit("refused"))
            .when(wrong)
            .then(pl.lit("applied"))
            .otherwise(pl.lit("already_right")),
            "message": pl.when(refused).then(gone),
        }
    )
    notebook = folder(tmp_path, tables.conform(frame, tables.OUTCOMES, "outcomes"))
    start = time.perf_counter()
    page = report.render(notebook, Record.of(SUMMARY))
    drawn = time.perf_counter() - start
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    took = opening(tmp_path / "report.html")
    print(f"{MILLION:,} outcomes: page {len(page.encode()) / 1e6:.2f} MB in {drawn:.1f} s, opens in {took:.1f} s")
    assert len(page.encode()) <= 3_000_000 and took < 2
