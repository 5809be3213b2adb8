"""What earlier runs did to a pair: the outcomes of every run folder that the state knows, queried in place."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from invsync import bulkfile
from invsync.explain.explanation import PastRun
from invsync.state import State
from invsync.tables import KEY

FACTS = ["run_id", "job", "status", "finished_at"]


def outcomes(state: State, shop: str) -> pl.LazyFrame:
    """OUTCOMES of every run of this shop whose files are there, with run_id, job, status and finished_at."""
    runs = pl.DataFrame(
        [
            [
                str(Path(run["folder"]) / "outcomes.parquet"),
                run["run_id"],
                run["job"],
                run["status"],
                run["finished_at"],
            ]
            for run in state.runs.every(shop)
        ],
        schema=dict.fromkeys(["file", *FACTS], pl.String()),
        orient="row",
    )
    there = [file for file in runs["file"] if Path(file).exists()]
    if not there:
        return runs.lazy().clear()
    rows = pl.scan_parquet(there, include_file_paths="file", missing_columns="insert", extra_columns="ignore")
    return rows.join(runs.lazy(), on="file", how="left")


def of_pair(state: State, shop: str, item: int, place: int, *, last: int = 10) -> tuple[PastRun, ...]:
    """The last runs that decided about this pair, newest first, each with the line that it sent."""
    every = outcomes(state, shop)
    if "outcome" not in every.collect_schema():
        return ()
    mine = every.filter(pl.col("inventory_item_id") == item, pl.col("location_id") == place)
    rows = mine.sort("finished_at", descending=True).head(last).collect().to_dicts()
    return tuple(PastRun(**_values(row), **_line(Path(row["file"]).parent, item, place)) for row in rows)


def _values(row: dict[str, Any]) -> dict[str, Any]:
    """The values of a PastRun in a row of OUTCOMES; an older run's file may lack columns."""
    return {field.name: row.get(field.name) for field in fields(PastRun) if field.name not in ("file", "line")}


def _line(folder: Path, item: int, place: int) -> dict[str, Any]:
    """The last line of the run's files on which the pair stood: file, line (0-based); empty where it was not sent."""
    where: dict[str, Any] = {}
    for path in sorted(folder.glob("adjustments*.jsonl"), key=lambda path: (len(path.name), path.name)):
        mine = bulkfile.read(path).filter((pl.col(KEY[0]) == item) & (pl.col(KEY[1]) == place))
        where = {"file": path.name, "line": mine["line"][0]} if mine.height else where
    return where
