"""The charts of replays. Selections filter a computed grid, in a notebook and on the exported page alike."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

import altair as alt
import polars as pl

from invsync.charts import LOWERED, PROTECTED, RAISED, Chart, clean, reader, sentence
from invsync.charts.theme import WIDTH
from invsync.simulate.scenario import LOSS, Scenario

HEIGHT, STEP = 300, 24
GREY, AMBER, PINK, BROWN = "#7C858F", "#B87400", "#B8558F", "#8C5A2B"
POLICY_NAMES = {
    "none": "Uploaded once",
    "reset": "Reset, the classic way",
    "reset_by_header": "Reset, unknown orders subtracted",
    "reset_in_flight": "Reset, in flight subtracted",
    "deltas": "Deltas",
    "deltas_and_hard_sync": "Deltas and hard sync",
    "realtime": "Real time",
}
COLOURS = dict(zip(POLICY_NAMES, [GREY, LOWERED, BROWN, RAISED, PROTECTED, AMBER, PINK], strict=True))
SHAPES = dict(
    zip(POLICY_NAMES, ["cross", "diamond", "stroke", "circle", "square", "triangle-up", "triangle-down"], strict=True)
)
LINED = [  # "none" would dwarf the others, "reset_by_header" is the same as "reset_in_flight"
    name for name in POLICY_NAMES if name not in ("none", "reset_by_header")
]
LIFE_NAMES = {
    "plain": "None: placed and imported",
    "edited": "A unit added after the import",
    "till": "Sold at a Shopify till",
    "shipped_early": "Shipped before the import",
    "refunded": "A unit refunded before it ships",
    "cancelled": "Cancelled",
    "returned": "A unit returned",
    "search_lag": "Visible a minute late",
    "all": "All of them",
}
COST_NAMES = {
    "put_back": "Units put back on sale",
    "oversold": "Units oversold",
    "lost_to_hidden": "Units not sold, though there",
    "hidden": "Units hidden, on average",
}
KNOBS = {
    "lag": "Order lag, minutes on average ",
    "cadence": "Job every, minutes ",
    "loss": "Share of webhooks lost ",
    "peak": "Orders against the real ones ",
    "buffer": "Buffer, units ",
    "policy": "Policy ",
    "sku": "SKU ",
    "cost": "Cost ",
}
STARTS: dict[str, str | float] = {
    "lag": 15,
    "cadence": 15,
    "loss": LOSS,
    "peak": 1,
    "buffer": 0,
    "policy": POLICY_NAMES["reset"],
}
BASE = Scenario()
LINES = {"left": "Truly left", "oms": "The OMS's number", "shown": "Shopify shows", "in_flight": "In flight"}
LINE_COLOURS, LINE_DASHES = [GREY, AMBER, RAISED, PINK], [[1, 0], [6, 3], [1, 0], [2, 2]]
UNITS = alt.Axis(format=",~r", tickMinStep=1, tickCount=5)
CLOCK = "pad(floor(datum.value / 60), 2, '0', 'left') + ':' + pad(datum.value % 60, 2, '0', 'left')"


def starts(base: Scenario) -> dict[str, str | float]:
    """Where the selections of the charts start: at this scenario's own knobs."""
    knobs = {"lag": round(base.mean_lag, 6), "cadence": base.cadence, "loss": base.loss, "peak": base.peak}
    return STARTS | knobs


def frontier(grid: pl.DataFrame, base: Scenario = BASE) -> Chart:
    """Units oversold against units hidden, a line a policy over its buffers; selections of lag, cadence, loss, peak."""
    rows = _named(grid.filter(pl.col("policy") != "none"))
    labelled = rows.with_columns(words=_words("buffer", "oversold", "hidden", "lost_to_hidden"))
    shown = ["oversold", "hidden", "buffer"]
    drawn, knobs = _turned(labelled, ["lag", "cadence", "loss", "peak"], shown, starts=starts(base))
    lines = drawn.encode(
        x=_x("hidden", "Units hidden, on average"), y=_y("oversold", "Units oversold"), order="buffer:Q"
    )
    least, most = rows.select(least=pl.min("buffer"), most=pl.max("buffer")).row(0)
    words = (
        "Units oversold against units hidden, for every policy but the single upload, as the buffer grows from "
        f"{_number(least)} to {_number(most)} units at each SKU."
    )
    return _lined(lines, knobs, "What a buffer buys", words)


