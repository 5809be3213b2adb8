"""How a run's numbers were made, as far as it came: its equation, and what it read, sent and proved."""

from dataclasses import dataclass

from invsync.runs.record import Record, has_sent
from invsync.vocabulary import DELTAS, FAILED, PLANNED, SENT

MINUS = "\N{MINUS SIGN}"
TARGET = f"target = HotWax sellable quantity {MINUS} units in flight {MINUS} units set aside in Shopify {MINUS} buffer"
CHANGE = "change = the net of HotWax's own stock events that no run had sent"
COMPARED = (
    "Units in flight are units of Shopify orders that HotWax does not know yet. If they were put back on sale and the "
    "stock then ran out, they would be oversold; the week's page says how many. Shopify's levels are read first, then "
    "its orders, then HotWax."
)
COUNTED = (
    "Only events that HotWax caused itself are counted: counts, losses, finds, returns and sales at its tills, never "
    "those that Shopify told it of. Each event is claimed before it is sent, and so is sent exactly once."
)
GUARDED = "Shopify takes a change only if it still shows the number that was read."
ADDED = "A change is added to whatever Shopify shows."
PROVED = "What was written was read back. Right means that Shopify shows the target at the end, or an order has moved it on since."


@dataclass(frozen=True)
class Rule:
    """The equation of a run, empty where it computes nothing, and what it did, a paragraph each."""

    equation: str
    words: tuple[str, ...]


def rule(record: Record) -> Rule:
    """The rule of this run: its job's, or that of a plan that was applied or of a run that was undone."""
    if record.applies:
        how = (
            f"The plan of run {record.applies} is sent as it was reviewed, byte by byte: nothing is read or planned "
            "again. A reset states the number that was reviewed. If that number has moved, Shopify refuses the change, "
            "and the pair is held."
        )
        return Rule("", (how, _progress(record)))
    if record.undoes:
        how = "Only changes that Shopify accepted, and that no other run has undone, are reversed."
        return Rule(
            f"target = what Shopify shows now {MINUS} what run {record.undoes} added", (how, GUARDED, _progress(record))
        )
    if record.job == DELTAS:
        return Rule(CHANGE, (COUNTED, ADDED, _progress(record)))
    return Rule(TARGET, (COMPARED, GUARDED, _progress(record)))


def _progress(record: Record) -> str:
    """How far the run came."""
    if record.status in SENT:
        return PROVED if record.counts.get(PLANNED) else "Nothing had to be sent."
    if record.status == PLANNED:
        return "This run was a rehearsal: nothing was sent."
    if record.status == FAILED and has_sent(record):
        return "The run failed after it began to send: the next run finds out how much of it reached Shopify."
    if any(file.name == "plan.parquet" for file in record.files):
        return "The run ended after it made its plan, before it sent anything."
    return "The run ended before it made a plan: nothing was sent."
