"""The events of a scenario, by pair and time: the history with everything that is drawn with the seed."""

from collections.abc import Set
from dataclasses import dataclass
from math import ceil

import numpy as np
import polars as pl

from invsync.simulate import engine, lives
from invsync.simulate.history import DAY_MINUTES, LINES, MOVES, History
from invsync.simulate.scenario import Scenario

HARD_SYNC_AT, REVIEW_AT, EDITS_FROM, EDITS_FOR = 180, 360, 480, 600  # minutes of the day
PEAK_SPREAD = 30  # the most minutes between an order that a peak adds and the real one
LARGEST_EDIT = 10
BATCHED = {"reset", "reset_by_header", "reset_in_flight", "deltas", "deltas_and_hard_sync"}
KINDS = 32
COPIES, SHIFTS, STORES, LAGS, HEARD, EDITS, LIVES, LAGS_AGAIN = range(8)
IN_THE_OMS = [engine.IMPORT, engine.MOVE, engine.ARRIVE, engine.RELEASE]
IN_BOTH = [engine.SALE, engine.MOVE, engine.ARRIVE, engine.RESTOCK, engine.RELEASE]  # each has a webhook
EVENTS = {"pair": pl.Int32, "at": pl.Float64, "kind": pl.Int32, "units": pl.Int32, "line": pl.Int32}


@dataclass(frozen=True)
class Drawn:
    """The events, the order lines (LINES) that they name by number, and the days that they span."""

    events: engine.Events
    lines: pl.DataFrame
    days: int


def drawn(history: History, scenario: Scenario, policies: Set[str]) -> Drawn:
    """The events of a scenario under all of these policies.

    Each knob has its own random stream, so that turning one does not change the draws of another.
    """
    lines, stores = orders(history, scenario)
    placed = lines.with_columns(line=pl.int_range(pl.len()), imported=pl.col("at") + _lags(lines, scenario, LAGS))
    living = _life_events(placed, scenario, history.days, "realtime" in policies)
    sales = pl.concat([placed, living.added.select(placed.columns)])
    imports = sales.select("pair", "line", at="imported", units=0)
    parts = [
        _events(engine.OPEN, pl.DataFrame({"pair": range(history.stock.height), "at": 0})),
        _events(engine.SALE, sales),
        _events(engine.IMPORT, imports),
        _events(engine.MOVE, pl.concat([history.moves, stores])),
        _events(engine.EDIT, _edits(history, scenario)),
        *(_events(kind, rows) for kind, rows in living.parts),
    ]
    latest = float(pl.concat(parts)["at"].to_numpy().max(initial=history.days * DAY_MINUTES))
    days = ceil((latest + scenario.cadence) / DAY_MINUTES)
    parts += _deliveries(history, pl.concat(parts[2:4]))
    parts += _writes(scenario, policies, parts)
    return Drawn(_ranked(pl.concat(parts), sales.height), sales.select(list(LINES)), days)


def _life_events(placed: pl.DataFrame, scenario: Scenario, days: int, realtime: bool) -> lives.LifeEvents:
    """What happens to orders after they are placed, with random streams of its own."""
    if not scenario.lives.any and not scenario.search_lag:
        return lives.LifeEvents(placed.head(0), [])
    known = placed.with_columns(
        life=lives.life(placed["order"], scenario.lives, _rng(scenario, LIVES)),
        again=_lags(placed, scenario, LAGS_AGAIN),
        heard=pl.when(_heard(placed, scenario)).then(pl.col("at") + scenario.delivery),
    )
    return lives.life_events(known, scenario, days=days, realtime=realtime)


def _ranked(events: pl.DataFrame, lines: int) -> engine.Events:
    ordered = events.sort("pair", "at", "kind", maintain_order=True)
    first = pl.col("pair") != pl.col("pair").shift(1, fill_value=-1)
    place = pl.int_range(pl.len(), dtype=pl.Int32)
    ranked = ordered.with_columns(rank=place - pl.when(first).then(place).forward_fill())
    ranked = ranked.sort(pl.col("rank") * KINDS + pl.col("kind"), maintain_order=True)
    return engine.Events(**{name: ranked[name].to_numpy() for name in (*EVENTS, "rank")}, lines=lines)


