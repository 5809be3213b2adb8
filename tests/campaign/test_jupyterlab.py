"""The analyst's notebook as an analyst uses it: opened in JupyterLab, run whole, and a knob turned."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from browsing import chromium, needs_chromium
from builders import best_sellers
from playwright.sync_api import Page, expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "oversell_scenarios.ipynb"
MINUTE = 60_000


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab over this folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (folder / "jupyterlab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                httpx.get(f"http://127.0.0.1:{port}/api?token={token}").raise_for_status()
                break
            except httpx.HTTPError:
                assert server.poll() is None, (folder / "jupyterlab.log").read_text()[-2000:]
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}?token={token}"
    finally:
        server.terminate()
        server.wait(30)


def prepare(folder: Path) -> None:
    """The notebook in this folder, its parameter naming a few days of the products that sell most."""
    best_sellers(folder / "sales.parquet")
    notebook = json.loads(NOTEBOOK.read_text())
    (cell,) = (cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
    cell["source"] = "".join(cell["source"]).replace('sales: str = ""', 'sales: str = "sales.parquet"')
    (folder / NOTEBOOK.name).write_text(json.dumps(notebook))


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@needs_chromium
def test_a_knob_turned_in_jupyterlab_replays_and_draws_again(tmp_path: Path) -> None:
    prepare(tmp_path)
    shots = Path(shots_to) if (shots_to := os.environ.get("INVSYNC_SHOTS")) else tmp_path
    with jupyterlab(tmp_path) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(address)
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=2 * MINUTE)
        run_all(page)
        policy = page.locator(".widget-dropdown select").first
        policy.wait_for(timeout=3 * MINUTE)
        policy.scroll_into_view_if_needed()
        drawn = page.locator(".jupyter-widgets .jp-OutputArea").last
        expect(drawn.locator("svg, canvas, img").first).to_be_visible(timeout=MINUTE)
        page.screenshot(path=shots / "jupyterlab-before.png")
        before = drawn.inner_html()
        policy.select_option(label=policy.locator("option").last.inner_text())
        page.wait_for_function(
            "([one, html]) => one.innerHTML !== html && one.querySelector('svg, canvas, img')",
            arg=[drawn.element_handle(), before],
            timeout=MINUTE,
        )
        page.screenshot(path=shots / "jupyterlab-after.png")

        assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
