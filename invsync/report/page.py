"""The page of one run: the verdict, what needs a person, and what changed; all else is folded for engineers."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from invsync import __version__, charts
from invsync.report import cells, facts, find, money, remediation, rule, stop, watched
from invsync.report.links import Links
from invsync.report.markup import Html, asset, hashed, macro
from invsync.report.markup import page as filled
from invsync.runs.record import Record, moment
from invsync.vocabulary import COUNTED, DELTAS, FAILED, FINISHED, OUTCOMES, PLANNED, SHADOW, STOPPED

MAX_HTML = 400_000  # characters that one notebook output may add to the page
FILES = {
    "adjustments": "the changes, as they were uploaded",
    "result": "Shopify's answer to every line",
    "mutation": "the mutation that each line fills in",
    "plan": "every pair, as planned",
    "outcomes": "every pair, as it ended",
    SHADOW: "the levels that were wrong at this look",
    "levels": "what another sync did to each level, over the looks of these days",
    "claims": "the stock events that the changes cover",
    "report": "the notebook, as it was executed",
    "run": "the run's facts, for machines",
}


def render(
    notebook: Path, record: Record, *, timezone: str = "UTC", locale: str = "en", links: Links | None = None
) -> str:
    """The executed notebook and its run folder as one self-contained page; the verdict comes from run.json."""
    reader = charts.Reader(locale, timezone)
    try:
        read = json.loads(notebook.read_text(encoding="utf-8"))
        parts = cells.body(read["cells"], finished=record.status in FINISHED)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return minimal(
            record,
            f"The notebook could not be read: {type(error).__name__}: {error}",
            timezone=timezone,
            locale=locale,
        )
    parts = [part if len(part) <= MAX_HTML else _too_long(part, reader) for part in parts]
    if not (notebook.parent / "outcomes.parquet").exists():  # a rehearsal keeps its rows in the plan
        parts = [part.replace("outcomes.parquet", "plan.parquet") for part in parts]
    return _page(notebook.parent, record, parts, reader, links or Links())


def minimal(record: Record, detail: str = "", *, timezone: str = "UTC", locale: str = "en") -> str:
    """A page without charts, for a run whose notebook did not survive."""
    lost = str(macro("nothing", "The notebook of this run did not survive, so there are no charts."))
    parts = [lost] + ([cells.folded("Technical details", detail)] if detail else [])
    return _page(None, record, parts, charts.Reader(locale, timezone), Links())


def files_table(record: Record, reader: charts.Reader | None = None) -> Html:
    """The files beside the report, linked, each with its lines, bytes and SHA-256."""
    rows = _files(record, reader or charts.Reader())
    return Html(macro("files", rows), f"Files: {', '.join(row['name'] for row in rows) or 'none'}.")


def _page(folder: Path | None, record: Record, parts: list[str], reader: charts.Reader, links: Links) -> str:
    kind, messages = record.status, list(record.messages)
    ended = kind in FINISHED
    script = asset("run.js")
    about = facts.about(record, reader)
    path, rows, every = _outcomes(folder)
    levels = _parquet(folder / "levels.parquet") if folder and record.job == SHADOW else None
    worth = None if rows is None else money.worth(rows)
    return filled(
        "run.html.j2",
        locale=reader.locale.replace("_", "-"),
        zone=reader.timezone,
        title=f"{kind.capitalize()}: {' · '.join(about)}",
        scripts=Markup(hashed(script)),
        script=Markup(script),
        version=__version__,
        ways=_ways(folder),
        kind=kind,
        sentence=facts.sentence(record, reader) if levels is None else watched.sentence(levels, _days(record)),
        about=about,
        figures=facts.figures(record, reader, worth) if levels is None else watched.figures(levels, _days(record)),
        watched=[] if levels is None else _watched(levels, record),
        at_risk=facts.at_risk(worth, reader),
        messages=messages if ended else messages[:-1],
        stopped=[] if ended else messages[-1:] or ["The run left no word on why."],
        steps=stop.steps(record),
        guards=facts.guards(record, reader),
        body=[Markup(part) for part in parts],
        files=_files(record, reader) if folder else [],
        facts=_about(record, reader),
        rule=rule.rule(record),
        counts=_counts(record, reader),
        needs=_needs(rows, record, reader, worth, links),
        counted=_counted(rows, record),
        table=None if rows is None or folder is None else _table(folder, path, rows, every, record, reader, links),
    )


def _watched(levels: pl.DataFrame, record: Record) -> list[Markup]:
    """What another sync did to the shop: the tables of shadow mode."""
    places = locations(record)
    return [Markup(made(levels, places, limit=10).markup) for made in (watched.put_back, watched.wrong_levels)]


def _days(record: Record) -> int:
    """The days that a look of shadow mode covers."""
    start, end = (moment((record.window or {}).get(name)) for name in ("from", "thru"))
    return (end - start).days if start and end else 0


def _needs(
    rows: pl.DataFrame | None, record: Record, reader: charts.Reader, worth: money.Worth | None, links: Links
) -> list[dict[str, Any]]:
    """The classes of pairs that need a person, ready to read."""
    return [
        {
            "pairs": reader.many(one.pairs, "pair"),
            "what": one.what,
            "remedy": one.remedy,
            "find": one.find,
            "examples": one.examples,
            "more": one.pairs > len(one.examples),
            "at_risk": reader.money(one.at_risk, worth.currency) if worth and one.at_risk else "",
        }
        for one in (() if rows is None else remediation.needs(rows, locations(record), links))
    ]


def _counted(rows: pl.DataFrame | None, record: Record) -> int | None:
    """How many pairs need a person where no file names them; None where the run did not get to know."""
    if rows is not None:
        return 0
    return facts.waiting(record) if record.status != FAILED or record.counts.get("selected") else None


def _table(
    folder: Path, file: str, rows: pl.DataFrame, every: int, record: Record, reader: charts.Reader, links: Links
) -> dict[str, Any] | None:
    """The table of what changed: its data, its counts, and where its links lead; None without a row."""
    if rows.is_empty():
        return None
    totals, worth = find.totals(rows, every), money.priced(rows)["currency"].drop_nulls()
    return {
        "packed": Markup(find.packed(rows, locations(record), _parquet(folder / "in_flight.parquet"), links)),
        "first": totals.first,
        "groups": [
            (name, reader.number(getattr(totals, key)))
            for name, key in (("changed", "changed"), ("needs", "needs"), ("all", "every"))
        ],
        "words": _happens(record.status),
        "listed": reader.number(min(every, find.MOST)),
        "total": reader.number(every),
        "file": file,
        "rule": "undo" if record.undoes else "counts" if record.job == DELTAS else "target",
        "currency": worth[0] if worth.len() else "",
        "links": links,
    }


def _happens(status: str) -> dict[str, str]:
    """The title of the table, and what its first group is called."""
    if status in (PLANNED, STOPPED):
        return {"title": "What would change", "changed": "Would change"}
    return {"title": "What changed", "changed": "Changed"}


def _outcomes(folder: Path | None) -> tuple[str, pl.DataFrame | None, int]:
    """The rows that the page needs with the columns of PRODUCTS, outcomes before plan; their file, and its rows."""
    for name in ("outcomes.parquet", "plan.parquet") if folder else ():
        with suppress(OSError, pl.exceptions.PolarsError):
            rows, every = find.read(folder / name)  # type: ignore[operator]
            return name, money.priced(rows), every
    return "", None, 0


def _parquet(path: Path) -> pl.DataFrame | None:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError):
        return None


def locations(record: Record) -> pl.DataFrame | None:
    """Location names as the run read them: location_id, name."""
    rows = [(int(place), name) for place, name in record.locations.items() if place.isdigit()]
    return pl.DataFrame(rows, schema={"location_id": pl.Int64, "name": pl.String}, orient="row")


@dataclass(frozen=True)
class Way:
    """A link from a run's page to another page of the reports."""

    words: str
    page: str


