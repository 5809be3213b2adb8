"""The numbers of all pairs in two systems, moved by their events: the same rank of every pair at once.

For each pair and variant (a column), the OMS has a count and a queue, and Shopify shows a number. `in_flight` are the
units sold on Shopify that the OMS does not know, less those back in Shopify that the OMS still holds. What is really
left is count - queue - in_flight, negative if more was sold than there was.

A rule may subtract another number than `in_flight`. `unreleased` units are back in Shopify, while the OMS still holds
them for their order: every reset hides them. `missed` units are in flight, but the rule by header does not subtract
them. `unseen` units are neither committed nor of a visible order, so the witness does not subtract them. `fresh`
counts changes of what is on hand that no visible order explains: while there are any, the rule with the witness raises
no number.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from invsync.simulate.targets import atp, target

Units = NDArray[np.int32]
Flags = NDArray[np.bool_]
# The kinds of events, in the order in which they happen within one minute.
OPEN, ARRIVE, MOVE, SALE, IMPORT, RESTOCK, RELEASE = range(7)
UNRELEASED_BY, MISSED_BY, UNSEEN_BY, FRESH_BY, UNHEARD_BY, LIVE_BY = range(7, 13)
EDIT, HOOK, JOB, HARD, REVIEW = range(13, 18)
OWN, DELIVERY, DEFERRED = -1, -2, -3  # the cause of a webhook, if it is no sale: a movement, a delivery, a deferral
# The fields of a pair; the second row is there only if some orders have a life.
COUNT, QUEUE, IN_FLIGHT, SHOWN, MOVED, CHANGED, ORDERED, ARRIVED = range(8)
UNRELEASED, MISSED, UNSEEN, FRESH, WAITING = range(8, 13)
PLAIN, LIVELY = 8, 13
# The field that a step changes. The last two steps are those of real time, which sees an order with its webhook.
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
    """One entry an event, sorted by its rank within its pair and by kind.

    `line` is the number of its order line, or the cause of a webhook. `lines` is the number of order lines.
    """

    pair: Units
    at: NDArray[np.float64]
    kind: Units
    units: Units
    line: Units
    rank: Units
    lines: int


@dataclass(frozen=True)
class Variants:
    """How the job writes, shape (variants,), and what is held back, shape (pairs, variants)."""

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
        """The variants whose job subtracts units sold and not booked."""
        return self.subtracts & ~self.by_header


@dataclass(frozen=True)
class Levels:
    """The opening stock of each pair, its reorder point and its order-up-to level, shape (pairs, 1)."""

    opening: Units
    reorder: Units
    up_to: Units


@dataclass(frozen=True)
class Log:
    """After each event, shape (events, variants): the pair's numbers, the units moved, whether it was looked at."""

    count: Units
    queue: Units
    in_flight: Units
    shown: Units
    amount: Units
    looked: Flags


def run(events: Events, levels: Levels, variants: Variants) -> Log:
    """Apply all events, those of one rank and kind at once; Shopify's numbers are right before the first."""
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
            log[AMOUNT, here] = apply(kind, numbers, units, line, sold, variants)
        state[:, pair] = numbers
        log[:AMOUNT, here] = numbers[:AMOUNT]
    return Log(log[COUNT], log[QUEUE], log[IN_FLIGHT], log[SHOWN], log[AMOUNT], looked)


def apply(kind: int, numbers: Units, units: Units, line: Units, sold: Units, variants: Variants) -> Units | int:
    """Apply an event that writes nothing; return the units sold, moved or restocked in it.

    `sold` holds the units sold of each order line.
    """
    if kind == SALE:
        sold[line] = units = sell(numbers, units)
        return units
    if kind == MOVE:
        return move(numbers, units)
    if kind == ARRIVE:
        return arrive(numbers)
    if kind == IMPORT:
        download(numbers, sold[line])
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
    """Customers take what Shopify shows, up to the units that they want; return the units sold."""
    sold: Units = np.minimum(units, np.maximum(numbers[SHOWN], 0))
    numbers[SHOWN] -= sold
    numbers[IN_FLIGHT] += sold
    return sold


def download(numbers: Units, units: Units) -> None:
    """The OMS downloads order lines: it reserves what it can, and queues the rest."""
    reserved = np.minimum(numbers[COUNT], units)
    numbers[IN_FLIGHT] -= units
    numbers[COUNT] -= reserved
    numbers[QUEUE] += units - reserved
    numbers[CHANGED] |= units > 0


