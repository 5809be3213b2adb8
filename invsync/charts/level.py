"""The charts of one level: the steps from the stock to the target, and what runs saw of it over time."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from invsync.charts.labels import clean
from invsync.charts.sentence import Chart, sentence
from invsync.charts.theme import BAR, LOWERED, PROTECTED, RAISED, STEP, WIDTH, reader, register
from invsync.startup import quick_imports

with quick_imports():
    import altair as alt

register()

STEPS = {"label": pl.String(), "units": pl.Float64(), "after": pl.Float64()}
LOOKS = {"at": pl.Datetime("us", "UTC"), "available": pl.Int64(), "left": pl.Int64(), "job": pl.String()}
PLACED = {"at": pl.Datetime("us", "UTC"), "name": pl.String(), "units": pl.Int64()}
GREY = "#7C858F"
MARKS = {
    "Run that changed it": (RAISED, "circle"),
    "Run that left it": (GREY, "circle"),
    "Order placed": (LOWERED, "triangle-down"),
    "Now": (PROTECTED, "diamond"),
}
A_DAY = timedelta(days=1)
MOST_NAMES = 6  # of orders that are written beside their marks
TICKS = [timedelta(minutes=n) for n in (5, 15, 30, 60, 180, 360, 720)]
DAYS = [timedelta(days=n) for n in (1, 2, 7, 14, 28, 91, 182, 364)]


def waterfall(
    steps: pl.DataFrame, target: float | None, available: float | None, *, title: str, past: bool = False
) -> Chart:
    """The steps from the stock to the target (STEPS), and below them the target beside what Shopify shows, in units."""
    should, shows = ("Should have shown", "Shopify showed") if past else ("Should show", "Shopify shows")
    totals = [(should, target, RAISED), (shows, available, GREY)]
    rows = [_step(row) for row in steps.iter_rows(named=True)]
    rows += [_total(label, units, colour) for label, units, colour in totals if units is not None]
    if not rows:
        return sentence(title)
    values = [row | {"place": place, "label": _unique(rows, place)} for place, row in enumerate(rows)]
    y = alt.Y("label:N", title=None, sort=[row["label"] for row in values])
    axis = alt.Axis(format=",~r", tickMinStep=1, tickCount=6)
    base = alt.Chart(alt.InlineData(values=values), width=WIDTH, height=alt.Step(STEP)).encode(y=y)
    drawn = base.mark_bar(height=BAR).encode(
        x=alt.X("start:Q", title="Units", axis=axis),
        x2="end:Q",
        color=alt.Color("colour:N", scale=None),
        tooltip=alt.Tooltip("words:N", title="Bar"),
        description="words:N",
    )
    text = base.mark_text(align="left", dx=4, aria=False).encode(x="right:Q", text="text:N", tooltip=alt.value(None))
    made: alt.LayerChart = alt.LayerChart(layer=[drawn, text])
    return made.properties(title=title, description=_step_words(rows, title))


def levels(looks: pl.DataFrame, placed: pl.DataFrame) -> Chart:
    """What Shopify showed over time, as runs saw and left it (LOOKS; without a job: now), and the orders (PLACED)."""
    if looks.is_empty():
        return sentence("No run has looked at this level yet.")
    looks = looks.sort("at")
    first, last = looks["at"][0], looks["at"][-1]
    reach = max(last - first, A_DAY)  # orders long before the first run would crowd the runs
    placed = placed.filter(pl.col("at") >= first - reach).sort("at")
    points = [value for row in looks.iter_rows(named=True) for value in _points(row)]
    marks = [_run(row) for row in looks.iter_rows(named=True)] + _orders(placed, looks)
    ticks = _ticks([point["t"] for point in [*points, *marks]])
    x = alt.X("t:T", title=None, scale=alt.Scale(type="utc"), axis=_axis(ticks))
    y = alt.Y("units:Q", title="Units on sale", axis=alt.Axis(format=",~r", tickMinStep=1, tickCount=5, grid=True))
    line = alt.Chart(alt.InlineData(values=points), width=WIDTH, height=220)
    line = line.mark_line(interpolate="step-after", color=GREY, aria=False).encode(x=x, y=y, order="order:O")
    dots, names = _marks(marks, x, y, names=_are_apart(placed["at"], last))
    made: alt.LayerChart = alt.LayerChart(layer=[line, dots, *names])
    return made.properties(title=_level_title(looks), description=_level_words(looks, placed))


def _are_apart(placed: pl.Series, last: datetime) -> bool:
    """Whether the names of these orders, by time, have room beside their marks."""
    gaps = placed.diff().drop_nulls().to_list()
    return placed.len() <= MOST_NAMES and all(gap >= (last - placed[0]) / (2 * MOST_NAMES) for gap in gaps)


def _step(row: dict[str, Any]) -> dict[str, Any]:
    start, end = row["after"] - row["units"], row["after"]
    text, label = reader().number(row["units"], signed=True), clean(row["label"])
    words = f"{label}; {text}; {reader().number(end)} after it"
    return _bar(label, start, end, text, words) | {"colour": LOWERED if row["units"] < 0 else PROTECTED}


def _total(label: str, units: float, colour: str) -> dict[str, Any]:
    text = reader().number(units)
    return _bar(label, 0.0, units, text, f"{label}; {text}") | {"colour": colour}


def _step_words(rows: list[dict[str, Any]], title: str) -> str:
    parts = ", ".join(f"{row['label']} {row['text']}" for row in rows)
    return f"{title}. Step by step, in units: {parts}."


def _bar(label: str, start: float, end: float, text: str, words: str) -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "right": max(start, end), "text": text, "words": words}


def _unique(rows: list[dict[str, Any]], place: int) -> str:
    """The label of a row; with its number where an earlier row has the same."""
    label = rows[place]["label"]
    earlier = sum(row["label"] == label for row in rows[:place])
    return f"{label} ({earlier + 1})" if earlier else label


def _points(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The corners of the line at one look of a run: what it saw and what it left."""
    at = _wall(row["at"])
    numbers = [row["available"], row["left"]] if row["left"] != row["available"] else [row["available"]]
    return [{"t": at, "units": units, "order": f"{at:015d}{place}"} for place, units in enumerate(numbers)]


