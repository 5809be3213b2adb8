"""What needs a person after a run: each class of fault with its pairs and its remedy."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from invsync import charts
from invsync.vocabulary import GUARD, REFUSED, is_fault, outcome_words, remedy

EXAMPLES = 3


@dataclass(frozen=True)
class Need:
    """One class of pairs that a person must look at, what to do, and what to look for in the table of pairs."""

    what: str
    pairs: int
    remedy: str
    examples: tuple[str, ...]
    find: str


def needs_a_person(outcomes: pl.DataFrame) -> int:
    """How many pairs were refused, are not known, or were held by a fault (for `counts.needs_a_person`)."""
    return charts.classed(outcomes).filter(is_fault()).height


def needs(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None) -> list[Need]:
    """The classes of faults of a run, the largest first; what a guard held is no fault of the pair."""
    faults = charts.named(charts.classed(outcomes), locations).filter(is_fault(), pl.col("reason").ne_missing(GUARD))
    if "message" not in faults.columns:
        faults = faults.with_columns(message=pl.lit(None, dtype=pl.String))
    places = (item() + " at " + pl.col("label")).sort().head(EXAMPLES)
    words = pl.when(pl.col("outcome") == REFUSED).then("message")
    grouped = faults.group_by("outcome", "reason", words=words).agg(pairs=pl.len(), examples=places)
    rows = grouped.sort("pairs", "outcome", "reason", "words", descending=[True, False, False, False])
    return [_need(row) for row in rows.to_dicts()]


def item() -> pl.Expr:
    """What people call a pair's item: its SKU, else the product, else Shopify's number."""
    number = pl.col("inventory_item_id").cast(pl.String)
    return pl.coalesce(pl.col("sku").replace("", None), "product_id", number, pl.lit(charts.NONE))


def result_words(outcome: str, reason: str | None, message: str | None) -> str:
    """What became of a pair: Shopify's own words where it refused, else the outcome with its reason."""
    return f"Refused by Shopify: {message}" if message and outcome == REFUSED else outcome_words(outcome, reason)


def _need(row: dict[str, Any]) -> Need:
    outcome, reason = row["outcome"], row["reason"]
    todo, find = remedy(outcome, reason, target=1), outcome_words(outcome, reason)
    return Need(result_words(outcome, reason, row["words"]), row["pairs"], todo, tuple(row["examples"]), find)