def restock(numbers: Units, units: Units, variants: Variants) -> Units:
    """A refund, a cancellation or a return puts units back into Shopify; a job that reads orders looks at the pair."""
    numbers[SHOWN] += units
    numbers[IN_FLIGHT] -= units
    numbers[CHANGED] |= variants.witness & (units > 0)
    return units


def release(numbers: Units, units: Units) -> None:
    """The OMS learns of units that came back: they serve the queue first. Shopify has them already."""
    numbers[IN_FLIGHT] += units
    numbers[COUNT] += units
    serve(numbers)
    numbers[CHANGED] |= units > 0


def step(kind: int, numbers: Units, units: Units, variants: Variants) -> None:
    """Add units sold to a field of the rules, or take them off it."""
    if kind in (UNSEEN_BY, FRESH_BY):
        units = np.where(variants.realtime, 0, units)
    elif kind in (UNHEARD_BY, LIVE_BY):
        units = np.where(variants.realtime, units, 0)
    numbers[STEPS[kind]] += units


def serve(numbers: Units) -> None:
    """Use the stock to serve orders that wait in the queue."""
    served = np.minimum(numbers[COUNT], numbers[QUEUE])
    numbers[COUNT] -= served
    numbers[QUEUE] -= served


def move(numbers: Units, units: Units) -> Units:
    """Move units in or out of the OMS; no more goes out than is really left. Return the units moved."""
    left = numbers[COUNT] - numbers[QUEUE] - numbers[IN_FLIGHT]
    moved: Units = np.maximum(units, -np.maximum(left, 0))
    numbers[COUNT] += moved
    numbers[MOVED] += moved
    serve(numbers)
    numbers[CHANGED] = 1
    return moved


def review(numbers: Units, reorder: Units, up_to: Units) -> None:
    """Order up to the level where the OMS's number is below the reorder point."""
    own = numbers[COUNT] - numbers[QUEUE]
    numbers[ORDERED] = np.where(own < reorder, up_to - own, 0)


def arrive(numbers: Units) -> Units:
    """Receive what was ordered at the review; return the units."""
    changed = numbers[CHANGED] | (numbers[ORDERED] > 0)
    moved = move(numbers, numbers[ORDERED])
    numbers[ARRIVED], numbers[ORDERED], numbers[CHANGED] = moved, 0, changed
    return moved


def looked_at(kind: int, numbers: Units, variants: Variants, line: Units, sold: Units) -> Flags:
    """The variants in which the job, the hard sync or the webhook looks at the pair."""
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
    """Where a field is above 0; a field of lives is 0 if no order has one."""
    return numbers[field] > 0 if len(numbers) > PLAIN else np.False_


def write(numbers: Units, looked: Flags, is_job: bool, variants: Variants, pair: Units) -> None:
    """Write Shopify's numbers of the pairs that were looked at.

    Deltas push the OMS's own movements; everything else resets to the target, which covers them. Hard syncs and
    webhooks subtract units in flight. With the witness, a raise waits while a change is fresh; a lower number is
    written at once.
    """
    safety, buffer = variants.safety[pair], variants.buffer[pair]
    now = atp(numbers[COUNT], numbers[QUEUE], safety)
    pushed = numbers[SHOWN] + now - atp(numbers[COUNT] - numbers[MOVED], numbers[QUEUE], safety)
    subtracts, pushes = (variants.subtracts, variants.deltas) if is_job else (True, False)
    counted = subtracted(numbers, variants.by_header & is_job)
    reset = target(now - np.where(subtracts, counted, 0), buffer)
    waits = looked & (variants.witness | (not is_job)) & (reset > numbers[SHOWN]) & flagged(numbers, FRESH)
    writes = looked & ~waits
    numbers[SHOWN] = np.where(writes, np.where(pushes, pushed, reset), numbers[SHOWN])
    numbers[MOVED] = np.where(writes, 0, numbers[MOVED])
    if is_job:
        numbers[CHANGED] = waits
    elif len(numbers) > PLAIN:
        numbers[WAITING] = np.where(looked, waits, numbers[WAITING])


def subtracted(numbers: Units, by_header: Flags) -> Units:
    """The units in flight as each rule counts them: by order header, or sold and not booked, with the witness."""
    units: Units = numbers[IN_FLIGHT]
    if len(numbers) > PLAIN:
        units = units + numbers[UNRELEASED] - np.where(by_header, numbers[MISSED], numbers[UNSEEN])
    return units
