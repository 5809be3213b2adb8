"""10,000 changes by direct calls, on each plan and at each latency, beside Shopify's rate.

The rate: each call leaves as soon as the bucket holds its cost, and takes the latency; nothing else takes time. "Four
at once" is a fixed number of calls. The shop is a process of its own with the sandbox's bucket; it executes nothing,
except in the variants that say "sandbox", where executing 10,000 changes takes a second of its own.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from invsync import bulkfile, verify
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.sandbox.admin.costs import MUTATION_COST, Bucket
from invsync.sandbox.app import create_app
from invsync.sandbox.server import hosting
from invsync.sandbox.shop import Shop
from invsync.shopify import writes
from invsync.shopify.client import Client
from tests.bench.measure import ROOT, Target

CHANGES, PLACE, TOKEN = 10_000, 70, "shpat_bench"
WARM_UP = "query shop { shop { id } }"


@dataclass(frozen=True)
class Plan:
    """A plan's bucket in points, its points a second, and what is in the bucket at first."""

    maximum: int
    rate: int
    available: int


PLANS = {
    "Standard": Plan(2_000, 100, 2_000),
    "Standard, bucket spent": Plan(2_000, 100, 100),
    "Plus": Plan(20_000, 1_000, 20_000),
}
LATENCIES = (0.0, 0.2, 1.0)
CASES = [("Standard", 0.0), ("Standard", 0.2), ("Standard", 1.0), ("Standard, bucket spent", 1.0)]
CASES += [("Plus", seconds) for seconds in LATENCIES]


def prepare(folder: Path, scale: float) -> None:
    """The file of changes."""
    items = range(1, max(1, int(CHANGES * scale)) + 1)
    rows = pl.DataFrame({"inventory_item_id": items}).with_columns(
        location_id=pl.lit(PLACE), delta=pl.lit(1.0), available=pl.lit(5.0), target=pl.lit(6.0)
    )
    bulkfile.write(rows, folder, run_id="bench")


def settings(url: str) -> ShopSettings:
    """The sandbox at this address."""
    return ShopSettings(domain="bench.myshopify.com", endpoint=url, token_env="TOKEN", oms=OmsSettings(shop_id="S"))


def sent(
    plan: str, latency: float, at_once: int | None = None, kind: str = "bucket"
) -> Callable[[Path], Callable[[], str]]:
    """The file sent to a shop of this plan that takes so long for each call, after one read as in every job."""

    def prepared(folder: Path) -> Callable[[], str]:
        if at_once:
            Client.at_once = lambda self, text: at_once  # type: ignore[method-assign]
        changes = bulkfile.read(folder / "adjustments.jsonl").height
        words = [sys.executable, "-m", "tests.bench.pacing", plan, str(latency), kind, str(changes)]
        server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        client = Client.open(settings(server.stdout.readline().strip()), secrets={"TOKEN": TOKEN})
        client.data("shop", text=WARM_UP)

        def run() -> str:
            writes.submit(client, folder / "adjustments.jsonl", folder / "result.jsonl", transport="direct")
            return str(folder)

        return run

    return prepared


def modelled(plan: str, latency: float) -> Callable[[Path], Callable[[], str]]:
    """The seconds that Shopify's rate asks for, slept; nothing is made."""

    def prepared(folder: Path) -> Callable[[], str]:
        changes = bulkfile.read(folder / "adjustments.jsonl")
        points = (changes["line"].max() + 1) * MUTATION_COST  # type: ignore[operator]
        seconds = latency + max(0.0, (points - PLANS[plan].available) / PLANS[plan].rate)

        def run() -> str:
            time.sleep(seconds)
            return ""

        return run

    return prepared


def _variants() -> dict[str, Callable[[Path], Callable[[], str]]]:
    variants = {}
    for plan, latency in CASES:
        case = f"{plan}, {latency:g} s"
        variants[f"{case}: rate"] = modelled(plan, latency)
        variants[case] = sent(plan, latency)
        if latency and "spent" not in plan:
            variants[f"{case}: four at once"] = sent(plan, latency, at_once=4)
    variants["Standard, 1 s: sandbox"] = sent("Standard", 1.0, kind="sandbox")
    variants["Standard, 0 s: sandbox"] = sent("Standard", 0.0, kind="sandbox")
    return variants


VARIANTS = _variants()
TARGETS = [
    Target(f"{case} a call / rate, wall", lambda m, case=case: m[case].wall / m[f"{case}: rate"].wall, at_most=most)
    for case, most in {"Standard, 1 s": 1.1, "Standard, bucket spent, 1 s": 1.1, "Plus, 1 s": 1.1}.items()
]


def digest(made: str) -> str:
    """That every change of the file landed."""
    folder = Path(made)
    if made:
        answers = verify.answers(folder / "adjustments.jsonl", folder / "result.jsonl")
        assert (answers["answer"] == "landed").all(), answers
        assert answers.height == bulkfile.read(folder / "adjustments.jsonl").height
    return "landed"


def sandbox(bucket: Bucket, plan: Plan, count: int) -> ASGIApp:
    """The sandbox with so many items."""
    shop = Shop(token=TOKEN, bucket=bucket)
    shop.add_location(PLACE, "Store")
    for item in range(1, count + 1):
        shop.add_item(item, f"SKU-{item}")
        shop.set_level(item, PLACE, 5)
    return create_app(shop)


def bucket_only(bucket: Bucket, plan: Plan, count: int) -> ASGIApp:
    """A shop that takes every mutation, and pays for it from the bucket; the first query sets what is in it."""
    done = {
        "shop": {"id": "1"},
        "inventoryAdjustQuantities": {"inventoryAdjustmentGroup": {"id": "g"}, "userErrors": []},
    }

    async def answer(request: Request) -> JSONResponse:
        enough = bucket.refill() >= MUTATION_COST
        if WARM_UP.encode() in await request.body():
            bucket.available = plan.available + MUTATION_COST
        if enough:
            bucket.pay(MUTATION_COST, MUTATION_COST)
        paid = MUTATION_COST if enough else None
        cost = {"requestedQueryCost": MUTATION_COST, "actualQueryCost": paid, "throttleStatus": bucket.status()}
        throttled = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
        return JSONResponse(({"data": done} if enough else throttled) | {"extensions": {"cost": cost}})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


KINDS = {"sandbox": sandbox, "bucket": bucket_only}


def serve(plan: Plan, latency: float, kind: str, count: int) -> None:
    """Serve a shop of this plan until the process that asked for it has gone."""
    bucket = Bucket(plan.maximum, plan.rate)
    app = KINDS[kind](bucket, plan, count)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(latency)
        await app(scope, receive, send)

    with hosting(slow) as url:
        print(url, flush=True)
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.2)


if __name__ == "__main__":
    serve(PLANS[sys.argv[1]], float(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
