"""`run.json`: how a run ended, written atomically; the only place where success is read from."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from invsync import bulkfile
from invsync.tables import KEY
from invsync.vocabulary import COUNTED, FAILED, HELD, LANDED, PLANNED, SENT, STATUSES, checked

NAMES = [
    "report.ipynb",
    "report.html",
    "mutation.graphql",
    "plan.parquet",
    "outcomes.parquet",
    "claims.parquet",
    "in_flight.parquet",
]
ROOM = 1 << 18  # bytes kept free on the disk for run.json, so that what was sent can be told when the disk is full


def blank(run_id: str, shop: str, job: str, started_at: str) -> dict[str, Any]:
    """The summary of a run that has not done anything yet."""
    return {
        "run_id": run_id,
        "shop": shop,
        "job": job,
        "status": FAILED,
        "exit_code": STATUSES[FAILED].exit_code,
        "started_at": started_at,
        "finished_at": None,
        "window": None,
        "counts": dict.fromkeys(["read", "selected", PLANNED, *COUNTED], 0),
        "units": {"raised": 0, "lowered": 0},
        "in_flight": {"orders": 0, "units": 0, "pairs": 0},
        "transport": None,
        "api_version": None,
        "operation_ids": [],
        "files": [],
        "guards": [],
        "messages": [],
        "locations": {},
    }


def write(folder: Path, summary: dict[str, Any]) -> None:
    """Put run.json in place in one step."""
    part = folder / "run.json.part"
    with part.open("r+b" if part.exists() else "wb") as file:
        file.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / "run.json")


def reserve(folder: Path) -> None:
    """Keep room for run.json before anything is sent."""
    (folder / "run.json.part").write_bytes(b" " * ROOM)


def has_begun(folder: Path) -> bool:
    """Whether the run left something that people must find: a file for Shopify, or room for what it was about to send."""
    return any(True for name in ("adjustments*", "run.json*") for _ in folder.glob(name))


def read(folder: Path) -> dict[str, Any] | None:
    """The run.json of this folder; None when the run never wrote one."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def has_sent(run: dict[str, Any] | None) -> bool:
    """Whether a run may have sent something: it planned some and ended, or left answers beside lines and did not."""
    if run is None:
        return False
    if run["status"] != FAILED:
        return run["status"] in SENT and run["counts"][PLANNED] > 0
    begun = any(file["name"].startswith("result") for file in run["files"])
    return begun and any(file["name"].startswith("adjustments") and file["bytes"] for file in run["files"])


def files(folder: Path) -> list[dict[str, Any]]:
    """Every file of the run but run.json, with its hash."""
    lines = sorted([*folder.glob("adjustments*.jsonl"), *folder.glob("result*.jsonl")])
    return [asdict(bulkfile.kept(path)) for path in [*lines, *(folder / name for name in NAMES)] if path.exists()]


def counts(outcomes: pl.DataFrame) -> dict[str, int]:
    """Pairs by outcome; what a dry run planned counts as held."""
    by_outcome = checked(outcomes).group_by(pl.col("outcome").replace(PLANNED, HELD)).len()
    return dict.fromkeys(COUNTED, 0) | dict(by_outcome.iter_rows())


def in_flight(rows: pl.DataFrame) -> dict[str, int]:
    """Orders, units and pairs of these IN_FLIGHT rows."""
    return {
        "orders": rows["order_id"].n_unique(),
        "units": int(rows["units"].sum()),
        "pairs": rows.select(KEY).n_unique() if rows.height else 0,
    }


def units(outcomes: pl.DataFrame) -> dict[str, int]:
    """Units that were raised and lowered by what landed, or would be by a dry run's plan."""
    landed = outcomes.filter(pl.col("outcome").is_in([*LANDED, PLANNED]) & (pl.col("delta") != 0))["delta"]
    return {"raised": int(landed.filter(landed > 0).sum()), "lowered": int(-landed.filter(landed < 0).sum())}
