"""Charts over many runs: drift by cause, units in flight, refusals and holds, durations."""

import altair as alt
import polars as pl

from invsync.charts import LOWERED, PROTECTED, RAISED, Chart, reader, sentence
from invsync.charts.theme import WIDTH
from invsync.lab.causes import CAUSES
from invsync.vocabulary import FAULTS, HELD, OUTCOMES

HEIGHT = 220
Row = dict[str, str | float]  # of a chart's data
WRONG = (*FAULTS, HELD)
COLOURS = {
    "in_flight": PROTECTED,
    "buffer": "#7C858F",
    "news": RAISED,
    "lost_event": LOWERED,
    "manual_edit": "#B8558F",
    "another_app": "#B87400",
    "changed_in_shopify": "#A0468C",
    "not_settled": "#8C5A2B",
    "rounding": "#5B6B7B",
    "unmapped": "#9AA5B1",
    "inactive": "#6F7F3F",
    "first_look": "#3A68B5",
    "not_told_apart": "#7A5FA8",
}


def causes(apart: pl.DataFrame) -> Chart:
    """The units that the OMS and Shopify were apart, by day and cause (`by_cause`)."""
    days = apart.group_by("cause", day=pl.col("at").dt.date()).agg(pl.col("units").sum()).filter(pl.col("units") > 0)
    if days.is_empty():
        return sentence("No run found Shopify and the OMS apart.")
    sums = dict(days.group_by("cause").agg(pl.col("units").sum()).sort("units", descending=True).iter_rows())
    totals = ", ".join(f"{plain(cause)} {reader().number(round(units))}" for cause, units in sums.items())
    names = [cause for cause in CAUSES if cause in sums]
    rows = [
        {
            "day": str(row["day"]),
            "units": row["units"],
            "label": plain(row["cause"]),
            "words": f"{plain(row['cause'])}; {reader().number(round(row['units'], 1))} units",
        }
        for row in days.to_dicts()
    ]
    scale = alt.Scale(domain=[plain(name) for name in names], range=[COLOURS[name] for name in names])
    bars = _over("day", "units", "Units apart", _chart(rows).mark_bar(size=18)).encode(
        color=alt.Color("label:N", title=None, scale=scale)
    )
    return _sized(bars, "Shopify and the OMS apart, by cause", f"Units apart by cause, all days together: {totals}.")


def in_flight(runs: pl.DataFrame) -> Chart:
    """The units in flight that each run kept off sale, by job."""
    rows = _rows(runs.filter(pl.col("in_flight").is_not_null()), "in_flight", "units in flight")
    if not rows:
        return sentence("No run looked at orders.")
    most = runs.select(pl.max("in_flight")).item()
    words = f"Units in flight that each run kept off sale; at most {reader().number(most)}."
    points = _over("at", "in_flight", "Units in flight", _chart(rows).mark_point(filled=True))
    return _sized(points.encode(color="label:N"), "Units in flight", words)


def trouble(runs: pl.DataFrame) -> Chart:
    """The pairs that each run did not bring right: refused, unknown, held."""
    long = runs.unpivot(list(WRONG), index=["started_at", "job"], variable_name="kind", value_name="pairs").filter(
        pl.col("pairs") > 0
    )
    if long.is_empty():
        return sentence("No pair was refused, held or left unknown.")
    names = {kind: OUTCOMES[kind].words for kind in WRONG}
    rows = [
        {
            "at": row["started_at"].isoformat(),
            "pairs": row["pairs"],
            "label": names[row["kind"]],
            "words": f"{row['job']}; {reader().many(row['pairs'], 'pair')}",
        }
        for row in long.to_dicts()
    ]
    scale = alt.Scale(domain=list(names.values()), range=[OUTCOMES[kind].colour for kind in WRONG])
    bars = _over("at", "pairs", "Pairs", _chart(rows).mark_bar(size=6)).encode(
        color=alt.Color("label:N", title=None, scale=scale)
    )
    total = ", ".join(f"{names[kind]} {reader().number(int(runs[kind].sum() or 0))}" for kind in WRONG)
    return _sized(bars, "Refused, held, not known", f"Pairs that were not brought right, over all runs: {total}.")


def durations(runs: pl.DataFrame) -> Chart:
    """The seconds that each run took, by job."""
    ended = runs.filter(pl.col("seconds").is_not_null())
    if ended.is_empty():
        return sentence("No run has ended.")
    middle = ended.group_by("job").agg(pl.col("seconds").median()).sort("job")
    medians = ", ".join(f"{job} {reader().number(round(seconds, 1))} s" for job, seconds in middle.iter_rows())
    rows = _rows(ended, "seconds", "seconds")
    points = _over("at", "seconds", "Seconds", _chart(rows).mark_point(filled=True))
    return _sized(points.encode(color="label:N"), "Durations", f"Seconds that runs took; the median by job: {medians}.")


def plain(cause: str) -> str:
    """A cause in words."""
    return cause.replace("_", " ").replace("shopify", "Shopify")


def _rows(runs: pl.DataFrame, column: str, words: str) -> list[Row]:
    return [
        {
            "at": row["started_at"].isoformat(),
            column: row[column],
            "label": row["job"],
            "words": f"{row['run_id']}; {reader().number(round(row[column], 1))} {words}",
        }
        for row in runs.to_dicts()
    ]


def _chart(rows: list[Row]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows))


def _over(time: str, column: str, title: str, marks: alt.Chart) -> alt.Chart:
    return marks.encode(
        x=alt.X(f"{time}:T", title=None, axis=alt.Axis(format="%d %b", tickCount=7, grid=False)),
        y=alt.Y(f"{column}:Q", title=title, axis=alt.Axis(format=",~r", tickCount=5)),
        tooltip=[alt.Tooltip("label:N", title=" "), alt.Tooltip("words:N", title=" ")],
        description="words:N",
    )


def _sized(chart: alt.Chart, title: str, words: str) -> Chart:
    return chart.properties(title=title, description=words, width=WIDTH, height=HEIGHT)
