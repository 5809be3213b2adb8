"""The index and the week as a reader sees them: from file and over HTTP, wide and narrow, light and dark, printed."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pytest
from browsing import DESK, EVERYWHERE, PHONE, chromium, needs_chromium, opened
from faultseries import END, leave_series
from playwright.sync_api import Browser, Page, expect
from runfolders import GONE, NOW, leave, leave_many
from test_charts import outcomes
from test_report import SUMMARY, body, example, folder

from invsync import report
from invsync.charts import Reader
from invsync.report.links import Links
from invsync.runs.record import Record
from invsync.site import index, server, snoozes, week_page
from invsync.site.fleet import Due

pytestmark = needs_chromium
READERS = {"acme": Reader("en-GB", "Europe/London"), "birch": Reader("de", "Europe/Berlin")}
LAST_NIGHT = NOW.replace(hour=3, minute=0) + timedelta(days=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two shops, and one whole run page of last night in which MUG-BLUE was not updated."""
    root = tmp_path_factory.mktemp("site")
    leave_many(root, 600)
    night = leave(root, example(), job="hard-sync", at=LAST_NIGHT, status="partial")
    (night / "report.html").write_text(report.render(folder(night, example()), Record.of(SUMMARY)), encoding="utf-8")
    week_page.write(root, "acme", READERS, ending=date(2026, 11, 24))
    return root


def own(asked: list[str], root: Path) -> bool:
    return all(address.startswith(root.resolve().as_uri()) for address in asked)


@pytest.mark.parametrize(("width", "scheme"), EVERYWHERE)
def test_the_index_asks_only_its_own_folder_draws_its_charts_and_passes_axe(
    browser: Browser, site: Path, width: int, scheme: str
) -> None:
    with opened(browser, site / "index.html", width=width, scheme=scheme) as visit:
        expect(visit.page.locator("#list tbody tr")).to_have_count(50)
        assert visit.asked == [(site / "index.html").resolve().as_uri()] and visit.complaints == []
        assert len(visit.marks()) == 2 and min(visit.marks()) > 2
        assert visit.page.locator("button.iv-day").count() >= 3
        assert visit.sideways() <= 0 and visit.faults() == []
        look_up(visit.page, "TEE-00003")
        expect(visit.page.locator("#story h3")).to_have_text("TEE-00003")
        assert visit.sideways() <= 0 and visit.faults() == []
        assert own(visit.asked, site) and visit.complaints == []


@pytest.mark.parametrize(("width", "scheme"), EVERYWHERE)
def test_the_week_asks_nobody_draws_every_chart_and_passes_axe(
    browser: Browser, site: Path, width: int, scheme: str
) -> None:
    path = site / "acme" / "weekly" / "2026-11-24.html"
    with opened(browser, path, width=width, scheme=scheme) as visit:
        assert visit.asked == [path.resolve().as_uri()] and visit.complaints == []
        assert len(visit.marks()) == 4 and min(visit.marks()) > 1
        assert visit.sideways() <= 0 and visit.faults() == []


@pytest.mark.parametrize("name", ["index.html", "acme/weekly/2026-11-24.html"])
def test_they_print_on_a4(browser: Browser, site: Path, name: str) -> None:
    with opened(browser, site / name) as visit:
        visit.page.emulate_media(media="print")
        made = pypdfium2.PdfDocument(io.BytesIO(visit.page.pdf(format="A4", print_background=True)))
        sheets = [sheet.get_textpage().get_text_range() for sheet in made]
    assert 1 <= len(sheets) <= 8
    charts = [
        (" raised, ", "Units that were wrong in Shopify"),
        ("Furthest off: ", "Units, in Shopify when the run looked", "are drawn."),
    ]
    for chart in charts if "weekly" in name else []:
        assert any(all(word in sheet for word in chart) for sheet in sheets), chart


