"""The page of a shop's week: one file without scripts or links, to be opened or mailed."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from invsync import __version__, charts, tables
from invsync.errors import UsageError
from invsync.report import cells, facts, money, remediation
from invsync.report.facts import Figure
from invsync.report.links import Links
from invsync.report.markup import Column, page, table
from invsync.report.page import locations
from invsync.report.rows import orders_in_flight, product
from invsync.runs import record
from invsync.site import history as kept
from invsync.site import index, store
from invsync.site.fleet import Dues
from invsync.site.week import Week, midnight, names, open_faults, read_prices, right_now, shopify_prices, week
from invsync.vocabulary import DELTAS, HARD, LANDED, REFUSED, SENT, remedy

ACCURACY = (
    "Of the pairs that a run looked at and could judge, the share that Shopify showed right before the run changed "
    "anything, over "
)
COMPARED = {
    "Sold units kept off sale": "kept_off",
    "Taken off sale, units": "lowered",
    "Put on sale, units": "raised",
    "Runs": "made",
    "Runs stopped or failed": "broken",
    "Pairs with a fault at some time": "ill",
}


def write(
    root: Path,
    shop: str,
    readers: index.Readers,
    links: Mapping[str, Links] | None = None,
    *,
    ending: date | None = None,
    prices: Path | None = None,
    dues: Dues | None = None,
) -> Path:
    """Write `<shop>/weekly/<day>.html` for the seven days that end with `ending`; and the index, as `index.build`.

    By default they end yesterday, or today where the shop's first run is of today.
    """
    index.build(root, readers, links, dues=dues)
    reader = readers.get(shop, charts.Reader())
    with store.locked(root / index.SITE / "state"):  # another build would remove what this one reads
        history = kept.load(root / index.SITE / "state")
        newest = _last_day(root, history, shop, reader)
        day = ending or newest
        text = render(root, history, shop, day, reader, prices)
    path = root / shop / "weekly" / f"{day}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    index.build(root, readers, links, dues=dues)
    return path


def _last_day(root: Path, history: kept.History, shop: str, reader: charts.Reader) -> date:
    """Yesterday, or today where the shop's first run is of today; raises UsageError where it has no run."""
    started = history.runs.filter(pl.col("shop") == shop)["started_at"]
    if started.is_empty():
        raise UsageError(f"Shop {shop!r} has no run below {root}: correct --shop, or run a job first.")
    yesterday = reader.local(datetime.now(UTC)).date() - timedelta(days=1)
    return max(yesterday, reader.local(started.min()).date())  # type: ignore[arg-type]


def render(
    root: Path, history: kept.History, shop: str, day: date, reader: charts.Reader, prices: Path | None = None
) -> str:
    """The week's page as HTML, written for this reader."""
    charts.enable(locale=reader.locale, timezone=reader.timezone)
    known, zone = read_prices(prices) if prices else shopify_prices(history, shop), reader.timezone
    now, before = (week(history, shop, end, known, zone=zone) for end in (day, day - timedelta(days=7)))
    newest = history.runs.filter(pl.col("shop") == shop).row(-1, named=True)
    end = min(midnight(day + timedelta(days=1), zone), newest["started_at"] + timedelta(seconds=1))
    faults, places = open_faults(history, shop, end), locations(record.read(root / newest["path"]) or record.Record())
    products, risk = names(history, shop), money.worth(money.priced(faults))
    right = right_now(history, shop, end)
    span = f"{reader.day(now.first)} to {reader.day(day)}"
    return page(
        "week.html.j2",
        title=f"{shop}: the week to {reader.day(day)}",
        locale=reader.locale.replace("_", "-"),
        zone=zone,
        version=__version__,
        kind=_kind(now, faults),
        sentence=_sentence(now, right, faults, reader),
        made=now.made,
        about=[shop, "the week", span, f"days in {zone}"],
        figures=_figures(now, right, faults, risk, reader),
        changes=_changes(now, before, reader),
        faults=_faults(faults, places, reader),
        at_risk=facts.at_risk(risk, reader),
        drawn=[_drawn(chart, n, reader) for n, chart in enumerate(_charts(now, zone, places, products))],
        places=_worst(now, "location_id", "Location", reader, places=places),
        items=_worst(now, "item", "Product", reader, products=products),
        accuracy=_measured(now, reader),
        money=bool(known.currency),
        flight=_in_flight(root, now, places, reader),
    )


