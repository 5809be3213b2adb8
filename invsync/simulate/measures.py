"""Replay a history under scenarios and measure the results; each measure is defined in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from invsync.errors import UsageError
from invsync.simulate import costs, engine
from invsync.simulate.events import BATCHED, Drawn, drawn
from invsync.simulate.history import DAY_MINUTES, History
from invsync.simulate.ledger import SUMS, Timeline, day_ends, is_conserved, ledger_columns
from invsync.simulate.scenario import Scenario

MEASURES = {
    "requested": "Units that customers asked for in the shop.",
    "sold": "Units that the shop sold.",
    "oversold": "Units sold when nothing was left: someone must be disappointed.",
    "orders_touched": "Orders with at least one oversold unit.",
    "put_back": "Units of orders that the OMS did not know, in the number that a reset made Shopify show; counted at "
    "each reset that shows them, and where units sold and not booked are subtracted, at each that raises the number.",
    "restocked": "Units that a refund, a cancellation or a return gave back to Shopify.",
    "lost_to_hidden": "Units asked for and not sold although they were there: Shopify showed too few.",
    "lost_to_empty": "Units asked for and not sold because there were none.",
    "hidden": "Units that were there and not shown: the mean over time, all pairs together.",
    "beyond": "Units that were shown and not there: the mean over time, all pairs together.",
    "drift": "Units between Shopify's number and the target, too many or too few: the mean over the ends of the days.",
    "drift_end": "The same at the end of the last day.",
    "writes": "Numbers changed in Shopify.",
    "runs": "Runs of the jobs or, in real time, minutes in which a webhook was answered.",
    "calls": "API calls: levels and orders read, lines written, levels read back.",
    "points": "What those calls cost in Shopify's points.",
}
MEANS = ("hidden", "beyond")
LEVELS = ("opening", "reorder", "up_to")
CELLS = 16_000_000  # events times variants replayed at once: about half a gigabyte


@dataclass(frozen=True)
class Replay:
    """The result of one scenario.

    `columns` are the ledger's columns beside the events of `timeline`, `lines` the order lines that the events name by
    number, `stock` the pairs by number. The replay spans `days` from `start`.
    """

    scenario: Scenario
    timeline: Timeline
    columns: Mapping[str, engine.Units]
    lines: pl.DataFrame
    stock: pl.DataFrame
    start: datetime
    days: int

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """One row an event, by pair and time, with all numbers after it."""
        return self.timeline.rows.with_columns(**{name: pl.Series(values) for name, values in self.columns.items()})

    def sums(self) -> dict[str, float]:
        """The measures that are sums over events or means over time, in units over all pairs."""
        until, at = (self.timeline.rows[name].to_numpy() for name in ("until", "at"))
        spent = (until - at) / (self.days * DAY_MINUTES)
        sums = {name: int(self.columns[name].sum(dtype=np.int64)) for name in SUMS}
        return sums | {name: float((self.columns[name] * spent).sum()) for name in MEANS}

    def by_pair(self, name: str) -> NDArray[np.float64]:
        """The sum of one of SUMS by pair, shape (pairs,), in units."""
        pair = self.timeline.rows["pair"].to_numpy()
        units = self.columns[name].astype(np.float64)
        return np.bincount(pair, weights=units, minlength=self.stock.height).astype(np.float64)

    def pairs(self) -> pl.DataFrame:
        """One row a pair: its opening stock, its sums, what is left at the end, and its means over time, in units."""
        sums = [pl.col(SUMS).sum().cast(pl.Int64), pl.last("left").cast(pl.Int64).alias("at_the_end")]
        rows = self.ledger.set_sorted("pair").group_by("pair", maintain_order=True)
        spent = (pl.col("until") - pl.col("at")) / (self.days * DAY_MINUTES)
        means = {name: (pl.col(name) * spent).sum() for name in MEANS}
        measured = rows.agg(*sums, **means).rename({"at_the_end": "left"})
        return pl.concat([self.stock.select("sku", stocked="opening"), measured.drop("pair")], how="horizontal")

    def by_day(self) -> pl.DataFrame:
        """One row a day: drift, in_flight, hidden and beyond at its end, oversold and writes during it."""
        date = pl.lit(self.start.date()) + pl.duration(days=pl.col("day"))
        return day_ends(self.ledger, self.days).with_columns(day=date)

    def totals(self) -> dict[str, float]:
        """Each of MEASURES."""
        days, runs = self.by_day(), costs.runs(self.scenario, self.ledger, self.lines, days=self.days)
        oversold = self.ledger.filter(pl.col("oversold") > 0)["line"]
        measures = self.sums() | {"orders_touched": self.lines["order"].gather(oversold).n_unique()}
        measures |= days.select(pl.mean("drift"), drift_end=pl.last("drift")).row(0, named=True)
        measures |= runs.select(pl.col("calls", "points").sum(), runs=pl.len()).row(0, named=True)
        return {name: measures[name] for name in MEASURES}


class Watch(Protocol):
    """Passes replays on, `total` in all, and may show how many are made."""

    def __call__(self, made: Iterator[Replay], total: int, /) -> Iterator[Replay]:
        """The same replays."""
        ...


def unwatched(made: Iterator[Replay], total: int) -> Iterator[Replay]:
    """The replays as they are."""
    return made


BufferTable = pl.DataFrame | None  # (sku, units), 0 for a SKU without a row; None: the scenario's buffer at each pair


def replay(history: History, scenario: Scenario, *, buffers: BufferTable = None) -> Replay:
    """Replay the history under one scenario; a table of `buffers` (sku, units) replaces the scenario's buffer."""
    return next(replays(history, [scenario], buffers=[buffers]))


