"""Pairs of item and location in two systems, moved by their events: the same rank of every pair at once.

Per pair and variant (a column) the OMS has a count and a queue, Shopify a shown number, and `in_flight` are the units
sold on Shopify that the OMS does not know. What is truly left is count - queue - in_flight, negative where more was
sold than there was.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int32]
Flags = NDArray[np.bool_]
# Kinds of events, in the order in which they happen within one minute.
OPEN, ARRIVE, MOVE, SALE, IMPORT, EDIT, HOOK, JOB, HARD, REVIEW = range(10)
OWN, DELIVERY = -1, -2  # what a webhook follows if not a sale: a movement, or goods that came
FIELDS = ("count", "queue", "in_flight", "shown", "moved", "changed", "ordered", "arrived")
COUNT, QUEUE, IN_FLIGHT, SHOWN, MOVED, CHANGED, ORDERED, ARRIVED = range(8)
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
    batched: Flags
    hard_sync: Flags
    realtime: Flags
    safety: Units
    buffer: Units


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


def atp(count: Units, queue: Units, safety: Units) -> Units:
    """HotWax's online ATP of one facility."""
    found: Units = np.maximum(np.maximum(count - safety, 0) - queue, 0)
    return found


def target(free: Units, buffer: Units) -> Units:
    """What Shopify should show of the units that are free; the buffer is subtracted only down to 0."""
    found: Units = np.maximum(free - buffer, np.minimum(free, 0))
    return found


def run(events: Events, levels: Levels, variants: Variants) -> Log:
    """Every event, those of one rank and kind together; Shopify is right before the first."""
    width = len(variants.deltas)
    state = np.zeros((len(FIELDS), len(levels.opening), width), np.int32)
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
        if kind == SALE:
            log[AMOUNT, here] = sold[line] = sell(numbers, units)
        elif kind == IMPORT:
            learn(numbers, sold[line])
        elif kind == MOVE:
            log[AMOUNT, here] = move(numbers, units)
        elif kind == ARRIVE:
            log[AMOUNT, here] = arrive(numbers)
        elif kind == EDIT:
            numbers[SHOWN] += units
        elif kind == REVIEW:
            review(numbers, levels.reorder[pair], levels.up_to[pair])
        elif kind != OPEN:
            looked[here] = asked(kind, numbers, variants, line, sold)
            write(numbers, looked[here], kind == JOB, variants, pair)
        state[:, pair] = numbers
        log[:AMOUNT, here] = numbers[:AMOUNT]
    return Log(log[COUNT], log[QUEUE], log[IN_FLIGHT], log[SHOWN], log[AMOUNT], looked)


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


def move(numbers: Units, units: Units) -> Units:
    """The OMS's own movements: units in, which serve the queue first, or what is really left out."""
    left = numbers[COUNT] - numbers[QUEUE] - numbers[IN_FLIGHT]
    moved: Units = np.maximum(units, -np.maximum(left, 0))
    numbers[COUNT] += moved
    numbers[MOVED] += moved
    served = np.minimum(numbers[COUNT], numbers[QUEUE])
    numbers[COUNT] -= served
    numbers[QUEUE] -= served
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


def asked(kind: int, numbers: Units, variants: Variants, line: Units, sold: Units) -> Flags:
    """Whether the job, the hard sync or the webhook looks at the pair in each variant."""
    if kind == HARD:
        return np.broadcast_to(variants.hard_sync, numbers[COUNT].shape)
    if kind == HOOK:
        of_sale = sold[np.maximum(line, 0)] > 0 if len(sold) else np.False_
        told: Flags = np.where(line[:, None] >= 0, of_sale, (line[:, None] == OWN) | (numbers[ARRIVED] > 0))
        return variants.realtime & told
    work: Flags = np.where(variants.deltas, numbers[MOVED] != 0, numbers[CHANGED] != 0)
    return variants.batched & work


def write(numbers: Units, looks: Flags, is_job: bool, variants: Variants, pair: Units) -> None:
    """Deltas push the OMS's own movements; all else resets to the target, which covers them. Hard syncs subtract."""
    safety, buffer = variants.safety[pair], variants.buffer[pair]
    now = atp(numbers[COUNT], numbers[QUEUE], safety)
    pushed = numbers[SHOWN] + now - atp(numbers[COUNT] - numbers[MOVED], numbers[QUEUE], safety)
    subtracts, pushes = (variants.subtracts, variants.deltas) if is_job else (True, False)
    reset = target(now - np.where(subtracts, numbers[IN_FLIGHT], 0), buffer)
    numbers[SHOWN] = np.where(looks, np.where(pushes, pushed, reset), numbers[SHOWN])
    numbers[MOVED] = np.where(looks, 0, numbers[MOVED])
    if is_job:
        numbers[CHANGED] = 0
