"""The first screen of the index: one sentence on the worst fact, and four figures of the last fourteen days."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from invsync import charts
from invsync.site import inbox_page
from invsync.site.faults import who
from invsync.site.history import History
from invsync.site.listing import Listing
from invsync.vocabulary import FAILED, FINISHED, LATE, PARTIAL, PLANNED, REHEARSED, RIGHT, STOPPED

DAYS = 14
NAMED = 3  # runs that the sentence names


@dataclass(frozen=True)
class Bar:
    """One day of a trend: what it says, and its height as a share of the highest."""

    words: str
    share: float


@dataclass(frozen=True)
class Tile:
    """A figure that leads on: its value, a note, the page that it leads to, its trend, and whether it needs a person."""

    name: str
    value: str
    note: str
    page: str
    trend: tuple[Bar, ...]
    calls: bool = False


@dataclass(frozen=True)
class Products:
    """Products that runs could judge: how many are right at every place, of how many, and how many need a person."""

    right: int
    total: int
    need: int


def products(history: History, listed: Listing) -> Products:
    """Count the products of every shop by their last looks; one with a snoozed fault is neither right nor needs you."""
    judged = history.pairs.filter(pl.col("outcome").is_in(RIGHT)).select("shop", who=who()).unique()
    wrong = {(fault.shop, fault.who) for fault in (*listed.open, *listed.snoozed)}
    every = set(judged.iter_rows()) | wrong
    return Products(len(every) - len(wrong), len(every), listed.products)


def sentence(shops: list[dict[str, Any]], counted: Products, listed: Listing, reader: charts.Reader) -> str:
    """The worst fact: a failed or stopped run, products or a run that need a person; or that all is right."""
    if not any(shop["path"] or shop["health"].health == REHEARSED for shop in shops):
        return "No run has left a report here yet."
    last = {
        kind: [run for shop in shops for run in shop["last"] if run["status"] == kind] for kind in (FAILED, STOPPED)
    }
    if last[FAILED]:
        return f"{_runs(last[FAILED])} failed."
    if last[STOPPED]:
        return f"{_runs(last[STOPPED])} {'was' if len(last[STOPPED]) == 1 else 'were'} stopped."
    if late := [shop["name"] for shop in shops if shop["health"].health == LATE]:
        return f"{_few(late, 'shop')} {'is' if len(late) == 1 else 'are'} late: a job has missed two of its times."
    if counted.need:
        right = f"{reader.number(counted.right)} of {reader.number(counted.total)} products"
        needs = f"{reader.number(counted.need)} need{'s' if counted.need == 1 else ''} you"
        return f"{right} {'is' if counted.right == 1 else 'are'} right; {needs}{_where(shops, listed)}."
    if partial := [shop["name"] for shop in shops if shop["kind"] == PARTIAL]:
        return f"The last run of {_few(partial, 'shop')} needs a look: its page says why."
    if all(shop["kind"] == PLANNED for shop in shops):
        return "Nothing was sent so far: there were only rehearsals, or looks in shadow mode."
    return _all_right(counted, reader)


def _all_right(counted: Products, reader: charts.Reader) -> str:
    snoozed = counted.total - counted.right
    if snoozed:
        right = f"{reader.number(counted.right)} of {reader.number(counted.total)} products"
        return f"Shopify is right for {right}; the other{'s are' if snoozed > 1 else ' is'} snoozed."
    if not counted.total:
        return "Shopify is right: nothing had to be changed."
    whole = "the one product" if counted.total == 1 else f"all {reader.number(counted.total)} products"
    return f"Shopify is right for {whole}."


def _runs(last: list[dict[str, Any]]) -> str:
    """The runs by job where they are of one shop, else the shops."""
    shops = list(dict.fromkeys(run["shop"] for run in last))
    if len(shops) > 1:
        return f"The last runs of {_few(shops, 'shop')}"
    return f"The last {_joined([run['job'].replace('-', ' ') for run in last])} of {shops[0]}"


def _where(shops: list[dict[str, Any]], listed: Listing) -> str:
    """At which of several shops a person is needed."""
    if len(shops) == 1:
        return ""
    names = sorted({fault.shop for fault in listed.open})
    return f", at {_joined(names)}" if len(names) <= NAMED else f", at {len(names)} shops"


def _few(names: list[str], noun: str) -> str:
    """The names where they are few, else how many they are."""
    return _joined(names) if len(names) <= NAMED else f"{len(names)} {noun}s"


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def tiles(
    history: History, shops: list[dict[str, Any]], counted: Products, listed: Listing, reader: charts.Reader
) -> list[Tile]:
    """The four figures, over the fourteen days that end with the newest run's."""
    made = history.runs.filter(pl.col("status") != PLANNED)
    if made.is_empty():
        return []
    newest = made.row(-1, named=True)
    last = reader.local(newest["started_at"]).date()
    days = [last - timedelta(days=n) for n in reversed(range(DAYS))]
    runs = made.with_columns(day=pl.col("started_at").dt.convert_time_zone(reader.timezone).dt.date())
    runs = runs.filter(pl.col("day") >= days[0])
    week, page = next((shop["week"] for shop in shops if shop["week"]), ""), f"{newest['path']}/report.html"
    is_broken = any(shop["kind"] in (FAILED, STOPPED) for shop in shops)
    return [
        _needing(counted, listed, _bars(days, _open(history, days, reader), reader, "fault"), reader),
        replace(_finished(runs, newest, days, reader), page=page, calls=is_broken),
        *(replace(tile, page=week or page) for tile in _units(runs, days, reader)),
    ]