def _run(row: dict[str, Any]) -> dict[str, Any]:
    change = row["left"] - row["available"]
    if row["job"] is None:
        words = f"{reader().moment(row['at'])}; now; {reader().number(row['left'])} units"
        return {"t": _wall(row["at"]), "units": row["left"], "kind": "Now", "words": words, "name": ""}
    did = f"changed by {reader().number(change, signed=True)}" if change else "not changed"
    words = f"{reader().moment(row['at'])}; {clean(row['job'])}; {reader().number(row['left'])} units, {did}"
    kind = "Run that changed it" if change else "Run that left it"
    return {"t": _wall(row["at"]), "units": row["left"], "kind": kind, "words": words, "name": ""}


def _orders(placed: pl.DataFrame, looks: pl.DataFrame) -> list[dict[str, Any]]:
    """A mark for each order at the level that runs knew of when it was placed."""
    known = placed.join_asof(looks.select("at", "left"), on="at", strategy="backward")
    known = known.with_columns(pl.col("left").fill_null(looks["available"][0]))
    return [_order(row) for row in known.iter_rows(named=True)]


def _order(row: dict[str, Any]) -> dict[str, Any]:
    name = f"{clean(row['name'] or 'Order')} {reader().number(-row['units'])}"
    words = f"{reader().moment(row['at'])}; order {name}"
    return {"t": _wall(row["at"]), "units": row["left"], "kind": "Order placed", "words": words, "name": name}


def _marks(marks: list[dict[str, Any]], x: alt.X, y: alt.Y, *, names: bool) -> tuple[alt.Chart, list[alt.Chart]]:
    there = [kind for kind in MARKS if any(mark["kind"] == kind for mark in marks)]
    colours, shapes = ([MARKS[kind][part] for kind in there] for part in (0, 1))
    base = alt.Chart(alt.InlineData(values=marks), width=WIDTH, height=220).encode(x=x, y=y)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=there, range=colours)),
        shape=alt.Shape("kind:N", title=None, scale=alt.Scale(domain=there, range=shapes)),
        tooltip=alt.Tooltip("words:N", title="Mark"),
        description="words:N",
    )
    text = base.transform_filter("datum.name").mark_text(align="left", dx=6, dy=-9, aria=False).encode(text="name:N")
    return dots, [text] if names else []


def _level_title(looks: pl.DataFrame) -> str:
    every = pl.concat([looks["available"], looks["left"]])
    low, high = (reader().number(units) for units in (every.min(), every.max()))  # type: ignore[arg-type]
    span = f"{low} units" if low == high else f"{low} to {high} units"
    runs = looks.filter(pl.col("job").is_not_null())
    changed = reader().number(runs.filter(pl.col("left") != pl.col("available")).height)
    return f"On sale: {span}; {changed} of {reader().many(runs.height, 'run')} changed it"


def _level_words(looks: pl.DataFrame, placed: pl.DataFrame) -> str:
    first, last = looks.row(0, named=True), looks.row(-1, named=True)
    orders = f"; {reader().many(placed.height, 'order')} in flight placed in this time" if placed.height else ""
    return (
        f"{_level_title(looks)}. It was {reader().number(first['available'])} on {reader().moment(first['at'])} and "
        f"{reader().number(last['left'])} on {reader().moment(last['at'])}{orders}."
    )


def _wall(at: datetime) -> int:
    """The moment as the reader's clock shows it, in milliseconds."""
    return round(reader().local(at).replace(tzinfo=UTC).timestamp() * 1000)


def _ticks(moments: list[int]) -> dict[int, str]:
    """At most seven round moments of the reader's clock, each with its label."""
    first, last = min(moments), max(moments)
    steps = [step for step in [*TICKS, *DAYS] if (last - first) / (step.total_seconds() * 1000) <= 6.5]
    step = steps[0] if steps else DAYS[-1]
    width = round(step.total_seconds() * 1000)
    ticks = range(first - first % width + width * (first % width > 0), last + 1, width)
    return {tick: _label(tick, step) for tick in ticks or [first]}


def _label(tick: int, step: timedelta) -> str:
    wall = datetime.fromtimestamp(tick / 1000, UTC)
    zoneless = replace(reader(), timezone="UTC")
    return zoneless.short_day(wall.date()) if step in DAYS or not tick % 86_400_000 else zoneless.clock(wall)


def _axis(ticks: dict[int, str]) -> alt.Axis:
    labels = ", ".join(f"'{tick}': {json.dumps(text)}" for tick, text in ticks.items())
    return alt.Axis(values=list(ticks), labelExpr=f"({{{labels}}})[toString(toNumber(datum.value))]", grid=False)
