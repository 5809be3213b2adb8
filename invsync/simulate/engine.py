"""Pairs of item and location in two systems, moved by their events: the same rank of every pair at once.

Per pair and variant (a column) the OMS has a count and a queue, Shopify a shown number, and `in_flight` are the units
sold on Shopify that the OMS does not know, less those back in Shopify that it still holds. What is truly left is
count - queue - in_flight, negative where more was sold than there was.

A rule may subtract another number. `unreleased` units are back in Shopify, but the OMS still holds them for their
order: every reset hides them. `missed` units are in flight, and the rule by header does not subtract them; `unseen`
ones are neither committed nor of a visible order, and the witness does not subtract them. `fresh` counts changes of
what is on hand that no visible order explains: while there are any, the rule that has the witness raises no number.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from invsync.simulate.targets import atp, target

Units = NDArray[np.int32]
Flags = NDArray[np.bool_]
# Kinds of events, in the order in which they happen within one minute.
OPEN, ARRIVE, MOVE, SALE, IMPORT, RESTOCK, RELEASE = range(7)
UNRELEASED_BY, MISSED_BY, UNSEEN_BY, FRESH_BY, UNHEARD_BY, LIVE_BY = range(7, 13)
EDIT, HOOK, JOB, HARD, REVIEW = range(13, 18)
OWN, DELIVERY, DEFERRED = -1, -2, -3  # what a webhook follows if not a sale: a movement, goods that came, a deferral
# The fields of a pair; the later ones are there only where orders live.
COUNT, QUEUE, IN_FLIGHT, SHOWN, MOVED, CHANGED, ORDERED, ARRIVED = range(8)
UNRELEASED, MISSED, UNSEEN, FRESH, WAITING = range(8, 13)
PLAIN, LIVELY = 8, 13
# Steps of a field; the last two are those of real time, where an order is seen as soon as its webhook comes.
STEPS = {
    UNRELEASED_BY: UNRELEASED,
    MISSED_BY: MISSED,
    UNSEEN_BY: UNSEEN,
    FRESH_BY: FRESH,
    UNHEARD_BY: UNSEEN,
    LIVE_BY: FRESH,
}
AMOUNT = 4  # the log's last number, after the first four fields


@dataclass(frozen=True)
class Events:
    """One entry an event, sorted by its rank within its pair and by kind; `line` is the order line it is about."""

    pair: Units
    at: NDArray[np.float64]
    kind: Units
    units: Units
    line: Units
    rank: Units
    lines: int


@dataclass(frozen=True)
class Variants:
    """What differs from column to column: how the job writes, what is held back; shape (variants,) or (pairs, variants)."""

    deltas: Flags
    subtracts: Flags
    by_header: Flags
    batched: Flags
    hard_sync: Flags
    realtime: Flags
    safety: Units
    buffer: Units

    @property
    def witness(self) -> Flags:
        """Where the job subtracts units sold less booked."""
        return self.subtracts & ~self.by_header


@dataclass(frozen=True)
class Levels:
    """The stock that each pair starts with and is refilled to, and below which it is; shape (pairs, 1)."""

    opening: Units
    reorder: Units
    up_to: Units


@dataclass(frozen=True)
class Log:
    """After each event, shape (events, variants): the pair's numbers; units sold or moved in it; looked at in it."""

    count: Units
    queue: Units
    in_flight: Units
    shown: Units
    amount: Units
    looked: Flags


