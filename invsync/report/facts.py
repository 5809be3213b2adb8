"""What the record of a run says, in one sentence and a few figures."""

from dataclasses import dataclass
from math import isnan

from invsync import vocabulary
from invsync.charts import NONE, Reader
from invsync.plan import Guarded
from invsync.report.markup import Html, macro
from invsync.report.money import NOTHING, Worth
from invsync.runs.record import Record
from invsync.vocabulary import FAILED, FAULTS, GUARDS, HELD, PLANNED, RIGHT, STOPPED


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


def verdict(record: Record, reader: Reader | None = None) -> Html:
    """The verdict sentence and the key figures (pairs, units) of a run."""
    reader = reader or Reader()
    shown, words = figures(record, reader), sentence(record, reader)
    made = macro("verdict", record.status, words, about(record, reader), shown, list(record.messages), level=2)
    return Html(made, f"{words} {'; '.join(f'{each.name}: {each.value}' for each in shown)}.")


def right(record: Record) -> int | None:
    """Pairs whose number in Shopify is right at the end: applied, already right, or moved on by an order."""
    return _sum(record, RIGHT)


def waiting(record: Record) -> int | None:
    """Pairs that need a person: as counted by the run, else those refused, not known, or held."""
    counted = record.counts.get("needs_a_person")
    if record.status == STOPPED:  # the guard held every change, which is no fault of a pair
        return counted
    if counted is not None or record.exit_code == 0:
        return counted or 0
    return _sum(record, [*FAULTS, HELD])


def _sum(record: Record, names: list[str]) -> int | None:
    known = [record.counts[name] for name in names if name in record.counts]
    return sum(known) if known else None


def sentence(record: Record, reader: Reader) -> str:
    """The verdict in one sentence, for someone who does not know the system."""
    good, wrong = right(record), waiting(record) or 0
    match record.status:
        case vocabulary.DONE if record.counts.get("selected") == 0:
            return "Nothing had changed since the last run, so nothing had to be sent."
        case vocabulary.DONE if record.applies:
            return f"The plan of run {record.applies} was sent: all {reader.many(good or 0, 'pair')} were confirmed."
        case vocabulary.DONE:
            held = record.counts.get(HELD, 0)
            aside = f"; {reader.many(held, 'pair')} left aside by rule" if held else ""
            every = "every pair" if good is None else f"all {reader.many(good, 'pair')}"
            return f"Shopify shows the right number for {every} it should keep{aside}."
        case vocabulary.PARTIAL:
            first = f"Shopify is right for {reader.many(good, 'pair')}, but " if good else ""
            words = f"{first}{reader.many(wrong, 'pair')} need{'s' if wrong == 1 else ''} a person."
            return words[:1].upper() + words[1:]
        case vocabulary.STOPPED:
            by_guard = any(guard.stopped for guard in record.guards)
            return f"{'A guard stopped the run' if by_guard else 'The run was stopped'} before anything was sent."
        case vocabulary.PLANNED:
            planned = reader.many(record.counts.get(PLANNED, 0), "pair")
            if record.undoes:
                return f"Run {record.undoes} can be undone: {planned} would be changed back; nothing was sent."
            return f"A rehearsal: {planned} would be changed; nothing was sent."
    return "The run failed: do not rely on Shopify's numbers until a later run succeeds."


def figures(record: Record, reader: Reader, worth: Worth | None = None) -> list[Figure]:
    """The five key figures, with what they are worth; a dash stands for what the run did not get to know."""
    if record.status == FAILED and not record.counts.get("selected"):
        record = Record(exit_code=0, counts={}, units={}, in_flight={})
    selected, orders = record.counts.get("selected"), record.in_flight.get("orders")
    counted, wrong = record.status != PLANNED, waiting(record)
    first = right(record) if counted else record.counts.get(PLANNED)
    raised, lowered = record.units.get("raised"), record.units.get("lowered")
    would, see = "" if counted else "would be ", "see the list below" if wrong else ""
    booked = "" if orders is None else f"in {reader.many(orders, 'order')} HotWax had not booked"

    def note(words: str, amount: float, what: str = "worth {}") -> str:
        return f"{words}, {what.format(reader.money(amount, value.currency))}" if words and amount else words

    value = worth or NOTHING
    return [
        Figure(
            "Pairs right" if counted else "Pairs to change",
            reader.number(first),
            "" if selected is None else f"of {reader.number(selected)} looked at",
        ),
        Figure("Units raised", reader.number(raised), note(f"{would}put on sale", value.raised)),
        Figure(
            "Units lowered",
            reader.number(None if lowered is None else abs(lowered)),
            note(f"{would}taken off sale", value.lowered),
        ),
        Figure("Sold units kept off sale", reader.number(record.in_flight.get("units")), note(booked, value.protected)),
        Figure(
            "Pairs that need a person",
            reader.number(wrong if first is not None else None),
            note(see, value.at_risk, "{} at risk"),
            bool(wrong),
        ),
    ]


def at_risk(worth: Worth | None, reader: Reader) -> str:
    """What is at risk, and what that means; empty where nothing is, or no price is known."""
    if worth is None or not (worth.at_risk or worth.unvalued):
        return ""
    if not worth.at_risk:
        return f"What is at risk is not known: {reader.many(worth.unvalued, 'pair')} without a price or a target."
    total, over, under = (reader.money(each, worth.currency) for each in (worth.at_risk, worth.oversold, worth.hidden))
    left = f"; {reader.many(worth.unvalued, 'pair')} without a price or a target not counted" if worth.unvalued else ""
    return (
        f"At risk: {total}. Over these pairs, and at Shopify's prices, that is what Shopify offers beyond what it should "
        f"({over}) and what it should offer and does not ({under}){left}."
    )


def about(record: Record, reader: Reader) -> list[str]:
    """Shop, job, times and run id."""
    job = (record.job or "run").replace("_", " ").replace("-", " ").capitalize()
    start, end = record.started, record.finished
    when = reader.moment(start) if start else ""
    if start and end:
        took = max(0, round((end - start).total_seconds()))
        when += f", took {reader.number(took)} s" if took < 120 else f", took {reader.number(round(took / 60))} min"
    return [part for part in (record.shop, job, when, record.run_id) if part]


def guards(record: Record, reader: Reader) -> list[Guard]:
    """Every guard with its number beside its limit, those that stopped the run first."""
    made = [_guard(each, reader) for each in record.guards]
    return sorted(made, key=lambda guard: not guard.stopped)


def _guard(guarded: Guarded, reader: Reader) -> Guard:
    name = guarded.name

    def shown(value: float) -> str:
        if isnan(value):
            return NONE
        return reader.share(value) if name.endswith("_share") else reader.number(value)

    bound = "at least" if name.startswith("min") else "at most"
    words = GUARDS[name].words if name in GUARDS else name.replace("_", " ")
    return Guard(words, shown(guarded.value), f"{bound} {shown(guarded.limit)}", guarded.stopped)
