"""The pairs of a run as data for the page's own table, where a reader looks one up or clicks a bar to see its rows."""

import base64
import gzip
import json

import polars as pl

from invsync import charts
from invsync.report import remediation
from invsync.tables import KEY
from invsync.vocabulary import FAULTS, HELD, INACTIVE_LEVEL, is_fault, outcome_words, remedy

MOST = 12_000  # rows that a page carries; a larger run's pairs that were right already are counted, not listed
COLUMNS = ["item", "label", "available", "oms", "in_flight", "set_aside", "buffer", "target", "delta", "after", "what"]


def ranked(outcomes: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The rows that a reader may ask for, at most 12,000: faults, held and changed ones, then those in flight."""
    frame = charts.classed(outcomes.lazy())
    changed, flying = pl.col("delta").fill_null(0).abs(), pl.col("in_flight").fill_null(0)
    listed = (changed > 0) | (pl.col("outcome") == HELD)
    rank = pl.when(is_fault()).then(0).when(listed).then(1).when(flying > 0).then(2).otherwise(3)
    first = frame.sort(rank.cast(pl.Int8), -changed, *KEY).head(MOST)
    return first.collect(engine="streaming")


def packed(outcomes: pl.DataFrame | pl.LazyFrame, locations: pl.DataFrame | None = None) -> str:
    """The ranked rows as base64 of gzipped JSON: `rows` by column, and `kinds` as [outcome in words, remedy]."""
    shown = charts.named(ranked(outcomes), locations).with_columns(item=remediation.item())
    if "after" not in shown.columns:
        shown = shown.with_columns(after=pl.lit(None, dtype=pl.Int64))
    empty = (pl.col("reason") == INACTIVE_LEVEL) & (pl.col("target").fill_null(0) <= 0)
    kind = pl.struct("outcome", "reason", empty=empty)
    kinds = shown.select(kind.alias("kind")).unique("kind", maintain_order=True).with_row_index("what")
    coded = shown.with_columns(kind=kind).join(kinds, on="kind", how="left", maintain_order="left")
    listed = [_words(row) for row in kinds["kind"].to_list()]
    rows = {name: coded[name].to_list() for name in COLUMNS}
    text = json.dumps({"kinds": listed, "rows": rows}, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _words(kind: dict[str, str | bool | None]) -> list[str]:
    outcome, reason = str(kind["outcome"]), None if kind["reason"] is None else str(kind["reason"])
    wrong = outcome in {HELD, *FAULTS}
    return [
        outcome_words(outcome, reason),
        remedy(outcome, reason, not kind["empty"]) if wrong else "",
    ]
