"""The analyst's notebook as an analyst uses it: opened in JupyterLab, run whole, and a knob turned."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import chromium, needs_chromium
from builders import best_sellers
from playwright.sync_api import Page, expect

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
AS_OPENED = ["run_history", "explain_level", "hard_sync", "upload_recent_changes", "undo_run", "oversell_scenarios"]
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


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The notebooks beside a demo whose shop stays alive."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    command = [sys.executable, "-m", "invsync.cli", "demo", "--keep", "--hours", "4"]
    with (folder / "demo.log").open("w") as log:
        shop = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        while "The shop stays" not in (folder / "demo.log").read_text():
            assert shop.poll() is None, (folder / "demo.log").read_text()[-2000:]
            time.sleep(0.5)
        yield folder / "notebooks"
    finally:
        shop.send_signal(signal.SIGINT)
        shop.wait(30)


def executed(page: Page, file: Path) -> list[dict[str, Any]]:
    """The code cells of the notebook as JupyterLab saved it when all of them had run."""
    for _ in range(120):
        page.keyboard.press("Control+s")
        cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
        if all(cell["execution_count"] for cell in cells) or any(errors(cells)):
            return cells
        page.wait_for_timeout(1000)
    raise AssertionError(f"{file.name} did not end")


def errors(cells: list[dict[str, Any]]) -> list[str]:
    outputs = (output for cell in cells for output in cell["outputs"])
    return [output["evalue"] for output in outputs if output["output_type"] == "error"]


@needs_chromium
def test_each_notebook_runs_as_opened_beside_a_demo_that_is_kept(kept: Path) -> None:
    with jupyterlab(kept) as address, chromium() as browser:
        for name in AS_OPENED:
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.goto(address.replace(NOTEBOOK.stem, name).replace("?", "?reset&"))
            expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=2 * MINUTE)
            run_all(page)
            cells = executed(page, kept / f"{name}.ipynb")
            page.close()

            assert errors(cells) == [], name
            assert sum(bool(cell["outputs"]) for cell in cells) >= len(cells) - 5, f"{name} shows something"
