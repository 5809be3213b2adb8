"""The report's charts: tables in, Altair charts out, each with a text alternative in `description`."""

import re
from datetime import UTC, datetime
from typing import Any

import altair as alt
import polars as pl

Chart = alt.Chart | alt.LayerChart
SPEC_MIME = "application/vnd.vegalite.v5+json"  # the newest that JupyterLab draws; v6 specs draw well under it
VEGA_LITE = "6.4"
MAX_BARS = 20  # rows a chart: two bars each at most
WIDTH = 640  # pixels, labels included

# Each colour keeps 3:1 against the white page and the dark one; no meaning hangs on red against green.
RAISED, LOWERED = "#0072B2", "#D55E00"
OUTCOMES = {
    "applied": ("Sent and confirmed", "#0072B2"),
    "superseded": ("Sent, then an order moved it", "#2E8B8B"),
    "already_right": ("Already right", "#7C858F"),
    "to_send": ("Would be sent", "#0072B2"),
    "held": ("Held", "#B87400"),
    "refused": ("Refused by Shopify", "#D55E00"),
    "unknown": ("Not known", "#B8558F"),
}
REASONS = {
    "unmapped_product": "product not linked to Shopify",
    "unmapped_location": "facility not linked to a location",
    "untracked": "not tracked in Shopify",
    "bundle": "bundle, counted by its parts",
    "no_oms_row": "no stock record in the OMS",
    "inactive_level": "not stocked at that location",
    "fractional": "not a whole number of units",
    "too_large": "more units than Shopify takes",
    "ambiguous_mapping": "linked twice",
    "malformed": "unreadable value in the OMS",
    "moving": "sold too fast to settle",
}
AGES = [("under 15 minutes", 15), ("15 to 60 minutes", 60), ("1 to 4 hours", 240), ("4 to 24 hours", 1440)]
OLDEST = "over a day"
AGE_COLOURS = ["#2E9484", "#3E8CC4", "#3A68B5", "#B87400", "#D55E00"]


def variances_by_product(outcomes: pl.DataFrame) -> Chart:
    """Units raised and lowered by product, the 20 largest first (OUTCOMES or VARIANCES)."""
    names = pl.coalesce("sku", "product_id", pl.col("inventory_item_id").cast(pl.String), pl.lit("no SKU"))
    return _variances(outcomes.with_columns(label=names), "product", "products")


def variances_by_location(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None) -> Chart:
    """Units raised and lowered by location, the 20 largest first, named from `locations`."""
    return _variances(named(outcomes, locations), "location", "locations")


def what_happened(outcomes: pl.DataFrame) -> Chart:
    """Pairs by outcome and reason: sent, held and why (OUTCOMES, or VARIANCES of a rehearsal)."""
    if outcomes.is_empty():
        return sentence("No pair was looked at in this run.")
    counted = (
        classed(outcomes)
        .group_by("outcome", "reason")
        .agg(pairs=pl.len())
        .sort("pairs", "outcome", "reason", descending=[True, False, False])
    )
    shown = [_happening(row) for row in counted.head(2 * MAX_BARS).to_dicts()]
    total = int(counted["pairs"].sum())
    parts = "; ".join(f"{row['label']} {row['value']:,}" for row in shown[:6])
    more = f"; and {counted.height - 6} more kinds" if counted.height > 6 else ""
    words = f"What happened to {_many(total, 'pair')} of item and location: {parts}{more}."
    bars = _bars(shown, "Pairs", sort=[row["label"] for row in shown])
    return _labelled(bars, "What happened to each pair", words)


def in_flight(in_flight: pl.DataFrame, at: datetime | None = None, locations: pl.DataFrame | None = None) -> Chart:
    """Units of orders the OMS has not seen, by location and by the order's age at `at` (IN_FLIGHT)."""
    if in_flight.is_empty():
        return sentence("No order was in flight: the OMS knew every open Shopify order.")
    aged = _aged(named(in_flight, locations), at)
    totals = aged.group_by("label").agg(total=pl.sum("units")).sort("total", "label", descending=[True, False])
    top = totals.head(MAX_BARS)
    rows = aged.join(top, on="label").group_by("label", "age", "rank").agg(value=pl.sum("units")).sort("rank", "label")
    units, orders = int(aged["units"].sum()), aged["order_id"].n_unique()
    late = int(aged.filter(pl.col("age") == OLDEST)["units"].sum())
    words = (
        f"{_many(units, 'unit')} in {_many(orders, 'order')} the OMS had not seen, protected from being sold "
        f"twice; most at {_clean(top['label'][0])} ({int(top['total'][0]):,}); {late:,} older than "
        f"a day{_rest(totals, 'locations')}."
    )
    shown = [row | {"words": _age_words(row), "colour": row["age"]} for row in rows.to_dicts()]
    ages = [name for name, _ in AGES] + [OLDEST]
    scale = alt.Scale(domain=ages, range=AGE_COLOURS)
    legend = alt.Legend(
        title="Order placed, before the run", orient="top", columns=3, columnPadding=24, symbolType="square"
    )
    bars = _bars(shown, "Units in flight", sort=top["label"].to_list()).encode(
        color=alt.Color("colour:N", scale=scale, legend=legend), order="rank:O"
    )
    return bars.properties(title="Protected units of orders in flight", description=words)


