"""The tables that decide: two scenarios beside each other, next week's products at risk, and whether buffers pay."""

from pathlib import Path
from typing import Any

import polars as pl

from invsync.charts import NONE, reader
from invsync.errors import UsageError
from invsync.report.markup import Column, Html, macro, table
from invsync.simulate import History, Scenario
from invsync.simulate.charts import POLICY_NAMES
from invsync.simulate.compared import WEEK
from invsync.simulate.decision import Decision

WORDS = {
    "oversold": "Units oversold",
    "put_back": "Sold units put back on sale",
    "lost_to_hidden": "Units not sold, though there",
    "lost_to_empty": "Units not sold, because there were none",
    "oversold_worth": "Oversold, worth",
    "lost_worth": "Not sold though there, worth",
}
WAYS = {
    "none": "No buffer",
    "single": "One buffer for all",
    "newsvendor": "By SKU, newsvendor",
    "empirical": "By SKU, as past windows",
}


def ab_table(compared: pl.DataFrame, baseline: Scenario, variant: Scenario, *, currency: str = "") -> Html:
    """Two scenarios with 80 % bands (`compared.ab`); its title is the difference in units oversold."""
    rows = []
    for row in compared.to_dicts():
        money = currency if row["measure"].endswith("_worth") else None
        rows.append([WORDS[row["measure"]], *(_banded(row, side, money) for side in ("a", "b", "d"))])
    (first,) = compared.filter(pl.col("measure") == "oversold").to_dicts()
    less = "fewer" if first["d"] <= 0 else "more"
    low, high = sorted(abs(first[name]) for name in ("d_low", "d_high"))
    title = f"{_knobs(variant)} oversells {_number(abs(first['d']))} units {less} than {_knobs(baseline)}"
    if first["d_low"] * first["d_high"] > 0:
        title += f" (in four of five draws {_number(low)} to {_number(high)})"
    columns = [Column("Measure", "wide"), Column("A, the baseline", "n"), Column("B", "n"), Column("B less A", "n")]
    return table(title, columns, rows, note="In brackets: four of five draws of the seeds lie between.")


def next_week_table(weeks: pl.DataFrame, products: pl.DataFrame, history: History, *, top: int = 20) -> Html:
    """The products at risk next week (`compared.next_week`), those that cost most first, with their titles."""
    if weeks.is_empty():
        some = history.days >= WEEK
        short = (
            f"A history of {reader().many(history.days, 'day')} is less than a week: next week cannot be drawn from it."
        )
        words = "No product is at risk if next week is like one of the last weeks." if some else short
        return Html(macro("nothing", words), words)
    titled = named(weeks, products)
    rows = [
        [
            row["title"] or NONE,
            row["sku"],
            reader().number(row["left"]),
            _number(row["sold"]),
            _number(row["short"]),
            f"{_number(row['oversold'])} ({_number(row['oversold_low'])} to {_number(row['oversold_high'])})",
            _number(row["classic"]),
            _worth(row["worth"], currency(products)),
        ]
        for row in titled.head(top).to_dicts()
    ]
    heads = ("In stock", "Asked for in a week", "Short", "Oversold", "Oversold, classic reset", "At risk")
    columns = [Column("Product", "wide"), Column("SKU"), *(Column(head, "n") for head in heads)]
    note = (
        f"{reader().number(weeks.height)} products are at risk if next week is like one of the last weeks, deliveries "
        "included. At risk: the units that run short and those that are oversold, at their price."
    )
    return table("Next week's products at risk", columns, rows, note=note)


def decision_table(decision: Decision) -> Html:
    """Whether buffers pay: each way on the held-out weeks, chosen on the past ones."""
    rows = [
        [
            WAYS[row["way"]],
            _size(row),
            *(_number(row[name]) for name in ("oversold", "lost_to_hidden", "hidden", "cost")),
        ]
        for row in decision.compared.to_dicts()
    ]
    heads = ("Oversold", "Sales lost", "Hidden", "Cost, in lost sales")
    columns = [Column("Way", "wide"), Column("Size"), *(Column(head, "n") for head in heads)]
    return table(decision.sentence, columns, rows)


def named(rows: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """The rows by SKU with the title and the vendor of the product, null where they are not known."""
    names = products.select("sku", "title", "vendor").unique("sku", keep="first", maintain_order=True)
    return rows.join(names, on="sku", how="left", maintain_order="left")


def currency(products: pl.DataFrame) -> str:
    """The currency of the prices in a CATALOGUE, empty where it is not known."""
    return next(iter(products["currency"].drop_nulls()), "")


def export(folder: str, **frames: pl.DataFrame) -> str:
    """Write each frame as a CSV file of its name into the folder; nothing without a folder. Returns a sentence."""
    if not folder:
        return "No CSV was written: give a folder in `csv`."
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.write_csv(root / f"{name}.csv")
    except OSError as error:
        raise UsageError(f"The folder {root} cannot be written ({error.strerror}): correct `csv`.") from None
    return f"{len(frames)} tables were written to {root}: {', '.join(f'{name}.csv' for name in frames)}."


def _knobs(scenario: Scenario) -> str:
    buffer = f", buffer {scenario.buffer}" if scenario.buffer else ""
    return f"{POLICY_NAMES[scenario.policy]}{buffer}"


def _banded(row: dict[str, Any], side: str, currency: str | None) -> str:
    values = [row[side + end] for end in ("", "_low", "_high")]
    shown = [_number(value) if currency is None else _worth(value, currency) for value in values]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def _worth(value: float | None, currency: str) -> str:
    if value is None:
        return NONE
    return reader().money(value, currency) if currency else reader().number(round(value))


def _number(value: float) -> str:
    return reader().number(round(value) if abs(value) >= 100 else round(value, 1))


def _size(row: dict[str, Any]) -> str:
    if row["buffer"] is not None:
        return f"{row['buffer']} units"
    return f"{reader().share(row['ratio'])} of windows, at most {row['largest']} units"
