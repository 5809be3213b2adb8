"""The ledger of a replay: a row an event, with the units sold, missed, put back and written in it."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from invsync.simulate import engine, targets
from invsync.simulate.events import Drawn
from invsync.simulate.history import DAY_MINUTES

NUMBERS = ("count", "queue", "in_flight", "shown", "amount")
MOVING = [engine.ARRIVE, engine.MOVE]
SUMS = (
    "requested",
    "sold",
    "oversold",
    "put_back",
    "lost_to_hidden",
    "lost_to_empty",
    "received",
    "removed",
    "restocked",
    "writes",
)
STANDING = ("drift", "in_flight", "hidden", "beyond")


@dataclass(frozen=True)
class Timeline:
    """The events by pair and time, shared by all variants.

    `until` is the time of the pair's next event. `order` gives the place of each row in the log.
    """

    rows: pl.DataFrame
    order: NDArray[np.uint32]

    @classmethod
    def of(cls, drawn: Drawn) -> "Timeline":
        """The drawn events, pair by pair."""
        names = ("pair", "at", "kind", "units", "line", "rank")
        rows = pl.DataFrame({name: getattr(drawn.events, name) for name in names}).with_row_index("place")
        rows = rows.sort(pl.col("pair").cast(pl.Int64) * 2**32 + pl.col("rank"))
        last = pl.col("pair") != pl.col("pair").shift(-1, fill_value=-1)
        until = pl.when(last).then(pl.lit(float(drawn.days * DAY_MINUTES))).otherwise(pl.col("at").shift(-1))
        return cls(rows.drop("place", "rank").with_columns(until=until), rows["place"].to_numpy())


def ledger_columns(
    timeline: Timeline, log: engine.Log, variants: engine.Variants, number: int
) -> dict[str, engine.Units]:
    """The ledger's columns of one variant: a pair's NUMBERS after each event, the SUMS, and the STANDING numbers."""
    count, queue, in_flight, shown, amount = (getattr(log, name)[timeline.order, number] for name in NUMBERS)
    looked = log.looked[timeline.order, number]
    pair, kind, demand = (timeline.rows[name].to_numpy() for name in ("pair", "kind", "units"))
    sale, moved = kind == engine.SALE, np.where(np.isin(kind, MOVING), amount, 0)
    left, sold, requested = count - queue - in_flight, np.where(sale, amount, 0), np.where(sale, demand, 0)
    there, offered, had = (np.maximum(units, 0) for units in (left, shown, left + sold))
    hidden, beyond = np.maximum(there - offered, 0), np.maximum(offered - there, 0)
    lost_to_hidden = np.minimum(requested - sold, np.maximum(had - sold, 0))
    change, is_push = np.diff(shown, prepend=0), (kind == engine.JOB) & variants.deltas[number]
    defers = (variants.witness | variants.hard_sync | variants.realtime)[number]
    resets = looked & ~is_push & ((change > 0) | ~defers)
    atp = targets.atp(count, queue, variants.safety[pair, number])
    target = targets.target(atp - in_flight, variants.buffer[pair, number])
    return {
        "count": count,
        "queue": queue,
        "in_flight": in_flight,
        "shown": shown,
        "left": left,
        "looked": looked,
        "requested": requested,
        "sold": sold,
        "oversold": np.maximum(sold - had, 0),
        "put_back": np.where(resets, np.clip(in_flight, 0, beyond), 0),
        "lost_to_hidden": lost_to_hidden,
        "lost_to_empty": requested - sold - lost_to_hidden,
        "received": np.maximum(moved, 0),
        "removed": np.maximum(-moved, 0),
        "restocked": np.where(kind == engine.RESTOCK, amount, 0),
        "writes": (looked & (change != 0)).astype(np.int32),
        "hidden": hidden,
        "beyond": beyond,
        "drift": np.abs(shown - target),
    }


def is_conserved(timeline: Timeline, log: engine.Log, opening: engine.Units) -> bool:
    """Whether, in every pair and variant, units sold and not given back + units left = units stocked."""
    kind, amount = timeline.rows["kind"], log.amount[timeline.order]
    sold, moved = (kind.is_in(kinds).to_numpy()[:, None] for kinds in ([engine.SALE], MOVING))
    back = (kind == engine.RESTOCK).to_numpy()[:, None]
    firsts = np.flatnonzero(np.diff(timeline.rows["pair"].to_numpy(), prepend=-1))
    stocked = opening + np.add.reduceat(np.where(moved, amount, 0), firsts)
    ends = np.append(firsts[1:], len(amount)) - 1
    left = (log.count - log.queue - log.in_flight)[timeline.order[ends]]
    return np.array_equal(np.add.reduceat(np.where(sold, amount, np.where(back, -amount, 0)), firsts) + left, stocked)


def day_ends(ledger: pl.DataFrame, days: int) -> pl.DataFrame:
    """One row a day: the STANDING numbers at its end, oversold units and writes during it, over all pairs."""
    first, next_ = (((pl.col(name) / DAY_MINUTES).ceil() - 1).clip(0).cast(pl.Int64) for name in ("at", "until"))
    last = pl.col("pair") != pl.col("pair").shift(-1, fill_value=-1)
    after = pl.when(last).then(days).otherwise(next_)
    stands = ledger.lazy().select(*STANDING, first=first, after=after).filter(pl.col("first") < pl.col("after"))
    begins = stands.select(*STANDING, day="first")
    ends = stands.select(*(-pl.col(name).cast(pl.Int64) for name in STANDING), day="after")
    steps = pl.concat([begins, ends], how="vertical_relaxed").group_by("day").agg(pl.col(STANDING).sum())
    within = ledger.lazy().group_by(day=first).agg(pl.col("oversold", "writes").sum())
    every = pl.LazyFrame({"day": range(days)})
    rows = every.join(steps, on="day", how="left").join(within, on="day", how="left").fill_null(0).sort("day")
    return rows.with_columns(pl.col(STANDING).cum_sum()).collect()
