"""Units to hide from Shopify at each SKU, sized by what may be taken before Shopify hears of it: a newsvendor.

Shopify sells on while units go that it does not know of: under the classic reset the orders in flight, which a reset
puts back on sale, and under every policy the OMS's own losses and store sales until the next write. The units that go
in such a window are a compound Poisson process, fitted by a Poisson or, where they vary more than that, a negative
binomial law; the window is itself drawn from the orders' lag and from the wait for the job.
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

Numbers = NDArray[np.float64]
SUGGESTED: tables.Schema = {
    "sku": tables.TEXT,
    "mean": tables.QUANTITY,
    "units": tables.UNITS,
    "beyond": tables.QUANTITY,
}
WINDOWS = 5  # windows of each kind that stand for their distribution
HOUR = 60
RATIOS = (0.9, 0.98, 0.995, 0.999, 0.9999)
LARGEST = (1, 2, 4, 8, 16, 32)
Sized = tuple[float, int]  # the ratio, and the most units hidden at a SKU, that a table was sized for


def newsvendor(holding: float, shortage: float, mean: float, deviation: float) -> tuple[float, float]:
    """The stock that costs least against normal demand, and its cost, by the price of a unit left and of one short."""
    z = NormalDist().inv_cdf(critical_ratio(shortage, holding))
    return mean + z * deviation, (holding + shortage) * deviation * NormalDist().pdf(z)


def critical_ratio(oversold: float, hidden: float) -> float:
    """The share of windows to cover, by the cost of a unit oversold and of a unit hidden for a window."""
    if not (oversold > 0 and hidden > 0):
        raise UsageError(f"Costs {oversold!r} (oversold) and {hidden!r} (hidden) must be above 0: correct them.")
    return oversold / (oversold + hidden)


@dataclass(frozen=True)
class WindowDemand:
    """Units that go unseen in a window, shape (pairs, windows): mean and variance in each of equally likely windows."""

    mean: Numbers
    variance: Numbers

    def within(self, units: Numbers) -> Numbers:
        """The chance that at most so many units go, shape (pairs,)."""
        chance: Numbers = self._distribution("cdf", units).mean(axis=1)
        return chance

    def beyond(self, units: Numbers) -> Numbers:
        """The units that go beyond so many, the mean over windows: what is oversold if no more was left."""
        tail = self.mean * self._distribution("sf", units - 1, more=1) - units[:, None] * self._distribution(
            "sf", units
        )
        excess: Numbers = tail.mean(axis=1)
        return excess

    def _distribution(self, function: str, units: Numbers, more: int = 0) -> Numbers:
        """A function of the law; `more` is added to a negative binomial's size, as its partial mean needs."""
        n, spread = units[:, None], self.variance - self.mean
        varies = spread > 1e-9 * self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            size, share = self.mean**2 / spread + more, self.mean / self.variance
            wide = getattr(stats.nbinom, function)(n, size, share)
        values: Numbers = np.where(varies, wide, getattr(stats.poisson, function)(n, self.mean))
        return values


