"""Replays of a history under scenarios, and what they came to, each measure defined in words."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from invsync.errors import UsageError
from invsync.simulate import costs, engine
from invsync.simulate.events import BATCHED, Drawn, drawn
from invsync.simulate.history import DAY_MINUTES, History
from invsync.simulate.ledger import SUMS, Stories, day_ends, ledger, stories
from invsync.simulate.scenario import Scenario

MEASURES = {
    "requested": "Units that customers asked for in the shop.",
    "sold": "Units that the shop sold.",
    "oversold": "Units sold when nothing was left: someone must be disappointed.",
    "orders_touched": "Orders with at least one oversold unit.",
    "put_back": "Units of orders that the OMS did not know, in the number that a reset made Shopify show; counted at "
    "each reset that shows them.",
    "lost_to_hidden": "Units asked for and not sold although they were there: Shopify showed too few.",
    "lost_to_empty": "Units asked for and not sold because there were none.",
    "hidden": "Units that were there and not shown: the mean over time, all pairs together.",
    "beyond": "Units that were shown and not there: the mean over time, all pairs together.",
    "drift": "Units between what Shopify shows and the target, both ways: the mean over the days' ends.",
    "drift_end": "The same at the very end.",
    "writes": "Numbers changed in Shopify.",
    "runs": "Runs of the jobs or, in real time, minutes in which a webhook was answered.",
    "calls": "API calls: levels and orders read, lines written, levels read back.",
    "points": "What those calls cost in Shopify's points.",
}
MEANS = ("hidden", "beyond")
CELLS = 16_000_000  # events times variants replayed at once: about half a gigabyte


@dataclass(frozen=True)
class Replay:
    """One scenario's ledger, a row an event, over so many days; `stock` names the pairs, `lines` are the order lines."""

    scenario: Scenario
    ledger: pl.DataFrame
    lines: pl.DataFrame
    stock: pl.DataFrame
    start: datetime
    days: int

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """One row a pair: what it was stocked with, its sums in units, and the mean units hidden and beyond."""
        spent = (pl.col("until") - pl.col("at")) / (self.days * DAY_MINUTES)
        means = {name: (pl.col(name) * spent).sum() for name in MEANS}
        found = (
            self.ledger.set_sorted("pair")
            .group_by("pair", maintain_order=True)
            .agg(pl.col(SUMS).sum().cast(pl.Int64), left=pl.last("left").cast(pl.Int64), **means)
        )
        return pl.concat([self.stock.select("sku", stocked="opening"), found.drop("pair")], how="horizontal")

    def is_conserved(self) -> bool:
        """Whether units sold + units left = units stocked, pair by pair."""
        stocked = pl.col("stocked") + pl.col("received") - pl.col("removed")
        return bool(self.pairs.select((pl.col("sold") + pl.col("left") == stocked).all()).item())

    def by_day(self) -> pl.DataFrame:
        """One row a day: what stands at its end (drift, in flight, hidden, beyond), oversold and writes in it."""
        date = pl.lit(self.start.date()) + pl.duration(days=pl.col("day"))
        return day_ends(self.ledger, self.days).with_columns(day=date)

    def totals(self) -> dict[str, float]:
        """Each of MEASURES."""
        days, runs = self.by_day(), costs.runs(self.scenario, self.ledger, self.lines, days=self.days)
        found: dict[str, Any] = self.pairs.select(pl.col(*SUMS, *MEANS).sum()).row(0, named=True)
        oversold = self.ledger.filter(pl.col("oversold") > 0)["line"]
        found |= {"orders_touched": self.lines["order"].gather(oversold).n_unique()}
        found |= {"drift": days["drift"].mean(), "drift_end": days["drift"].item(-1), "runs": runs.height}
        found |= runs.select(pl.col("calls", "points").sum()).row(0, named=True)
        return {name: found[name] for name in MEASURES}


def replay(history: History, scenario: Scenario, *, buffers: pl.DataFrame | None = None) -> Replay:
    """The history under one scenario; a table of `buffers` (sku, units) stands in for its one buffer."""
    return next(replays(history, [scenario], buffers=buffers))


def replays(
    history: History, scenarios: Sequence[Scenario], *, buffers: pl.DataFrame | None = None
) -> Iterator[Replay]:
    """One Replay a scenario, in order of what they draw: those that differ in policy and what is held back go together."""
    together: dict[Scenario, list[Scenario]] = {}
    for scenario in scenarios:
        together.setdefault(replace(scenario, policy="none", buffer=0, safety=0), []).append(scenario)
    for shared, of in together.items():
        events = drawn(history, shared, {scenario.policy for scenario in of})
        told = stories(events)
        size = max(1, CELLS // len(events.events.pair))
        for first in range(0, len(of), size):
            yield from _replays(history, of[first : first + size], events, told, buffers)


def _replays(
    history: History, scenarios: Sequence[Scenario], events: Drawn, told: Stories, buffers: pl.DataFrame | None
) -> Iterator[Replay]:
    stock = history.stock
    levels = engine.Levels(
        *(stock[name].cast(pl.Int32).to_numpy()[:, None] for name in ("opening", "reorder", "up_to"))
    )
    variants = _variants(stock, scenarios, buffers)
    log = engine.run(events.events, levels, variants)
    for number, scenario in enumerate(scenarios):
        found = Replay(scenario, ledger(told, log, variants, number), events.lines, stock, history.start, events.days)
        assert found.is_conserved(), "units were made or lost in the replay"
        yield found


def _variants(stock: pl.DataFrame, scenarios: Sequence[Scenario], buffers: pl.DataFrame | None) -> engine.Variants:
    def are(policies: set[str]) -> engine.Flags:
        return np.array([scenario.policy in policies for scenario in scenarios])

    safety, buffer = (
        np.array([[getattr(scenario, name) for scenario in scenarios]] * stock.height, np.int32)
        for name in ("safety", "buffer")
    )
    if buffers is not None:
        buffer = np.repeat(_by_pair(stock, buffers)[:, None], len(scenarios), axis=1)
    return engine.Variants(
        deltas=are({"deltas", "deltas_and_hard_sync"}), subtracts=are({"reset_in_flight"}), batched=are(BATCHED),
        hard_sync=are({"deltas_and_hard_sync"}), realtime=are({"realtime"}), safety=safety, buffer=buffer,
    )  # fmt: skip


def _by_pair(stock: pl.DataFrame, buffers: pl.DataFrame) -> engine.Units:
    if buffers["sku"].is_duplicated().any():
        raise UsageError("The table of buffers names a SKU twice: give each SKU one row.")
    rows = stock.join(buffers, on="sku", how="left", maintain_order="left")
    return rows["units"].fill_null(0).cast(pl.Int32).to_numpy()


def grid(history: History, scenarios: Sequence[Scenario]) -> pl.DataFrame:
    """One row a scenario: its knobs (the lag as its mean) and its totals."""
    rows = [asdict(one.scenario) | {"lag": one.scenario.mean_lag} | one.totals() for one in replays(history, scenarios)]
    return pl.DataFrame(rows)
