"""What needs a person after a run: each class of fault with its pairs, what it puts at risk, and its remedy."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from invsync import charts
from invsync.report import money
from invsync.report.links import Links
from invsync.vocabulary import REFUSED, is_fault, outcome_words, remedy

EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    """One pair of a class: its product, its SKU where that is not the name, its location, and its link in Shopify."""

    name: str
    sku: str
    place: str
    link: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {self.place}"


@dataclass(frozen=True)
class Need:
    """One class of pairs that a person must look at, what to do, and what to look for in the table of pairs.

    `at_risk` is what its units are worth, of those whose price and number are known.
    """

    what: str
    pairs: int
    at_risk: float
    remedy: str
    examples: tuple[Example, ...]
    find: str


def needs_a_person(outcomes: pl.DataFrame) -> int:
    """How many pairs were refused, are not known, or were held by a fault (for `counts.needs_a_person`)."""
    return charts.classed(outcomes).filter(is_fault()).height


def needs(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, links: Links | None = None) -> list[Need]:
    """The classes of faults of a run, the most at risk first; what a guard held is no fault of the pair."""
    faults = charts.named(charts.titled(money.priced(charts.classed(outcomes))), locations).filter(money.needs_you())
    if "message" not in faults.columns:
        faults = faults.with_columns(message=pl.lit(None, dtype=pl.String))
    example = pl.struct(
        pl.coalesce("name", item()).alias("name"), "label", "shopify_product_id", "shopify_variant_id", item=item()
    )
    grouped = faults.group_by("outcome", "reason", words=pl.when(pl.col("outcome") == REFUSED).then("message")).agg(
        pairs=pl.len(),
        at_risk=(pl.col("gap").abs() * pl.col("price")).sum(),
        examples=example.sort_by(
            (pl.col("gap").abs() * pl.col("price")).fill_null(0), item(), descending=[True, False]
        ).head(EXAMPLES),
    )
    order = ["at_risk", "pairs", "outcome", "reason", "words"]
    rows = grouped.sort(order, descending=[True, True, False, False, False])
    return [_need(row, links or Links()) for row in rows.to_dicts()]


def item() -> pl.Expr:
    """What people call a pair's item where it has no title: its SKU, else the product, else Shopify's number."""
    number = pl.col("inventory_item_id").cast(pl.String)
    return pl.coalesce(pl.col("sku").replace("", None), "product_id", number, pl.lit(charts.NONE))


def result_words(outcome: str, reason: str | None, message: str | None) -> str:
    """What became of a pair: Shopify's own words where it refused, else the outcome with its reason."""
    return f"Refused by Shopify: {message}" if message and outcome == REFUSED else outcome_words(outcome, reason)


def _need(row: dict[str, Any], links: Links) -> Need:
    outcome, reason = row["outcome"], row["reason"]
    return Need(
        what=result_words(outcome, reason, row["words"]),
        pairs=row["pairs"],
        at_risk=row["at_risk"],
        remedy=remedy(outcome, reason, target=1),
        examples=tuple(_example(one, links) for one in row["examples"]),
        find=outcome_words(outcome, reason),
    )


def _example(row: dict[str, Any], links: Links) -> Example:
    sku = "" if row["item"] == row["name"] else row["item"]
    return Example(row["name"], sku, row["label"], links.product(row["shopify_product_id"], row["shopify_variant_id"]))