def window_demand(history: History, scenario: Scenario) -> WindowDemand:
    """What goes unseen at each pair, by the rates of this history's open hours and the scenario's windows."""
    lines, stores = orders(history, scenario)
    losses = pl.concat([history.moves, stores]).filter(pl.col("units") < 0)
    open_minutes = HOUR * max(1, (pl.concat([lines["at"], losses["at"]]) // HOUR).n_unique())
    sold, lost = (_moments(history, rows) / open_minutes for rows in (lines, losses))
    lags, waits = _windows(scenario)
    mean, variance = (sold[n][:, None] * lags[None, :] + lost[n][:, None] * waits[None, :] for n in (0, 1))
    return WindowDemand(mean, variance)


def _moments(history: History, rows: pl.DataFrame) -> Numbers:
    """Each pair's units and its units squared, shape (2, pairs): mean and variance of a compound Poisson process."""
    units = pl.col("units").abs().cast(pl.Float64)
    sums = rows.group_by("pair").agg(mean=units.sum(), variance=(units**2).sum())
    every = pl.DataFrame({"pair": range(history.stock.height)}).join(sums, on="pair", how="left", maintain_order="left")
    return np.stack([every[name].fill_null(0.0).to_numpy() for name in ("mean", "variance")])


def _windows(scenario: Scenario) -> tuple[Numbers, Numbers]:
    """Equally likely pairs of minutes: of the lag that the classic reset forgets, and of the wait for a write."""
    middles = (np.arange(WINDOWS) + 0.5) / WINDOWS
    lags = np.quantile(scenario.lag, middles) if scenario.policy == "reset" else np.zeros(1)
    waits = middles * scenario.cadence if scenario.policy in BATCHED else np.full(1, scenario.delivery)
    both = np.array(list(product(lags, waits)))
    return both[:, 0], both[:, 1]


def suggest(history: History, scenario: Scenario, ratio: float, *, largest: int = 2**20) -> pl.DataFrame:
    """SUGGESTED: the fewest units at each SKU that cover this share of the windows, at most `largest`.

    `mean` is what goes in a window, `beyond` what of it goes beyond the buffer, both on average over windows.
    """
    return _suggested(history, window_demand(history, scenario), ratio, largest)


def _suggested(history: History, demand: WindowDemand, ratio: float, largest: int) -> pl.DataFrame:
    low, high = np.full(history.stock.height, -1.0), np.zeros(history.stock.height)
    while (short := (demand.within(high) < ratio) & (high < largest)).any():
        low, high = np.where(short, high, low), np.where(short, np.minimum(2 * high + 1, largest), high)
    while (open_ := high - low > 1).any():
        middle = np.where(open_, np.floor((low + high) / 2), high)
        enough = demand.within(middle) >= ratio
        low, high = np.where(open_ & ~enough, middle, low), np.where(open_ & enough, middle, high)
    means = {"mean": demand.mean.mean(axis=1), "beyond": demand.beyond(high)}
    made = pl.DataFrame({"sku": history.stock["sku"], "units": high.astype(np.int64), **means})
    return tables.conform(made, SUGGESTED, "suggested")


def candidates(
    history: History, scenario: Scenario, *, ratios: Iterable[float] = RATIOS, largest: Sequence[int] = LARGEST
) -> dict[Sized, pl.DataFrame]:
    """The tables of every ratio, each also cut off at every largest buffer."""
    demand = window_demand(history, scenario)
    whole = {ratio: _suggested(history, demand, ratio, max(largest)) for ratio in ratios}
    return {
        (ratio, most): table.with_columns(pl.col("units").clip(upper_bound=most))
        for ratio, table in whole.items()
        for most in largest
    }


def judge(
    history: History,
    scenario: Scenario,
    *,
    singles: Sequence[int],
    suggested: Mapping[Sized, pl.DataFrame],
    seeds: Sequence[int] = (0, 1, 2),
) -> pl.DataFrame:
    """What each way of buffering comes to in this history, the mean over draws of luck: oversold, hidden, lost_to_hidden.

    One row a single buffer, which every SKU has alike (`buffer`), and one a table (`ratio` and `largest`).
    """
    alike = [
        ({"buffer": units, "ratio": None, "largest": None}, replace(scenario, buffer=units), None) for units in singles
    ]
    sized = [
        ({"buffer": None, "ratio": ratio, "largest": most}, scenario, table)
        for (ratio, most), table in suggested.items()
    ]
    rows = []
    for seed in seeds:
        ways = [(name, replace(of, seed=seed), table) for name, of, table in alike + sized]
        replayed = replays(history, [way[1] for way in ways], buffers=[way[2] for way in ways])
        rows += [way[0] | one.sums() for way, one in zip(ways, replayed, strict=True)]
    key, measures = ["buffer", "ratio", "largest"], ["oversold", "hidden", "lost_to_hidden"]
    return pl.DataFrame(rows).group_by(key, maintain_order=True).agg(pl.col(measures).mean())


def compare(past: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """One row a single buffer: the table that past weeks put in its place, and what both came to on held-out weeks.

    The table is the one that in the past hid no more than the single buffer and oversold least, null where every one
    hid more; `beaten` is whether it did both better, or one as well, on weeks that it had not seen.
    """
    single, table = pl.col("buffer").is_not_null(), pl.col("ratio").is_not_null()
    offers = past.filter(table).select("ratio", "largest", offered="oversold", offered_hidden="hidden")
    pairs = past.filter(single).select("buffer", most="hidden").join(offers, how="cross")
    fit = pairs.filter(pl.col("offered_hidden") <= pl.col("most")).sort("offered", "offered_hidden")
    chosen = fit.unique("buffer", keep="first").select("buffer", "ratio", "largest")
    measures = ["oversold", "hidden", "lost_to_hidden"]
    alike = held_out.filter(single).select("buffer", *measures)
    sized = held_out.filter(table).select(
        "ratio", "largest", *(pl.col(name).alias(f"{name}_by_sku") for name in measures)
    )
    both = alike.join(chosen, on="buffer", how="left").join(sized, on=["ratio", "largest"], how="left")
    gains = [pl.col(name) - pl.col(f"{name}_by_sku") for name in ("oversold", "hidden")]
    beaten = pl.all_horizontal(gain >= 0 for gain in gains) & pl.any_horizontal(gain > 0 for gain in gains)
    return both.with_columns(beaten=beaten.fill_null(False)).sort("buffer")


@dataclass(frozen=True)
class Judged:
    """What past weeks showed, what held-out weeks showed, and the comparison of the two."""

    past: pl.DataFrame
    held_out: pl.DataFrame
    compared: pl.DataFrame


def judged(
    past: History,
    held_out: History,
    scenario: Scenario,
    suggested: Mapping[Sized, pl.DataFrame],
    *,
    singles: Sequence[int] = (0, *LARGEST),
    seeds: Sequence[int] = (0, 1, 2),
) -> Judged:
    """Tables made from the past against single buffers, chosen on past weeks and judged on held-out ones."""
    results = [judge(of, scenario, singles=singles, suggested=suggested, seeds=seeds) for of in (past, held_out)]
    return Judged(results[0], results[1], compare(results[0], results[1]))


def verdict(compared: pl.DataFrame) -> str:
    """What the comparison says of the suggested tables, in words that the numbers choose."""
    real = compared.filter(pl.col("buffer") > 0)
    won = real.filter("beaten")
    sentence = f"On the held-out weeks the tables by SKU beat {won.height} of {real.height} single buffers in both oversold and hidden units"
    if won.height == real.height:
        return f"{sentence}: every one."
    lost = ", ".join(str(units) for units in real.filter(~pl.col("beaten"))["buffer"])
    return (
        f"{sentence}, not those of {lost} units. What oversells is few orders of many units, and weeks that oversell little "
        "in the past say little of which SKU will next; the larger the buffer, the more that is luck."
    )


def for_pairs(suggested: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """BUFFERS of the mapped PAIRS whose SKU has a suggestion: the table that `[shops.NAME.buffer] table` names."""
    return tables.conform(pairs.join(suggested, on="sku"), tables.BUFFERS, "buffers")
