"""The units to hide from Shopify at each SKU, by a newsvendor model of the demand that Shopify does not see.

Shopify keeps selling while units are taken that it does not know of: under the classic reset the orders in flight,
which a reset puts back on sale, and under all policies the OMS's own losses and store sales until the next write. The
demand in such a window is a compound Poisson process, fitted by a Poisson distribution or, if its variance is larger,
by a negative binomial one. The length of the window varies with the lag of the orders and the wait for the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from invsync import tables
from invsync.errors import UsageError
from invsync.simulate import History, Scenario, replays
from invsync.simulate.events import BATCHED, orders
from invsync.simulate.measures import BufferTable

Numbers = NDArray[np.float64]
SUGGESTED: tables.Schema = {
    "sku": tables.TEXT,
    "mean": tables.QUANTITY,
    "units": tables.UNITS,
    "beyond": tables.QUANTITY,
}
WINDOWS = 5  # quantiles that represent the distribution of a window
HOUR = 60
RATIOS = (0.9, 0.98, 0.995, 0.999, 0.9999)
LARGEST = (1, 2, 4, 8, 16, 32)
WAY, MEASURED = ["buffer", "ratio", "largest"], ["oversold", "hidden", "lost_to_hidden"]
Way = tuple[int | None, float | None, int | None]  # the values of WAY
Size = tuple[float, int]  # the critical ratio and the largest buffer of a table


def newsvendor(holding: float, shortage: float, mean: float, deviation: float) -> tuple[float, float]:
    """The stock of least expected cost against normal demand, and that cost.

    `holding` is the cost of a unit left over, `shortage` that of a unit short.
    """
    z = NormalDist().inv_cdf(critical_ratio(shortage, holding))
    return mean + z * deviation, (holding + shortage) * deviation * NormalDist().pdf(z)


def critical_ratio(oversold: float, hidden: float) -> float:
    """The share of windows to cover, by the cost of a unit oversold and of a unit hidden for a window.

    Raises a UsageError if a cost is not above 0.
    """
    if not (oversold > 0 and hidden > 0):
        raise UsageError(f"Costs {oversold!r} (oversold) and {hidden!r} (hidden) must be above 0: correct them.")
    return oversold / (oversold + hidden)


@dataclass(frozen=True)
class WindowDemand:
    """The demand that Shopify does not see in each of equally likely windows, in units; shape (pairs, windows)."""

    mean: Numbers
    variance: Numbers

    def within(self, units: Numbers) -> Numbers:
        """The probability that the demand is at most `units`, shape (pairs,)."""
        chance: Numbers = self._distribution("cdf", units).mean(axis=1)
        return chance

    def beyond(self, units: Numbers) -> Numbers:
        """The expected demand beyond `units`, shape (pairs,): what is oversold if no more units are left."""
        tail = self.mean * self._distribution("sf", units - 1, more=1) - units[:, None] * self._distribution(
            "sf", units
        )
        excess: Numbers = tail.mean(axis=1)
        return excess

    def _distribution(self, function: str, units: Numbers, more: int = 0) -> Numbers:
        """A function of the distribution; `more` is added to the negative binomial's size, as its partial mean needs."""
        n, spread = units[:, None], self.variance - self.mean
        varies = spread > 1e-9 * self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            size, share = self.mean**2 / spread + more, self.mean / self.variance
            wide = getattr(stats.nbinom, function)(n, size, share)
        values: Numbers = np.where(varies, wide, getattr(stats.poisson, function)(n, self.mean))
        return values


