"""Make the sample: two weeks of real sales in the sandbox, the shop's runs as they came, the index and the week.

    python reports/sample/make.py [FOLDER]

The sandbox's clock stands for the machine's, so the same command makes the same pages, but for run ids and durations.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import time_machine
from playwright.sync_api import sync_playwright

from invsync.charts import Reader
from invsync.jobs import launch
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import FIRST_ITEM, LOCATION, WAREHOUSE, World, sales
from invsync.site import index, week_page

HERE = Path(__file__).resolve().parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOP, TOKEN = "demo", "INVSYNC_SAMPLE_TOKEN"
READERS = {SHOP: Reader("en-GB", "Europe/London")}
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
SUNDAY = date(2026, 11, 15)
SKUS = 240  # the products that sold most often
WHOLE = "20261113T1300"  # the run whose files are all kept
SHOWN = ("report.html", "run.json")
CONFIG = """\
[state]
url = "sqlite:///state.db"
[reports]
path = "reports"
[shops.{shop}]
domain = "demo.myshopify.com"
endpoint = "{endpoint}"
token_env = "{token}"
timezone = "Europe/London"
locale = "en-GB"
[shops.{shop}.oms]
kind = "database"
url = "sqlite:///oms.db"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
"""


def make(target: Path) -> None:
    """Write the sample below this folder: `index.html`, `_site`, the shop's runs and its week."""
    sold = _sold()
    target = target.resolve()
    with tempfile.TemporaryDirectory() as workshop, chdir(workshop):
        index.build(Path("reports"), READERS)  # so that each run's page leads to it
        _play(sold)
        reports = Path("reports")
        week_page.write(reports, SHOP, READERS, ending=SUNDAY)
        shutil.rmtree(reports / index.SITE / "state")
        _tidy(reports)
        for kept in (SHOP, index.SITE):
            shutil.rmtree(target / kept, ignore_errors=True)
        shutil.copytree(reports, target, dirs_exist_ok=True)
    _picture(target)


def _picture(target: Path) -> None:
    """Draw the first screen of the run whose files are all kept."""
    (page,) = target.glob(f"{SHOP}/*/{WHOLE}*/report.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        window = browser.new_page(viewport={"width": 1080, "height": 1180})
        window.goto(page.as_uri())
        window.screenshot(path=target / "run.png")
        browser.close()


def _sold() -> pl.DataFrame:
    """The sales of the products that sold most often."""
    rows = sales().filter(pl.col("sku").str.contains(r"^\d{5}"))
    often = rows.group_by("sku").len().sort("len", "sku", descending=[True, False]).head(SKUS)
    return rows.join(often, on="sku", how="semi", maintain_order="left")


def _play(sold: pl.DataFrame) -> None:
    """Run the jobs beside two weeks of sales, with a wrong removal that a guard stops, and a night without a valid token."""
    os.environ[TOKEN] = "sandbox-token"
    shop = Shop(token=os.environ[TOKEN])
    world = World(shop, Oms("sqlite:///oms.db").create(), sold, lag_minutes=45, start=MONDAY)
    with serve(shop) as endpoint:
        Path("invsync.toml").write_text(CONFIG.format(shop=SHOP, endpoint=endpoint, token=TOKEN), encoding="utf-8")
        for at, job, what in _schedule():
            world.advance(at)
            _happen(world, what)
            with time_machine.travel(at, tick=True):
                facts = launch.run(
                    job, {"shop": SHOP, "config": "invsync.toml", "dry_run": what == "rehearsal"}, engine="inprocess"
                )
            shop.token = os.environ[TOKEN]
            if what == "guard":
                world.oms.join_group(WAREHOUSE, at)
            print(f"{at:%a %d %b %H:%M}  {job}: {facts['status']}", file=sys.stderr)


def _schedule() -> Iterator[tuple[datetime, str, str]]:
    """What runs when: a few hard syncs, then in the second week one each night, and recent changes at one o'clock."""
    for day in range(14):
        midnight = MONDAY + timedelta(days=day)
        if day >= 7 or day in {0, 3, 6}:
            yield midnight + timedelta(hours=3), "hard-sync", "token" if day == 9 else ""
        if day in {7, 8, 9, 10, 11}:
            yield midnight + timedelta(hours=13), "upload-recent-changes", {8: "guard", 10: "gone"}.get(day, "")
    yield MONDAY + timedelta(days=13, hours=15), "hard-sync", "rehearsal"


def _happen(world: World, what: str) -> None:
    if what == "token":
        world.shop.token = "another"
    elif what == "guard":
        world.oms.leave_group(WAREHOUSE, world.now)
    elif what == "gone":
        for item in (FIRST_ITEM + 3, FIRST_ITEM + 50):
            world.shop.items.pop(item, None)
    for n in range(2 * (world.now.day % 4 + 2)):  # somebody edits numbers in the admin
        item = FIRST_ITEM + (37 * world.now.day + 53 * n + world.now.hour) % SKUS
        shown = world.shop.available(item, LOCATION)
        if shown is not None:
            world.shop.set_level(item, LOCATION, max(0, shown + (11 * n + world.now.day) % 29 - 13))


def _tidy(reports: Path) -> None:
    """Keep every page, and the other files of one run only; its notebook names folders of this machine."""
    for page in sorted(reports.glob(f"{SHOP}/*/*/report.html")):
        whole = WHOLE in page.parent.name
        for file in page.parent.iterdir():
            if file.name not in SHOWN and (not whole or file.name == "report.ipynb"):
                file.unlink()
        _unlink(page)


def _unlink(page: Path) -> None:
    """Leave the name of a file that was not kept, without its link."""

    def kept(link: re.Match[str]) -> str:
        return link[0] if (page.parent / link[1]).exists() else link[1]

    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r'<a href="([\w.-]+)">\1</a>', kept, text), encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
