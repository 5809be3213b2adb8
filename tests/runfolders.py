"""Run folders as the jobs leave them, with the outcomes that a test speaks of."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from invsync import tables

NOW = datetime(2026, 11, 23, 13, 15, tzinfo=UTC)
ROW: dict[str, Any] = {
    "inventory_item_id": 1,
    "location_id": 10,
    "product_id": "P1",
    "sku": "SKU-1",
    "mode": "physical",
    "oms": 5.0,
    "available": 3,
    "is_active": True,
    "tracked": True,
    "requires_components": False,
    "in_flight": 0,
    "buffer": 0,
    "target": 5.0,
    "delta": 2,
    "held": None,
    "outcome": "applied",
    "reason": None,
    "message": None,
    "after": 5,
}
EXIT = {"done": 0, "planned": 0, "stopped": 3, "partial": 4, "failed": 5}
GONE = {
    "outcome": "refused",
    "reason": "INVALID_INVENTORY_ITEM",
    "message": "The specified inventory item could not be found.",
    "delta": 2,
}


def outcomes(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([ROW | row for row in rows], schema=tables.OUTCOMES)


def leave(
    root: Path,
    frame: pl.DataFrame,
    *,
    shop: str = "acme",
    job: str = "upload-recent-changes",
    at: datetime = NOW,
    status: str = "done",
    **more: Any,
) -> Path:
    """One run's folder: run.json from the outcomes, outcomes.parquet, and a page to link to."""
    run_id = f"{at:%Y%m%dT%H%M%SZ}-0000"
    folder = root / shop / job / run_id
    folder.mkdir(parents=True)
    counts = dict(frame.group_by("outcome").len().iter_rows())
    sent = frame.filter(pl.col("outcome").is_in(["applied", "superseded"]))["delta"]
    faults = frame.filter(pl.col("outcome").is_in(["refused", "unknown"])).height
    facts = {
        "run_id": run_id,
        "shop": shop,
        "job": job,
        "status": status,
        "exit_code": EXIT[status],
        "started_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "finished_at": f"{at + timedelta(seconds=7):%Y-%m-%dT%H:%M:%SZ}",
        "counts": {
            "read": frame.height,
            "selected": frame.height,
            "planned": sent.len(),
            "needs_a_person": faults,
            **{
                name: counts.get(name, 0)
                for name in ("applied", "already_right", "superseded", "refused", "held", "unknown")
            },
        },
        "units": {"raised": int(sent.filter(sent > 0).sum()), "lowered": int(-sent.filter(sent < 0).sum())},
        "in_flight": {"orders": 1, "units": int(frame["in_flight"].sum()), "pairs": 1},
        "locations": {"10": "Amsterdam", "11": "Utrecht"},
        "messages": [],
        "guards": [],
    }
    (folder / "run.json").write_text(json.dumps(facts | more), encoding="utf-8")
    (folder / "report.html").write_text(f"<!DOCTYPE html><title>{run_id}</title><p id=find>{run_id}", encoding="utf-8")
    frame.write_parquet(folder / "outcomes.parquet")
    return folder


def random_outcomes(dice: random.Random, rows: int, items: int = 2000) -> pl.DataFrame:
    """Outcomes of a run that looked at this many pairs: some changed, few refused, some in flight."""
    made = []
    for _ in range(rows):
        item = dice.randrange(items)
        one: dict[str, Any] = {
            "inventory_item_id": item,
            "sku": f"TEE-{item:05d}",
            "product_id": f"P{item}",
            "location_id": dice.choice([10, 11]),
            "in_flight": dice.choice([0, 0, 0, 1, 2]),
        }
        kind = dice.random()
        if item % 997 == 3:
            one |= GONE
        elif kind < 0.4:
            one |= {"outcome": "already_right", "delta": 0}
        elif kind < 0.45:
            one |= {"outcome": "superseded", "delta": -1, "reason": "moved_after_the_write"}
        else:
            one |= {"delta": dice.randrange(-9, 8) or 1}
        made.append(one)
    return outcomes(*made)


def leave_many(
    root: Path,
    runs: int,
    *,
    shops: tuple[str, ...] = ("acme", "birch"),
    rows: int = 12,
    minutes: int = 15,
    **more: Any,
) -> None:
    """A run of each shop every so many minutes, a hard sync each night, until NOW; some stopped or failed."""
    dice, empty = random.Random(7), outcomes({}).clear()
    for n in range(runs):
        at, shop = NOW - timedelta(minutes=minutes * ((runs - 1 - n) // len(shops))), shops[n % len(shops)]
        job = "hard-sync" if at.hour == 3 and at.minute < minutes else "upload-recent-changes"
        kind = dice.random()
        if kind < 0.004:
            leave(root, empty, shop=shop, job=job, at=at, status="failed", **more)
        elif kind < 0.007:
            leave(root, empty, shop=shop, job=job, at=at, status="stopped", **more)
        else:
            frame = random_outcomes(dice, rows * 20 if job == "hard-sync" else dice.randrange(rows * 2))
            wrong = frame["outcome"].is_in(["refused"]).any()
            leave(root, frame, shop=shop, job=job, at=at, status="partial" if wrong else "done", **more)
