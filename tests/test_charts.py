"""The charts: what they draw, what they say, how much of it, and that nothing in the data can break them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import altair as alt
import polars as pl
import pytest
from runfolders import ROW, outcomes

from invsync import charts, tables, vocabulary

NOW = datetime(2026, 11, 23, 13, 15, tzinfo=UTC)


def orders(*rows: tuple[int, int, int]) -> pl.DataFrame:
    """Rows of (location, units, minutes old)."""
    return pl.DataFrame(
        [
            {
                "order_id": n,
                "name": f"#{n}",
                "created_at": NOW - timedelta(minutes=age),
                "inventory_item_id": n,
                "location_id": location,
                "units": units,
            }
            for n, (location, units, age) in enumerate(rows)
        ],
        schema=tables.IN_FLIGHT,
    )


def values(chart: Any) -> list[dict[str, Any]]:
    (rows,) = chart.to_dict()["datasets"].values()
    return list(rows)


def bundle(chart: Any) -> dict[str, Any]:
    charts.enable()
    made = chart._repr_mimebundle_()
    return dict(made[0] if isinstance(made, tuple) else made)


SOME = outcomes({}, {"sku": "SKU-2", "delta": -7, "location_id": 11}, {"sku": "SKU-1", "delta": 4, "location_id": 11})
EVERY = [
    charts.variances_by_product(SOME),
    charts.variances_by_location(SOME),
    charts.what_happened(SOME),
    charts.in_flight(orders((10, 2, 5), (11, 3, 3000)), NOW),
]
NONE = [
    charts.variances_by_product(tables.empty(tables.OUTCOMES)),
    charts.variances_by_location(tables.empty(tables.OUTCOMES)),
    charts.what_happened(tables.empty(tables.OUTCOMES)),
    charts.in_flight(tables.empty(tables.IN_FLIGHT)),
]


def test_a_product_adds_up_its_pairs_and_keeps_raised_and_lowered_apart() -> None:
    drawn = {(row["label"], row["colour"]): row["value"] for row in values(charts.variances_by_product(SOME))}
    assert drawn == {("SKU-1", "Too few"): 6, ("SKU-2", "Too many"): -7}


def test_a_location_shows_its_name_and_both_directions() -> None:
    names = pl.DataFrame({"location_id": [11], "name": ["Utrecht"], "is_active": [True]})
    drawn = {(row["label"], row["value"]) for row in values(charts.variances_by_location(SOME, names))}
    assert drawn == {("Utrecht", 4), ("Utrecht", -7), ("Location 10", 2)}


def test_two_locations_of_one_name_stay_two() -> None:
    names = pl.DataFrame({"location_id": [10, 11], "name": ["Store", "Store"]})
    labels = {row["label"] for row in values(charts.variances_by_location(SOME, names))}
    assert labels == {"Store (10)", "Store (11)"}


def test_what_happened_counts_pairs_by_outcome_and_plain_reason() -> None:
    frame = outcomes({}, {}, {"outcome": "held", "reason": "bundle", "held": "bundle", "delta": None})
    drawn = {row["label"]: row["value"] for row in values(charts.what_happened(frame))}
    assert drawn == {"Sent and confirmed": 2, "Held: bundle, counted by its parts": 1}


def test_a_rehearsal_without_outcomes_says_what_would_be_sent() -> None:
    frame = outcomes({}, {"delta": 0}, {"delta": None, "held": "untracked"}).select(list(tables.VARIANCES))
    drawn = {row["label"] for row in values(charts.what_happened(frame))}
    assert drawn == {"Would be sent", "Already right", "Held: not tracked in Shopify"}


@pytest.mark.parametrize(
    ("minutes", "age"),
    [(0, 0), (14, 0), (15, 1), (60, 2), (239, 2), (240, 3), (1440, 4), (99999, 4)],
)
def test_the_age_of_an_order_is_measured_at_the_run(minutes: int, age: int) -> None:
    (row,) = values(charts.in_flight(orders((10, 2, minutes)), NOW))
    assert row["rank"] == age and row["value"] == 2


@pytest.mark.parametrize("chart", EVERY)
@pytest.mark.parametrize("mime", ["image/svg+xml", charts.NARROW_MIME])
def test_every_chart_has_a_text_alternative_and_draws_offline_for_a_desk_and_a_phone(chart: Any, mime: str) -> None:
    made = bundle(chart)
    assert set(made) == {charts.SPEC_MIME, "image/svg+xml", charts.NARROW_MIME, "text/plain"}
    assert made["text/plain"] == chart.to_dict()["description"] and made["text/plain"].endswith(".")
    assert "currentColor" in made[mime] and "http" not in made[mime].replace("http://www.w3", "")
    assert made[mime].count('aria-roledescription="bar"') == len(values(chart))


@pytest.mark.parametrize("chart", NONE)
def test_an_empty_frame_is_a_sentence_that_wraps(chart: Any) -> None:
    made = bundle(chart)
    assert set(made) == {"text/html", "text/plain"}
    assert made["text/html"] == f'<p class="iv-none">{made["text/plain"]}</p>'


def test_numbers_are_written_as_the_shops_locale_does() -> None:
    charts.enable(locale="de")
    try:
        chart = charts.what_happened(outcomes(*[{"sku": f"S{n}"} for n in range(1234)]))
        assert "Sent and confirmed 1.234." in chart.to_dict()["description"]
        assert ">1.200<" in charts.render(chart.to_dict(), locale="de")["image/svg+xml"]
    finally:
        charts.enable()


def test_a_large_run_is_capped_and_says_so() -> None:
    many = pl.concat([outcomes({"sku": f"S{n}", "delta": n, "location_id": n}) for n in range(1, 61)])
    for chart in (charts.variances_by_product(many), charts.variances_by_location(many)):
        assert len(values(chart)) == charts.MAX_BARS
        assert "20 of 60" in chart.to_dict()["description"]
    assert len(values(charts.in_flight(orders(*[(n, 1, n) for n in range(99)]), NOW))) <= 5 * charts.MAX_BARS


def test_strange_names_are_drawn_as_text() -> None:
    sku = "<script>alert(1)</script>\x00\u202e&"
    svg = bundle(charts.variances_by_product(outcomes({"sku": sku})))["image/svg+xml"]
    assert "<script" not in svg and "\x00" not in svg and "\u202e" not in svg


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\ud800", "\uffff", "\x1b[31m"])
def test_a_name_with_a_character_that_ends_a_line_or_controls_something_is_drawn(odd: str) -> None:
    rows = pl.DataFrame([ROW | {"delta": 4}], schema=tables.OUTCOMES)
    spec = charts.variances_by_product(rows).to_dict()
    named = json.loads(json.dumps(spec).replace(ROW["sku"], json.dumps(odd)[1:-1] + "724812"))

    drawn = charts.render(named)["image/svg+xml"]

    assert "724812" in drawn and odd not in drawn


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = SOME.reverse()
    for draw in (charts.variances_by_product, charts.variances_by_location, charts.what_happened):
        assert json.dumps(draw(SOME).to_dict()) == json.dumps(draw(shuffled).to_dict())


def test_enabling_twice_is_enabling_once() -> None:
    charts.enable()
    charts.enable()
    assert alt.renderers.active == "invsync" and alt.theme.active == "invsync"


def test_a_null_in_every_name_still_draws() -> None:
    frame = outcomes({"sku": None, "product_id": None, "location_id": None, "inventory_item_id": None})
    assert values(charts.variances_by_product(frame))[0]["label"] == "no SKU"
    assert values(charts.variances_by_location(frame))[0]["label"] == "no location"


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#15191e"])
def test_every_colour_stands_out_on_the_light_and_the_dark_page(page: str) -> None:
    used = (
        {outcome.colour for outcome in vocabulary.OUTCOMES.values()}
        | set(charts.AGE_COLOURS)
        | {charts.RAISED, charts.LOWERED}
    )
    for colour in used:
        low, high = sorted([_luminance(colour), _luminance(page)])
        assert (high + 0.05) / (low + 0.05) >= 3, colour
