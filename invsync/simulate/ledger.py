"""What a replay leaves behind in one table: a row an event, with what was sold, missed, put back and written in it."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from invsync.simulate import engine
from invsync.simulate.events import Drawn
from invsync.simulate.history import DAY_MINUTES

NUMBERS = ("count", "queue", "in_flight", "shown", "amount", "looked")
SUMS = ("requested", "sold", "oversold", "put_back", "lost_to_hidden", "lost_to_empty", "received", "removed", "writes")
STANDING = ("drift", "in_flight", "hidden", "beyond")


@dataclass(frozen=True)
class Stories:
    """The events of all variants by pair and time, each with the `until` of its pair's next; and their log's order."""

    rows: pl.DataFrame
    order: NDArray[np.uint32]


def stories(drawn: Drawn) -> Stories:
    """The events, pair by pair."""
    names = ("pair", "at", "kind", "units", "line", "rank")
    rows = pl.DataFrame({name: getattr(drawn.events, name) for name in names}).with_row_index("place")
    rows = rows.sort(pl.col("pair").cast(pl.Int64) * 2**32 + pl.col("rank"))
    last = pl.col("pair") != pl.col("pair").shift(-1, fill_value=-1)
    until = pl.when(last).then(pl.lit(float(drawn.days * DAY_MINUTES))).otherwise(pl.col("at").shift(-1))
    return Stories(rows.drop("place", "rank").with_columns(until=until), rows["place"].to_numpy())


def ledger(stories: Stories, log: engine.Log, variants: engine.Variants, number: int) -> pl.DataFrame:
    """One variant's events with the pair's numbers after each, the SUMS, and what stands (STANDING) until the next."""
    pair = stories.rows["pair"].to_numpy()
    numbers = {name: pl.Series(getattr(log, name)[stories.order, number]) for name in NUMBERS}
    held = {name: pl.Series(getattr(variants, name)[pair, number]) for name in ("safety", "buffer")}
    resets = pl.col("looked") & ((pl.col("kind") != engine.JOB) | ~pl.lit(bool(variants.deltas[number])))
    return (
        stories.rows.lazy()
        .with_columns(**numbers, **held)
        .with_columns(
            left=pl.col("count") - pl.col("queue") - pl.col("in_flight"), sold=_in(engine.SALE, "amount"),
            requested=_in(engine.SALE, "units"), moved=_in(engine.ARRIVE, "amount") + _in(engine.MOVE, "amount"),
            writes=(pl.col("looked") & (pl.col("shown") != pl.col("shown").shift(1))).cast(pl.Int32),
        )
        .with_columns(
            received=_floor(pl.col("moved")), removed=_floor(-pl.col("moved")), target=target(),
            had=_floor(pl.col("left") + pl.col("sold")), there=_floor(pl.col("left")), offered=_floor(pl.col("shown")),
        )
        .with_columns(
            oversold=_floor(pl.col("sold") - pl.col("had")), lost_to_hidden=_lost_to_hidden(),
            hidden=_floor(pl.col("there") - pl.col("offered")), beyond=_floor(pl.col("offered") - pl.col("there")),
            drift=(pl.col("shown") - pl.col("target")).abs(),
        )
        .with_columns(
            lost_to_empty=pl.col("requested") - pl.col("sold") - pl.col("lost_to_hidden"),
            put_back=pl.when(resets).then(pl.min_horizontal("in_flight", "beyond")).otherwise(0),
        )
        .collect()
    )  # fmt: skip


def target() -> pl.Expr:
    """What the one equation would have Shopify show, orders in flight subtracted."""
    atp = _floor(_floor(pl.col("count") - pl.col("safety")) - pl.col("queue"))
    free = atp - pl.col("in_flight")
    return pl.max_horizontal(free - pl.col("buffer"), pl.min_horizontal(free, pl.lit(0)))


def _lost_to_hidden() -> pl.Expr:
    missed = pl.col("requested") - pl.col("sold")
    return pl.min_horizontal(missed, _floor(pl.col("had") - pl.col("sold")))


def _in(kind: int, column: str) -> pl.Expr:
    return pl.when(pl.col("kind") == kind).then(column).otherwise(0)


def _floor(units: pl.Expr) -> pl.Expr:
    return units.clip(lower_bound=0)


def day_ends(ledger: pl.DataFrame, days: int) -> pl.DataFrame:
    """One row a day: what stands at its end, over all pairs, and the units oversold and the numbers written in it."""
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