@pytest.mark.parametrize("units", [-390, 7])
def test_a_first_day_is_drawn_with_every_label_apart(browser: Browser, tmp_path: Path, units: int) -> None:
    leave(tmp_path, outcomes({"delta": units}))
    index.build(tmp_path, READERS)
    with opened(browser, tmp_path / "index.html") as visit:
        texts = visit.page.locator("#drift svg text")
        expect(texts).to_have_count(4)
        boxes = [box for text in texts.all() if (box := text.bounding_box())]
        edges = sorted((box["y"], box["y"] + box["height"]) for box in boxes)
        assert len(boxes) == 4 and all(above[1] <= below[0] + 1 for above, below in pairwise(edges))


def look_up(page: Page, item: str) -> None:
    page.get_by_label("SKU").fill(item)
    page.get_by_label("SKU").press("Enter")


@pytest.fixture(scope="module")
def titled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two shops whose products have titles and prices, with one snoozed fault."""
    root = tmp_path_factory.mktemp("titled")
    leave_series(root)
    links = {name: Links(f"https://admin.shopify.com/store/{name}") for name in ("acme", "birch")}
    first = index.build(root, READERS, links, END).listing.open[0]
    snoozes.save(root, {first.id: replace(first.seen, until="2999-01-01", reason="the supplier mends it")})
    index.build(root, READERS, links, END)
    return root


@pytest.mark.parametrize("name", ["inbox", "index"])
@pytest.mark.parametrize(("width", "scheme"), EVERYWHERE)
def test_the_inbox_and_the_index_ask_nobody_and_pass_axe(
    browser: Browser, titled: Path, name: str, width: int, scheme: str
) -> None:
    path = titled / f"{name}.html"
    with opened(browser, path, width=width, scheme=scheme) as visit:
        assert visit.asked == [path.resolve().as_uri()] and visit.complaints == []
        assert visit.sideways() <= 0 and visit.faults() == []


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_inbox_is_searched_filtered_and_linked_to(browser: Browser, titled: Path, width: int) -> None:
    with opened(browser, titled / "inbox.html", width=width, at="#shop=birch") as visit:
        rows, count = visit.page.locator("#list tbody tr:visible"), visit.page.locator("#count")
        shops = {row.get_attribute("data-shop") for row in rows.all()}
        assert shops == {"birch"}
        visit.page.get_by_role("combobox", name="Shop").select_option("")
        every = rows.count()
        visit.page.get_by_role("combobox", name="Snoozed").select_option("Shown")
        expect(count).to_have_text(f"{every + 1} faults")
        expect(rows.last).to_contain_text("the supplier mends it")
        visit.page.get_by_label("Product or SKU").fill("lamp DES-030")
        assert {"Desk lamp, Blue"} == {row.locator("td.product a").inner_text() for row in rows.all()}
        visit.page.get_by_label("Product or SKU").fill("no such thing")
        expect(count).to_have_text("0 faults")
        assert visit.sideways() <= 0 and visit.complaints == []


def test_on_a_phone_a_card_begins_with_what_to_do(browser: Browser, titled: Path) -> None:
    with opened(browser, titled / "inbox.html", width=PHONE) as visit:
        card = visit.page.locator("#list tbody tr:visible").first
        tops = [box["y"] for name in ("todo", "product", "since") if (box := card.locator(f"td.{name}").bounding_box())]
        assert tops == sorted(tops) and len(tops) == 3
        card.get_by_text("Commands").click()
        card.get_by_role("button", name="Copy: invsync explain").click()
        expect(card.locator(".iv-copy").first).not_to_have_text("Copy")


def test_a_fault_leads_to_the_run_that_saw_it_first_without_scripts_too(browser: Browser, titled: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((titled / "inbox.html").resolve().as_uri())
    page.locator("#list tbody td.since a").first.click()
    assert page.url.endswith("/report.html")
    context.close()


def test_a_shop_that_has_not_synced_is_the_first_thing_said(browser: Browser, titled: Path) -> None:
    with opened(browser, titled / "index.html") as visit:
        visit.page.clock.set_fixed_time(END + timedelta(days=12, hours=1))
        visit.page.reload()
        expect(visit.page.locator("h1")).to_have_text("acme and birch have not synced for 12 days.")
        expect(visit.page.locator("#verdict")).to_contain_text("products are right")
        visit.page.clock.set_fixed_time(END + timedelta(hours=2))
        visit.page.reload()
        expect(visit.page.locator("h1")).to_contain_text("products are right")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty shops, of which three have a fault, two are late and one has never run."""
    root, soon = tmp_path_factory.mktemp("fleet"), NOW + timedelta(minutes=15)
    since = {number: NOW + timedelta(hours=number in (7, 8)) - timedelta(minutes=30) for number in range(61)}
    dues = {f"shop{number}": [Due("upload-recent-changes", at, soon)] for number, at in since.items()}
    for number in range(60):
        is_wrong = number in (11, 12, 13)
        status = "partial" if is_wrong else "done"
        leave(root, outcomes(GONE if is_wrong else {}), shop=f"shop{number}", status=status)
    index.build(root, {}, now=NOW, dues=dues)
    return root


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_shops_are_searched_and_filtered_and_lead_to_their_runs(browser: Browser, fleet: Path, width: int) -> None:
    with opened(browser, fleet / "index.html", width=width) as visit:
        rows, count = visit.page.locator(".iv-shops tbody tr:visible"), visit.page.locator("#shown")
        expect(count).to_have_text("61 shops")
        assert rows.count() == 50
        states = [row.get_attribute("data-health") for row in rows.all()[:7]]
        assert states == ["late", "late", "never_run", "needs_you", "needs_you", "needs_you", "right"]
        visit.page.get_by_role("combobox", name="State").select_option("Needs you")
        expect(count).to_have_text("3 shops")
        visit.page.get_by_role("combobox", name="State").select_option("Any state")
        visit.page.get_by_label("Name").fill("shop12")
        expect(count).to_have_text("1 shop")
        rows.get_by_role("link", name="shop12").click()
        expect(visit.page.locator("#list tbody tr")).to_have_count(1)
        assert visit.page.locator("#list tbody td:nth-child(2)").all_inner_texts() == ["shop12"]
        assert visit.sideways() <= 0 and visit.complaints == []


