"""A hard sync of 1 million pairs of which 20,000 are wrong, beside a plain client that does the same.

The plain client reads the levels by one bulk query, compares, sends one bulk mutation, and reads back what it sent by
another bulk query. It knows no orders, keeps no state and makes no report. The shop is the sandbox in a process of its
own, which shares the machine, so its work is in both walls. Shopify's bucket is that of Plus.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from invsync.sandbox import demo
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Level, Shop
from invsync.shopify.client import operation
from tests.bench.measure import ROOT, Target, faster
from tests.campaign import volume

PRODUCTS, PLACES, WRONG = 100_000, volume.FACILITIES, 50  # one pair in so many shows three units too many
TOKEN = "shpat_bench"
HEADERS = {"X-Shopify-Access-Token": TOKEN}
API = "/admin/api/2026-10/graphql.json"
ITEM, LOCATION = "gid://shopify/InventoryItem/", "gid://shopify/Location/"
TARGETS = [
    faster("invsync", "plain client", at_least=1 / 0.7),
    Target("invsync, peak above base, MB", lambda m: m["invsync"].peak, at_most=700),
]


def prepare(folder: Path, scale: float) -> None:
    """The OMS: products at ten facilities, each of which feeds its own location."""
    products = max(100, int(PRODUCTS * scale))
    url = f"sqlite:///{folder}/oms.db"
    volume.fill(url, products=products, events=1_000, orders=10_000, one_to_one=True)
    (folder / "products").write_text(str(products))


def counted(pair: int) -> int:
    """What the OMS counts at a pair."""
    return 4 + pair % 50


def item(pair: int) -> int:
    """The item of a pair."""
    return int(f"4{pair // PLACES}")


class Server:
    """The shop in a process of its own, anew for each run."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.bench.hardsync", str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ended(self) -> str:
        """How many pairs are wrong and how many changes the shop executed, once it has been stopped."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._line()


def invsync(folder: Path) -> Callable[[], Server]:
    """The job, in this process."""
    from invsync.jobs import launch

    server = Server(folder)
    os.environ[demo.TOKEN_ENV] = TOKEN
    home = folder / f"run-{time.monotonic_ns()}"
    home.mkdir()
    (home / "oms.db").symlink_to(folder / "oms.db")
    config = demo.configure(home, server.address)
    text = config.read_text().replace("[shops.demo]", '[shops.demo]\nkeep_by = "resets"', 1)
    config.write_text(text + "[shops.demo.guards]\nmax_changed_share = 1.0\nmax_units = 1000000\n")
    given = {"shop": "demo", "config": str(config), "at": volume.END.isoformat()}

    def run() -> Server:
        facts = launch.run("hard-sync", given, engine="inprocess")
        assert facts["exit_code"] == 0, facts["messages"]
        return server

    return run


def plain_client(folder: Path) -> Callable[[], Server]:
    """The plain way."""
    server = Server(folder)

    def run() -> Server:
        with httpx.Client(headers=HEADERS, timeout=600) as http:
            before = dict(plain_levels(http, server.address))
            with sqlite3.connect(folder / "oms.db") as connection:
                targets = {(item, place): units for item, place, units in connection.execute(STOCK)}
            changes = [
                (*pair, int(units) - before[pair], before[pair])
                for pair, units in targets.items()
                if before.get(pair, units) != units
            ]
            plain_mutation(http, server.address, changes)
            after = dict(plain_levels(http, server.address))
            assert all(after[item, place] == delta + was for item, place, delta, was in changes)
        return server

    return run


STOCK = f"""
SELECT '{ITEM}' || shop.shopify_inventory_item_id, '{LOCATION}' || place.shopify_location_id,
       stock.computed_last_inventory_count
FROM product_facility stock
JOIN shopify_shop_product shop ON shop.product_id = stock.product_id
JOIN shopify_shop_location place ON place.facility_id = stock.facility_id
"""


def asked(http: httpx.Client, address: str, text: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The data of one call."""
    answer = http.post(f"{address}{API}", json={"query": text, "variables": variables}).json()
    assert "errors" not in answer, answer
    return dict(answer["data"])


