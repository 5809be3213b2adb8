"""Seven ways to make buffers by SKU, on three held-out parts of nine real months: the numbers of docs/buffers.md.

A way is chosen by its cost on the past part: `weight` lost sales a unit oversold, and one a unit there and not sold.
A pair's replay depends on its own buffer alone, so the replays of a few single buffers judge every table.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from invsync import simulate
from invsync.simulate import buffers
from invsync.simulate.empirical import unseen
from invsync.simulate.history import History
from invsync.simulate.measures import replays

SALES = Path(__file__).parents[3] / "shared" / "data" / "online_retail.parquet"
UNITS = np.array([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32])
RATIOS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
LARGEST, WEIGHTS, FOLDS = (1, 2, 4, 8, 16, 32), (5, 20, 100, 500), ((91, 140), (140, 190), (190, None))
Numbers = NDArray[np.float64]
Places = NDArray[np.int64]  # of a pair's buffer in UNITS


def by_buffer(history: History, scenario: simulate.Scenario, seeds: tuple[int, int]) -> tuple[Numbers, Numbers]:
    """Units oversold, and units there and not sold, by buffer and pair: the mean over the seeds."""
    one = [replace(scenario, seed=seed, buffer=int(units)) for seed in seeds for units in UNITS]
    made = [(run.by_pair("oversold"), run.by_pair("lost_to_hidden")) for run in replays(history, one)]
    sums = np.array(made).reshape(len(seeds), len(UNITS), 2, -1).mean(axis=0)
    return sums[:, 0], sums[:, 1]


def classes(history: History) -> Places:
    """A class of each pair, by its units sold (six parts) and its median line (four)."""
    sold = history.lines.group_by("pair").agg(units=pl.col("units").sum(), line=pl.col("units").median())
    rows = pl.DataFrame({"pair": range(history.stock.height)}).join(sold, on="pair", how="left", maintain_order="left")
    rows = rows.fill_null(0)
    velocity = (rows["units"].rank("ordinal") * 6 // (rows.height + 1)).to_numpy().astype(np.int64)
    return velocity * 4 + np.digitize(rows["line"].to_numpy(), [2, 6, 12])


def quantiles(demand: pl.DataFrame, windows: int, ratio: float, group: Places) -> Numbers:
    """The unseen demand that covers this share of the windows of each pair's group."""
    sizes = np.bincount(group, minlength=int(group.max()) + 1) * windows
    largest = np.zeros(len(sizes))
    for (number,), part in demand.with_columns(group=pl.Series(group)[demand["pair"]]).group_by("group"):
        units, place = np.sort(part["units"].to_numpy())[::-1], int((1 - ratio) * sizes[int(str(number))])
        largest[int(str(number))] = units[place] if place < len(units) else 0
    return largest[group]


def shrunk(demand: pl.DataFrame, windows: int, ratio: float, group: Places) -> Numbers:
    """The same by each pair's own rate, shrunk to that of its class (gamma and Poisson), and its class's sizes."""
    counts = np.bincount(demand["pair"].to_numpy(), minlength=len(group)).astype(float)
    cover = np.zeros(len(group))
    for number in np.unique(group):
        here = np.flatnonzero(group == number)
        mean, spread = counts[here].mean(), counts[here].var()
        if mean == 0:
            continue
        shape = mean**2 / (spread - mean) if spread > mean else 1e6
        rate = (counts[here] + shape) / (windows * (1 + shape / mean))
        units = np.sort(demand.filter(pl.col("pair").is_in(here.tolist()))["units"].to_numpy())[::-1]
        share = np.minimum(1, (1 - ratio) / rate)
        place = (share * len(units)).astype(int)
        cover[here] = np.where((share < 1) & (place < len(units)), units[np.minimum(place, len(units) - 1)], 0)
    return cover


def offered(past: History, scenario: simulate.Scenario, group: Places) -> Mapping[str, list[Places]]:
    """The tables of each method over its ratios and caps."""
    model, (demand, windows) = buffers.window_demand(past, scenario), unseen(past, scenario)
    each = np.arange(past.stock.height)
    makers = {
        "newsvendor": lambda ratio: buffers._fewest(model, ratio, 2**20),
        "empirical": lambda ratio: quantiles(demand, windows, ratio, each),
        "conformal by class": lambda ratio: quantiles(demand, windows, ratio, group),
        "shrunk to class": lambda ratio: shrunk(demand, windows, ratio, group),
    }
    made = {name: [make(ratio) for ratio in RATIOS] for name, make in makers.items()}
    tables = {
        name: [np.searchsorted(UNITS, np.minimum(units, most)) for units in many for most in LARGEST]
        for name, many in made.items()
    }
    return {"single": [np.full(len(each), place) for place in range(len(UNITS))]} | tables


def chosen(cost: Numbers, tables: Mapping[str, list[Places]], group: Places) -> dict[str, Places]:
    """Each method's table of least cost on the past part, and those that the replays themselves choose."""
    each = np.arange(cost.shape[1])
    best = {name: min(many, key=lambda table: float(cost[table, each].sum())) for name, many in tables.items()}
    sums = np.zeros((int(group.max()) + 1, len(UNITS)))
    np.add.at(sums, group, cost.T)
    mean = (sums / np.maximum(np.bincount(group, minlength=len(sums)), 1)[:, None])[group].T
    by_sku = {f"replayed by SKU, {pull} of class": (cost + pull * mean).argmin(axis=0) for pull in (1, 10)}
    return best | {"replayed by class": sums.argmin(axis=1)[group]} | by_sku


@pytest.mark.skipif(not SALES.exists(), reason="the nine months of UCI Online Retail are not beside the project")
@pytest.mark.parametrize("policy", ["reset", "reset_in_flight"])
def test_buffers_by_sku_on_weeks_that_did_not_choose_them(policy: str) -> None:
    whole = simulate.history(*simulate.retail(pl.read_parquet(SALES)))
    scenario = simulate.Scenario(policy, lag=simulate.lognormal(30.0), pos_share=0.2)
    rows = []
    for cut, end in FOLDS:
        past, after = whole.between(0, cut), whole.between(cut, end or whole.days)
        (oversold, lost), (later, later_lost) = by_buffer(past, scenario, (0, 1)), by_buffer(after, scenario, (10, 11))
        group, each = classes(past), np.arange(whole.stock.height)
        tables = offered(past, scenario, group)
        for weight in WEIGHTS:
            for name, table in chosen(weight * oversold + lost, tables, group).items():
                bad, unsold = float(later[table, each].sum()), float(later_lost[table, each].sum())
                rows.append(
                    {"weight": weight, "method": name, "oversold": bad, "lost": unsold, "cost": weight * bad + unsold}
                )
    sums = (
        pl.DataFrame(rows)
        .group_by("weight", "method", maintain_order=True)
        .agg(pl.col("oversold", "lost", "cost").sum())
    )
    with pl.Config(tbl_rows=-1):
        print(policy, sums.sort("weight", "cost"))

    cheap = sums.filter(pl.col("weight") <= 20)
    single = cheap.filter(method="single").select("weight", least="cost")
    assert cheap.join(single, on="weight").filter(pl.col("cost") < pl.col("least")).is_empty(), "no buffer pays"
