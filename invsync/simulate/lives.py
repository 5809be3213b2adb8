"""What happens to some orders after they are placed, as events of their pairs."""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from invsync.simulate import engine
from invsync.simulate.history import DAY_MINUTES
from invsync.simulate.scenario import Lives, Scenario

# Minutes after the order was placed; for edits and returns, after its import.
SHIPPED_AFTER, REFUNDED_AFTER, CANCELLED_AFTER, EDITED_AFTER, RETURNED_AFTER = 2, 30, 40, 20, 3 * DAY_MINUTES
RESTOCKED_AFTER = {"refunded": REFUNDED_AFTER, "cancelled": CANCELLED_AFTER, "returned": RETURNED_AFTER}
Parts = list[tuple[int, pl.DataFrame]]  # a kind of event, and its rows (pair, at, units, line)


@dataclass(frozen=True)
class LifeEvents:
    """The lines that were added to orders, with the columns of the lines placed, and the events of all lives."""

    added: pl.DataFrame
    parts: Parts


def life(order: pl.Series, lives: Lives, rng: np.random.Generator) -> pl.Series:
    """The life of each line's order, or null: the first life that is drawn, with one draw an order and life."""
    shares = asdict(lives)
    number = order.to_numpy()
    drawn = rng.random((len(shares), int(number.max(initial=0)) + 1)) < np.array([*shares.values()])[:, None]
    first = np.where(drawn.any(axis=0), drawn.argmax(axis=0), len(shares))
    return pl.Series([*shares, None], dtype=pl.String).gather(first[number])


def life_events(placed: pl.DataFrame, scenario: Scenario, *, days: int, realtime: bool) -> LifeEvents:
    """The events that follow from the lines `placed`.

    Its columns are at, order, pair, units, line, the life of the order, and minutes: `imported` into the OMS, `heard`
    by webhook (null: never), and `again`, the delay with which the OMS learns of later changes.
    """
    added, searched = _added(placed), pl.col("at") + scenario.search_lag
    parts = [
        *_between(engine.MISSED_BY, placed, pl.col("at"), searched),
        *_between(engine.MISSED_BY, added, pl.col("at"), pl.col("imported")),
        *_unseen(engine.UNSEEN_BY, engine.FRESH_BY, placed, searched, scenario.settle),
        *_restocked(placed, days),
    ]
    if realtime:
        seen = pl.min_horizontal(searched, "heard")
        parts += _unseen(engine.UNHEARD_BY, engine.LIVE_BY, placed, seen, scenario.settle)
    return LifeEvents(added, parts)


def _first() -> pl.Expr:
    """The first line of each order."""
    return pl.col("order").is_first_distinct()


def _added(placed: pl.DataFrame) -> pl.DataFrame:
    """A unit added to the first line of each edited order, as a line of its own, which the OMS learns of a lag later."""
    edited = placed.filter(pl.col("life") == "edited", _first())
    at = pl.col("imported") + EDITED_AFTER
    line = placed.height + pl.int_range(pl.len())
    return edited.with_columns(at=at, units=pl.lit(1, pl.Int64), line=line, imported=at + pl.col("again"))


def _unseen(kind: int, fresh: int, placed: pl.DataFrame, seen: pl.Expr, settle: float) -> Parts:
    """Steps of the units that are not committed while their order is not seen, and of the changes that are fresh."""
    at = pl.col("at")
    off = pl.when(pl.col("life") == "till").then(at).when(pl.col("life") == "shipped_early").then(at + SHIPPED_AFTER)
    changes = placed.with_columns(units=pl.lit(1, pl.Int64))
    return [*_between(kind, placed, off, seen), *_between(fresh, changes, off, pl.min_horizontal(off + settle, seen))]


def _restocked(placed: pl.DataFrame, days: int) -> Parts:
    """Units that return to Shopify and are released in the OMS a lag later: one of the first line, or all of each."""
    every = pl.col("life") == "cancelled"
    since = pl.when(pl.col("life") == "returned").then("imported").otherwise("at")
    wait = pl.col("life").replace_strict(RESTOCKED_AFTER, default=None, return_dtype=pl.Float64)
    rows = placed.filter(wait.is_not_null(), every | _first()).with_columns(
        at=since + wait, units=pl.when(every).then("units").otherwise(1)
    )
    rows = rows.filter(pl.col("at") < days * DAY_MINUTES)
    released = pl.max_horizontal(pl.col("at") + pl.col("again"), "imported")
    booked = pl.max_horizontal("at", "imported")
    return [
        (engine.RESTOCK, rows),
        (engine.RELEASE, rows.with_columns(at=released)),
        *_between(engine.UNRELEASED_BY, rows, booked, released),
    ]


def _between(kind: int, rows: pl.DataFrame, first: pl.Expr, after: pl.Expr) -> Parts:
    """Steps up by the units at the time `first` and down at `after`; none where `after` is not later."""
    both = rows.with_columns(first=first, after=after).filter(pl.col("first") < pl.col("after"))
    return [(kind, both.with_columns(at="first")), (kind, both.with_columns(-pl.col("units"), at="after"))]
