"""The charts of one run: what was wrong, what happened to it, and what was in flight."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from invsync.charts.labels import clean
from invsync.charts.sentence import Chart, sentence
from invsync.charts.theme import AGE_COLOURS, LOWERED, RAISED, reader
from invsync.vocabulary import ALREADY_RIGHT, HELD, OUTCOMES, PLANNED, UNKNOWN, is_benign, outcome_words

MAX_BARS = 20  # rows a chart: two bars each at most
AGES = [("under 15 minutes", 15), ("15 to 60 minutes", 60), ("1 to 4 hours", 240), ("4 to 24 hours", 1440)]
OLDEST = "over a day"
SIDES = {"few": "Too few", "many": "Too many"}  # of a difference: above 0, below 0
COLOURS = {"Too few": RAISED, "Too many": LOWERED}


def variances_by_product(outcomes: pl.DataFrame) -> Chart:
    """Units that Shopify had too few or too many of by product, the 20 largest first (OUTCOMES or VARIANCES)."""
    names = pl.coalesce("sku", "product_id", pl.col("inventory_item_id").cast(pl.String), pl.lit("no SKU"))
    rows = titled(outcomes).with_columns(item=names)
    shared = pl.col("item").n_unique().over("name") > 1
    name = pl.when(shared).then(pl.format("{} ({})", "name", "item")).otherwise("name")
    return _variances(rows.with_columns(label=pl.coalesce(name, "item")), "product", "products")


def variances_by_location(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None) -> Chart:
    """The same by location, named from `locations`."""
    return _variances(named(outcomes, locations), "location", "locations")


def what_happened(outcomes: pl.DataFrame) -> Chart:
    """Pairs by outcome and reason: sent, held and why (OUTCOMES, or VARIANCES of a rehearsal).

    A sentence where each pair was right already, or is held for a reason that needs no person.
    """
    if outcomes.is_empty():
        return sentence("No pair was looked at in this run.")
    every = classed(outcomes)
    counted = (
        every.group_by("outcome", "reason")
        .agg(pairs=pl.len())
        .sort("pairs", "outcome", "reason", descending=[True, False, False])
    )
    shown = [_happening(row) for row in counted.head(2 * MAX_BARS).to_dicts()]
    parts = "; ".join(f"{row['label']} {reader().number(row['value'])}" for row in shown[:6])
    more = f"; and {counted.height - 6} more kinds" if counted.height > 6 else ""
    total = reader().many(int(counted["pairs"].sum()), "pair")
    if every.filter((pl.col("outcome") != ALREADY_RIGHT) & ((pl.col("outcome") != HELD) | ~is_benign())).is_empty():
        return sentence(f"Nothing had to be changed: {parts}{more}, of {total} of item and location.")
    words = f"What happened to {total} of item and location: {parts}{more}."
    from invsync.charts import bars  # late: it imports Altair

    title = f"{shown[0]['label']}: {reader().number(shown[0]['value'])} of {total}"
    drawn = bars.numbered(shown, "Pairs", sort=[row["label"] for row in shown])
    return drawn.properties(title=title, description=words)


def in_flight(in_flight: pl.DataFrame, at: datetime | None = None, locations: pl.DataFrame | None = None) -> Chart:
    """Units of orders the OMS has not booked, by location and by the order's age at `at` (IN_FLIGHT)."""
    if in_flight.is_empty():
        return sentence("No order was in flight: the OMS had booked every unit that Shopify sold.")
    aged = _aged(named(in_flight, locations), at)
    totals = aged.group_by("label").agg(total=pl.sum("units")).sort("total", "label", descending=[True, False])
    top = totals.head(MAX_BARS)
    rows = aged.join(top, on="label").group_by("label", "age", "rank").agg(value=pl.sum("units")).sort("rank", "label")
    shown = [row | {"words": _age_words(row), "colour": row["age"]} for row in rows.to_dicts()]
    from invsync.charts import bars  # late: it imports Altair

    colours = dict(zip([*(name for name, _ in AGES), OLDEST], AGE_COLOURS, strict=True))
    there = {age: colour for age, colour in colours.items() if (aged["age"] == age).any()}
    legend = "Order placed, before the run"
    drawn = bars.by_label(shown, "Units in flight", sort=top["label"].to_list(), colours=there, legend=legend)
    title = f"{reader().many(int(aged['units'].sum()), 'sold unit')} kept off sale, most at {clean(totals['label'][0])}"
    return drawn.properties(title=title, description=_flight_words(aged, totals))