def enable() -> None:
    """Register the theme and the renderer: a spec for Lab, SVG for the report, text for all."""
    alt.theme.register("invsync", enable=True)(theme)
    alt.renderers.register("invsync", render)
    alt.renderers.enable("invsync")


def render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The MIME bundle of one Vega-Lite specification, drawn here and offline."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    svg = drawn if isinstance(drawn, str) else "".join(drawn)
    return {SPEC_MIME: spec, "image/svg+xml": svg, "text/plain": str(spec.get("description", "A chart."))}


def theme() -> alt.theme.ThemeConfig:
    """Text in the page's own colour and no background, so that one SVG fits light, dark and paper."""
    ink, faint = "currentColor", "#8886"
    axis: Any = {
        "labelColor": ink,
        "titleColor": ink,
        "tickColor": "#888",
        "domainColor": "#888",
        "gridColor": "#8883",
    }
    return {
        "config": {
            "background": None,  # type: ignore[typeddict-item]
            "font": "Arial, Liberation Sans, Helvetica, sans-serif",  # as the drawing measures
            "autosize": {"type": "fit-x", "contains": "padding"},
            "padding": {"left": 12, "right": 16, "top": 6, "bottom": 6},
            "view": {"stroke": faint},
            "title": {"color": ink, "anchor": "start", "fontSize": 15, "offset": 10},
            "axis": axis | {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 260},
            "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12},
            "text": {"color": ink, "fontSize": 12},
        }
    }


def sentence(words: str) -> alt.Chart:
    """A chart that says why there is nothing to draw."""
    mark = alt.Chart(alt.InlineData(values=[{"words": words}])).mark_text(align="left", fontSize=14)
    drawn = mark.encode(text="words:N", x=alt.value(12), y=alt.value(24))
    made: alt.Chart = drawn.properties(width=WIDTH, height=48, description=words)
    return made


