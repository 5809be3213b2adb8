"""The lab's tables, as the notebook and the page show them."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from invsync.charts import reader
from invsync.lab.causes import CAUSES
from invsync.report.markup import Column, Html, table
from invsync.simulate import MEASURES, History, Replay, Scenario
from invsync.simulate.charts import COST_NAMES, LIFE_NAMES, POLICY_NAMES
from invsync.simulate.study import LIFE_SHARE, LOSS

HEADS = {
    "sold": "Sold",
    "oversold": "Oversold",
    "orders_touched": "Orders hit",
    "put_back": "Put back",
    "lost_to_hidden": "Sales lost",
    "hidden": "Hidden",
    "drift": "Drift",
    "writes": "Writes",
    "calls": "API calls",
    "points": "API points",
}


def policies(spent: pl.DataFrame) -> Html:
    """Every policy under the same knobs: what it sold, oversold, hid and spent."""
    rows = [[POLICY_NAMES[row["policy"]], *_numbers(row)] for row in spent.to_dicts()]
    columns = [Column("Policy", "wide"), *(Column(head, "n") for head in HEADS.values())]
    lag = reader().number(round(spent["lag"][0], 1))
    title = f"Every policy at an order lag of {lag} minutes on average, {LOSS:.0%} of the webhooks lost, no buffer"
    return table(title, columns, rows)


def lives(by_life: pl.DataFrame) -> Html:
    """What each life costs under every policy."""
    rows = [
        [
            LIFE_NAMES[row["life"]],
            POLICY_NAMES[row["policy"]],
            *(reader().number(round(row[name], 1)) for name in COST_NAMES),
        ]
        for row in by_life.to_dicts()
    ]
    columns = [Column("Life", "wide"), Column("Policy", "wide"), *(Column(HEADS[name], "n") for name in COST_NAMES)]
    return table(f"What each life costs, lived by {LIFE_SHARE:.0%} of the orders", columns, rows)


def summary(replay: Replay) -> Html:
    """What one replay came to."""
    row = replay.totals()
    return table(POLICY_NAMES[replay.scenario.policy], [Column(head, "n") for head in HEADS.values()], [_numbers(row)])


def words() -> Html:
    """Each measure in words."""
    rows = [[HEADS.get(name, name.replace("_", " ").capitalize()), meaning] for name, meaning in MEASURES.items()]
    return table("The measures, in words", [Column("Measure"), Column("Meaning", "wide")], rows)


def facts(history: History, base: Scenario) -> Html:
    """What is replayed: days, orders, units, SKUs, and the lag of the orders."""
    orders, units = history.lines["order"].n_unique(), int(history.lines["units"].sum())
    end = history.start + timedelta(days=history.days - 1)
    lag = np.quantile(base.lag, [0.5, 0.9])
    rows = [
        ["Days", f"{reader().day(history.start.date())} to {reader().day(end.date())}"],
        ["Orders", reader().number(orders)],
        ["Order lines", reader().number(history.lines.height)],
        ["Units ordered", reader().number(units)],
        ["SKUs", reader().number(history.stock.height)],
        ["The OMS's own movements", reader().number(history.moves.height)],
        ["Order lag, half within", f"{reader().number(round(float(lag[0]), 1))} minutes"],
        ["Order lag, nine of ten within", f"{reader().number(round(float(lag[1]), 1))} minutes"],
    ]
    return table("What is replayed", [Column("What"), Column("How much", "n")], rows)


def largest_buffers(suggested: pl.DataFrame, *, top: int = 20) -> Html:
    """The largest suggested buffers, with the units that go unseen in a window and those beyond the buffer."""
    rows = suggested.sort("units", "mean", "sku", descending=[True, True, False]).head(top)
    shown = [[row["sku"], _few(row["units"]), _few(row["mean"]), _few(row["beyond"])] for row in rows.to_dicts()]
    columns = [
        Column("SKU"),
        Column("Buffer, units", "n"),
        Column("Unseen in a window, mean", "n"),
        Column("Beyond it, mean", "n"),
    ]
    some = suggested.filter(pl.col("units") > 0).height
    note = f"{reader().number(some)} of {reader().number(suggested.height)} SKUs get a buffer."
    return table("The largest suggested buffers", columns, shown, note=note)


def _numbers(row: dict[str, Any]) -> list[str]:
    return [reader().number(round(row[name], 1)) for name in HEADS]


def _few(value: float) -> str:
    return reader().number(round(value, 3))


def cause_table(apart: pl.DataFrame) -> Html:
    """Each cause with the pairs and units that it set apart, over all runs, and what it means."""
    sums = apart.group_by("cause").agg(pl.col("pairs", "units").sum())
    known = {row["cause"]: row for row in sums.to_dicts()}
    rows = [
        [cause.replace("_", " "), _few(known[cause]["pairs"]), _few(known[cause]["units"]), meaning]
        for cause, meaning in CAUSES.items()
        if cause in known
    ]
    columns = [Column("Cause"), Column("Pairs", "n"), Column("Units", "n"), Column("Meaning", "wide")]
    return table("Apart, by cause, over all runs", columns, rows)
