"""What a run.json says, in one sentence and a few figures; it stands without any field it needs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from invsync import vocabulary
from invsync.charts import NONE, Reader
from invsync.report.markup import Html, macro
from invsync.vocabulary import FAILED, FAULTS, GUARDS, HELD, PLANNED, RIGHT, STATUSES

Summary = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One key figure: its name, its value ready to read, a note, and whether it calls for a person."""

    name: str
    value: str
    note: str = ""
    calls: bool = False


@dataclass(frozen=True)
class Guard:
    """A guard as a reader sees it: its name in words, what it found, its limit, and whether it stopped the run."""

    name: str
    value: str
    limit: str
    stopped: bool


def verdict(summary: Summary, reader: Reader | None = None) -> Html:
    """The verdict sentence and the key figures (pairs, units) of a run.json."""
    reader = reader or Reader()
    shown = figures(summary, reader)
    told = "; ".join(f"{one.name}: {one.value}" for one in shown)
    said = sentence(summary, reader)
    made = macro("verdict", status(summary), said, about(summary, reader), shown, messages(summary), level=2)
    return Html(made, f"{said} {told}.")


def status(summary: Summary) -> str:
    """The run's status; whatever is not known to be better has failed."""
    said = summary.get("status")
    return said if isinstance(said, str) and said in STATUSES else FAILED


def number(summary: Summary, *path: str) -> int | None:
    """The whole number at this path of the summary, or None."""
    value: Any = summary
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def right(summary: Summary) -> int | None:
    """Pairs whose number in Shopify is right at the end: applied, already right, or moved on by an order."""
    known = [number(summary, "counts", name) for name in RIGHT]
    return None if all(one is None for one in known) else sum(one or 0 for one in known)


def waiting(summary: Summary) -> int | None:
    """Pairs that need a person: as counted by the run, else those refused, not known, or held by a fault."""
    counted = number(summary, "counts", "needs_a_person")
    if counted is not None or summary.get("exit_code") == 0:
        return counted or 0
    known = [number(summary, "counts", name) for name in (*FAULTS, HELD)]
    return None if all(one is None for one in known) else sum(one or 0 for one in known)


def sentence(summary: Summary, reader: Reader) -> str:
    """The verdict in one sentence, for someone who does not know the system."""
    good, wrong = right(summary), waiting(summary) or 0
    match status(summary):
        case vocabulary.DONE if number(summary, "counts", "selected") == 0:
            return "Nothing had changed since the last run, so nothing had to be sent."
        case vocabulary.DONE:
            held = number(summary, "counts", "held") or 0
            aside = f"; {reader.many(held, 'pair')} left aside by rule" if held else ""
            every = "every pair" if good is None else f"all {reader.many(good, 'pair')}"
            return f"Shopify shows the right number for {every} it should keep{aside}."
        case vocabulary.PARTIAL:
            first = f"Shopify is right for {reader.many(good, 'pair')}, but " if good else ""
            told = f"{first}{reader.many(wrong, 'pair')} need{'s' if wrong == 1 else ''} a person."
            return told[:1].upper() + told[1:]
        case vocabulary.STOPPED:
            return "A guard stopped the run before anything was sent."
        case vocabulary.PLANNED:
            planned = reader.many(number(summary, "counts", PLANNED) or 0, "pair")
            return f"A rehearsal: {planned} would be changed; nothing was sent."
    return "The run failed: do not rely on Shopify's numbers until a later run succeeds."


def figures(summary: Summary, reader: Reader) -> list[Figure]:
    """The five key figures; a dash stands for what the run did not get to know."""
    if status(summary) == FAILED and not number(summary, "counts", "selected"):
        summary = {"status": FAILED, "exit_code": 0}
    selected, orders = number(summary, "counts", "selected"), number(summary, "in_flight", "orders")
    counted, wrong = status(summary) != PLANNED, waiting(summary)
    first = right(summary) if counted else number(summary, "counts", PLANNED)
    lowered = number(summary, "units", "lowered")
    return [
        Figure(
            "Pairs right" if counted else "Pairs to change",
            reader.number(first),
            "" if selected is None else f"of {reader.number(selected)} looked at",
        ),
        Figure(
            "Units raised",
            reader.number(number(summary, "units", "raised")),
            "put on sale" if counted else "would be put on sale",
        ),
        Figure(
            "Units lowered",
            reader.number(None if lowered is None else abs(lowered)),
            "taken off sale" if counted else "would be taken off sale",
        ),
        Figure(
            "Units in flight, protected",
            reader.number(number(summary, "in_flight", "units")),
            "" if orders is None else f"in {reader.many(orders, 'order')} HotWax had not booked",
        ),
        Figure(
            "Pairs that need a person",
            reader.number(wrong if first is not None else None),
            "see the list below" if wrong else "",
            bool(wrong),
        ),
    ]


def about(summary: Summary, reader: Reader) -> list[str]:
    """Shop, job, times and run id."""
    job = str(summary.get("job") or "run").replace("_", " ").replace("-", " ").capitalize()
    start, end = moment(summary.get("started_at")), moment(summary.get("finished_at"))
    when = reader.moment(start) if start else ""
    if start and end:
        took = max(0, round((end - start).total_seconds()))
        when += f", took {reader.number(took)} s" if took < 120 else f", took {reader.number(round(took / 60))} min"
    known = [str(summary.get("shop") or ""), job, when, str(summary.get("run_id") or "")]
    return [part for part in known if part]


def moment(text: Any) -> datetime | None:
    """The moment that an ISO 8601 text names, or None."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def messages(summary: Summary) -> list[str]:
    """What the run had to say, each once."""
    said = summary.get("messages")
    texts = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return list(dict.fromkeys(str(text) for text in texts))


def guards(summary: Summary, reader: Reader) -> list[Guard]:
    """Every guard with its number beside its limit, those that stopped the run first."""
    told = summary.get("guards")
    known = [one for one in told if isinstance(one, dict) and one.get("name")] if isinstance(told, list) else []
    made = [_guard(one, reader) for one in known]
    return sorted(made, key=lambda guard: not guard.stopped)


def _guard(one: dict[str, Any], reader: Reader) -> Guard:
    name = str(one["name"])

    def shown(value: Any) -> str:
        if not isinstance(value, int | float):
            return NONE
        return reader.share(value) if name.endswith("_share") else reader.number(value)

    bound = "at least" if name.startswith("min") else "at most"
    limit = f"{bound} {shown(one.get('limit'))}"
    return Guard(
        GUARDS[name].words if name in GUARDS else name.replace("_", " "),
        shown(one.get("value")),
        limit,
        bool(one.get("stopped")),
    )