def _ways(folder: Path | None) -> list[Way]:
    """The ways from a run's folder: to the index and the inbox, where they were built, and to the runs beside it.

    The run after it is not known yet; the index finds it when somebody asks.
    """
    if folder is None:
        return []
    folder = folder.resolve()
    previous = _previous(folder)
    beside = [Way("Previous run", f"../{quote(previous)}/report.html")] if previous else []
    if not (folder.parents[2] / "index.html").exists():
        return beside
    up, path = "../../..", "/".join(folder.parts[-3:])
    inbox = [Way("Inbox", f"{up}/inbox.html")] if (folder.parents[2] / "inbox.html").exists() else []
    return [
        Way("All runs", f"{up}/index.html"),
        *inbox,
        *beside,
        Way("Next run", f"{up}/index.html#next={quote(path)}"),
    ]


def _previous(folder: Path) -> str:
    """The run before this one of the same shop and job that has a page; empty where there is none."""
    before = sorted((name for name in os.listdir(folder.parent) if name < folder.name), reverse=True)
    return next((name for name in before if (folder.parent / name / "report.html").exists()), "")


def _files(record: Record, reader: charts.Reader) -> list[dict[str, str]]:
    own = [_file(kept.name, kept.sha256, kept.lines, kept.bytes, reader) for kept in record.files]
    return [row for row in [*own, _file("run.json", "", None, None, reader)] if row["name"] != "report.html"]


def _file(name: str, sha256: str, lines: int | None, size: int | None, reader: charts.Reader) -> dict[str, str]:
    name = Path(name).name
    return {
        "name": name,
        "what": FILES.get(name.split(".")[0].split("-")[0], ""),
        "lines": reader.number(lines),
        "bytes": reader.number(size),
        "sha256": sha256,
    }


def _about(record: Record, reader: charts.Reader) -> list[tuple[str, str]]:
    sent = {"bulk": "as bulk operations", "direct": "directly, one request a line"}
    return [
        ("Window", _window(record, reader)),
        ("Sent", sent.get(str(record.transport), "nothing was sent")),
        ("Shopify API", record.api_version or charts.NONE),
        ("Operations", ", ".join(record.operation_ids) or charts.NONE),
        ("Times", f"in {reader.timezone}"),
        ("Command", f"exit code {record.exit_code}"),
    ]


def _window(record: Record, reader: charts.Reader) -> str:
    """Which pairs the run looked at."""
    start, end = (moment((record.window or {}).get(name)) for name in ("from", "thru"))
    if other := record.applies or record.undoes:
        return f"the pairs of run {other}"
    if start:
        return f"{reader.moment(start)} to {reader.moment(end)}"
    return "every pair, whenever it was touched" if record.counts.get("selected") else charts.NONE


def _counts(record: Record, reader: charts.Reader) -> list[list[str]]:
    rows = [(name, record.counts.get(name)) for name in COUNTED]
    return [[OUTCOMES[name].words, reader.number(n), OUTCOMES[name].meaning] for name, n in rows if n is not None]


def _too_long(part: str, reader: charts.Reader) -> str:
    size = reader.number(len(part))
    return str(macro("nothing", f"An output of {size} characters is left out of this page; it is in the notebook."))
