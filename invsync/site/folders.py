"""Run folders as tables: one row a run from its run.json, and one row a pair that it looked at from its outcomes."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from invsync import charts, tables
from invsync.errors import SystemFailed
from invsync.report import facts, remediation
from invsync.runs import record
from invsync.runs.record import Record
from invsync.vocabulary import COUNTED, DELTAS, PLANNED, is_fault

COUNTS = ["read", "selected", PLANNED, *COUNTED]
RUNS: tables.Schema = {
    "path": tables.TEXT,
    "shop": tables.TEXT,
    "job": tables.TEXT,
    "run_id": tables.TEXT,
    "status": tables.TEXT,
    "started_at": tables.STAMP,
    "seconds": tables.QUANTITY,
    **dict.fromkeys(COUNTS, tables.UNITS),
    "needs": tables.UNITS,
    "raised": tables.UNITS,
    "lowered": tables.UNITS,
    "orders": tables.UNITS,
    "in_flight": tables.UNITS,
    "stamp": tables.UNITS,
}
# The fields of a run.json that RUNS is made of.
SHOWN = frozenset({"status", "exit_code", "started_at", "finished_at", "counts", "units", "in_flight"})
UNREAD = Record(counts={}, units={}, in_flight={})
LOOKED: tables.Schema = {
    "shop": tables.TEXT,
    "path": tables.TEXT,
    "at": tables.STAMP,
    "item": tables.TEXT,
    "product_id": tables.TEXT,
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "available": tables.UNITS,
    "oms": tables.QUANTITY,
    "in_flight": tables.UNITS,
    "target": tables.QUANTITY,
    "delta": tables.UNITS,
    "after": tables.UNITS,
    "outcome": tables.TEXT,
    "reason": tables.TEXT,
    "message": tables.TEXT,
    "fault": tables.FLAG,
    "name": tables.TEXT,
    **{name: tables.PRODUCTS[name] for name in ("shopify_product_id", "shopify_variant_id", "price", "currency")},
}
# The columns of outcomes.parquet that LOOKED is made of.
USED = [name for name in tables.OUTCOMES_FILE if name in {*LOOKED, "sku", "held", "title", "variant_title"}]


def stamps(root: Path) -> dict[str, int]:
    """Every run folder below the root as `shop/job/run_id`, with a number that changes when its run.json does."""
    return {path: stamp for path in _folders(root) if (stamp := _stamp(f"{root}/{path}/{record.FILE}")) is not None}


def table(root: Path, stamps: dict[str, int]) -> pl.DataFrame:
    """RUNS of these folders, oldest first; a run.json that cannot be read counts as a failed run."""
    rows = [_row(path, record.read(root / path, SHOWN) or UNREAD, stamp) for path, stamp in stamps.items()]
    return pl.DataFrame(rows, schema=RUNS).sort("started_at", "path")


def looked(root: Path, runs: pl.DataFrame) -> pl.DataFrame:
    """LOOKED of these RUNS: every pair of their outcomes; a run that left none that can be read adds nothing."""
    files = runs.with_columns(file=f"{root}/" + pl.col("path") + "/outcomes.parquet")
    files = files.filter([Path(file).exists() for file in files["file"]]).rename({"started_at": "at"})
    if files.is_empty():
        return tables.empty(LOOKED)
    try:
        return _looked(files, _together(files["file"].to_list()))
    except (pl.exceptions.PolarsError, SystemFailed):
        return pl.concat([tables.empty(LOOKED), *(_alone(one) for one in files.iter_slices(1))])


def _together(files: list[str]) -> pl.DataFrame:
    """The rows of these outcomes, whatever columns the version that wrote a file knew."""
    rows = pl.scan_parquet(
        files,
        schema=tables.OUTCOMES_FILE,
        include_file_paths="file",
        use_statistics=False,
        missing_columns="insert",
        extra_columns="ignore",
    )
    return (
        rows.select(*USED, "file").filter(pl.col("outcome").is_not_null()).collect().rechunk()
    )  # else a chunk a file, which is slow


def _looked(files: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    rows = charts.titled(charts.classed(frame)).with_columns(item=remediation.item(), fault=is_fault())
    known = files.select("file", "path", "shop", "at", "job")
    read = pl.when(pl.col("job") != DELTAS).then("in_flight")  # a delta run does not look at orders
    joined = rows.join(known, on="file", maintain_order="left").with_columns(in_flight=read)
    return tables.conform(joined, LOOKED, "outcomes")


def _alone(file: pl.DataFrame) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(file["file"].to_list(), include_file_paths="file")
        return _looked(file, tables.completed(rows, tables.PRODUCTS))
    except (pl.exceptions.PolarsError, SystemFailed):
        return tables.empty(LOOKED)


def _folders(root: Path) -> Iterator[str]:
    for shop in _below(root):
        for job in _below(root / shop):
            yield from (f"{shop}/{job}/{run}" for run in _below(root / shop / job))


def _below(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(("_", ".")))


def _stamp(path: str) -> int | None:
    """When the file was last written, in ns, with its size added: some file systems know only whole seconds."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_mtime_ns + seen.st_size


def _row(path: str, run: Record, stamp: int) -> dict[str, Any]:
    shop, job, run_id = path.split("/")
    start, end = run.started or _named(run_id), run.finished
    return {
        "path": path,
        "shop": shop,
        "job": job,
        "run_id": run_id,
        "status": run.status,
        "started_at": start,
        "seconds": (end - start).total_seconds() if end else None,
        **{name: run.counts.get(name) for name in COUNTS},
        **{name: run.units.get(name) for name in ("raised", "lowered")},
        "needs": facts.waiting(run),
        "orders": run.in_flight.get("orders"),
        "in_flight": run.in_flight.get("units"),
        "stamp": stamp,
    }


def _named(run_id: str) -> datetime:
    try:
        return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
