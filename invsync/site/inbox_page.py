"""The inbox: one page of every open fault of every shop, with what to do, and of those that were mended lately."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from markupsafe import Markup

from invsync import __version__, charts
from invsync.report.facts import Figure
from invsync.report.markup import asset, hashed, page
from invsync.site.history import History
from invsync.site.listing import Fault, Listing
from invsync.vocabulary import DONE, PARTIAL

PAGE = "inbox.html"
MOST = 2_000  # faults that the page carries; a command lists them all
MENDED = 100
Readers = Mapping[str, charts.Reader]


def render(listed: Listing, history: History, readers: Readers) -> str:
    """The inbox as HTML, written for each shop's own reader."""
    reader = common(history, readers)
    scripts = [asset("inbox.js")]
    there = set(history.runs["path"])
    shown = [*listed.open, *listed.snoozed][:MOST]
    return page(
        "inbox.html.j2",
        title=f"Inbox: {sentence(listed, reader)}",
        locale=reader.locale.replace("_", "-"),
        zone=reader.timezone,
        scripts=Markup(hashed(*scripts)),
        js=[Markup(script) for script in scripts],
        version=__version__,
        kind=PARTIAL if listed.open else DONE,
        sentence=sentence(listed, reader),
        about=_about(listed, history, readers),
        figures=_figures(listed, reader, readers),
        at_risk=at_risk(listed, reader),
        faults=[_row(fault, _reader(fault, readers), there) for fault in shown],
        left_out=reader.number(max(0, len(listed.open) + len(listed.snoozed) - MOST)),
        more=len(listed.open) + len(listed.snoozed) > MOST,
        shops=sorted({fault.shop for fault in shown}),
        kinds=sorted({fault.what for fault in shown}),
        mended=[_mended(fault, _reader(fault, readers), there) for fault in listed.mended[:MENDED]],
    )


def common(history: History, readers: Readers) -> charts.Reader:
    """The reader of every shop where they have one, else one that reads English and UTC."""
    each = {readers.get(shop, charts.Reader()) for shop in history.runs["shop"].unique()}
    return each.pop() if len(each) == 1 else charts.Reader()


def sentence(listed: Listing, reader: charts.Reader) -> str:
    """How many products need a person, and what is at risk."""
    if not listed.open:
        return "Nothing needs you."
    need = f"{reader.many(listed.products, 'product')} need{'s' if listed.products == 1 else ''} you"
    return f"{need}; {worth(listed, reader)} at risk." if listed.at_risk else f"{need}."


def worth(listed: Listing, reader: charts.Reader) -> str:
    """The amounts at risk, one a currency."""
    return " and ".join(reader.money(amount, currency) for currency, amount in listed.at_risk.items())


def at_risk(listed: Listing, reader: charts.Reader) -> str:
    """What "at risk" means, with the two amounts that it is made of; empty where nothing is open."""
    if not listed.open:
        return ""
    over, under = (f" ({_amounts(listed, reader, sign)})" if listed.at_risk else "" for sign in (1, -1))
    unknown = sum(fault.at_risk is None for fault in listed.open)
    left = (
        f" {reader.many(unknown, 'fault')} without a price or a target {'is' if unknown == 1 else 'are'} not counted."
    )
    rule = "At risk is, at Shopify's prices, what Shopify offers beyond what it should"
    return f"{rule}{over} and what it should offer and does not{under}, as the last run that looked saw it.{left if unknown else ''}"


def _amounts(listed: Listing, reader: charts.Reader, sign: int) -> str:
    """What Shopify shows too much (1) or too little (-1), one amount a currency."""
    parts = []
    for currency in listed.at_risk:
        mine = [one for one in listed.open if one.currency == currency and one.at_risk is not None]
        parts.append(reader.money(sum(one.at_risk or 0 for one in mine if (one.gap or 0) * sign > 0), currency))
    return " and ".join(parts)


def _reader(fault: Fault, readers: Readers) -> charts.Reader:
    return readers.get(fault.shop, charts.Reader())


def _about(listed: Listing, history: History, readers: Readers) -> list[str]:
    shops = history.runs["shop"].n_unique()
    if not history.runs.height:
        return ["no run yet"]
    newest = history.runs.row(-1, named=True)
    reader = readers.get(newest["shop"], charts.Reader())
    parts = [reader.many(shops, "shop"), f"as of {reader.moment(newest['started_at'])}"]
    return [*parts, f"{reader.number(len(listed.snoozed))} snoozed"] if listed.snoozed else parts


def _figures(listed: Listing, reader: charts.Reader, readers: Readers) -> list[Figure]:
    oldest = min(listed.open, key=lambda fault: fault.since, default=None)
    return [
        Figure(
            "Products that need you",
            reader.number(listed.products),
            reader.many(len(listed.open), "fault"),
            bool(listed.open),
        ),
        Figure(
            "At risk",
            worth(listed, reader) or charts.NONE,
            "at Shopify's prices" if listed.at_risk else "no price or target is known",
        ),
        Figure(
            "Oldest since",
            _reader(oldest, readers).day(oldest.since) if oldest else charts.NONE,
            f"{oldest.product}" if oldest else "",
        ),
        Figure("Snoozed", reader.number(len(listed.snoozed)), "put off, with a reason"),
        Figure("Mended lately", reader.number(len(listed.mended)), "in the last 15 days"),
    ]


def _row(fault: Fault, reader: charts.Reader, there: set[str]) -> dict[str, Any]:
    """One fault, ready to read."""
    return {
        "one": fault,
        "sku": "" if fault.sku == fault.product else fault.sku,
        "text": f"{fault.product} {fault.sku} {fault.id}".lower(),
        "since": reader.day(fault.since),
        "runs": reader.many(fault.runs, "run"),
        "first": _page(fault.since_path, there),
        "last": _page(fault.path, there),
        "seen": reader.moment(fault.at),
        "units": _units(fault, reader),
        "money": "" if fault.at_risk is None or not fault.currency else reader.money(fault.at_risk, fault.currency),
        "snoozed": fault.snooze
        and {"until": reader.day(date.fromisoformat(fault.snooze.until)), "reason": fault.snooze.reason},
        "snooze": f"invsync faults wake {fault.id}"
        if fault.snooze
        else f'invsync faults snooze {fault.id} --until DATE --reason "…"',
    }


def _units(fault: Fault, reader: charts.Reader) -> str:
    if fault.gap is None:
        return "not known"
    if not fault.gap:
        return "none"
    return f"{reader.number(abs(fault.gap))} {'too many' if fault.gap > 0 else 'too few'}"


def _mended(fault: Fault, reader: charts.Reader, there: set[str]) -> dict[str, Any]:
    """One mended fault, ready to read."""
    path = fault.mended_path or ""
    return {
        "one": fault,
        "sku": "" if fault.sku == fault.product else fault.sku,
        "run": path.rsplit("/", 1)[-1],
        "page": _page(path, there),
        "at": reader.moment(fault.mended_at),
        "since": reader.day(fault.since),
    }


def _page(path: str, there: set[str]) -> str:
    """The page of a run; empty where it is gone."""
    return f"{path}/report.html" if path in there else ""