def _needing(counted: Products, listed: Listing, bars: tuple[Bar, ...], reader: charts.Reader) -> Tile:
    closed = "" if listed.open else "nothing is open"
    risk = f"{inbox_page.worth(listed, reader)} at risk" if listed.at_risk else closed
    return Tile(
        "Products that need you", reader.number(counted.need), risk, inbox_page.PAGE, bars, calls=bool(counted.need)
    )


def _finished(runs: pl.DataFrame, newest: dict[str, Any], days: list[date], reader: charts.Reader) -> Tile:
    finished = runs.filter(pl.col("status").is_in(FINISHED))
    note = f"of {reader.number(runs.height)}; the last {reader.moment(newest['started_at'])}"
    bars = _bars(days, _by_day(runs.with_columns(n=pl.lit(1)), "n", days), reader, "run")
    return Tile("Runs that finished", reader.number(finished.height), note, "", bars)


def _units(runs: pl.DataFrame, days: list[date], reader: charts.Reader) -> list[Tile]:
    moved = _by_day(runs.with_columns(moved=pl.sum_horizontal("raised", "lowered")), "moved", days)
    flying = _by_day(runs, "in_flight", days, most=True)
    right, kept = (_bars(days, values, reader, "unit") for values in (moved, flying))
    return [
        Tile("Units put right", reader.number(sum(moved)), "wrong in Shopify when a run looked", "", right),
        Tile("Sold units kept off sale", reader.number(max(flying)), "the most at once", "", kept),
    ]


def _by_day(runs: pl.DataFrame, name: str, days: list[date], *, most: bool = False) -> list[int]:
    """The sum, or the most, of a column on each of these days."""
    value = pl.max(name) if most else pl.sum(name)
    known = dict(runs.group_by("day").agg(value.fill_null(0)).iter_rows())
    return [int(known.get(day, 0)) for day in days]


def _open(history: History, days: list[date], reader: charts.Reader) -> list[int]:
    """The faults that were open when each of these days ended, as far as closed ones are remembered."""
    spans = [
        (_day(since, reader), mended and _day(mended, reader))
        for since, mended in history.faults.select("since", "mended_at").iter_rows()
    ]
    return [sum(since <= day and (mended is None or mended > day) for since, mended in spans) for day in days]


def _day(at: datetime, reader: charts.Reader) -> date:
    return reader.local(at).date()


def _bars(days: list[date], values: list[int], reader: charts.Reader, noun: str) -> tuple[Bar, ...]:
    top = max(values) or 1
    return tuple(
        Bar(f"{reader.day(day)}: {reader.many(value, noun)}", value / top)
        for day, value in zip(days, values, strict=True)
    )