def window_demand(history: History, scenario: Scenario) -> WindowDemand:
    """The unseen demand of each pair, by the rates of this history's open hours and the scenario's windows."""
    lines, stores = orders(history, scenario)
    losses = pl.concat([history.moves, stores]).filter(pl.col("units") < 0)
    open_minutes = HOUR * max(1, (pl.concat([lines["at"], losses["at"]]) // HOUR).n_unique())
    sold, lost = (_moments(history, rows) / open_minutes for rows in (lines, losses))
    lags, waits = _windows(scenario)
    mean, variance = (sold[n][:, None] * lags[None, :] + lost[n][:, None] * waits[None, :] for n in (0, 1))
    return WindowDemand(mean, variance)


def _moments(history: History, rows: pl.DataFrame) -> Numbers:
    """The sums of each pair's units and squared units, shape (2, pairs).

    They are in proportion to the mean and the variance of a compound Poisson process.
    """
    units = pl.col("units").abs().cast(pl.Float64)
    sums = rows.group_by("pair").agg(mean=units.sum(), variance=(units**2).sum())
    every = pl.DataFrame({"pair": range(history.stock.height)}).join(sums, on="pair", how="left", maintain_order="left")
    return np.stack([every[name].fill_null(0.0).to_numpy() for name in ("mean", "variance")])


def _windows(scenario: Scenario) -> tuple[Numbers, Numbers]:
    """Equally likely windows in minutes: the lags of orders, 0 unless the policy is reset, and the waits for a write."""
    quantiles = (np.arange(WINDOWS) + 0.5) / WINDOWS
    lags = np.quantile(scenario.lag, quantiles) if scenario.policy == "reset" else np.zeros(1)
    waits = quantiles * scenario.cadence if scenario.policy in BATCHED else np.full(1, scenario.delivery)
    both = np.array(list(product(lags, waits)))
    return both[:, 0], both[:, 1]


def suggest(history: History, scenario: Scenario, ratio: float, *, largest: int = 2**20) -> pl.DataFrame:
    """SUGGESTED: the fewest units at each SKU that cover the share `ratio` of the windows, at most `largest`.

    `mean` is the unseen demand in a window, `beyond` the part of it beyond the buffer, both averages over windows.
    """
    return _suggested(history, window_demand(history, scenario), ratio, largest)


def _suggested(history: History, demand: WindowDemand, ratio: float, largest: int) -> pl.DataFrame:
    units = _fewest(demand, ratio, largest)
    means = {"mean": demand.mean.mean(axis=1), "beyond": demand.beyond(units)}
    rows = pl.DataFrame({"sku": history.stock["sku"], "units": units.astype(np.int64), **means})
    return tables.conform(rows, SUGGESTED, "suggested")


def _fewest(demand: WindowDemand, ratio: float, largest: int) -> Numbers:
    """The fewest units of each pair that cover the ratio, by doubling and bisection, shape (pairs,)."""
    low, high = np.full(len(demand.mean), -1.0), np.zeros(len(demand.mean))
    while (short := (demand.within(high) < ratio) & (high < largest)).any():
        low, high = np.where(short, high, low), np.where(short, np.minimum(2 * high + 1, largest), high)
    while (apart := high - low > 1).any():
        middle = np.where(apart, np.floor((low + high) / 2), high)
        enough = demand.within(middle) >= ratio
        low, high = np.where(apart & ~enough, middle, low), np.where(apart & enough, middle, high)
    return high


def candidates(
    history: History, scenario: Scenario, *, ratios: Iterable[float] = RATIOS, largest: Sequence[int] = LARGEST
) -> dict[Size, pl.DataFrame]:
    """The suggested table of each ratio, capped at each largest buffer."""
    demand = window_demand(history, scenario)
    whole = {ratio: _suggested(history, demand, ratio, max(largest)) for ratio in ratios}
    return {
        (ratio, most): table.with_columns(pl.col("units").clip(upper_bound=most))
        for ratio, table in whole.items()
        for most in largest
    }


def evaluate(
    history: History,
    scenario: Scenario,
    *,
    singles: Sequence[int],
    suggested: Mapping[Size, pl.DataFrame],
    seeds: Sequence[int] = (0, 1, 2),
) -> pl.DataFrame:
    """The oversold, hidden and lost_to_hidden units of each way of buffering in this history, the mean over seeds.

    One row a single buffer for all SKUs (`buffer`), and one a table (`ratio` and `largest`).
    """
    ways: list[tuple[Way, Scenario, BufferTable]] = [
        ((units, None, None), replace(scenario, buffer=units), None) for units in singles
    ]
    ways += [((None, *size), scenario, table) for size, table in suggested.items()]
    rows: list[dict[str, float | None]] = []
    for seed in seeds:
        scenarios = [replace(one, seed=seed) for _, one, _ in ways]
        replayed = replays(history, scenarios, buffers=[table for *_, table in ways])
        for (way, *_), result in zip(ways, replayed, strict=True):
            rows.append({**dict(zip(WAY, way, strict=True)), **result.sums()})
    return pl.DataFrame(rows).group_by(WAY, maintain_order=True).agg(pl.col(MEASURED).mean())


def for_pairs(suggested: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """BUFFERS of the mapped PAIRS whose SKU has a suggestion, for the setting `[shops.NAME.buffer] table`."""
    return tables.conform(pairs.join(suggested, on="sku"), tables.BUFFERS, "buffers")