def plain_result(http: httpx.Client, address: str, started: dict[str, Any]) -> Iterator[Any]:
    """The lines of a bulk operation's result, once it has ended."""
    assert started["bulkOperation"], started
    while True:
        node = asked(http, address, operation("bulk_operation"), {"id": started["bulkOperation"]["id"]})[
            "bulkOperation"
        ]
        if node["status"] not in ("CREATED", "RUNNING"):
            break
        time.sleep(1)
    with http.stream("GET", node["url"], headers={"X-Shopify-Access-Token": ""}) as response:
        yield from map(json.loads, response.iter_lines())


def plain_levels(http: httpx.Client, address: str) -> Iterator[tuple[tuple[str, str], int]]:
    """The `available` of each item and location, by a bulk query."""
    query = {"query": operation("levels_bulk")}
    started = asked(http, address, operation("bulk_run_query"), query)["bulkOperationRunQuery"]
    for line in plain_result(http, address, started):
        if "__parentId" in line:
            units = next(each["quantity"] for each in line["quantities"] if each["name"] == "available")
            yield (line["__parentId"], line["location"]["id"]), units


def plain_mutation(http: httpx.Client, address: str, changes: list[tuple[str, str, int, int]]) -> None:
    """Send the changes by a bulk mutation."""
    lines = []
    for start in range(0, len(changes), 250):
        rows = [
            {"inventoryItemId": item, "locationId": place, "delta": delta, "changeFromQuantity": was}
            for item, place, delta, was in changes[start : start + 250]
        ]
        given = {"name": "available", "reason": "correction", "referenceDocumentUri": "bench://plain", "changes": rows}
        lines.append(json.dumps({"input": given, "idempotencyKey": f"plain-{start}"}))
    body = ("\n".join(lines) + "\n").encode()
    wanted = {
        "resource": "BULK_MUTATION_VARIABLES",
        "filename": "a.jsonl",
        "mimeType": "text/jsonl",
        "httpMethod": "POST",
    }
    staged = asked(http, address, operation("staged_upload"), {"input": [wanted]})["stagedUploadsCreate"]
    target = staged["stagedTargets"][0]
    fields = {each["name"]: each["value"] for each in target["parameters"]}
    http.post(target["url"], data=fields, files={"file": ("a.jsonl", body, "text/jsonl")}).raise_for_status()
    given = {
        "mutation": operation("adjust_quantities"),
        "stagedUploadPath": fields["key"],
        "clientIdentifier": "plain-client",
    }
    started = asked(http, address, operation("bulk_run_mutation"), given)["bulkOperationRunMutation"]
    for line in plain_result(http, address, started):
        assert not line["data"]["inventoryAdjustQuantities"]["userErrors"], line


VARIANTS = {"invsync": invsync, "plain client": plain_client}


def digest(server: Server) -> str:
    """Pairs that are wrong, and changes that were executed."""
    return server.ended()


def keep(folder: Path) -> None:
    """Serve the shop until standard input ends; print its address, then what `Server.ended` returns."""
    pairs = PLACES * int((folder / "products").read_text())
    shop = Shop(token=TOKEN, bulk_lines_per_poll=pairs)  # a bulk operation takes its work, and not a number of polls
    for place in range(PLACES):
        shop.add_location(place + 1, f"Location {place + 1}")
    for pair in range(pairs):
        if pair % PLACES == 0:
            shop.add_item(item(pair), f"SKU{pair // PLACES}")
        shown = counted(pair) + 3 * (pair % WRONG == 0)
        shop.levels[item(pair), pair % PLACES + 1] = Level(shown, active=True, updated_at=volume.END)
    with serve(shop) as address:
        print(address, flush=True)
        sys.stdin.read()
    wrong = sum(shop.available(item(p), p % PLACES + 1) != counted(p) for p in range(pairs))
    print(f"{wrong} wrong, {len(shop.journal)} changes", flush=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
