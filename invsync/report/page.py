"""The page of one run: verdict first, then what needs a person, then the notebook's charts and tables, then the files."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from invsync import __version__, charts
from invsync.report import cells, facts, find, remediation, stop
from invsync.report.markup import Html, asset, hashed, macro
from invsync.report.markup import page as filled
from invsync.vocabulary import COUNTED, DELTAS, FAILED, FINISHED, OUTCOMES

MAX_HTML = 400_000  # characters that one notebook output may add to the page
FILES = {
    "adjustments": "the changes, as they were uploaded",
    "result": "Shopify's answer to every line",
    "mutation": "the mutation that each line fills in",
    "plan": "every pair, as planned",
    "outcomes": "every pair, as it ended",
    "claims": "the stock events that the changes cover",
    "report": "the notebook, as it was executed",
    "run": "the run's facts, for machines",
}


def render(notebook: Path, summary: dict[str, Any], *, timezone: str = "UTC", locale: str = "en") -> str:
    """The executed notebook and its run folder as one self-contained page; the verdict comes from run.json."""
    reader = charts.Reader(locale, timezone)
    try:
        read = json.loads(notebook.read_text(encoding="utf-8"))
        parts = cells.body(read["cells"], finished=facts.status(summary) in FINISHED)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return minimal(
            summary,
            f"The notebook could not be read: {type(error).__name__}: {error}",
            timezone=timezone,
            locale=locale,
        )
    parts = [part if len(part) <= MAX_HTML else _too_long(part, reader) for part in parts]
    if not (notebook.parent / "outcomes.parquet").exists():  # a rehearsal keeps its rows in the plan
        parts = [part.replace("outcomes.parquet", "plan.parquet") for part in parts]
    return _page(notebook.parent, summary, parts, reader)


def minimal(summary: dict[str, Any], detail: str = "", *, timezone: str = "UTC", locale: str = "en") -> str:
    """A page without charts, for a run whose notebook did not survive."""
    lost = str(macro("nothing", "The notebook of this run did not survive, so there are no charts."))
    parts = [lost] + ([cells.folded("Technical details", detail)] if detail else [])
    return _page(None, summary, parts, charts.Reader(locale, timezone))


def files_table(summary: dict[str, Any], reader: charts.Reader | None = None) -> Html:
    """The files beside the report, linked, each with its lines, bytes and SHA-256."""
    rows = _files(summary, reader or charts.Reader())
    return Html(macro("files", rows), f"Files: {', '.join(row['name'] for row in rows) or 'none'}.")


def _page(folder: Path | None, summary: dict[str, Any], parts: list[str], reader: charts.Reader) -> str:
    kind, said = facts.status(summary), facts.messages(summary)
    ended = kind in FINISHED
    script = asset("run.js")
    about = facts.about(summary, reader)
    return filled(
        "run.html.j2",
        locale=reader.locale.replace("_", "-"),
        zone=reader.timezone,
        title=f"{kind.capitalize()}: {' · '.join(about)}",
        scripts=Markup(hashed(script)),
        script=Markup(script),
        version=__version__,
        index=_index(folder),
        kind=kind,
        sentence=facts.sentence(summary, reader),
        about=about,
        figures=facts.figures(summary, reader),
        messages=said if ended else said[:-1],
        stopped=[] if ended else said[-1:] or ["The run left no word on why."],
        steps=stop.steps(summary, folder),
        guards=facts.guards(summary, reader),
        body=[Markup(part) for part in parts],
        files=_files(summary, reader) if folder else [],
        facts=_about(summary, reader),
        compares=summary.get("job") != DELTAS,
        counts=_counts(summary, reader),
        **_pairs(folder, summary, reader),
    )


def _pairs(folder: Path | None, summary: dict[str, Any], reader: charts.Reader) -> dict[str, Any]:
    """What the page tells of single pairs: those that need a person, and the table to look one up."""
    path, outcomes = _outcomes(folder)
    if outcomes is None:
        known = facts.status(summary) != FAILED or facts.number(summary, "counts", "selected")
        return {"needs": [], "counted": facts.waiting(summary) if known else None, "pairs": None}
    names = locations(summary)
    found = [
        {
            "pairs": reader.many(one.pairs, "pair"),
            "what": one.what,
            "remedy": one.remedy,
            "find": one.find,
            "examples": ", ".join(one.examples) + (", …" if one.pairs > len(one.examples) else ""),
        }
        for one in remediation.needs(outcomes, names)
    ]
    counts = {"shown": reader.number(min(outcomes.height, find.MOST)), "total": reader.number(outcomes.height)}
    packed = Markup(find.packed(outcomes, names)) if outcomes.height else None
    return {"needs": found, "counted": 0, "pairs": packed, "file": path, **counts}


def _outcomes(folder: Path | None) -> tuple[str, pl.DataFrame | None]:
    """The rows that the run left, outcomes before plan, with the name of their file."""
    for name in ("outcomes.parquet", "plan.parquet") if folder else ():
        try:
            return name, pl.read_parquet(folder / name)  # type: ignore[operator]
        except (OSError, pl.exceptions.PolarsError):
            continue
    return "", None


def locations(summary: dict[str, Any]) -> pl.DataFrame | None:
    """Location names as the run told them, or None."""
    known = summary.get("locations")
    if not isinstance(known, dict):
        return None
    rows = [(int(place), str(name)) for place, name in known.items() if str(place).isdigit()]
    return pl.DataFrame(rows, schema={"location_id": pl.Int64, "name": pl.String}, orient="row")


def _index(folder: Path | None) -> str | None:
    """The way from a run's folder to the index of all runs, where one was built."""
    return "../../../index.html" if folder and (folder.resolve().parents[2] / "index.html").exists() else None


