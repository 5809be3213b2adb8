"""The run page as a reader sees it: offline, wide and narrow, light and dark, by keyboard, and printed."""

import io
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from browsing import DESK, EVERYWHERE, PHONE, chromium, needs_chromium, opened
from playwright.sync_api import Browser, expect
from test_report import SUMMARY, body, example, folder

from invsync import report
from invsync.runs.record import Record

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    path = run / "report.html"
    path.write_text(report.render(folder(run, example()), Record.of(SUMMARY)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), EVERYWHERE)
def test_the_page_asks_nobody_draws_every_chart_and_passes_axe(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    with opened(browser, page, width=width, scheme=scheme) as visit:
        expect(visit.page.locator("#find")).to_be_visible()
        assert visit.asked == [page.resolve().as_uri()] and visit.complaints == []
        assert len(visit.marks()) == 4 and min(visit.marks()) > 0
        assert visit.sideways() <= 0
        assert visit.faults() == []


def test_a_sentence_wraps_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report.render(folder(tmp_path, example().clear()), Record.of(SUMMARY)), encoding="utf-8")
    with opened(browser, path, width=PHONE) as visit:
        inner = visit.page.locator(".iv-none").evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
        assert len(inner) >= 5 and max(inner) <= 0


def test_a_foreign_script_is_stopped_by_the_policy(browser: Browser, page: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.html"
    evil.write_text(page.read_text().replace("</body>", "<script>document.title='owned'</script></body>"))
    with opened(browser, evil) as visit:
        assert visit.page.title() != "owned" and "Content Security Policy" in visit.complaints[0]


def test_a_pair_can_be_looked_up_by_typing_sorting_and_choosing(browser: Browser, page: Path) -> None:
    with opened(browser, page) as visit:
        rows = visit.page.locator(".iv-find tbody tr")
        visit.page.get_by_label("Product, SKU, location or outcome").fill("mug-blue")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("Stock the item at that location in Shopify")
        visit.page.get_by_label("Product, SKU, location or outcome").fill("")
        visit.page.get_by_role("combobox", name="Outcome").select_option("Sent and confirmed")
        visit.page.get_by_role("button", name="Change").click()
        expect(rows.first).to_contain_text("\N{MINUS SIGN}11")
        visit.page.get_by_role("button", name="Change").click()
        expect(rows.first).to_contain_text("+11")
        visit.page.get_by_label("Product, SKU, location or outcome").fill("no such thing")
        expect(rows).to_have_count(0)
        expect(visit.page.locator(".iv-find [role=status]")).to_contain_text("not touched in HotWax")


def test_a_bar_leads_to_its_pairs_and_says_its_number(browser: Browser, page: Path) -> None:
    with opened(browser, page) as visit:
        visit.page.get_by_text("For engineers").click()
        bar = visit.page.locator(".iv-wide [aria-label^='Utrecht; '][aria-label$='too few']").first
        bar.hover()
        expect(visit.page.locator(".iv-tip")).to_contain_text("too few")
        bar.click()
        expect(visit.page.get_by_label("Product, SKU, location or outcome")).to_have_value("Utrecht")
        expect(visit.page.locator(".iv-find tbody tr").first).to_contain_text("Utrecht")


def test_what_needs_a_person_leads_to_its_pairs_by_keyboard(browser: Browser, page: Path) -> None:
    with opened(browser, page) as visit:
        visit.page.keyboard.press("Tab")
        expect(visit.page.locator(".iv-skip")).to_be_focused()
        visit.page.keyboard.press("Enter")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator(".iv-find tbody tr")).to_have_count(1)


def test_a_link_from_elsewhere_opens_the_page_at_a_pair(browser: Browser, page: Path) -> None:
    with opened(browser, page, at="#find=GIFT-CARD") as visit:
        expect(visit.page.locator(".iv-find tbody tr")).to_have_count(1)
        expect(visit.page.get_by_label("Product, SKU, location or outcome")).to_have_value("GIFT-CARD")


def test_it_prints_on_a4_and_no_chart_is_cut(browser: Browser, page: Path) -> None:
    with opened(browser, page, width=DESK) as visit:
        visit.page.emulate_media(media="print")
        made = pypdfium2.PdfDocument(io.BytesIO(visit.page.pdf(format="A4", print_background=True)))
        sheets = [sheet.get_textpage().get_text_range() for sheet in made]
    assert len(sheets) <= 7
    whole = [
        ("Furthest off: TEE-000, by 21 of 527 units", "Units, in Shopify when the run looked", "products are drawn."),
        ("Furthest off: Amsterdam, by 132 of 527 units", "Units, in Shopify when the run looked", "too many over"),
        ("kept off sale, most at", "Order placed, before the run", "older"),
        ("Already right: 270 of 367 pairs", "more kinds."),
    ]
    for chart in whole:
        assert any(all(word in sheet for word in chart) for sheet in sheets), chart
    assert "target = HotWax sellable" in "".join(sheets), "what is folded on the screen is printed"


def test_without_scripts_the_page_shows_everything_but_the_lookup(browser: Browser, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    silent = context.new_page()
    silent.goto(page.resolve().as_uri())
    expect(silent.locator(".iv-needs li").first).to_be_visible()
    silent.get_by_text("For engineers").click()
    expect(silent.locator(".iv-chart svg").first).to_be_visible()
    expect(silent.locator(".iv-find")).to_be_hidden()
    context.close()
    assert "Held back" in body(page.read_text())
