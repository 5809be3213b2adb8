"""An explanation drawn: its two charts, what a notebook shows of it, and the page."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
from markupsafe import Markup

from invsync import __version__, charts
from invsync.charts import level as chart
from invsync.config.settings import ShopSettings
from invsync.errors import UsageError
from invsync.explain.explanation import Explanation
from invsync.explain.parts import PastRun, SeenLevel
from invsync.report import cells
from invsync.report.facts import Figure
from invsync.report.links import Links
from invsync.report.markup import Column, asset, hashed, page, table
from invsync.vocabulary import DONE, PARTIAL, PLANNED, outcome_words


def write(level: Explanation, path: Path, shop: ShopSettings) -> None:
    """Write the explanation as one self-contained page, for the shop's locale and zone.

    Raises UsageError where the file cannot be written.
    """
    charts.enable(locale=shop.locale, timezone=shop.timezone)
    try:
        path.write_text(render(level, charts.reader(), Links.of(shop)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The page {path} cannot be written ({error.strerror}): correct --html.") from None


def render(level: Explanation, reader: charts.Reader, links: Links) -> str:
    """The page as HTML, drawn as `charts.enable` was told."""
    return page(
        "level.html.j2",
        title=f"{level.product} at {level.place}",
        locale=reader.locale.replace("_", "-"),
        zone=reader.timezone,
        scripts=Markup(hashed(asset("run.js"))),
        script=Markup(asset("run.js")),
        version=__version__,
        kind=PLANNED if level.last_look else DONE if level.is_right else PARTIAL,
        sentence=level.finding(reader.number),
        product=level.product,
        link=links.product(level.shopify_product_id, level.shopify_variant_id),
        in_hotwax=links.in_hotwax(level.product_id),
        about=_about(level, reader),
        figures=_figures(level, reader),
        messages=_notes(level, reader),
        waterfall=_drawn(waterfall(level, reader), 0, reader),
        levels=_drawn(levels(level), 1, reader),
        facilities=_facilities(level, reader),
        orders=_orders(level, reader),
        runs=_runs(level, reader),
    )


def waterfall(level: Explanation, reader: charts.Reader) -> charts.Chart:
    """The steps from the stock to the target, beside what Shopify shows."""
    steps = pl.DataFrame(
        [(step.label, step.units, step.after) for step in level.steps], schema=chart.STEPS, orient="row"
    )
    available = None if level.available is None else float(level.available)
    title = level.finding(reader.number).rstrip(".")
    return chart.waterfall(steps, level.target, available, title=title, past=level.last_look is not None)


def levels(level: Explanation) -> charts.Chart:
    """What Shopify showed over time, as runs saw and left it, and what it shows now."""
    looks = [(one.at, one.available, one.left, one.job or None) for one in _seen(level)]
    placed = [(order.created_at, order.name, order.units) for order in level.orders]
    return chart.levels(
        pl.DataFrame(looks, schema=chart.LOOKS, orient="row"), pl.DataFrame(placed, schema=chart.PLACED, orient="row")
    )


def in_notebook(level: Explanation) -> str:
    """The explanation as HTML for a notebook: both charts, and the words beside them."""
    reader = charts.reader()
    head = Markup("<p><strong>{}</strong> ({}) at {}. {}</p>").format(
        level.product, level.sku or level.product_id, level.place, level.finding(reader.number)
    )
    notes = Markup("").join(Markup("<p>{}</p>").format(note) for note in _notes(level, reader))
    drawn = [waterfall(level, reader), levels(level)]
    return str(head + notes + Markup("").join(_in_cell(chart, reader) for chart in drawn))


def _seen(level: Explanation) -> Iterator[SeenLevel]:
    """What runs saw, and what was read just now."""
    yield from level.levels
    if level.levels and not level.last_look and level.available is not None:
        yield SeenLevel("", "", level.at, level.available)


def _drawn(chart: charts.Chart, number: int, reader: charts.Reader) -> Markup:
    made = charts.render(_themed(chart), locale=reader.locale)
    if "image/svg+xml" not in made:
        return Markup(made["text/html"])
    return Markup(cells.figure(made["image/svg+xml"], made[charts.NARROW_MIME], made["text/plain"], number))


def _in_cell(chart: charts.Chart, reader: charts.Reader) -> Markup:
    made = charts.render(_themed(chart), locale=reader.locale)
    if "image/svg+xml" not in made:
        return Markup(made["text/html"])
    label, drawn = made["text/plain"], Markup(made["image/svg+xml"])
    return Markup('<div role="img" aria-label="{}" style="overflow-x: auto">{}</div>').format(label, drawn)


def _themed(chart: charts.Chart) -> dict[str, object]:
    """The specification with the charts' theme, whatever theme a notebook has enabled."""
    return chart.to_dict() | {"config": charts.theme()["config"]}