def run(events: Events, levels: Levels, variants: Variants) -> Log:
    """Every event, those of one rank and kind together; Shopify is right before the first."""
    width = len(variants.deltas)
    fields = LIVELY if np.isin(events.kind, list(STEPS)).any() else PLAIN
    state = np.zeros((fields, len(levels.opening), width), np.int32)
    state[COUNT] = levels.opening
    state[SHOWN] = target(atp(levels.opening, np.zeros_like(levels.opening), variants.safety), variants.buffer)
    log = np.zeros((AMOUNT + 1, len(events.pair), width), np.int32)
    sold = np.zeros((events.lines, width), np.int32)
    looked = np.zeros((len(events.pair), width), np.bool_)
    starts = np.flatnonzero(np.diff(events.rank, prepend=-1) | np.diff(events.kind, prepend=-1))
    for first, last in pairwise([*starts.tolist(), len(events.pair)]):
        here = slice(first, last)
        kind, pair, line = int(events.kind[first]), events.pair[here], events.line[here]
        numbers, units = state[:, pair], events.units[here, None]
        if kind in (HOOK, JOB, HARD):
            looked[here] = looked_at(kind, numbers, variants, line, sold)
            write(numbers, looked[here], kind == JOB, variants, pair)
        elif kind == REVIEW:
            review(numbers, levels.reorder[pair], levels.up_to[pair])
        elif kind != OPEN:
            log[AMOUNT, here] = happen(kind, numbers, units, line, sold, variants)
        state[:, pair] = numbers
        log[:AMOUNT, here] = numbers[:AMOUNT]
    return Log(log[COUNT], log[QUEUE], log[IN_FLIGHT], log[SHOWN], log[AMOUNT], looked)


def happen(kind: int, numbers: Units, units: Units, line: Units, sold: Units, variants: Variants) -> Units | int:
    """What happens without a look at the pair: the units sold, moved or restocked in it. `sold` is kept by line."""
    if kind == SALE:
        sold[line] = units = sell(numbers, units)
        return units
    if kind == MOVE:
        return move(numbers, units)
    if kind == ARRIVE:
        return arrive(numbers)
    if kind == IMPORT:
        learn(numbers, sold[line])
    elif kind == RESTOCK:
        return restock(numbers, np.minimum(units, sold[line]), variants)
    elif kind == RELEASE:
        release(numbers, np.minimum(units, sold[line]))
    elif kind == EDIT:
        numbers[SHOWN] += units
    else:
        step(kind, numbers, np.sign(units) * np.minimum(np.abs(units), sold[line]), variants)
    return 0


def sell(numbers: Units, units: Units) -> Units:
    """Customers ask for units and take what Shopify shows: the units sold."""
    sold: Units = np.minimum(units, np.maximum(numbers[SHOWN], 0))
    numbers[SHOWN] -= sold
    numbers[IN_FLIGHT] += sold
    return sold


def learn(numbers: Units, units: Units) -> None:
    """The OMS downloads order lines: it reserves what it can, the rest waits in the queue."""
    reserved = np.minimum(numbers[COUNT], units)
    numbers[IN_FLIGHT] -= units
    numbers[COUNT] -= reserved
    numbers[QUEUE] += units - reserved
    numbers[CHANGED] |= units > 0


def restock(numbers: Units, units: Units, variants: Variants) -> Units:
    """A refund, a cancellation or a return gives units back to Shopify; a job that reads orders looks at the pair."""
    numbers[SHOWN] += units
    numbers[IN_FLIGHT] -= units
    numbers[CHANGED] |= variants.witness & (units > 0)
    return units


def release(numbers: Units, units: Units) -> None:
    """The OMS hears of units that came back: they serve the queue first. Shopify has them already: no movement."""
    numbers[IN_FLIGHT] += units
    numbers[COUNT] += units
    serve(numbers)
    numbers[CHANGED] |= units > 0


def step(kind: int, numbers: Units, units: Units, variants: Variants) -> None:
    """A field of the rules goes up or down by units sold."""
    if kind in (UNSEEN_BY, FRESH_BY):
        units = np.where(variants.realtime, 0, units)
    elif kind in (UNHEARD_BY, LIVE_BY):
        units = np.where(variants.realtime, units, 0)
    numbers[STEPS[kind]] += units


def serve(numbers: Units) -> None:
    """What is in stock goes to orders that wait."""
    served = np.minimum(numbers[COUNT], numbers[QUEUE])
    numbers[COUNT] -= served
    numbers[QUEUE] -= served


