"""The vocabulary of a run: what can become of a pair, and why; how a run can end; what a claim can be; the jobs.

Every surface (files, pages, charts, notebooks, command line, alerts) reads its names, words, marks, colours and exit
codes here. A name that is not here is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

import polars as pl

from invsync.errors import GuardStopped, SystemFailed

# -- alerts

GUARD_STOPPED, RUN_FAILED, PAIRS_UNKNOWN = "guard_stopped", "run_failed", "pairs_unknown"
ORDERS_LATE, SUBSCRIPTION_LOST, NO_RUN = "orders_late", "subscription_lost", "no_run"
ALERTS = {
    GUARD_STOPPED: "A guard stopped the run",
    RUN_FAILED: "The run failed",
    PAIRS_UNKNOWN: "Pairs without a known outcome",
    ORDERS_LATE: "The order import is late",
    SUBSCRIPTION_LOST: "A webhook subscription is lost",
    NO_RUN: "The job does not run",
}
JOB_ALERTS = (GUARD_STOPPED, RUN_FAILED, PAIRS_UNKNOWN, NO_RUN)  # each job of a shop has its own; others are the shop's

# -- jobs

RECENT, HARD, DELTAS, REALTIME = "upload-recent-changes", "hard-sync", "push-deltas", "realtime-sync"
SHADOW = "shadow"  # it watches another system keep the shop, and sends nothing
JOBS = (RECENT, HARD, DELTAS, REALTIME, SHADOW)
NEEDS_A_LOOK = 4  # the exit code of a run, or a check, after which a person must look at something


@dataclass(frozen=True)
class Outcome:
    """What became of a pair: its words, what they mean, its colour, and what follows from it.

    `right`: Shopify shows the right number. `landed`: a change was taken, or nothing was left to change.
    `fault`: a person must look at it, whatever the reason.
    """

    words: str
    meaning: str
    colour: str
    right: bool = False
    landed: bool = False
    fault: bool = False
    remedy: str = "None needed."


APPLIED, SUPERSEDED, ALREADY_RIGHT, PLANNED = "applied", "superseded", "already_right", "planned"
HELD, REFUSED, UNKNOWN = "held", "refused", "unknown"
# Each colour keeps 3:1 against the white page and the dark one; no meaning hangs on red against green.
OUTCOMES = {
    APPLIED: Outcome("Sent and confirmed", "sent, and Shopify shows it", "#0072B2", right=True, landed=True),
    ALREADY_RIGHT: Outcome("Already right", "Shopify showed the target already", "#7C858F", right=True),
    SUPERSEDED: Outcome(
        "Sent, then an order moved it",
        "an order moved it before or after the write",
        "#2E8B8B",
        right=True,
        landed=True,
    ),
    PLANNED: Outcome("Would be sent", "a dry run planned it; nothing was sent", "#0072B2"),
    HELD: Outcome(
        "Held",
        "not sent, for a named reason",
        "#B87400",
        remedy="Look at the run's messages.",
    ),
    REFUSED: Outcome(
        "Refused by Shopify",
        "Shopify refused it",
        "#D55E00",
        fault=True,
        remedy="Read Shopify's words, mend the item in Shopify or its link in HotWax, and run again.",
    ),
    UNKNOWN: Outcome(
        "Not known",
        "no answer; never counted as success",
        "#B8558F",
        fault=True,
        remedy="Nothing yet: the next run reads these pairs again. If they stay unknown, look them up in Shopify.",
    ),
}
COUNTED = [APPLIED, ALREADY_RIGHT, SUPERSEDED, REFUSED, HELD, UNKNOWN]  # in run.json; a planned change counts as held
RIGHT = [name for name, outcome in OUTCOMES.items() if outcome.right]
LANDED = [name for name, outcome in OUTCOMES.items() if outcome.landed]
FAULTS = [name for name, outcome in OUTCOMES.items() if outcome.fault]


@dataclass(frozen=True)
class Reason:
    """Why a pair was held, or moved by somebody else: its words, what to do, and whether it is by rule (`benign`)."""

    words: str
    remedy: str
    benign: bool = False


MOVED_BEFORE, MOVED_AFTER, OVERWRITTEN = "moved_before_the_write", "moved_after_the_write", "overwritten"
MALFORMED, FRACTIONAL, INACTIVE_LEVEL = "malformed", "fractional", "inactive_level"
DEFERRED, DEFERRED_FOR_AN_HOUR, MOVING = "deferred", "deferred_for_an_hour", "moving"
CONTESTED, GUARD = "contested", "guard"
REASONS = {
    "unmapped_product": Reason(
        "product not linked to Shopify",
        "None needed if not sold on Shopify; else link the product to its Shopify item.",
        benign=True,
    ),
    "unmapped_location": Reason(
        "facility not linked to a location",
        "None needed if it is not sold from; else link the facility to a Shopify location.",
        benign=True,
    ),
    "untracked": Reason(
        "not tracked in Shopify",
        "None needed if it is never counted; else switch on “Track quantity” in Shopify.",
        benign=True,
    ),
    "unknown_item": Reason(
        "item or location unknown to Shopify",
        "Remove the dead link in HotWax, or restore the item or location in Shopify.",
    ),
    "bundle": Reason("bundle, counted by its parts", "None needed: Shopify counts it by its parts.", benign=True),
    "no_oms_row": Reason(
        "no stock record in the OMS", "None needed if it is not stocked; else record its stock in HotWax.", benign=True
    ),
    INACTIVE_LEVEL: Reason(
        "not stocked at that location", "Stock the item at that location in Shopify, or let the shop activate levels."
    ),
    FRACTIONAL: Reason("not a whole number of units", "Correct the quantity in HotWax to a whole number."),
    "too_large": Reason(
        "more units than Shopify takes", "Correct the quantity in HotWax: Shopify takes at most 1,000,000,000."
    ),
    "ambiguous_mapping": Reason(
        "linked twice", "Remove the second link in HotWax, so that one product or facility is left."
    ),
    MALFORMED: Reason(
        "unreadable value in the OMS",
        "Correct the value in HotWax or in its export; a message of this run names the place.",
    ),
    MOVING: Reason("sold too fast to settle", "Run again at a quieter hour; orders moved it during every attempt."),
    DEFERRED: Reason(
        "not raised yet: it changed a moment ago, and no order explains it",
        "None needed: the next run looks at it again.",
        benign=True,
    ),
    DEFERRED_FOR_AN_HOUR: Reason(
        "not raised for an hour: it keeps changing, and no order explains it",
        "Find the app or till that changes it in Shopify without an order.",
    ),
    OVERWRITTEN: Reason(
        "overwritten: another system changed it right after our write, and no order explains it",
        "Find the app or integration that writes this number in Shopify, and stop it.",
    ),
    CONTESTED: Reason(
        "another system changes it each time",
        "Find the app or person that changes it in Shopify, and let only one system write it.",
    ),
    GUARD: Reason("a guard stopped the run", "Nothing for this pair alone: see why the run was stopped."),
    MOVED_BEFORE: Reason("an order moved it before the write", "None needed.", benign=True),
    MOVED_AFTER: Reason("an order moved it after the write", "None needed.", benign=True),
}
BENIGN = sorted(name for name, reason in REASONS.items() if reason.benign)
NOTHING_THERE = "None needed: it has nothing to sell there."
# What to do about a refusal, by Shopify's code (InventoryAdjustQuantitiesUserErrorCode, API 2026-10); the words are
# Shopify's own.
REFUSALS = {
    "INVALID_INVENTORY_ITEM": "The item is gone from Shopify: remove its link in HotWax, or restore it.",
    "INVALID_LOCATION": "The location is gone from Shopify: link the facility to one that exists.",
    "ITEM_NOT_STOCKED_AT_LOCATION": REASONS[INACTIVE_LEVEL].remedy,
    "NON_MUTABLE_INVENTORY_ITEM": "It is a bundle, counted by its parts: remove its own link in HotWax.",
    "INVALID_QUANTITY_TOO_HIGH": REASONS["too_large"].remedy,
    "INVALID_QUANTITY_TOO_LOW": "Correct the quantity in HotWax: it is far below zero.",
}

# What to do where the ids are known, by reason, by Shopify's code or by outcome. `links` is a sentence on what is linked
# twice, `place` a location by its name and id, `oms` the OMS's number, `runs` how many runs saw it if several did.
ADVICE = {
    "ambiguous_mapping": "{links}: remove one of the links in HotWax.",
    "unknown_item": "Remove the link of product {product} to item {item} in HotWax, or restore the item, or {place}, "
    "in Shopify.",
    INACTIVE_LEVEL: "Stock item {item} at {place} in Shopify, or let the shop activate levels.",
    FRACTIONAL: "Correct the quantity of product {product} at {place} in HotWax, {oms}, to a whole number.",
    "too_large": "Correct the quantity of product {product} at {place} in HotWax, {oms}: Shopify takes at most "
    "1,000,000,000.",
    MALFORMED: "Correct the value of product {product} at {place} in HotWax or in its export; a message of the run "
    "names where it stands.",
    DEFERRED_FOR_AN_HOUR: "Find the app or till that changes item {item} at {place} in Shopify without an order.",
    OVERWRITTEN: "Find the app or integration that writes the number of item {item} at {place} in Shopify, and stop it.",
    CONTESTED: "Find the app or person that changes item {item} at {place} in Shopify, and let only one system write it.",
    "INVALID_INVENTORY_ITEM": "Item {item} is gone from Shopify: remove the link of product {product} to it in HotWax, "
    "or restore it.",
    "INVALID_LOCATION": "{place} is gone from Shopify: link its facility in HotWax to a location that exists.",
    "ITEM_NOT_STOCKED_AT_LOCATION": "Stock item {item} at {place} in Shopify, or let the shop activate levels.",
    "NON_MUTABLE_INVENTORY_ITEM": "Item {item} is a bundle, counted by its parts: remove the link of product {product} "
    "to it in HotWax.",
    UNKNOWN: "Look up item {item} at {place} in Shopify: {runs} runs in a row got no answer on it.",
}


@dataclass(frozen=True)
class Status:
    """How a run ended: its exit code, its words, its mark on pages, and its rank, from well to worst."""

    exit_code: int
    words: str
    mark: str
    rank: int


DONE, PARTIAL, STOPPED, FAILED = "done", "partial", "stopped", "failed"
STATUSES = {
    DONE: Status(0, "all right", "✓", 1),
    PARTIAL: Status(NEEDS_A_LOOK, "needs a person", "!", 2),
    STOPPED: Status(GuardStopped.exit_code, "stopped by a guard", "■", 3),
    PLANNED: Status(0, "rehearsed only", "◷", 0),
    FAILED: Status(SystemFailed.exit_code, "failed", "✕", 4),
}
SENT = [DONE, PARTIAL]  # the run sent its plan
FINISHED = [DONE, PARTIAL, PLANNED]  # every step of the run was made
CONCLUDED = [*FINISHED, STOPPED]  # the run wrote down how it ended


@dataclass(frozen=True)
class Health:
    """How a shop is kept: its words, the status whose mark and colour stand for it, and its rank, from well to worst."""

    words: str
    status: str
    rank: int


HEALTHY, REHEARSED, NEEDS_YOU, NEVER_RUN, LATE, FAILING = (
    "right",
    "rehearsed",
    "needs_you",
    "never_run",
    "late",
    "failing",
)
HEALTHS = {
    REHEARSED: Health("rehearsed only", PLANNED, 0),
    HEALTHY: Health("right", DONE, 1),
    NEEDS_YOU: Health("needs you", PARTIAL, 2),
    NEVER_RUN: Health("never run", PLANNED, 3),
    LATE: Health("late", STOPPED, 4),
    FAILING: Health("failing", FAILED, 5),
}


@dataclass(frozen=True)
class Guard:
    """A guard of [guards]: what its number measures."""

    words: str


GUARDS = {
    "max_zeroed_share": Guard("Share of pairs that would go to zero"),
    "max_changed_share": Guard("Share of pairs that would change"),
    "max_units": Guard("Units that would move"),
    "selling_pairs_left": Guard("Pairs that still sell something"),
    "min_rows_share": Guard("Rows read, against the last finished run"),
}


@dataclass(frozen=True)
class ClaimState:
    """What a claim says of a stock event: `free` to be counted by a later run, or `closed` for good."""

    free: bool = False
    closed: bool = False


QUARANTINED = "quarantined"
CLAIMS = {
    "baseline": ClaimState(closed=True),  # before the first delta run
    "sent": ClaimState(closed=True),  # in a net change
    "nothing": ClaimState(closed=True),  # it cancelled out
    HELD: ClaimState(closed=True),
    REFUSED: ClaimState(closed=True),
    "reset": ClaimState(closed=True),  # in the number that a reset wrote
    UNKNOWN: ClaimState(),  # nobody knows whether Shopify counted it
    QUARANTINED: ClaimState(free=True),  # it waits until its pair can be read
    "released": ClaimState(free=True),
}
FREE = [name for name, state in CLAIMS.items() if state.free]
CLOSED = [name for name, state in CLAIMS.items() if state.closed]


# -- rows of OUTCOMES


def is_benign() -> pl.Expr:
    """Whether a row's reason is by rule: a benign one, or an inactive level with nothing to sell."""
    nothing_to_sell = (pl.col("reason") == INACTIVE_LEVEL) & (pl.col("target").fill_null(0) <= 0)
    return (pl.col("reason").is_in(BENIGN) | nothing_to_sell).fill_null(False)


