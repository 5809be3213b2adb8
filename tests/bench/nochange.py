"""A run of 10,000 pairs without a change, beside papermill's start of a kernel for an empty notebook.

In this package: the run's whole work (reads, plan, charts, page) in a process that has imported everything. The two
commands show what a person waits for: they import polars and SQLAlchemy too.
The shop answers from memory, as it did when it was asked before.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from invsync.sandbox import demo
from invsync.sandbox.app import create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import hosting
from invsync.sandbox.shop import Shop
from tests.bench.measure import ROOT, Target

PRODUCTS, PLACES, FIRST_ITEM, FIRST_PLACE = 1_000, 10, 44_000_000_000, 70_000_000_000
STOCKED, NOW = datetime(2026, 3, 2, 12, tzinfo=UTC), "2026-03-02T13:00:00Z"
TARGETS = [
    Target(
        "in this package / kernel of an empty notebook, wall",
        lambda m: m["in this package"].wall / m["kernel, empty notebook"].wall,
        at_most=1,
    ),
    Target("nothing touched, warm, CPU seconds", lambda m: m["nothing touched, warm"].cpu, at_most=0.25),
]


def prepare(folder: Path, scale: float) -> None:
    """The OMS, and an empty notebook."""
    products, oms = max(10, int(PRODUCTS * scale)), Oms(f"sqlite:///{folder}/oms.db").create()
    with oms.batch():
        for place in range(PLACES):
            oms.add_facility(f"ST{place}", f"Store {place}", type="RETAIL_STORE")
            oms.map_location(f"ST{place}", FIRST_PLACE + place)
        oms.stock_up([(f"P{n}", f"SKU-{n}", FIRST_ITEM + n, n % 40) for n in range(products)], "ST0", STOCKED)
        for n in range(products):
            for place in range(1, PLACES):
                oms.set_stock(f"P{n}", f"ST{place}", (n + place) % 40, STOCKED)
    oms.close()
    (folder / "products").write_text(str(products))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = {"cell_type": "code", "id": "nothing", "metadata": {}, "source": "", "outputs": [], "execution_count": None}
    empty = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "empty.ipynb").write_text(json.dumps(empty))


def command(*words: str) -> list[str]:
    """A module of this environment as a command."""
    return [sys.executable, "-m", *words]


def shop_of(folder: Path) -> dict[str, str]:
    """The parameters of a run against a shop in a process of its own."""
    os.environ[demo.TOKEN_ENV] = "shpat_bench"
    server = subprocess.Popen(command("tests.bench.nochange", str(folder)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    config = demo.configure(folder, server.stdout.readline().strip())
    return {"shop": "demo", "config": str(config), "at": NOW}


def in_process(folder: Path) -> Callable[[], str]:
    """The hard sync in this process, after it has run once before."""
    from invsync.jobs import launch

    configured = shop_of(folder)

    def run() -> str:
        return checked(launch.run("hard-sync", configured, engine="inprocess"), folder)

    run()
    return run


def untouched(folder: Path) -> Callable[[], str]:
    """The recent changes in this process, as a scheduler's worker runs them: nothing was touched since the last run."""
    from invsync.jobs import launch

    configured = shop_of(folder)

    def run() -> str:
        facts = launch.run("upload-recent-changes", configured, engine="inprocess")
        assert facts["counts"]["selected"] == 0, facts["counts"]
        return "done"

    launch.run("hard-sync", configured, engine="inprocess")
    for _ in range(3):
        launch.run("upload-recent-changes", configured, engine="inprocess")
    return run


def checked(facts: dict[str, Any], folder: Path) -> str:
    """Every pair was right already."""
    counts, products = facts["counts"], int((folder / "products").read_text())
    assert counts["already_right"] == counts["selected"] == products * PLACES, counts
    return "done"


def empty(folder: Path) -> Callable[[], str]:
    """A notebook of one empty cell, executed by papermill."""
    import papermill

    def run() -> str:
        papermill.execute_notebook(folder / "empty.ipynb", folder / "out.ipynb", progress_bar=False)
        return "done"

    return run


def run_command(folder: Path) -> Callable[[], str]:
    """The hard sync by its command, after it has run once before."""
    configured = shop_of(folder)
    words = command(
        "invsync.cli", "run", "hard-sync", "--json", *(f"--{name}={value}" for name, value in configured.items())
    )

    def run() -> str:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        return checked(json.loads(done.stdout.splitlines()[-1]), folder)

    run()
    return run


def empty_command(folder: Path) -> Callable[[], str]:
    """The empty notebook by papermill's command."""
    words = command("papermill", str(folder / "empty.ipynb"), str(folder / "out.ipynb"), "--no-progress-bar")

    def run() -> str:
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
        return "done"

    return run


VARIANTS = {
    "in this package": in_process,
    "nothing touched, warm": untouched,
    "kernel, empty notebook": empty,
    "command: invsync run": run_command,
    "command: papermill, empty": empty_command,
}


def digest(made: str) -> str:
    """Nothing is made; that all pairs were right is checked."""
    return made


def serve(folder: Path) -> None:
    """Serve the shop that shows what the OMS says, until the process that asked for it has gone."""
    shop = Shop(token=os.environ[demo.TOKEN_ENV])
    for place in range(PLACES):
        shop.add_location(FIRST_PLACE + place, f"Store {place}")
    for n in range(int((folder / "products").read_text())):
        shop.add_item(FIRST_ITEM + n, f"SKU-{n}")
        for place in range(PLACES):
            shop.set_level(FIRST_ITEM + n, FIRST_PLACE + place, (n + place) % 40)
    known: dict[tuple[str, bytes], httpx.Response] = {}

    async def answer(request: Request) -> Response:
        asked = (request.url.path, await request.body())
        if asked not in known:
            headers = {name: request.headers[name] for name in ("content-type", "x-shopify-access-token")}
            known[asked] = await run_in_threadpool(
                httpx.post, behind + asked[0], content=asked[1], headers=headers, timeout=60
            )
        known_answer = known[asked]
        version = {name: value for name, value in known_answer.headers.items() if name.startswith("x-shopify")}
        return Response(known_answer.content, known_answer.status_code, version, "application/json")

    routes = [Route("/{path:path}", answer, methods=["POST"])]
    with hosting(create_app(shop)) as behind, hosting(Starlette(routes=routes)) as front:
        print(front, flush=True)
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.2)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