def classed(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `outcome` and `reason`; a rehearsal's VARIANCES get held, to_send or already_right."""
    if "outcome" in frame.columns:
        reason = pl.coalesce("reason", "held") if "held" in frame.columns else pl.col("reason")
        return frame.with_columns(outcome=pl.col("outcome").fill_null("unknown"), reason=reason)
    sent = pl.when(pl.col("delta").fill_null(0) != 0).then(pl.lit("to_send")).otherwise(pl.lit("already_right"))
    outcome = pl.when(pl.col("held").is_not_null()).then(pl.lit("held")).otherwise(sent)
    return frame.with_columns(outcome=outcome, reason=pl.col("held"))


def named(frame: pl.DataFrame, locations: pl.DataFrame | None) -> pl.DataFrame:
    """The frame with `label`: the location's name where known, else its id."""
    number = pl.col("location_id").cast(pl.String).fill_null("no location")
    if locations is None or locations.is_empty():
        return frame.with_columns(label=number)
    known = locations.select("location_id", "name").unique("location_id", keep="first")
    twice = known.filter(pl.col("name").is_duplicated())["name"].implode()
    known = known.with_columns(
        label=pl.when(pl.col("name").is_in(twice))
        .then(pl.col("name") + " (" + pl.col("location_id").cast(pl.String) + ")")
        .otherwise("name")
    ).drop("name")
    joined = frame.drop("label", strict=False).join(known, on="location_id", how="left", maintain_order="left")
    return joined.with_columns(label=pl.col("label").fill_null(number))


def plain(reason: str | None) -> str:
    """A reason in plain words; one not known here keeps its name."""
    name = reason or ""
    return REASONS.get(name, name.replace("_", " ").lower() if name.isupper() else name.replace("_", " "))


def _variances(labelled: pl.DataFrame, one: str, many: str) -> Chart:
    changed = labelled.filter(pl.col("delta").fill_null(0) != 0)
    if changed.is_empty():
        return sentence(f"No {one} differed: Shopify already showed the right numbers.")
    totals = (
        changed.group_by("label")
        .agg(
            raised=pl.col("delta").clip(lower_bound=0).sum(),
            lowered=pl.col("delta").clip(upper_bound=0).sum(),
            total=pl.col("delta").abs().sum(),
        )
        .sort("total", "label", descending=[True, False])
    )
    top = totals.head(MAX_BARS).to_dicts()
    shown = [_bar(row, side) for row in top for side in ("raised", "lowered") if row[side]]
    words = (
        f"Units raised and lowered by {one}: {int(totals['raised'].sum()):,} raised and "
        f"{-int(totals['lowered'].sum()):,} lowered over {_many(totals.height, one)}; the most "
        f"at {_clean(top[0]['label'])}: {top[0]['raised']:,} raised, {-top[0]['lowered']:,} lowered"
        f"{_rest(totals, many)}."
    )
    scale = alt.Scale(domain=["Raised", "Lowered"], range=[RAISED, LOWERED])
    bars = _bars(shown, "Units changed in Shopify", sort=[_clean(row["label"]) for row in top]).encode(
        color=alt.Color("colour:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolType="square"))
    )
    return bars.properties(title=f"What was wrong, by {one}", description=words)


def _bar(row: dict[str, Any], side: str) -> dict[str, Any]:
    label, value = _clean(row["label"]), row[side]
    words = f"{label}; {side} by {_many(abs(value), 'unit')}"
    return {"label": label, "value": value, "colour": side.capitalize(), "words": words}


def _happening(row: dict[str, Any]) -> dict[str, Any]:
    name, colour = OUTCOMES.get(row["outcome"], (row["outcome"], "#7C858F"))
    label = name if not row["reason"] else f"{name}: {_clean(plain(row['reason']))}"
    words = f"{label}; {_many(row['pairs'], 'pair')}"
    return {
        "label": label,
        "value": row["pairs"],
        "colour": colour,
        "words": words,
        "text": f"{row['pairs']:,}",
    }


def _bars(rows: list[dict[str, Any]], title: str, *, sort: list[str]) -> alt.Chart:
    values = [row | {"label": _clean(row["label"])} for row in rows]
    made: alt.Chart = (
        alt.Chart(alt.InlineData(values=values), width=WIDTH, height=alt.Step(22))
        .mark_bar(height=15)
        .encode(
            x=alt.X("value:Q", title=title, axis=alt.Axis(format=",~r", tickMinStep=1, tickCount=6)),
            y=alt.Y("label:N", title=None, sort=[_clean(name) for name in sort]),
            tooltip=alt.Tooltip("words:N", title="Bar"),
            description="words:N",
        )
    )
    return made


def _labelled(bars: alt.Chart, title: str, words: str) -> Chart:
    coloured = bars.encode(color=alt.Color("colour:N", scale=None))
    numbers = bars.mark_text(align="left", dx=4, aria=False).encode(text="text:N", tooltip=alt.value(None))
    made: alt.LayerChart = alt.LayerChart(layer=[coloured, numbers])
    return made.properties(title=title, description=words)


def _aged(frame: pl.DataFrame, at: datetime | None) -> pl.DataFrame:
    end = pl.lit(at.astimezone(UTC), pl.Datetime("us", "UTC")) if at else pl.col("created_at").max()
    minutes = (end - pl.col("created_at")).dt.total_minutes()
    age, rank = pl.lit(OLDEST), pl.lit(len(AGES))
    for place, (name, limit) in reversed(list(enumerate(AGES))):
        age = pl.when(minutes < limit).then(pl.lit(name)).otherwise(age)
        rank = pl.when(minutes < limit).then(pl.lit(place)).otherwise(rank)
    return frame.with_columns(age=age, rank=rank)


def _age_words(row: dict[str, Any]) -> str:
    return f"{_clean(row['label'])}; {_many(row['value'], 'unit')}; order placed {row['age']} before the run"


def _rest(totals: pl.DataFrame, many: str) -> str:
    return f"; {MAX_BARS} of {totals.height:,} {many} are drawn" if totals.height > MAX_BARS else ""


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _clean(label: str) -> str:
    return (
        re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", label)[:80]
        or "(no name)"
    )
