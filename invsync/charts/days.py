"""Charts by day: the drift that runs found, and the units that they kept off sale."""

from typing import Any

import altair as alt
import polars as pl

from invsync.charts.run import Chart, sentence
from invsync.charts.theme import LOWERED, PROTECTED, RAISED, WIDTH, reader


def drift(days: pl.DataFrame) -> Chart:
    """Units raised and lowered by day; `day`, `raised` and `lowered`, one row a day."""
    if not days.select((pl.col("raised") + pl.col("lowered")).sum()).item():
        return sentence("No unit had to be moved: Shopify was right whenever a run looked.")
    sides = [(pl.col("raised"), "Raised"), (-pl.col("lowered"), "Lowered")]
    rows = pl.concat([days.select("day", value=value, colour=pl.lit(name)) for value, name in sides])
    raised, lowered = (reader().number(int(days[name].sum())) for name in ("raised", "lowered"))
    words = f"Units that were wrong in Shopify when a run looked, by day: {raised} raised, {lowered} lowered."
    colours = {"Raised": RAISED, "Lowered": LOWERED}
    there = [name for value, name in sides if days.select((value != 0).any()).item()]
    scale = alt.Scale(domain=there, range=[colours[name] for name in there])
    bars = _bars(rows, "Units", days).encode(color=alt.Color("colour:N", scale=scale, title=None))
    return bars.properties(title="Drift, by day", description=words)


def protected(days: pl.DataFrame) -> Chart:
    """Units newly in flight, and so kept off sale, by day; `day` and `protected`, one row a day."""
    total = int(days["protected"].sum())
    if not total:
        return sentence("No order was in flight when a run looked, so nothing had to be kept off sale.")
    words = f"Sold units that were kept off sale, by day: {reader().number(total)} in all."
    rows = days.select("day", value="protected", colour=pl.lit("Kept off sale"))
    bars = _bars(rows, "Units", days).encode(color=alt.value(PROTECTED))
    return bars.properties(title="Kept off sale, by day", description=words)


def _bars(rows: pl.DataFrame, title: str, days: pl.DataFrame) -> alt.Chart:
    values = [
        row | {"label": reader().day(row["day"]), "words": _words(row)} for row in rows.to_dicts() if row["value"]
    ]
    shown = [{key: value for key, value in row.items() if key != "day"} for row in values]
    labels = [reader().day(day) for day in days["day"]]
    made: alt.Chart = (
        alt.Chart(alt.InlineData(values=shown), width=WIDTH, height=200)
        .mark_bar(size=28)
        .encode(
            x=alt.X(
                "label:O", title=None, scale=alt.Scale(domain=labels), axis=alt.Axis(labelAngle=0, labelExpr=SHORT)
            ),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format=",~r", tickMinStep=1, tickCount=5, grid=True)),
            tooltip=alt.Tooltip("words:N", title="Bar"),
            description="words:N",
        )
    )
    return made


SHORT = "replace(datum.label, regexp(',? ?\\\\b\\\\d{4}\\\\b'), '')"  # the year is in the page's title


def _words(row: dict[str, Any]) -> str:
    return f"{reader().day(row['day'])}; {reader().many(abs(row['value']), 'unit')}; {row['colour'].lower()}"
