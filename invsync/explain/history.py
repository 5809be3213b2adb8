"""What earlier runs saw of a pair and did to it: the outcomes of the run folders that the state knows, read in place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from invsync import bulkfile, tables
from invsync.explain.parts import OrderInFlight, PastRun, SeenLevel
from invsync.runs import record
from invsync.state import State
from invsync.state.runs import RunRow
from invsync.tables import KEY

FACTS = ["run_id", "job", "status", "finished_at"]
BATCH = 100  # runs that one query reads
LAST, MOST_LOOKS, MOST_ORDERS = 10, 60, 40
Row = dict[str, Any]  # of OUTCOMES, whose columns an older run's file may lack; with FACTS, and the `file` it is in


@dataclass(frozen=True)
class Past:
    """What runs left of a pair: the last of them, newest first; levels that they saw and orders, oldest first."""

    runs: tuple[PastRun, ...] = ()
    levels: tuple[SeenLevel, ...] = ()
    orders: tuple[OrderInFlight, ...] = ()
    location_name: str | None = None


def rows(state: State, shop: str, where: pl.Expr, *, last: int, runs: int | None = None) -> list[Row]:
    """Return the `last` rows of OUTCOMES that meet a condition, newest first, of the newest `runs` or of all."""
    every = sorted(state.runs.every(shop), key=lambda run: run["finished_at"], reverse=True)[:runs]
    matching: list[Row] = []
    for start in range(0, len(every), BATCH):
        if len(matching) >= last:
            break
        matching += _rows(every[start : start + BATCH], where)
    return matching[:last]


def of_pair(state: State, shop: str, item: int, place: int) -> Past:
    """Return what the last runs saw of this pair and did."""
    where = (pl.col("inventory_item_id") == item) & (pl.col("location_id") == place)
    mine = rows(state, shop, where, last=MOST_LOOKS)
    folders = [folder_of(row) for row in mine]
    return Past(
        tuple(
            PastRun(**_values(row), **_line(folder, item, place))
            for row, folder in zip(mine[:LAST], folders, strict=False)
        ),
        tuple(_levels(reversed(mine))),
        distinct(order for folder in folders[:MOST_ORDERS] for order in orders(folder, item, place)),
        location_name(folders[0], place) if folders else None,
    )


def folder_of(row: Row) -> Path:
    """Return the run folder that a row is from."""
    return Path(row["file"]).parent


def orders(folder: Path, item: int, place: int) -> tuple[OrderInFlight, ...]:
    """Return the orders that the run of this folder saw in flight at a pair; none where it kept none."""
    try:
        frame = tables.completed(pl.read_parquet(folder / "in_flight.parquet"), tables.IN_FLIGHT)
    except (OSError, pl.exceptions.PolarsError):
        return ()
    mine = frame.filter(pl.col(KEY[0]) == item, pl.col(KEY[1]) == place)
    return in_flight(mine)


def in_flight(frame: pl.DataFrame) -> tuple[OrderInFlight, ...]:
    """Return the rows of IN_FLIGHT as orders."""
    shown = frame.select(field.name for field in fields(OrderInFlight))
    return tuple(OrderInFlight(**row) for row in shown.iter_rows(named=True))


def distinct(every: Iterable[OrderInFlight]) -> tuple[OrderInFlight, ...]:
    """Return each visible order once, as it was listed first; oldest first."""
    once: dict[int, OrderInFlight] = {}
    for order in every:
        if order.order_id is not None and order.created_at is not None:
            once.setdefault(order.order_id, order)
    return tuple(sorted(once.values(), key=lambda order: str(order.created_at)))


def location_name(folder: Path, place: int) -> str | None:
    """Return the name of a location as the run of this folder read it."""
    run = record.read(folder)
    return run.locations.get(str(place)) if run else None


def _rows(runs: Sequence[RunRow], where: pl.Expr) -> list[Row]:
    facts = [[str(Path(run["folder"]) / "outcomes.parquet"), *(run[name] for name in FACTS)] for run in runs]  # type: ignore[literal-required]
    known = pl.DataFrame(facts, schema=dict.fromkeys(["file", *FACTS], pl.String()), orient="row")
    there = [file for file in known["file"] if Path(file).exists()]
    if not there:
        return []
    kept = pl.scan_parquet(there, include_file_paths="file", missing_columns="insert", extra_columns="ignore")
    if "outcome" not in kept.collect_schema():
        return []
    dated = kept.filter(where).join(known.lazy(), on="file", how="left")
    return dated.sort("finished_at", descending=True).collect().to_dicts()


def _values(row: Row) -> Row:
    """The values of a PastRun in a row of OUTCOMES."""
    return {field.name: row.get(field.name) for field in fields(PastRun) if field.name not in ("file", "line")}


def _levels(mine: Iterable[Row]) -> Iterator[SeenLevel]:
    for row in mine:
        if row.get("available") is not None:
            at = datetime.fromisoformat(row["finished_at"])
            yield SeenLevel(row["run_id"], row["job"], at, row["available"], row.get("after"))


def _line(folder: Path, item: int, place: int) -> Row:
    """The last line of the run's files on which the pair stood: file, line (0-based); empty where it was not sent."""
    where: Row = {}
    for path in sorted(folder.glob("adjustments*.jsonl"), key=lambda path: (len(path.name), path.name)):
        mine = bulkfile.read(path).filter((pl.col(KEY[0]) == item) & (pl.col(KEY[1]) == place))
        where = {"file": path.name, "line": mine["line"][0]} if mine.height else where
    return where
