"""Two scenarios beside each other over the same seeds, and the products that next week puts at risk."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from invsync import tables
from invsync.simulate.history import History
from invsync.simulate.measures import Replay, Watch, replays, unwatched
from invsync.simulate.scenario import Scenario

BAND = (0.1, 0.9)  # the quantiles of an 80 % band
COMPARED = ("oversold", "put_back", "lost_to_hidden", "lost_to_empty")
WORTH = {"oversold": "oversold_worth", "lost_to_hidden": "lost_worth"}  # also shown in money where prices are known
WEEK, WEEKS = 7, 4
NEXT: tables.Schema = {
    "sku": tables.TEXT,
    "left": tables.UNITS,
    **dict.fromkeys(
        ["sold", "short", "oversold", "oversold_low", "oversold_high", "classic", "price", "worth"], tables.QUANTITY
    ),
}
Prices = pl.DataFrame | None  # (sku, price)


def ab(
    history: History,
    baseline: Scenario,
    variant: Scenario,
    *,
    seeds: int = 10,
    prices: Prices = None,
    watch: Watch = unwatched,
) -> pl.DataFrame:
    """One row a measure: the mean and the 80 % band of the baseline `a`, the variant `b`, and their difference `d`.

    Each seed draws both alike, so that the difference is the scenarios'. Columns are measure, and for each of a, b and
    d the mean, `_low` and `_high`.
    """
    both = [replace(one, seed=one.seed + seed) for seed in range(seeds) for one in (baseline, variant)]
    price = _prices(history, prices)
    rows = [_sums(one, price) for one in watch(replays(history, both), len(both))]
    parts = []
    for measure in rows[0]:
        a, b = (np.array([row[measure] for row in rows[place::2]]) for place in (0, 1))
        parts.append({"measure": measure, **_band("a", a), **_band("b", b), **_band("d", b - a)})
    return pl.DataFrame(parts)


def next_week(
    history: History, base: Scenario, *, prices: Prices = None, seeds: int = 3, watch: Watch = unwatched
) -> pl.DataFrame:
    """NEXT: what each SKU would come to if next week were one of the last weeks, from the stock that is left now.

    Each of the last weeks (at most four) is drawn with each seed, with its own deliveries. `sold` is what
    customers ask for in a week, `short` what runs short of it, `oversold` with its 80 % band under the base, `classic`
    under the classic reset; all are means of a week in units. `worth` is what `short` and `oversold` units cost at their
    price. Empty for less than a week of history.
    """
    weeks = min(WEEKS, history.days // WEEK)
    if not weeks:
        return tables.empty(NEXT)
    left = next(replays(history, [base])).pairs()["left"].clip(lower_bound=0)
    ends = [history.days - WEEK * back for back in range(weeks)]
    parts = [history.between(end - WEEK, end) for end in ends]
    policies = [
        replace(base, policy=policy, seed=base.seed + s) for s in range(seeds) for policy in (base.policy, "reset")
    ]
    made = [
        one
        for part in parts
        for one in watch(replays(replace(part, stock=part.opening(left)), policies), len(policies))
    ]
    own, classic = made[::2], made[1::2]
    columns = _costs(own, classic, _prices(history, prices))
    rows = history.stock.select("sku", left=left).with_columns(**{name: pl.Series(v) for name, v in columns.items()})
    risky = tables.conform(rows, NEXT, "next week").filter(pl.col("oversold") + pl.col("short") + pl.col("classic") > 0)
    return risky.fill_nan(None).sort(
        "worth", "oversold", "short", "sku", descending=[True, True, True, False], nulls_last=True
    )


def _costs(
    own: Sequence[Replay], classic: Sequence[Replay], price: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The columns of NEXT beside `sku` and `left`, of these replays under the base and under the classic reset."""
    oversold = np.stack([one.by_pair("oversold") for one in own])
    low, high = np.quantile(oversold, BAND, axis=0)
    short = _mean(own, "lost_to_empty")
    return {
        "sold": _mean(own, "requested"),
        "short": short,
        "oversold": oversold.mean(axis=0),
        "oversold_low": low,
        "oversold_high": high,
        "classic": _mean(classic, "oversold"),
        "price": price,
        "worth": (short + oversold.mean(axis=0)) * price,
    }


def _mean(made: Sequence[Replay], name: str) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.stack([one.by_pair(name) for one in made]).mean(axis=0)
    return mean


def _sums(one: Replay, price: NDArray[np.float64]) -> dict[str, float]:
    sums = {name: float(one.columns[name].sum()) for name in COMPARED}
    known = np.nan_to_num(price)
    worth = {words: float(one.by_pair(name) @ known) for name, words in WORTH.items()}
    return sums | (worth if known.any() else {})


def _prices(history: History, prices: Prices) -> NDArray[np.float64]:
    """The price of each pair, NaN where it is not known."""
    if prices is None or "price" not in prices.columns:
        return np.full(history.stock.height, np.nan)
    known = prices.drop_nulls("price").select("sku", "price").unique("sku", keep="first", maintain_order=True)
    rows = history.stock.select("sku").join(known, on="sku", how="left", maintain_order="left")
    return rows["price"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _band(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    low, high = np.quantile(values, BAND)
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