def _about(level: Explanation, reader: charts.Reader) -> list[str]:
    code = level.sku if level.title else f"HotWax {level.product_id}"
    where = f"{level.place} ({level.location_id})" if level.location_name else level.place
    return [part for part in (code, where, level.shop, reader.moment(level.at)) if part]


def _figures(level: Explanation, reader: charts.Reader) -> list[Figure]:
    flying = sum(order.units for order in level.in_flight)
    past = level.last_look is not None
    return [
        Figure("Shopify showed" if past else "Shopify shows", reader.number(level.available), calls=not level.is_right),
        Figure("It should have shown" if past else "It should show", reader.number(level.target)),
        Figure("Change needed", reader.number(level.difference, signed=True)),
        Figure("Stock in HotWax", reader.number(level.oms.quantity)),
        Figure("Units in flight", reader.number(flying)),
    ]


def _notes(level: Explanation, reader: charts.Reader) -> list[str]:
    """The notes, with the moment of the last look as the reader's clock has it."""
    notes = level.notes(reader.number)
    if look := level.last_look:
        notes[0] = f"{look.cause}; this is what the run of {reader.moment(look.at)} saw ({look.job} {look.run_id})."
    return notes


def _facilities(level: Explanation, reader: charts.Reader) -> Markup:
    heads = ["On hand and promised", "Safety stock", "Sellable"]
    columns = [Column("Facility"), *(Column(head, "n") for head in heads), Column("Counted here")]
    rows = [
        [
            one.label,
            reader.number(one.last_inventory_count),
            reader.number(one.minimum_stock),
            reader.number(one.computed_last_inventory_count),
            "no" if one.counts is False else "yes",
        ]
        for one in level.oms.facilities
    ]
    return Markup(table("Stock by facility", columns, rows).markup) if rows else Markup("")


def _orders(level: Explanation, reader: charts.Reader) -> Markup:
    columns = [Column("Order"), Column("Placed"), Column("Units", "n"), Column("Why it still counts", "wide")]
    rows = [
        [order.name or charts.NONE, _moment(order.created_at, reader), reader.number(order.units), order.reason]
        for order in level.in_flight
    ]
    return Markup(table("Orders in flight, oldest first", columns, rows).markup) if rows else Markup("")


def _runs(level: Explanation, reader: charts.Reader) -> Markup:
    heads = ["Showed", "Change", "Left"]
    columns = [Column("When"), Column("Run"), *(Column(head, "n") for head in heads), Column("Outcome", "wide")]
    rows = [_run(run, reader) for run in level.history]
    return Markup(table("The last runs, newest first", columns, rows).markup) if rows else Markup("")


def _run(run: PastRun, reader: charts.Reader) -> list[str]:
    line = f", line {(run.line or 0) + 1} of {run.file}" if run.file else ""
    return [
        reader.moment(datetime.fromisoformat(run.finished_at)),
        f"{run.job} {run.run_id}{line}",
        reader.number(run.available),
        reader.number(run.delta, signed=True),
        reader.number(run.after),
        run.message or outcome_words(run.outcome, run.reason),
    ]


def _moment(at: datetime | None, reader: charts.Reader) -> str:
    return reader.moment(at) if at else charts.NONE
