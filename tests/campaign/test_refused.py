"""10,000 pairs of which Shopify refuses 1 in 250: the rest lands, each refused pair is named, few calls more."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.adjust import MESSAGES
from invsync.sandbox.admin.search import gid
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

PAIRS, A_LINE, ONLINE = 10_000, 250, 7
WAS, TARGET = 7, 10
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
EXTRA = {"refuse": 9, "spoil": 16}  # calls a bad row: Shopify names it, or halving isolates it
SPREAD = {"one on every line": range(100, PAIRS, A_LINE), "side by side": range(4_990, 4_990 + PAIRS // A_LINE)}


@dataclass
class Rehearsal:
    """A shop whose 10,000 items all have to be raised."""

    folder: Path
    shop: Shop

    def run(self, transport: str) -> dict[str, Any]:
        given = {
            "shop": "demo",
            "config": str(self.folder / "invsync.toml"),
            "transport": transport,
            "at": (START + timedelta(hours=1)).isoformat(),
        }
        return launch.run(demo.JOB, given, engine="inprocess")

    def calls(self) -> int:
        """Requests of the upload: adjustments, staged uploads, bulk mutations started and asked after."""
        words = "inventoryAdjustQuantities(", "stagedUploadsCreate(", "bulkOperationRunMutation("
        ours = {
            gid("BulkOperation", n) for n, operation in self.shop.operations.items() if operation.kind == "MUTATION"
        }
        return sum(
            any(word in request["query"] for word in words) or request["variables"].get("id") in ours
            for request in self.shop.requests
        )

    def lines(self, facts: dict[str, Any]) -> int:
        """Lines delivered by either transport: each is one adjustment that Shopify executed."""
        folder = self.folder / "reports" / "demo" / demo.JOB / facts["run_id"]
        return sum(1 for path in folder.glob("adjustments*.jsonl") for _ in path.open())

    def outcomes(self, facts: dict[str, Any]) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "reports" / "demo" / demo.JOB / facts["run_id"] / "outcomes.parquet")


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setenv(demo.TOKEN_ENV, "shpat_sandbox_0123456789")
    shop, oms = Shop(token="shpat_sandbox_0123456789"), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.stock_up([(f"P{n}", f"S{n}", n, TARGET) for n in range(1, PAIRS + 1)], "WH", START)
    oms.close()
    for n in range(1, PAIRS + 1):
        shop.add_item(n, f"S{n}")
        shop.set_level(n, ONLINE, WAS)
    with serve(shop) as endpoint:
        with demo.configure(tmp_path, endpoint).open("a") as file:
            file.write("[shops.demo.guards]\nmax_changed_share = 1.0\n")
        yield Rehearsal(tmp_path, shop)


@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("transport", ["direct", "bulk"])
@pytest.mark.parametrize("way", ["refuse", "spoil"])
def test_refused_pairs_are_named_and_cost_few_calls(
    rehearsal: Rehearsal, way: str, transport: str, spread: str
) -> None:
    bad = set(SPREAD[spread])
    setattr(rehearsal.shop, way, bad)

    facts = rehearsal.run(transport)

    outcomes, shop = rehearsal.outcomes(facts), rehearsal.shop
    refused = outcomes.filter(pl.col("outcome") == "refused")
    landed = [entry["inventory_item_id"] for entry in shop.journal]
    calls, lines = rehearsal.calls() - least(transport), rehearsal.lines(facts) - PAIRS // A_LINE
    print(
        f"{len(bad)} of {PAIRS} refused ({'by name' if way == 'refuse' else 'without a name'}, {spread}, {transport}): "
        f"{calls} calls and {lines} lines more than without, {calls / len(bad):.1f} and {lines / len(bad):.1f} "
        "a bad row"
    )
    assert facts["exit_code"] == 4 and facts["counts"]["refused"] == len(bad)
    assert sorted(landed) == sorted(set(range(1, PAIRS + 1)) - bad)
    assert {shop.available(item, ONLINE) for item in landed} == {TARGET}
    assert set(refused["inventory_item_id"]) == bad
    code = "NON_MUTABLE_INVENTORY_ITEM" if way == "refuse" else "ADJUST_QUANTITIES_FAILED"
    assert set(refused.select("reason", "message").iter_rows()) == {(code, MESSAGES[code])}
    assert max(calls, lines) <= EXTRA[way] * len(bad)


def least(transport: str) -> int:
    """Calls of an upload of which nothing is refused: one a line, or one to stage, to start and to ask after."""
    return PAIRS // A_LINE if transport == "direct" else 3
