"""The pairs of a run as data for the page's own table: what changed, what needs a person, and every pair to look up."""

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from invsync import charts, tables
from invsync.report import money, remediation
from invsync.report.links import Links
from invsync.tables import KEY
from invsync.vocabulary import (
    ALREADY_RIGHT,
    FAULTS,
    GUARD,
    HELD,
    INACTIVE_LEVEL,
    LANDED,
    PLANNED,
    is_fault,
    outcome_words,
    remedy,
)

MOST = 12_000  # rows that a page carries; a larger run's pairs that were right already are counted, not listed
ORDERS = 3  # orders that a row names
COLUMNS = ["item", "name", "price", "label", "available", "oms", "in_flight", "set_aside", "buffer", "target"]
ENDS = ["delta", "after", "what", "orders"]


@dataclass(frozen=True)
class Totals:
    """Pairs of a run, whether the page lists them or not."""

    changed: int
    needs: int
    every: int

    @property
    def first(self) -> str:
        """What the table shows first."""
        return "changed" if self.changed else "needs" if self.needs else "all"


def read(path: Path) -> tuple[pl.DataFrame, int]:
    """The rows of this file that a page needs, and how many it has; raises OSError or PolarsError.

    Of a large run these are all but the quiet ones, which were right already and have nothing in flight; of those, the
    page lists the first at most.
    """
    every = pl.scan_parquet(path)
    count = int(every.select(pl.len()).collect().item())
    if count <= MOST:
        return every.collect(), count
    known = every.collect_schema().names()
    right = pl.col("outcome") == ALREADY_RIGHT if "outcome" in known else pl.col("held").is_null()
    still = pl.col("delta", "in_flight").fill_null(0) == 0
    quiet = pl.all_horizontal(right.fill_null(False), still)
    parts = [every.filter(~quiet), every.filter(quiet).sort(KEY).head(MOST)]
    return pl.concat(pl.collect_all(parts, engine="streaming")), count


def totals(rows: pl.DataFrame, every: int) -> Totals:
    """How many pairs changed, or would, how many need a person, and how many there are."""
    marked = charts.classed(rows).select(changed=is_changed(), needs=money.needs_you())
    return Totals(int(marked["changed"].sum()), int(marked["needs"].sum()), every)


def is_changed() -> pl.Expr:
    """Whether a row's number was changed, would be by a rehearsal, or would have been but for a guard."""
    sent = pl.col("outcome").is_in([*LANDED, PLANNED]) | pl.col("reason").eq_missing(GUARD)
    return sent & (pl.col("delta").fill_null(0) != 0)


def ranked(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The rows that a reader may ask for, at most 12,000: faults, held and changed ones, then those in flight."""
    frame = charts.classed(outcomes)
    changed, flying = pl.col("delta").fill_null(0).abs(), pl.col("in_flight").fill_null(0)
    listed = (changed > 0) | (pl.col("outcome") == HELD)
    rank = pl.when(is_fault()).then(0).when(listed).then(1).when(flying > 0).then(2).otherwise(3)
    order = frame.select(pl.int_range(pl.len()).alias("place"), rank.alias("rank"), (-changed).alias("change"), *KEY)
    return frame[order.lazy().sort("rank", "change", *KEY).head(MOST).collect()["place"]]


def packed(
    rows: pl.DataFrame,
    locations: pl.DataFrame | None = None,
    in_flight: pl.DataFrame | None = None,
    links: Links | None = None,
) -> str:
    """The ranked rows as base64 of gzipped JSON.

    `rows` by column; `kinds` as [outcome in words, remedy, group]; `orders` as [id, name] of those that rows name.
    """
    shown = charts.named(charts.titled(ranked(money.priced(rows))), locations).with_columns(item=remediation.item())
    if "after" not in shown.columns:
        shown = shown.with_columns(after=pl.lit(None, dtype=pl.Int64))
    coded, kinds = _kinds(shown)
    coded, orders = _orders(coded, tables.empty(tables.IN_FLIGHT) if in_flight is None else in_flight)
    names = [*COLUMNS, *ENDS, *_linked(links or Links())]
    data = {"kinds": kinds, "orders": orders, "rows": {name: coded[name].to_list() for name in names}}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _linked(links: Links) -> list[str]:
    """The ids that links need."""
    admin = ["shopify_product_id", "shopify_variant_id", "location_id"] if links.admin else []
    return admin + (["product_id"] if links.hotwax else [])


def _kinds(shown: pl.DataFrame) -> tuple[pl.DataFrame, list[list[str]]]:
    """The rows with `what`, the place of their kind, and the kinds."""
    empty = (pl.col("reason") == INACTIVE_LEVEL) & (pl.col("target").fill_null(0) <= 0)
    needs, sent = money.needs_you(), pl.col("outcome").is_in([*LANDED, PLANNED]) | pl.col("reason").eq_missing(GUARD)
    group = pl.when(needs).then(pl.lit("needs")).when(sent).then(pl.lit("changed")).otherwise(pl.lit(""))
    kind = pl.struct("outcome", "reason", empty=empty, group=group)
    kinds = shown.select(kind.alias("kind")).unique("kind", maintain_order=True).with_row_index("what")
    coded = shown.with_columns(kind=kind).join(kinds, on="kind", how="left", maintain_order="left")
    return coded, [_words(row) for row in kinds["kind"].to_list()]


def _words(kind: dict[str, Any]) -> list[str]:
    outcome, reason = str(kind["outcome"]), None if kind["reason"] is None else str(kind["reason"])
    wrong = outcome in {HELD, *FAULTS}
    todo = remedy(outcome, reason, not kind["empty"]) if wrong else ""
    return [outcome_words(outcome, reason), todo, kind["group"]]


def _orders(rows: pl.DataFrame, in_flight: pl.DataFrame) -> tuple[pl.DataFrame, list[list[Any]]]:
    """The rows with `orders`, the places of the first orders in flight of each, and these orders."""
    mine = in_flight.join(rows, on=KEY, how="semi").sort("created_at", "order_id", nulls_last=True)
    first = mine.unique([*KEY, "order_id"], keep="first", maintain_order=True)
    first = first.filter(pl.int_range(pl.len()).over(KEY) < ORDERS)
    named = first.select("order_id", "name").unique("order_id", keep="first", maintain_order=True)
    coded = first.join(named.with_row_index("place").drop("name"), on="order_id", nulls_equal=True)
    lists = coded.group_by(KEY).agg(orders=pl.col("place").sort())
    return rows.join(lists, on=KEY, how="left", maintain_order="left"), [list(row) for row in named.iter_rows()]
