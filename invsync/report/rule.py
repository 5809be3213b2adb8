"""How a run's numbers were made, as far as it came: its equation, and what it read, sent and proved."""

from dataclasses import dataclass

from invsync.runs.record import Record
from invsync.vocabulary import DELTAS, PLANNED, SENT

MINUS = "\N{MINUS SIGN}"
TARGET = f"target = HotWax sellable quantity {MINUS} units in flight {MINUS} units set aside in Shopify {MINUS} buffer"
CHANGE = "change = the net of HotWax's own stock events that no run had sent"
COMPARED = (
    "Units in flight are units of Shopify orders that HotWax does not know yet. Put back on sale, a sold unit is oversold "
    "if the stock then runs out: the week's page says of how many that is known. Shopify's levels are read first, then "
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
            "again. A reset states the number that was reviewed, so Shopify refuses it where that number has moved; it "
            "is then held."
        )
        return Rule("", (how, _progress(record)))
    if record.undoes:
        how = "Turned around is what that run added and Shopify took, unless another run has undone it already."
        return Rule(
            f"target = what Shopify shows now {MINUS} what run {record.undoes} added", (how, GUARDED, _progress(record))
        )
    if record.job == DELTAS:
        return Rule(CHANGE, (COUNTED, ADDED, _progress(record)))
    return Rule(TARGET, (COMPARED, GUARDED, _progress(record)))


def has_answers(record: Record) -> bool:
    """Whether Shopify answered to some of what the run sent."""
    return any(file.name.startswith("result") and file.bytes for file in record.files)


def _progress(record: Record) -> str:
    """How far the run came."""
    if record.status in SENT:
        return PROVED if record.counts.get(PLANNED) else "Nothing had to be sent."
    if record.status == PLANNED:
        return "This run was a rehearsal: nothing was sent."
    if has_answers(record):
        return "The run ended after it had begun to send: what was not read back is not known."
    if any(file.name == "plan.parquet" for file in record.files):
        return "The run ended when its plan was made, and before anything was sent."
    return "The run ended before it had made a plan: nothing was sent."