def move(numbers: Units, units: Units) -> Units:
    """The OMS's own movements: units in, which serve the queue first, or what is really left out."""
    left = numbers[COUNT] - numbers[QUEUE] - numbers[IN_FLIGHT]
    moved: Units = np.maximum(units, -np.maximum(left, 0))
    numbers[COUNT] += moved
    numbers[MOVED] += moved
    serve(numbers)
    numbers[CHANGED] = 1
    return moved


def review(numbers: Units, reorder: Units, up_to: Units) -> None:
    """Where the OMS's number is below the reorder point, order up to the level."""
    own = numbers[COUNT] - numbers[QUEUE]
    numbers[ORDERED] = np.where(own < reorder, up_to - own, 0)


def arrive(numbers: Units) -> Units:
    """What was ordered at the review comes in."""
    changed = numbers[CHANGED] | (numbers[ORDERED] > 0)
    moved = move(numbers, numbers[ORDERED])
    numbers[ARRIVED], numbers[ORDERED], numbers[CHANGED] = moved, 0, changed
    return moved


def looked_at(kind: int, numbers: Units, variants: Variants, line: Units, sold: Units) -> Flags:
    """Whether the job, the hard sync or the webhook looks at the pair in each variant."""
    if kind == HARD:
        return np.broadcast_to(variants.hard_sync, numbers[COUNT].shape)
    if kind == HOOK:
        of_sale = sold[np.maximum(line, 0)] > 0 if len(sold) else np.False_
        news = np.where(line[:, None] >= 0, of_sale, (line[:, None] == OWN) | (numbers[ARRIVED] > 0))
        heard: Flags = np.where(line[:, None] == DEFERRED, flagged(numbers, WAITING), news)
        return variants.realtime & heard
    work: Flags = np.where(variants.deltas, numbers[MOVED] != 0, numbers[CHANGED] != 0)
    return variants.batched & work


def flagged(numbers: Units, field: int) -> Flags | np.bool_:
    """Where a field is above 0 that is there only where orders live."""
    return numbers[field] > 0 if len(numbers) > PLAIN else np.False_


def write(numbers: Units, looks: Flags, is_job: bool, variants: Variants, pair: Units) -> None:
    """Deltas push the OMS's own movements; all else resets to the target, which covers them. Hard syncs subtract.

    Where the rule has the witness, a raise waits while a change is fresh; a lower number is written at once.
    """
    safety, buffer = variants.safety[pair], variants.buffer[pair]
    now = atp(numbers[COUNT], numbers[QUEUE], safety)
    pushed = numbers[SHOWN] + now - atp(numbers[COUNT] - numbers[MOVED], numbers[QUEUE], safety)
    subtracts, pushes = (variants.subtracts, variants.deltas) if is_job else (True, False)
    counted = subtracted(numbers, variants.by_header & is_job)
    reset = target(now - np.where(subtracts, counted, 0), buffer)
    waits = looks & (variants.witness | (not is_job)) & (reset > numbers[SHOWN]) & flagged(numbers, FRESH)
    writes = looks & ~waits
    numbers[SHOWN] = np.where(writes, np.where(pushes, pushed, reset), numbers[SHOWN])
    numbers[MOVED] = np.where(writes, 0, numbers[MOVED])
    if is_job:
        numbers[CHANGED] = waits
    elif len(numbers) > PLAIN:
        numbers[WAITING] = np.where(looks, waits, numbers[WAITING])


def subtracted(numbers: Units, by_header: Flags) -> Units:
    """The units in flight as each rule counts them: by order header, or sold less booked with the witness."""
    units: Units = numbers[IN_FLIGHT]
    if len(numbers) > PLAIN:
        units = units + numbers[UNRELEASED] - np.where(by_header, numbers[MISSED], numbers[UNSEEN])
    return units
