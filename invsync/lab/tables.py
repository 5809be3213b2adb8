"""The lab's tables, as the notebook and the page show them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from invsync.charts import reader
from invsync.lab.causes import CAUSES
from invsync.report.markup import Column, Html, macro, table
from invsync.simulate import MEASURES, History, Replay, Scenario
from invsync.simulate.charts import COST_NAMES, LIFE_NAMES, POLICY_NAMES
from invsync.simulate.study import LIFE_SHARE

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


def policy_costs(costs: pl.DataFrame) -> Html:
    """The measures of each policy under the same knobs (`study.policy_costs`)."""
    rows = [[POLICY_NAMES[row["policy"]], *_numbers(row)] for row in costs.to_dicts()]
    columns = [Column("Policy", "wide"), *(Column(head, "n") for head in HEADS.values())]
    lag, lost = reader().number(round(costs["lag"][0], 1)), reader().share(costs["loss"][0])
    title = f"Every policy at an order lag of {lag} minutes on average, {lost} of the webhooks lost"
    return table(title, columns, rows)


def life_costs(costs: pl.DataFrame) -> Html:
    """What each life costs under each policy (`study.life_costs`)."""
    rows = [
        [
            LIFE_NAMES[row["life"]],
            POLICY_NAMES[row["policy"]],
            *(reader().number(round(row[name], 1)) for name in COST_NAMES),
        ]
        for row in costs.to_dicts()
    ]
    columns = [Column("Life", "wide"), Column("Policy", "wide"), *(Column(HEADS[name], "n") for name in COST_NAMES)]
    return table(f"What each life costs, if {LIFE_SHARE:.0%} of the orders have it", columns, rows)


def summary(replay: Replay) -> Html:
    """The measures of one replay."""
    row = replay.totals()
    return table(POLICY_NAMES[replay.scenario.policy], [Column(head, "n") for head in HEADS.values()], [_numbers(row)])


def measures() -> Html:
    """The definition of each measure."""
    rows = [[HEADS.get(name, name.replace("_", " ").capitalize()), meaning] for name, meaning in MEASURES.items()]
    return table("The measures, in words", [Column("Measure"), Column("Meaning", "wide")], rows)


def facts(history: History, base: Scenario, *, doubts: Sequence[str] = ()) -> Html:
    """The size of the history and the lag of its orders, with what makes the answers doubtful below."""
    orders, units = history.lines["order"].n_unique(), int(history.lines["units"].sum())
    end = history.start + timedelta(days=history.days - 1)
    lag = np.quantile(base.lag, [0.5, 0.9])
    rows = [
        ["Days", f"{reader().day(history.start.date())} to {reader().day(end.date())}"],
        ["Orders", reader().number(orders)],
        ["Order lines", reader().number(history.lines.height)],
        ["Units ordered", reader().number(units)],
        ["SKUs", reader().number(history.stock.height)],
        ["The stock", "made by a rule" if history.rule else "opens with the OMS's"],
        ["The job runs every", f"{reader().number(round(base.cadence, 1))} minutes"],
        ["The OMS's own movements", reader().number(history.moves.height)],
        ["Order lag, half within", f"{reader().number(round(float(lag[0]), 1))} minutes"],
        ["Order lag, nine of ten within", f"{reader().number(round(float(lag[1]), 1))} minutes"],
    ]
    note = f"Mind: {' '.join(doubts)}" if doubts else ""
    return table("What is replayed", [Column("What"), Column("How much", "n")], rows, note=note)


def largest_buffers(suggested: pl.DataFrame | None, *, top: int = 20) -> Html:
    """The largest suggested buffers, with the unseen demand in a window and the part of it beyond the buffer."""
    if suggested is None:
        return Html(macro("nothing", "No buffers are suggested."), "No buffers are suggested.")
    largest = suggested.sort("units", "mean", "sku", descending=[True, True, False]).head(top)
    rows = [
        [row["sku"], _precise(row["units"]), _precise(row["mean"]), _precise(row["beyond"])]
        for row in largest.to_dicts()
    ]
    columns = [
        Column("SKU"),
        Column("Buffer, units", "n"),
        Column("Unseen in a window, mean", "n"),
        Column("Beyond it, mean", "n"),
    ]
    some = suggested.filter(pl.col("units") > 0).height
    note = f"{reader().number(some)} of {reader().number(suggested.height)} SKUs get a buffer."
    return table("The largest suggested buffers", columns, rows, note=note)


def _numbers(row: Mapping[str, float]) -> list[str]:
    return [reader().number(round(row[name], 1)) for name in HEADS]


def _precise(value: float) -> str:
    return reader().number(round(value, 3))


def cause_table(apart: pl.DataFrame) -> Html:
    """Each cause with its pairs and units over all runs, and its meaning."""
    sums = apart.group_by("cause").agg(pl.col("pairs", "units").sum())
    known = {row["cause"]: row for row in sums.to_dicts()}
    rows = [
        [cause.replace("_", " "), _precise(known[cause]["pairs"]), _precise(known[cause]["units"]), meaning]
        for cause, meaning in CAUSES.items()
        if cause in known
    ]
    columns = [Column("Cause"), Column("Pairs", "n"), Column("Units", "n"), Column("Meaning", "wide")]
    return table("Apart, by cause, over all runs", columns, rows)
