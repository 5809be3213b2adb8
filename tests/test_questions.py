"""Ten questions of a manager, answered from the sample's first page, each in a click or two."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import chromium, needs_chromium, opened
from playwright.sync_api import Browser, expect

pytestmark = needs_chromium
INDEX = Path(__file__).parents[1] / "reports" / "sample" / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    ("question", "clicks", "answer"),
    [
        ("Is the sync running?", [], "demo has not synced for"),
        ("How many products are right?", [], "235 of 237 products are right; 2 need you."),
        ("Which products are wrong now?", ["Products that need you"], "Doormat Red Retrospot"),
        ("Since when?", ["Products that need you"], "12 Nov 2026"),
        ("What does it cost?", ["Products that need you"], "no price or target is known"),
        ("What do I do?", ["Products that need you"], "Remove the link of product P20685 to item 40000000004"),
        ("What did the last run do?", ["Hard sync"], "pairs need a person"),
        ("What did it change, and why?", ["Hard sync"], "HotWax has"),
        ("How right were we this week?", ["to 2026-11-15"], "Shopify was right for 97.1"),
        ("What was kept off sale, and what was it worth?", ["to 2026-11-15"], "at unit prices"),
        ("Who changed this product, and when?", ["Search"], "What runs did to it, the newest first"),
    ],
)
def test_a_question_is_answered(browser: Browser, question: str, clicks: list[str], answer: str) -> None:
    assert len(clicks) <= 1
    with opened(browser, INDEX) as visit:
        if clicks == ["Search"]:
            visit.page.get_by_label("Part of a title or SKU").fill("Please One Person Metal Sign")
        for words in clicks:
            visit.page.get_by_role("button" if words == "Search" else "link", name=words).first.click()
        expect(visit.page.locator("body")).to_contain_text(answer)
