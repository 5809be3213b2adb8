"""What needs a person after a run: each class of fault with its pairs and its remedy."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from invsync import charts
from invsync.plan import BENIGN

REMEDIES = {
    "unmapped_product": "None needed if not sold on Shopify; else link the product to its Shopify item.",
    "unmapped_location": "None needed if it is not sold from; else link the facility to a Shopify location.",
    "untracked": "None needed if it is never counted; else switch on “Track quantity” in Shopify.",
    "unknown_item": "Remove the dead link in HotWax, or restore the item or location in Shopify.",
    "bundle": "None needed: Shopify counts it by its parts.",
    "no_oms_row": "None needed if it is not stocked; else record its stock in HotWax.",
    "inactive_level": "Stock the item at that location in Shopify, or let the shop activate levels.",
    "fractional": "Correct the quantity in HotWax to a whole number.",
    "too_large": "Correct the quantity in HotWax: Shopify takes at most 1,000,000,000.",
    "ambiguous_mapping": "Remove the second link in HotWax, so that one product or facility is left.",
    "malformed": "Correct the value in HotWax or in its export; a message of this run names the place.",
    "moving": "Run again at a quieter hour; orders moved it during every attempt.",
    "deferred": "None needed: the next run looks at it again.",
    "overwritten": "Find the app or integration that writes this number in Shopify, and stop it.",
    "deferred_for_an_hour": "Find the app or till that changes it in Shopify without an order.",
    "contested": "Find the app or person that changes it in Shopify, and let only one system write it.",
    "guard": "Nothing for this pair alone: see why the run was stopped.",
    "INVALID_INVENTORY_ITEM": "The item is gone from Shopify: remove its link in HotWax, or restore it.",
    "INVALID_LOCATION": "The location is gone from Shopify: link the facility to one that exists.",
    "ITEM_NOT_STOCKED_AT_LOCATION": "Stock the item at that location in Shopify, or let the shop activate levels.",
    "NON_MUTABLE_INVENTORY_ITEM": "It is a bundle, counted by its parts: remove its own link in HotWax.",
    "INVALID_QUANTITY_TOO_HIGH": "Correct the quantity in HotWax: Shopify takes at most 1,000,000,000.",
    "INVALID_QUANTITY_TOO_LOW": "Correct the quantity in HotWax: it is far below zero.",
    "refused": "Read Shopify's words, mend the item in Shopify or its link in HotWax, and run again.",
    "unknown": "Nothing yet: the next run reads these pairs again. If they stay unknown, look them up in Shopify.",
}
NOTHING_THERE = "None needed: it has nothing to sell there."
EXAMPLES = 3


@dataclass(frozen=True)
class Need:
    """One class of pairs that a person must look at, what to do, and what to look for in the table of pairs."""

    what: str
    pairs: int
    remedy: str
    examples: tuple[str, ...]
    find: str


def is_fault() -> pl.Expr:
    """Whether a classed row needs a person: refused, unknown, or held for another than a benign reason."""
    return pl.col("outcome").is_in(["refused", "unknown"]) | ((pl.col("outcome") == "held") & ~is_benign())


def is_benign() -> pl.Expr:
    """Whether a reason to hold is by rule: one of the benign ones, or an inactive level with nothing to sell."""
    aside = (pl.col("reason") == "inactive_level") & (pl.col("target").fill_null(0) <= 0)
    return (pl.col("reason").is_in(sorted(BENIGN)) | aside).fill_null(False)


def needs_a_person(outcomes: pl.DataFrame) -> int:
    """How many pairs were refused, are not known, or were held by a fault (for `counts.needs_a_person`)."""
    return charts.classed(outcomes).filter(is_fault()).height


def needs(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None) -> list[Need]:
    """The classes of faults of a run, the largest first."""
    faults = charts.named(charts.classed(outcomes), locations).filter(is_fault())
    if "message" not in faults.columns:
        faults = faults.with_columns(message=pl.lit(None, dtype=pl.String))
    places = (item() + " at " + pl.col("label")).sort().head(EXAMPLES)
    words = pl.when(pl.col("outcome") == "refused").then("message")
    grouped = faults.group_by("outcome", "reason", words=words).agg(pairs=pl.len(), examples=places)
    rows = grouped.sort("pairs", "outcome", "reason", "words", descending=[True, False, False, False])
    return [_need(row) for row in rows.to_dicts()]


def item() -> pl.Expr:
    """What people call a pair's item: its SKU, else the product, else Shopify's number."""
    number = pl.col("inventory_item_id").cast(pl.String)
    return pl.coalesce(pl.col("sku").replace("", None), "product_id", number, pl.lit(charts.NONE))


def outcome_words(outcome: str, reason: str | None) -> str:
    """An outcome with its reason in plain words, as the charts and tables call it."""
    name = charts.OUTCOMES.get(outcome, (outcome, ""))[0]
    return f"{name}: {charts.plain(reason)}" if reason else name


def told(outcome: str, reason: str | None, message: str | None) -> str:
    """What became of a pair: Shopify's own words where it refused, else the outcome with its reason."""
    return f"Refused by Shopify: {message}" if message and outcome == "refused" else outcome_words(outcome, reason)


def remedy(outcome: str, reason: str | None, target: float | None = None) -> str:
    """What to do about a pair that was held, was refused, or is not known."""
    if reason == "inactive_level" and (target or 0) <= 0:
        return NOTHING_THERE
    return REMEDIES.get(reason or "", REMEDIES.get(outcome, "Look at the run's messages."))


def _need(row: dict[str, Any]) -> Need:
    outcome, reason = row["outcome"], row["reason"]
    todo, find = remedy(outcome, reason, target=1), outcome_words(outcome, reason)
    return Need(told(outcome, reason, row["words"]), row["pairs"], todo, tuple(row["examples"]), find)