def lag_curve(grid: pl.DataFrame, base: Scenario = BASE) -> Chart:
    """Units oversold over the order lag, a line a policy; selections of cadence, loss, peak and buffer."""
    rows = _named(grid.filter(pl.col("policy") != "none"))
    labelled = rows.with_columns(words=_words("lag", "oversold", "put_back", "lost_to_hidden"))
    drawn, knobs = _turned(labelled, ["cadence", "loss", "peak", "buffer"], ["lag", "oversold"], starts=starts(base))
    minutes = alt.Axis(values=rows["lag"].unique().sort().to_list(), format=",d", grid=False)
    lines = drawn.encode(
        x=alt.X("lag:Q", title="Order lag, minutes on average", axis=minutes), y=_y("oversold", "Units oversold")
    )
    at = ", ".join(
        f"{_number(part['oversold'].sum())} at a lag of {lag:g} minutes"
        for (lag,), part in rows.filter(
            pl.col("policy") == "reset", _starting(starts(base), "cadence", "peak", "buffer")
        )
        .sort("lag")
        .group_by("lag", maintain_order=True)
    )
    return _lined(
        lines, knobs, "What the order lag costs", f"Units oversold over the order lag. The classic reset: {at}."
    )


def skus_at_risk(risks: pl.DataFrame, base: Scenario = BASE) -> Chart:
    """The SKUs that oversell most, in units a day; selections of policy and lag."""
    if risks.is_empty():
        return sentence("No SKU oversold under any policy, with three seeds.")
    rows = _named(risks).with_columns(sku=pl.col("sku").map_elements(clean, pl.String))
    labelled = rows.with_columns(words=_words("oversold", "put_back"))
    begin = starts(base)
    drawn, knobs = _turned(labelled, ["policy", "lag"], ["sku", "oversold"], starts=begin)
    worst = rows.filter(pl.col("policy") == "reset", _starting(begin, "lag")).head(3)["sku"].to_list()
    words = (
        "The SKUs that oversell most, in units a day, the mean over three seeds. Under the classic reset at a "
        f"lag of {base.mean_lag:g} minutes: {', '.join(worst) or 'none'}."
    )
    bars = drawn.mark_bar(height=16).encode(
        x=alt.X("oversold:Q", title="Units oversold a day", axis=alt.Axis(tickCount=5)),
        y=alt.Y("sku:N", title=None, sort="-x"),
        tooltip=_tooltip(),
        description="words:N",
        color=_coloured([*POLICY_NAMES.values()], [*COLOURS.values()]).legend(None),
    )
    return _sized(bars.add_params(*knobs), "The SKUs most at risk", words, alt.Step(STEP))


def life_costs(costs: pl.DataFrame) -> Chart:
    """What each life of a tenth of the orders costs; selections of policy and cost."""
    rows = _named(costs).with_columns(life=pl.col("life").replace_strict(LIFE_NAMES))
    long = rows.unpivot(list(COST_NAMES), index=["label", "policy", "life"], variable_name="cost", value_name="units")
    labelled = long.with_columns(cost=pl.col("cost").replace_strict(COST_NAMES), words=_words("units"))
    starts = {"policy": POLICY_NAMES["reset_by_header"], "cost": COST_NAMES["put_back"]}
    base, knobs = _turned(labelled, ["policy", "cost"], ["life", "units"], starts=starts)
    sums = (
        rows.filter(pl.col("life") == LIFE_NAMES["all"]).select("policy", "put_back").rows_by_key("policy", unique=True)
    )
    words = (
        "What each life costs, if a tenth of the orders have it. All of them at once: "
        f"{_number(sums['reset_by_header'][0])} units put back where unknown orders are subtracted, "
        f"{_number(sums['reset_in_flight'][0])} where units sold and not booked are."
    )
    bars = base.mark_bar(height=16).encode(
        x=_x("units", "Units"),
        y=alt.Y("life:N", title=None, sort=list(LIFE_NAMES.values())),
        tooltip=_tooltip(),
        description="words:N",
        color=_coloured([*POLICY_NAMES.values()], [*COLOURS.values()]).legend(None),
    )
    return _sized(bars.add_params(*knobs), "What each order life costs", words, STEP * len(LIFE_NAMES))