def _files(summary: dict[str, Any], reader: charts.Reader) -> list[dict[str, str]]:
    told = summary.get("files")
    known = [one for one in told if isinstance(one, dict) and one.get("name")] if isinstance(told, list) else []
    return [_file(one, reader) for one in [*known, {"name": "run.json"}] if one["name"] != "report.html"]


def _file(one: dict[str, Any], reader: charts.Reader) -> dict[str, str]:
    name = Path(str(one["name"])).name
    lines, size = (
        reader.number(v) if isinstance(v := one.get(key), int) else charts.NONE for key in ("lines", "bytes")
    )
    what = FILES.get(name.split(".")[0].split("-")[0], "")
    return {"name": name, "what": what, "lines": lines, "bytes": size, "sha256": str(one.get("sha256") or "")}


def _about(summary: dict[str, Any], reader: charts.Reader) -> list[tuple[str, str]]:
    window = summary.get("window") if isinstance(summary.get("window"), dict) else {}
    start, end = (facts.moment((window or {}).get(name)) for name in ("from", "thru"))
    sent = {"bulk": "as bulk operations", "direct": "directly, one request a line"}
    operations = summary.get("operation_ids")
    told = {
        "Window": f"{reader.moment(start)} to {reader.moment(end)}" if start else "every pair, whenever it was touched",
        "Sent": sent.get(str(summary.get("transport")), "nothing was sent"),
        "Shopify API": str(summary.get("api_version") or charts.NONE),
        "Operations": ", ".join(map(str, operations)) if isinstance(operations, list) and operations else charts.NONE,
        "Times": f"in {reader.timezone}",
        "Command": f"exit code {summary.get('exit_code', 5)}",
    }
    return list(told.items())


def _counts(summary: dict[str, Any], reader: charts.Reader) -> list[list[str]]:
    rows = [(name, facts.number(summary, "counts", name)) for name in COUNTED]
    return [[name.replace("_", " "), reader.number(n), OUTCOMES[name].meaning] for name, n in rows if n is not None]


def _too_long(part: str, reader: charts.Reader) -> str:
    size = reader.number(len(part))
    return str(macro("nothing", f"An output of {size} characters is left out of this page; it is in the notebook."))
