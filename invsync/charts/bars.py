"""Bars of a run and of its days, by Altair; imported with the first chart, because Altair is slow to import."""

from collections.abc import Mapping
from typing import Any

from invsync.charts.labels import clean
from invsync.charts.theme import BAR, STEP, WIDTH, register
from invsync.startup import quick_imports

with quick_imports():
    import altair as alt

Row = dict[str, Any]  # of a chart's data: label, value, colour, words
SHORT = "replace(datum.label, regexp(',? ?\\\\b\\\\d{4}\\\\b'), '')"  # the year is in the page's title

register()


def by_label(
    rows: list[Row], title: str, *, sort: list[str], colours: Mapping[str, str], legend: str | None = None
) -> alt.Chart:
    """Horizontal bars, one a label and colour; rows with a `rank` are stacked in its order."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    bars = _bars(rows, title, sort).encode(color=alt.Color("colour:N", scale=scale, title=legend))
    return bars.encode(order="rank:O") if rows and "rank" in rows[0] else bars


def numbered(rows: list[Row], title: str, *, sort: list[str]) -> alt.LayerChart:
    """Horizontal bars, each in the colour that its row names, with the `text` of the row beside it."""
    bars = _bars(rows, title, sort)
    coloured = bars.encode(color=alt.Color("colour:N", scale=None))
    numbers = bars.mark_text(align="left", dx=4, aria=False).encode(text="text:N", tooltip=alt.value(None))
    made: alt.LayerChart = alt.LayerChart(layer=[coloured, numbers])
    return made


def by_day(rows: list[Row], title: str, *, days: list[str], colours: Mapping[str, str], legend: bool) -> alt.Chart:
    """Vertical bars by day, with a legend of the colours or without."""
    made: alt.Chart = (
        alt.Chart(alt.InlineData(values=rows), width=WIDTH, height=200)
        .mark_bar(size=28)
        .encode(
            x=alt.X("label:O", title=None, scale=alt.Scale(domain=days), axis=alt.Axis(labelAngle=0, labelExpr=SHORT)),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format=",~r", tickMinStep=1, tickCount=5, grid=True)),
            tooltip=alt.Tooltip("words:N", title="Bar"),
            description="words:N",
            color=_colour(colours) if legend else alt.value(*colours.values()),
        )
    )
    return made


def _colour(colours: Mapping[str, str]) -> alt.Color:
    return alt.Color("colour:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), title=None)


def _bars(rows: list[Row], title: str, sort: list[str]) -> alt.Chart:
    values = [row | {"label": clean(row["label"])} for row in rows]
    made: alt.Chart = (
        alt.Chart(alt.InlineData(values=values), width=WIDTH, height=alt.Step(STEP))
        .mark_bar(height=BAR)
        .encode(
            x=alt.X("value:Q", title=title, axis=alt.Axis(format=",~r", tickMinStep=1, tickCount=6)),
            y=alt.Y("label:N", title=None, sort=[clean(name) for name in sort]),
            tooltip=alt.Tooltip("words:N", title="Bar"),
            description="words:N",
        )
    )
    return made