def worst_day(days: pl.DataFrame) -> Chart:
    """One SKU's day: the units left, the number in each system, and the units in flight; selections of SKU and policy."""
    if days.is_empty():
        return sentence("No SKU oversold or had units put back on sale, so there is no day to show.")
    rows = _named(days).with_columns(sku=pl.col("sku").map_elements(clean, pl.String))
    long = rows.unpivot(list(LINES), index=["sku", "policy", "label", "at"], variable_name="line", value_name="units")
    names = list(LINES.values())
    labelled = long.with_columns(line=pl.col("line").replace_strict(LINES)).with_columns(
        words=pl.format("{}: {} units", "line", "units")
    )
    first = rows["sku"][0]
    base, knobs = _turned(labelled, ["sku", "policy"], ["at", "units", "line"], starts={"sku": first})
    lines = base.mark_line(interpolate="step-after", strokeWidth=2, clip=True).encode(
        x=_clock(rows["at"]),
        y=_y("units", "Units"),
        color=_coloured(names, LINE_COLOURS, "line"),
        strokeDash=alt.StrokeDash("line:N", title=None, scale=alt.Scale(domain=names, range=LINE_DASHES)),
        tooltip=_tooltip(),
        description="words:N",
    )
    sold = rows.filter(pl.col("policy") == "reset", pl.col("sku") == first)["oversold"].sum()
    words = (
        f"The worst day of SKU {first}, minute by minute: what was truly left, the OMS's number, what Shopify showed "
        f"and the units in flight. The classic reset oversold {_number(sold)} units that day."
    )
    return _sized(lines.add_params(*knobs), "One SKU's day", words)


def held_out_buffers(held_out: pl.DataFrame) -> Chart:
    """Units oversold against units hidden on held-out weeks: single buffers and tables by SKU (`decision.decide`)."""
    if held_out.is_empty():
        return sentence("No buffer was replayed.")
    single = pl.col("buffer").is_not_null()
    by_sku = pl.format("{} of windows, at most {} units", pl.col("ratio"), "largest")
    name = pl.when(single).then(pl.format("{} units at each SKU", "buffer")).otherwise(by_sku)
    label = pl.when(single).then(pl.lit("One buffer for all")).otherwise(pl.lit("Suggested by SKU"))
    labelled = held_out.with_columns(label=label, words=name + ": " + _words("oversold", "hidden", "lost_to_hidden"))
    shown = labelled.select("label", "oversold", "hidden", "words").to_dicts()
    ways = ["One buffer for all", "Suggested by SKU"]
    points = (
        alt.Chart(alt.InlineData(values=shown))
        .mark_point(size=90, strokeWidth=2)
        .encode(
            x=_x("hidden", "Units hidden, on average"),
            y=_y("oversold", "Units oversold"),
            color=_coloured(ways, [LOWERED, RAISED]),
            shape=alt.Shape("label:N", title=None, scale=alt.Scale(domain=ways, range=["diamond", "circle"])),
            tooltip=_tooltip(),
            description="words:N",
        )
    )
    words = "Units oversold against units hidden on the held-out weeks, for one buffer at every SKU and for the tables by SKU."
    return _sized(points, "Buffers on weeks that did not choose them", words)


