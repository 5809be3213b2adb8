"""The tables of one run: the largest variances, what was held and why, what Shopify refused."""

from typing import Any

import polars as pl

from invsync import charts
from invsync.report import remediation
from invsync.report.markup import Column, Html, macro, table
from invsync.vocabulary import FAULTS, HELD, is_benign, outcome_words, reason_words, remedy

MAX_ROWS = 200
ITEM, PLACE = Column("Item"), Column("Location")


def largest_variances(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """The pairs with the largest change in units, at most 200 rows (OUTCOMES or VARIANCES)."""
    changed = labelled(outcomes, locations).filter(pl.col("delta").fill_null(0) != 0)
    rows = changed.sort(pl.col("delta").abs(), "inventory_item_id", "location_id", descending=[True, False, False])
    heads = ["Shopify had", "HotWax", "In flight", "Set aside", "Buffer", "Should be", "Change"]
    columns = [ITEM, PLACE, *(Column(head, "n") for head in heads), Column("Outcome")]
    reader, names = charts.reader(), ("available", "oms", "in_flight", "set_aside", "buffer", "target")
    places = {name: _decimals(rows.head(limit)[name]) for name in names}

    def line(row: dict[str, Any]) -> list[str]:
        numbers = [reader.number(row[name], decimals=places[name]) for name in names]
        outcome = outcome_words(row["outcome"], None)
        return [product(row), row["label"], *numbers, reader.number(row["delta"], signed=True), outcome]

    return bounded("Largest variances, in units", columns, rows, line, "No pair differed.", limit)


def orders_in_flight(in_flight: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """Each order in flight with its units and the reason why it still counts, oldest first (IN_FLIGHT)."""
    key = ["order_id", "name", "created_at", "location_id", "reason"]
    orders = charts.named(in_flight.group_by(key).agg(pl.col("units").sum()), locations)
    columns = [Column("Order"), Column("Placed"), PLACE, Column("Units", "n"), Column("Why it still counts", "wide")]
    reader = charts.reader()

    def line(row: dict[str, Any]) -> list[str]:
        placed = reader.moment(row["created_at"]) if row["created_at"] else charts.NONE
        name = charts.NONE if row["order_id"] is None else row["name"]
        return [name, placed, row["label"], reader.number(row["units"]), row["reason"]]

    rows = orders.sort("created_at", "order_id", "location_id", nulls_last=True)
    return bounded("Orders in flight, oldest first", columns, rows, line, "No order was in flight.", limit)


def held_rows(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = MAX_ROWS) -> Html:
    """The pairs that were held back, with the reason in plain words and what to do; faults first."""
    held = labelled(outcomes, locations).filter(pl.col("outcome") == HELD)
    rows = held.with_columns(aside=is_benign()).sort("aside", "reason", "item", "label")
    columns = [ITEM, PLACE, Column("Why it was held", "wide"), Column("What to do", "wide"), Column("Needs a person")]

    def line(row: dict[str, Any]) -> list[str]:
        why = reason_words(row["reason"]) or "no reason given"
        todo = remedy(HELD, row["reason"], row["target"])
        return [product(row), row["label"], why[:1].upper() + why[1:], todo, "no" if row["aside"] else "yes"]

    return bounded("Held back: nothing was sent for these", columns, rows, line, "Nothing was held back.", limit)


def refused_rows(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = MAX_ROWS) -> Html:
    """The pairs that Shopify refused, in Shopify's own words, and those whose outcome is not known."""
    frame = labelled(outcomes, locations).filter(pl.col("outcome").is_in(FAULTS))
    columns = [ITEM, PLACE, Column("Change", "n"), Column("Shopify's words", "wide"), Column("What to do", "wide")]
    number = charts.reader().number

    def line(row: dict[str, Any]) -> list[str]:
        said = row.get("message") or row["reason"] or "no answer was found"
        todo = remedy(row["outcome"], row["reason"])
        return [product(row), row["label"], number(row["delta"], signed=True), said, todo]

    rows = frame.sort("outcome", "reason", "item", "label")
    return bounded("Refused by Shopify, or not known", columns, rows, line, "Shopify refused nothing.", limit)


def labelled(outcomes: pl.DataFrame, locations: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with `name`, `item` and `label`: what people call the product, its item and its location."""
    return charts.named(charts.titled(charts.classed(outcomes)), locations).with_columns(item=remediation.item())


def product(row: dict[str, Any]) -> str:
    """The product's title over its SKU, or the SKU alone."""
    return macro("product", row["name"], row["item"]) if row["name"] else str(row["item"])


def _decimals(values: pl.Series) -> int:
    """How many decimals the numbers of a column need, so that all stand in one line; at most three."""
    near = [f"{value:.3f}".rstrip("0") for value in values.drop_nulls() if value - value == 0]
    return max((len(text.split(".")[1]) for text in near), default=0)


def bounded(title: str, columns: list[Column], rows: pl.DataFrame, line: Any, none: str, limit: int) -> Html:
    """A table of at most 200 rows that says how many there are; `none` is the sentence where there is none."""
    if rows.is_empty():
        return Html(macro("nothing", none), none)
    shown = rows.head(max(1, min(limit, MAX_ROWS)))
    number = charts.reader().number
    of = f"{number(shown.height)} of " if shown.height < rows.height else ""
    words = f"{of}{charts.reader().many(rows.height, 'row')}"
    file = "outcomes.parquet" if "after" in rows.columns else "plan.parquet" if "target" in rows.columns else ""
    note = macro("rest", words, file)
    return Html(table(title, columns, [line(row) for row in shown.to_dicts()], note=note).markup, f"{title}: {words}.")
