"""A page as a reader opens it: Chromium with the network cut, every request and every complaint counted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
CUT = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
DESK, PHONE = 1280, 390
EVERYWHERE = [(width, scheme) for width in (DESK, PHONE) for scheme in ("light", "dark")]


@dataclass
class Visit:
    """An open page, the addresses that it asked for, and what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What axe-core finds wrong with contrast, names, roles and order."""
        violations = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {node['html'][:160]}" for one in violations for node in one["nodes"]]

    def marks(self) -> list[int]:
        """Marks drawn in each chart that is on show."""
        script = "all => all.filter(one => one.offsetParent).map(one => one.querySelectorAll('svg [role=graphics-symbol]').length)"
        counted: list[int] = self.page.eval_on_selector_all(".iv-view", script)
        return counted

    def sideways(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium that can reach nobody."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CUT)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, *, width: int = DESK, scheme: str = "light", at: str = "") -> Iterator[Visit]:
    """The file, opened in a new window of this width and colour scheme, `at` a fragment."""
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "offline": True}
    context = browser.new_context(**options)
    visit = Visit(context.new_page())
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    visit.page.on("console", lambda said: visit.complaints.append(said.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.goto(path.resolve().as_uri() + at)
    yield visit
    context.close()