def _kind(now: Week, faults: pl.DataFrame) -> str:
    if not now.made:
        return "failed"
    return "partial" if faults.height or now.broken else "done"


def _sentence(now: Week, right: float | None, faults: pl.DataFrame, reader: charts.Reader) -> str:
    if not now.made:
        return "No run looked at Shopify in this week."
    was = f"Shopify was right for {reader.share(now.accuracy)} of the pairs before each run"
    judged = "No pair could be judged" if now.accuracy is None else was
    after = "" if now.accuracy is None or right is None else f", and for {reader.share(right)} after"
    some = f"{reader.many(faults.height, 'pair')} still need{'s' if faults.height == 1 else ''} a person"
    return f"{judged}{after}; {some if faults.height else 'nothing is left open'}."


def _figures(
    now: Week, right: float | None, faults: pl.DataFrame, risk: money.Worth | None, reader: charts.Reader
) -> list[Figure]:
    number, ill = reader.number, bool(faults.height)
    days = int(faults.select(pl.max("age")).item()) if ill else 0
    oldest = f"the oldest for {reader.many(days, 'day')}" if days else "all of today" if ill else ""
    exposed = f"{reader.money(risk.at_risk, risk.currency)} at risk" if risk and risk.at_risk else ""
    kept_off = _joined(_money(now, now.protected(), reader), _would_have(now, reader))
    not_there = _money(now, now.moved(up=False), reader) or "offered, and not there"
    return [
        Figure("Right after the last look", reader.share(right), f"{reader.share(now.accuracy)} before each run"),
        Figure("Sold units kept off sale", number(now.kept_off), kept_off),
        Figure("Taken off sale, units", number(now.lowered), not_there),
        Figure("Runs finished", number(now.made - now.broken), f"of {number(now.made)}"),
        Figure("Open faults, pairs", number(faults.height), _joined(exposed, oldest), ill),
    ]


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _would_have(now: Week, reader: charts.Reader) -> str:
    """What a sync that puts these units back on sale would have oversold, as far as the runs know."""
    most = now.at_most
    if most is None:
        return "how many would have been oversold is not known"
    if not most:
        return "would have oversold none: no stock ran out"
    amount, _ = now.worth(now.exposed())
    worth = "" if amount is None else f" (up to {reader.money(amount, now.prices.currency)})"
    return f"would have oversold 0 to {reader.many(most, 'unit')}{worth}"


def _money(now: Week, rows: pl.DataFrame, reader: charts.Reader) -> str:
    amount, share = now.worth(rows)
    if amount is None:
        return ""
    part = "" if share == 1 else f", prices known for {reader.share(share)} of the units"
    return f"{reader.money(amount, now.prices.currency)} at unit prices{part}"


def _changes(now: Week, before: Week, reader: charts.Reader) -> Markup:
    """This week's figures beside those of the week before."""
    columns = [Column("Measure"), Column("This week", "n"), Column("Last week", "n"), Column("Change", "n")]
    rows = [["Accuracy", reader.share(now.accuracy), reader.share(before.accuracy), _points(now, before, reader)]]
    for name, measure in COMPARED.items():
        this, last = getattr(now, measure), getattr(before, measure)
        rows.append([name, reader.number(this), reader.number(last), reader.number(this - last, signed=True)])
    if before.made:
        return Markup(table("Against the week before", columns, rows).markup)
    bare = [[name, value, charts.NONE, charts.NONE] for name, value, *_ in rows]
    note = "No run was made in the week before."
    return Markup(table("Against the week before", columns, bare, note=note).markup)


def _points(now: Week, before: Week, reader: charts.Reader) -> str:
    if now.accuracy is None or before.accuracy is None:
        return charts.NONE
    return f"{reader.number(round(100 * (now.accuracy - before.accuracy), 2), signed=True)} points"