def _events(kind: int, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with pair and at as EVENTS of one kind; units and line have defaults."""
    defaults = {"units": 0, "line": engine.OWN}
    missing = {name: pl.lit(value) for name, value in defaults.items() if name not in rows.columns}
    return rows.with_columns(kind=pl.lit(kind), **missing).select(
        pl.col(name).cast(dtype) for name, dtype in EVENTS.items()
    )


def _rng(scenario: Scenario, knob: int) -> np.random.Generator:
    return np.random.default_rng((scenario.seed, knob))


def orders(history: History, scenario: Scenario) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The LINES of the shop's orders, and the MOVES of what stores sold.

    A peak adds copies of orders within half an hour of the real ones.
    """
    known, copies = int(history.lines["order"].max() or 0) + 1, ceil(scenario.peak)  # type: ignore[arg-type]
    order = history.lines["order"].to_numpy()
    last = _rng(scenario, COPIES).random(known) < scenario.peak - (copies - 1)
    shifts = _rng(scenario, SHIFTS).uniform(-PEAK_SPREAD, PEAK_SPREAD, (copies, known))
    stores = _rng(scenario, STORES).random((copies, known)) < scenario.pos_share
    parts = [history.lines.head(0).with_columns(store=pl.lit(False))]
    for copy in range(copies):
        moment = (pl.col("at") + pl.Series(shifts[copy][order])).floor().clip(lower_bound=0) if copy else pl.col("at")
        rows = history.lines.with_columns(
            at=moment, order=pl.col("order") + copy * known, store=pl.Series(stores[copy][order])
        )
        parts.append(rows.filter(pl.Series(last[order])) if copy == copies - 1 else rows)
    both = pl.concat(parts)
    taken = both.filter("store").select("at", "pair", -pl.col("units"))
    return both.filter(~pl.col("store")).select(list(LINES)), taken.select(list(MOVES))


def _lags(lines: pl.DataFrame, scenario: Scenario, knob: int) -> pl.Series:
    """Minutes until the OMS learns of each line's order, which is not before the order search shows it."""
    order, lags = lines["order"].to_numpy(), np.sort(scenario.lag).clip(scenario.search_lag)
    draws = _rng(scenario, knob).random(int(order.max(initial=0)) + 1)[order]
    return pl.Series(lags[(draws * len(lags)).astype(np.int64)], dtype=pl.Float64)


def _edits(history: History, scenario: Scenario) -> pl.DataFrame:
    rng = _rng(scenario, EDITS)
    number = int(rng.poisson(scenario.edits * history.days))
    at = rng.integers(0, history.days, number) * DAY_MINUTES + EDITS_FROM + rng.integers(0, EDITS_FOR, number)
    units = rng.integers(1, LARGEST_EDIT + 1, number) * rng.choice([-1, 1], number)
    return pl.DataFrame({"pair": rng.integers(0, history.stock.height, number), "at": at, "units": units})


def _deliveries(history: History, moved: pl.DataFrame) -> list[pl.DataFrame]:
    """Reviews of the pairs whose number moved before, and the deliveries after them."""
    if history.rule is None:
        return []
    every, lead = history.rule.review_days * DAY_MINUTES, history.rule.lead_days * DAY_MINUTES
    reviews = _next(moved, every, REVIEW_AT).filter(pl.col("at") >= every)
    reviews = reviews.filter(pl.col("at") + lead < history.days * DAY_MINUTES)
    arrivals = reviews.with_columns(at=pl.col("at") + lead, line=pl.lit(engine.DELIVERY))
    return [_events(engine.REVIEW, reviews), _events(engine.ARRIVE, arrivals)]


def _writes(scenario: Scenario, policies: Set[str], parts: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The runs of jobs that look at a pair because something happened to it, and the webhooks that arrive."""
    happened = pl.concat(parts)
    writes = []
    if policies & BATCHED:
        touched = happened.filter(pl.col("kind").is_in([*IN_THE_OMS, engine.RESTOCK, engine.FRESH_BY]))
        writes.append(_events(engine.JOB, _next(touched, scenario.cadence)))
    if "deltas_and_hard_sync" in policies:
        writes.append(_events(engine.HARD, _next(happened, DAY_MINUTES, HARD_SYNC_AT)))
    if "realtime" in policies:
        noticed = happened.filter(pl.col("kind").is_in(IN_BOTH))
        heard = noticed.filter(_heard(noticed, scenario))
        writes.append(_events(engine.HOOK, heard.with_columns(pl.col("at") + scenario.delivery, units=0)))
        settled = happened.filter(pl.col("kind") == engine.LIVE_BY, pl.col("units") < 0)
        writes.append(_events(engine.HOOK, settled.with_columns(line=pl.lit(engine.DEFERRED), units=0)))
    return writes


def _heard(rows: pl.DataFrame, scenario: Scenario) -> pl.Series:
    """Whether each row's webhook arrives; the lines placed are the first rows."""
    return pl.Series(_rng(scenario, HEARD).random(rows.height) >= scenario.loss)


def _next(rows: pl.DataFrame, every: float, offset: float = 0) -> pl.DataFrame:
    """Each pair with the next times of a schedule, at or after each of its rows."""
    at = ((pl.col("at") - offset) / every).ceil() * every + offset
    return rows.select("pair", at=at).unique(maintain_order=True)