@pytest.mark.parametrize(("width", "scheme"), EVERYWHERE)
def test_a_page_of_many_shops_passes_axe(browser: Browser, fleet: Path, width: int, scheme: str) -> None:
    with opened(browser, fleet / "index.html", width=width, scheme=scheme) as visit:
        assert visit.sideways() <= 0 and visit.faults() == []


def test_part_of_a_title_finds_a_product(browser: Browser, titled: Path) -> None:
    with opened(browser, titled / "index.html") as visit:
        look_up(visit.page, "desk lamp, blue")
        hits = visit.page.locator("#story .iv-hits button")
        expect(hits.first).to_have_text("Desk lamp, Blue")
        hits.first.click()
        expect(visit.page.locator("#story h3")).to_contain_text("DES-")
        assert visit.faults() == []


def test_the_next_run_of_a_run_is_the_one_after_it_of_its_shop_and_job(browser: Browser, titled: Path) -> None:
    runs = sorted(path.name for path in (titled / "acme" / "hard-sync").iterdir())
    with opened(browser, titled / "index.html", at=f"#next=acme/hard-sync/{runs[0]}") as visit:
        visit.page.wait_for_url(f"**/acme/hard-sync/{runs[1]}/report.html")
    with opened(browser, titled / "index.html", at=f"#next=acme/hard-sync/{runs[-1]}") as visit:
        expect(visit.page.locator("#newest")).to_contain_text(f"{runs[-1]} is the newest")


def test_the_calendar_is_cropped_to_its_days(browser: Browser, titled: Path) -> None:
    with opened(browser, titled / "index.html") as visit:
        weeks = visit.page.locator("#calendar .iv-month").count()
        days = {path.name[:8] for path in titled.glob("*/*/*")}
        assert weeks <= len(days) // 7 + 2