def _faults(faults: pl.DataFrame, names: pl.DataFrame | None, reader: charts.Reader) -> list[dict[str, Any]]:
    """The open faults by class, the oldest first."""
    labelled, old = charts.named(faults, names).sort("since", "item"), pl.col("age")
    ages = {"new": (old < 1).sum(), "days": ((old >= 1) & (old < 7)).sum(), "weeks": (old >= 7).sum()}
    places = (pl.coalesce("name", "item") + " at " + pl.col("label")).head(remediation.EXAMPLES)
    by = ["outcome", "reason", "message"]
    labelled = labelled.with_columns(message=pl.when(pl.col("outcome") == REFUSED).then("message"))
    grouped = labelled.group_by(by).agg(**ages, pairs=pl.len(), since=pl.min("since"), examples=places)
    return [
        {
            "what": remediation.result_words(row["outcome"], row["reason"], row["message"]),
            "pairs": reader.number(row["pairs"]),
            "ages": [reader.number(row[name]) for name in ages],
            "since": reader.day(row["since"]),
            "remedy": remedy(row["outcome"], row["reason"], target=1),
            "examples": ", ".join(row["examples"]),
        }
        for row in grouped.sort("since", *by).to_dicts()
    ]


def _charts(now: Week, zone: str, places: pl.DataFrame | None, products: pl.DataFrame) -> list[charts.Chart]:
    days, sent = now.days(zone), now.events.filter(pl.col("outcome").is_in(LANDED)).with_columns(sku="item")
    sent = sent.join(products, on="item", how="left").rename({"name": "title"})
    sent = sent.with_columns(variant_title=pl.lit(None, dtype=tables.TEXT))
    by_place, by_item = charts.variances_by_location(sent, places), charts.variances_by_product(sent)
    return [charts.drift(days), charts.protected(days), by_place, by_item]


def _drawn(chart: charts.Chart, number: int, reader: charts.Reader) -> Markup:
    made = charts.render(chart.to_dict(), locale=reader.locale)
    if "image/svg+xml" not in made:
        return Markup(made["text/html"])
    return Markup(cells.figure(made["image/svg+xml"], made[charts.NARROW_MIME], made["text/plain"], number))


def _worst(
    now: Week,
    by: str,
    head: str,
    reader: charts.Reader,
    *,
    places: pl.DataFrame | None = None,
    products: pl.DataFrame | None = None,
) -> Markup:
    rows = now.worst(by)
    if rows.is_empty():
        return Markup("")
    if products is not None:
        rows = rows.join(products, on="item", how="left", maintain_order="left")
        labels = [product(row) for row in rows.select("item", "name").to_dicts()]
    else:
        labels = charts.named(rows, places)["label"].to_list()
    columns = [Column(head), *(Column(name, "n") for name in ("Raised", "Lowered", "In all", "Changes"))]
    numbers = rows.select("raised", "lowered", "total", "times").iter_rows()
    shown = [[label, *map(reader.number, line)] for label, line in zip(labels, numbers, strict=True)]
    return Markup(table(f"Worst {head.lower()}s, in units moved", columns, shown).markup)


def _in_flight(root: Path, now: Week, names: pl.DataFrame | None, reader: charts.Reader) -> dict[str, Any] | None:
    """The orders that were in flight when the whole shop, or else a part of it, was looked at last in the week."""
    looked = now.runs.filter(pl.col("status").is_in(SENT)).sort(pl.col("job") == HARD, "started_at")
    newest = next((row for row in looked.reverse().iter_rows(named=True) if row["job"] != DELTAS), None)
    if newest is None:
        return None
    path = root / newest["path"] / "in_flight.parquet"
    rows = (
        tables.completed(pl.read_parquet(path), tables.IN_FLIGHT) if path.exists() else tables.empty(tables.IN_FLIGHT)
    )
    what = f"the {newest['job']} run of {reader.moment(newest['started_at'])}"
    return {"table": Markup(orders_in_flight(rows, names).markup), "run": what}


def _measured(now: Week, reader: charts.Reader) -> str:
    full = now.measured.filter(job=HARD).height
    if full:
        return f"{ACCURACY}{reader.many(full, HARD.replace('-', ' '))} of every mapped pair."
    runs_made = reader.many(now.measured.height, "run")
    return f"{ACCURACY}{runs_made} of the pairs that had been touched: no hard sync measured the whole shop."
