"""Buffers against published newsvendors, against sums by hand, and on held-out weeks."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import rows
from test_simulate import small

from invsync import simulate, tables
from invsync.errors import UsageError
from invsync.sandbox.world import sales
from invsync.simulate import buffers
from invsync.simulate.history import History


@pytest.mark.parametrize(
    ("prices", "demand", "stock", "cost"),
    [
        ((0.18, 0.70), (50, 8), 56.60395592743389, 1.9976051931766445),
        ((2, 18), (120, 10), 132.815515655446, 35.09966638649737),
    ],
)
def test_published_newsvendors_to_the_printed_digits(
    prices: tuple[float, float], demand: tuple[float, float], stock: float, cost: float
) -> None:
    assert buffers.newsvendor(*prices, *demand) == pytest.approx((stock, cost), rel=1e-15, abs=0)


def test_a_cost_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        buffers.critical_ratio(5, 0)


def binomial(size: float, share: float, units: int) -> float:
    """The probability of `units` in a negative binomial distribution, factor by factor."""
    chance = share**size
    for n in range(units):
        chance *= (size + n) / (n + 1) * (1 - share)
    return chance


def test_the_distributions_equal_sums_by_hand() -> None:
    demand = buffers.WindowDemand(np.array([[2.0], [3.0], [0.0]]), np.array([[2.0], [9.0], [0.0]]))
    poisson = [math.exp(-2) * 2**n / math.factorial(n) for n in range(60)]
    wide = [binomial(1.5, 1 / 3, n) for n in range(400)]

    assert demand.within(np.array([2.0, 4.0, 0.0])) == pytest.approx([sum(poisson[:3]), sum(wide[:5]), 1.0])
    by_hand = [
        sum((n - 2) * p for n, p in enumerate(poisson) if n > 2),
        sum((n - 4) * p for n, p in enumerate(wide) if n > 4),
    ]
    assert demand.beyond(np.array([2.0, 4.0, 0.0])) == pytest.approx([*by_hand, 0.0])


def test_a_window_that_varies_is_a_mixture_not_its_mean() -> None:
    wait = np.array([[1.0, 9.0]])
    mixed, mean = buffers.WindowDemand(wait, wait), buffers.WindowDemand(np.array([[5.0]]), np.array([[5.0]]))
    nine = np.array([9.0])

    assert mixed.beyond(nine)[0] > 2 * mean.beyond(nine)[0]


def shop() -> History:
    """One open hour: SKU S0 sells 4 lines of 5 units, S1 loses 2 units once, S2 is left alone."""
    return small([(5.0 * order, order, 0, 5) for order in range(4)], [(30, 1, -2)], [100, 100, 100])


def test_rates_are_units_and_squared_units_an_open_minute() -> None:
    lag, wait = 30.0, 15.0
    demand = buffers.window_demand(shop(), simulate.Scenario("reset", lag=(lag,), cadence=wait))

    assert demand.mean.mean(axis=1) == pytest.approx([20 / 60 * lag, 2 / 60 * wait / 2, 0])
    assert demand.variance.mean(axis=1) == pytest.approx([100 / 60 * lag, 4 / 60 * wait / 2, 0])


def test_only_the_classic_reset_forgets_the_orders_in_flight() -> None:
    safe = buffers.suggest(shop(), simulate.Scenario("reset_in_flight", lag=(30.0,)), 0.99)["units"].to_list()
    classic = buffers.suggest(shop(), simulate.Scenario("reset", lag=(30.0,)), 0.99)["units"].to_list()

    assert safe[0] == safe[2] == classic[2] == 0
    assert safe[1] == classic[1] > 0 and classic[0] > 20


@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.99, 0.9999])
def test_a_suggestion_is_the_fewest_units_that_cover_the_windows(ratio: float) -> None:
    history, scenario = simulate.history(*simulate.retail(sales())), simulate.Scenario("reset", pos_share=0.2)
    units = buffers.suggest(history, scenario, ratio)["units"].to_numpy().astype(float)
    demand = buffers.window_demand(history, scenario)

    assert (demand.within(units) >= ratio).all()
    assert (demand.within(units - 1) < ratio).all()
    cut = buffers.suggest(history, scenario, ratio, largest=3)["units"].to_numpy()
    assert (cut == np.minimum(units, 3)).all()


def test_a_suggestion_becomes_the_table_that_the_jobs_read(tmp_path: Path) -> None:
    pairs = rows(
        tables.PAIRS,
        (11, 7, "P0", "S0", "aggregate"),
        (11, 8, "P0", "S0", "physical"),
        (12, 7, "P1", "none", "aggregate"),
    )
    suggested = buffers.suggest(shop(), simulate.Scenario("reset"), 0.9)
    buffers.for_pairs(suggested, pairs).write_parquet(tmp_path / "buffers.parquet")
    read = tables.conform(pl.read_parquet(tmp_path / "buffers.parquet"), tables.BUFFERS, "buffers")

    units = suggested["units"][0]
    assert read.rows() == [(11, 7, units), (11, 8, units)]