def classed(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `outcome` and `reason`; a rehearsal's VARIANCES get held, planned or already_right."""
    if "outcome" in frame.columns:
        reason = pl.coalesce("reason", "held") if "held" in frame.columns else pl.col("reason")
        return frame.with_columns(outcome=pl.col("outcome").fill_null(UNKNOWN), reason=reason)
    sent = pl.when(pl.col("delta").fill_null(0) != 0).then(pl.lit(PLANNED)).otherwise(pl.lit(ALREADY_RIGHT))
    outcome = pl.when(pl.col("held").is_not_null()).then(pl.lit(HELD)).otherwise(sent)
    return frame.with_columns(outcome=outcome, reason=pl.col("held"))


def titled(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `name`: the title of the product with that of its variant; null where Shopify did not say."""
    if "title" not in frame.columns:
        return frame.with_columns(name=pl.lit(None, dtype=pl.String))
    variant = pl.coalesce(pl.lit(", ") + pl.col("variant_title"), pl.lit(""))
    return frame.with_columns(name=pl.concat_str("title", variant))


def named(frame: pl.DataFrame, locations: pl.DataFrame | None) -> pl.DataFrame:
    """The frame with `label`: the location's name where known, else its id."""
    number = pl.format("Location {}", "location_id").fill_null("no location")
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


def _variances(labelled: pl.DataFrame, one: str, many: str) -> Chart:
    changed = labelled.filter(pl.col("delta").fill_null(0) != 0)
    if changed.is_empty():
        return sentence(f"No {one} differed: Shopify already showed the right numbers.")
    few, too_many = pl.col("delta").clip(lower_bound=0).sum(), pl.col("delta").clip(upper_bound=0).sum()
    totals = (
        changed.group_by("label")
        .agg(few=few, many=too_many, total=pl.col("delta").abs().sum())
        .sort("total", "label", descending=[True, False])
    )
    top = totals.head(MAX_BARS).to_dicts()
    shown = [_bar(row, side) for row in top for side in SIDES if row[side]]
    there = {words: COLOURS[words] for words in SIDES.values() if any(row["colour"] == words for row in shown)}
    from invsync.charts import bars  # late: it imports Altair

    names = [clean(row["label"]) for row in top]
    drawn = bars.by_label(shown, "Units, in Shopify when the run looked", sort=names, colours=there)
    number, every = reader().number, reader().many(int(totals["total"].sum()), "unit")
    title = f"Furthest off: {clean(top[0]['label'])}, by {number(top[0]['total'])} of {every}"
    return drawn.properties(title=title, description=_variance_words(totals, one, many))


def _variance_words(totals: pl.DataFrame, one: str, many: str) -> str:
    number, most = reader().number, totals.row(0, named=True)
    return (
        f"Shopify had {number(int(totals['few'].sum()))} units too few and {number(-int(totals['many'].sum()))} too "
        f"many over {reader().many(totals.height, one)}; the most at {clean(most['label'])}: {number(most['few'])} too "
        f"few, {number(-most['many'])} too many"
        f"{_rest(totals, many)}."
    )


def _flight_words(aged: pl.DataFrame, totals: pl.DataFrame) -> str:
    number, many = reader().number, reader().many
    late = int(aged.filter(pl.col("age") == OLDEST)["units"].sum())
    return (
        f"{many(int(aged['units'].sum()), 'unit')} in {many(aged['order_id'].n_unique(), 'order')} the OMS had not "
        f"booked, kept off sale; most at {clean(totals['label'][0])} ({number(totals['total'][0])}); "
        f"{number(late)} older than a day{_rest(totals, 'locations')}."
    )


def _bar(row: dict[str, Any], side: str) -> dict[str, Any]:
    label, value = clean(row["label"]), row[side]
    words = f"{label}; {reader().many(abs(value), 'unit')} {SIDES[side].lower()}"
    return {"label": label, "value": value, "colour": SIDES[side], "words": words}


def _happening(row: dict[str, Any]) -> dict[str, Any]:
    colour = OUTCOMES[row["outcome"]].colour
    label = clean(outcome_words(row["outcome"], row["reason"]))
    text = reader().number(row["pairs"])
    words = f"{label}; {reader().many(row['pairs'], 'pair')}"
    return {"label": label, "value": row["pairs"], "colour": colour, "words": words, "text": text}


def _aged(frame: pl.DataFrame, at: datetime | None) -> pl.DataFrame:
    end = pl.lit(at.astimezone(UTC), pl.Datetime("us", "UTC")) if at else pl.col("created_at").max()
    minutes = (end - pl.col("created_at").fill_null(end)).dt.total_minutes()  # not visible yet: a moment old
    age, rank = pl.lit(OLDEST), pl.lit(len(AGES))
    for place, (name, limit) in reversed(list(enumerate(AGES))):
        age = pl.when(minutes < limit).then(pl.lit(name)).otherwise(age)
        rank = pl.when(minutes < limit).then(pl.lit(place)).otherwise(rank)
    return frame.with_columns(age=age, rank=rank)


def _age_words(row: dict[str, Any]) -> str:
    units = reader().many(row["value"], "unit")
    return f"{clean(row['label'])}; {units}; order placed {row['age']} before the run"


def _rest(totals: pl.DataFrame, many: str) -> str:
    cut = totals.height > MAX_BARS
    return f"; {MAX_BARS} of {reader().number(totals.height)} {many} are drawn" if cut else ""