def replays(
    history: History, scenarios: Sequence[Scenario], *, buffers: Sequence[BufferTable] | None = None
) -> Iterator[Replay]:
    """One Replay a scenario, each with its table of buffers.

    Scenarios that draw the same events are replayed together. Raises a UsageError for a table that names a SKU twice.
    """
    groups: dict[Scenario, list[tuple[Scenario, BufferTable]]] = {}
    for scenario, table in zip(scenarios, buffers or [None] * len(scenarios), strict=True):
        groups.setdefault(replace(scenario, policy="none", buffer=0, safety=0), []).append((scenario, table))
    for shared, group in groups.items():
        events = drawn(history, shared, {scenario.policy for scenario, _ in group})
        timeline = Timeline.of(events)
        size = max(1, CELLS // len(events.events.pair))
        for first in range(0, len(group), size):
            yield from _replays(history, group[first : first + size], events, timeline)


def _replays(
    history: History, scenarios: Sequence[tuple[Scenario, BufferTable]], events: Drawn, timeline: Timeline
) -> Iterator[Replay]:
    stock = history.stock
    opening, reorder, up_to = (stock[name].cast(pl.Int32).to_numpy()[:, None] for name in LEVELS)
    variants = _variants(stock, scenarios)
    log = engine.run(events.events, engine.Levels(opening, reorder, up_to), variants)
    assert is_conserved(timeline, log, opening), "units were made or lost in the replay"
    for number, (scenario, _) in enumerate(scenarios):
        columns = ledger_columns(timeline, log, variants, number)
        yield Replay(scenario, timeline, columns, events.lines, stock, history.start, events.days)


def _variants(stock: pl.DataFrame, scenarios: Sequence[tuple[Scenario, BufferTable]]) -> engine.Variants:
    def are(policies: set[str]) -> engine.Flags:
        return np.array([scenario.policy in policies for scenario, _ in scenarios])

    safety = np.array([[scenario.safety for scenario, _ in scenarios]] * stock.height, np.int32)
    buffer = np.stack([_buffer(stock, scenario, table) for scenario, table in scenarios], axis=1)
    return engine.Variants(
        deltas=are({"deltas", "deltas_and_hard_sync"}),
        subtracts=are({"reset_by_header", "reset_in_flight"}),
        by_header=are({"reset_by_header"}),
        batched=are(BATCHED),
        hard_sync=are({"deltas_and_hard_sync"}),
        realtime=are({"realtime"}),
        safety=safety,
        buffer=buffer,
    )


def _buffer(stock: pl.DataFrame, scenario: Scenario, table: BufferTable) -> engine.Units:
    if table is None:
        return np.full(stock.height, scenario.buffer, np.int32)
    if table["sku"].is_duplicated().any():
        raise UsageError("The table of buffers names a SKU twice: give each SKU one row.")
    rows = stock.join(table.select("sku", "units"), on="sku", how="left", maintain_order="left")
    return rows["units"].fill_null(0).cast(pl.Int32).to_numpy()


def grid(history: History, scenarios: Sequence[Scenario], *, watch: Watch = unwatched) -> pl.DataFrame:
    """One row a scenario: its knobs, with the mean lag and a column for each life, and its `Replay.sums`."""
    made = watch(replays(history, scenarios), len(scenarios))
    return pl.DataFrame([_knobs(one.scenario) | one.sums() for one in made])


def _knobs(scenario: Scenario) -> dict[str, str | float]:
    knobs = asdict(scenario)
    lives: dict[str, float] = knobs.pop("lives")
    return knobs | {"lag": scenario.mean_lag} | lives