def test_why_was_it_not_updated_last_night_takes_three_clicks(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as visit:
        visit.page.get_by_label("SKU").click()
        visit.page.keyboard.type("mug-blue")
        visit.page.get_by_role("button", name="Search").click()
        story = visit.page.locator("#story")
        expect(story).to_contain_text("Held: not stocked at that location")
        expect(story).to_contain_text("Stock the item at that location in Shopify")
        story.locator("tbody a").first.click()
        expect(visit.page.locator(".iv-find tbody tr")).to_have_count(1)
        expect(visit.page.locator(".iv-find tbody tr")).to_contain_text("MUG-BLUE")


def test_an_item_that_no_run_looked_at_is_said_to_be_so(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html", width=PHONE) as visit:
        look_up(visit.page, "NOPE-1")
        expect(visit.page.locator("#story")).to_contain_text("No run has looked at “NOPE-1”")
        assert visit.complaints == []


def test_items_are_suggested_while_one_types(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as visit:
        visit.page.get_by_label("SKU").press_sequentially("mug")
        expect(visit.page.locator("#names option")).to_have_count(2)


def test_filters_narrow_runs_and_charts_and_stay_in_the_address(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as visit:
        rows, drift = visit.page.locator("#list tbody tr"), visit.page.locator("#drift + figcaption")
        everything = drift.inner_text()
        visit.page.get_by_role("combobox", name="Shop").select_option("birch")
        visit.page.get_by_role("combobox", name="Job").select_option("Hard sync")
        expect(rows).to_have_count(3)
        assert {"birch"} == set(rows.locator("td:nth-child(2)").all_inner_texts())
        assert drift.inner_text() != everything
        address = visit.page.url
        visit.page.goto("about:blank")
        visit.page.goto(address)
        expect(rows).to_have_count(3)
        visit.page.get_by_role("button", name="Reset").click()
        expect(rows).to_have_count(50)
        assert drift.inner_text() == everything


def test_a_day_of_the_calendar_leads_to_its_runs_by_keyboard(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as visit:
        day = visit.page.locator("button.iv-day[tabindex='0']")
        expect(day).to_have_count(1)
        assert "1 needs a person" in (day.get_attribute("aria-label") or "")
        day.focus()
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator("#list tbody tr")).to_have_count(1)
        visit.page.keyboard.press("ArrowUp")
        expect(visit.page.locator("button.iv-day:focus")).to_have_attribute("data-day", "2026-11-23")


def test_older_runs_are_loaded_when_asked_for(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INLINE", 2)
    for month in range(5):
        leave(tmp_path, outcomes(GONE), at=NOW - timedelta(days=31 * month), status="partial")
    index.build(tmp_path, READERS)
    with opened(browser, tmp_path / "index.html") as visit:
        rows = visit.page.locator("#list tbody tr")
        expect(rows).to_have_count(2)
        visit.page.get_by_role("button", name="Load older runs").click()
        expect(rows).to_have_count(3)
        visit.page.get_by_role("combobox", name="Day").select_option("2026-07-22")
        expect(rows).to_have_count(1)


def test_it_works_over_http_as_from_a_bucket(browser: Browser, site: Path) -> None:
    with server.server(site, 0) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        page = browser.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(f"http://127.0.0.1:{http.server_port}/")
        look_up(page, "mug-blue")
        expect(page.locator("#story h3")).to_have_text("MUG-BLUE")
        page.close()
        http.shutdown()
    assert refused == []


def test_without_scripts_the_shops_and_their_verdicts_still_stand(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    silent = context.new_page()
    silent.goto((site / "index.html").resolve().as_uri())
    expect(silent.get_by_text("need you, at acme and birch.")).to_be_visible()
    expect(silent.locator("noscript p")).to_be_visible()
    context.close()
    assert ">acme</a></strong>" in body((site / "index.html").read_text()) and DESK > PHONE