def by_day(days: pl.DataFrame) -> Chart:
    """A replay by day: units oversold during it, and units hidden, and shown but not there, at its end."""
    names = {"oversold": "Oversold", "hidden": "Hidden", "beyond": "Shown, not there"}
    long = days.unpivot(list(names), index="day", variable_name="line", value_name="units")
    labelled = long.with_columns(
        line=pl.col("line").replace_strict(names),
        day=pl.col("day").cast(pl.String),
        words=pl.format("{} units", "units"),
    )
    scale = alt.Scale(domain=list(names.values()), range=[LOWERED, GREY, PINK])
    lines = (
        alt.Chart(alt.InlineData(values=labelled.to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%d %b", grid=False)),
            y=_y("units", "Units"),
            color=alt.Color("line:N", title=None, scale=scale),
            tooltip=_tooltip(),
            description="words:N",
        )
    )
    words = f"Day by day: {_number(days['oversold'].sum())} units oversold in all."
    return _sized(lines, "Day by day", words)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(label=pl.col("policy").replace_strict(POLICY_NAMES))


def _turned(
    rows: pl.DataFrame, knobs: Sequence[str], shown: Sequence[str], starts: Mapping[str, str | float] | None = None
) -> tuple[alt.Chart, list[alt.Parameter]]:
    """A chart of the rows that its selections leave, and the selections.

    A row where a knob is null always stays, since the knob does not affect it.
    """
    columns = [name if name != "policy" else "label" for name in knobs]
    values = rows.select(list(dict.fromkeys(["label", *columns, *shown, "words"]))).to_dicts()
    chart = alt.Chart(alt.InlineData(values=values))
    parameters = []
    for knob, column in zip(knobs, columns, strict=True):
        options = [value for value in rows[column].unique(maintain_order=True) if value is not None]
        options = options if column in ("label", "sku") else sorted(options)
        start = (starts or {}).get(knob, STARTS.get(knob))
        bind = alt.binding_select(options=options, name=KNOBS[knob])
        value = start if start in options else options[0]
        parameters.append(alt.param(name=f"{knob}_{shown[0]}", value=value, bind=bind))
        chart = chart.transform_filter(f"datum.{column} === null || datum.{column} === {parameters[-1].name}")
    return chart, parameters


def _lined(lines: alt.Chart, knobs: list[alt.Parameter], title: str, words: str) -> Chart:
    """A line a policy with hollow points, so that points at one place remain visible."""
    names = [POLICY_NAMES[name] for name in LINED]
    coloured = lines.encode(color=_coloured(names, [COLOURS[name] for name in LINED]))
    shape = alt.Shape("label:N", title=None, scale=alt.Scale(domain=names, range=[SHAPES[name] for name in LINED]))
    points = coloured.mark_point(size=90, strokeWidth=2).encode(shape=shape, tooltip=_tooltip(), description="words:N")
    layers = cast(alt.LayerChart, alt.layer(coloured.mark_line(strokeWidth=1.5), points).add_params(*knobs))
    return _sized(layers, title, words)


def _sized(
    chart: alt.Chart | alt.LayerChart, title: str, words: str, height: int | alt.Step = HEIGHT
) -> alt.Chart | alt.LayerChart:
    return chart.properties(title=title, description=words, width=WIDTH, height=height)


def _coloured(names: Sequence[str], colours: Sequence[str], column: str = "label") -> alt.Color:
    return alt.Color(f"{column}:N", title=None, scale=alt.Scale(domain=list(names), range=list(colours)))


def _clock(minutes: pl.Series) -> alt.X:
    """The time of day, from the hour of the first event to the hour after the last."""
    hours = minutes.filter((minutes > 0) & (minutes < 1440)).to_frame("at").select(pl.col("at") / 60)
    first, last = (60 * int(hour) for hour in hours.select(pl.min("at").floor(), last=pl.max("at").ceil()).row(0))
    axis = alt.Axis(labelExpr=CLOCK, values=list(range(first, last + 1, 60)), grid=False)
    return alt.X("at:Q", title="Time of day", axis=axis, scale=alt.Scale(domain=[first, last], nice=False))


def _x(column: str, title: str) -> alt.X:
    return alt.X(f"{column}:Q", title=title, axis=UNITS)


def _y(column: str, title: str) -> alt.Y:
    return alt.Y(f"{column}:Q", title=title, axis=UNITS)


def _tooltip() -> list[alt.Tooltip]:
    return [alt.Tooltip("label:N", title=" "), alt.Tooltip("words:N", title=" ")]


def _starting(begin: Mapping[str, str | float], *knobs: str) -> pl.Expr:
    """Whether the knobs have the values that the chart starts with."""
    return pl.all_horizontal(pl.col(knob).eq(begin[knob]) for knob in knobs)


def _words(*columns: str) -> pl.Expr:
    """The tooltip of a mark: each measure with its name."""
    parts = [pl.format("{} {}", pl.lit(name.replace("_", " ")), pl.col(name).round(1)) for name in columns]
    return pl.concat_str(parts, separator=", ")


def _number(value: float | Decimal) -> str:
    return reader().number(round(float(value), 1))