def is_fault() -> pl.Expr:
    """Whether a row needs a person: refused, unknown, or held for a reason that is not benign."""
    return pl.col("outcome").is_in(FAULTS) | ((pl.col("outcome") == HELD) & ~is_benign())


def checked(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The rows as they are; a ValueError where one has an outcome that is not in the vocabulary."""
    strange = outcomes.filter(~pl.col("outcome").is_in(list(OUTCOMES)).fill_null(False))["outcome"].unique().to_list()
    if strange:
        raise ValueError(f"Outcome {strange[0]!r} is not in the vocabulary: add it to invsync/vocabulary.py.")
    return outcomes


# -- words


def reason_words(reason: str | None) -> str:
    """A reason in plain words; a code of Shopify's in lower case."""
    name = reason or ""
    if name in REASONS:
        return REASONS[name].words
    return name.replace("_", " ").lower() if name.isupper() else name.replace("_", " ")


def outcome_words(outcome: str, reason: str | None) -> str:
    """An outcome with its reason in plain words, as charts and tables call it."""
    words = OUTCOMES[outcome].words if outcome in OUTCOMES else outcome.replace("_", " ")
    return f"{words}: {reason_words(reason)}" if reason else words


def advice(outcome: str, reason: str | None, target: float | None, ids: Mapping[str, str]) -> str:
    """What to do about one pair, with its ids (see `ADVICE`); its remedy where one lacks."""
    words = ADVICE.get(reason or outcome, ADVICE.get(outcome, ""))
    wanted = [name for _, name, _, _ in Formatter().parse(words) if name]
    if not words or not all(ids.get(name) for name in wanted):
        return remedy(outcome, reason, target)
    text = words.format(**ids)
    return text[:1].upper() + text[1:]


def remedy(outcome: str, reason: str | None, target: float | None = None) -> str:
    """What to do about a pair that was held or refused, or whose outcome is not known."""
    if reason == INACTIVE_LEVEL and (target or 0) <= 0:
        return NOTHING_THERE
    if reason in REASONS:
        return REASONS[reason].remedy
    if reason in REFUSALS:
        return REFUSALS[reason]
    return OUTCOMES[outcome].remedy if outcome in OUTCOMES else OUTCOMES[HELD].remedy
