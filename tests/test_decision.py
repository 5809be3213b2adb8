"""Whether buffers pay: when nothing can be said, when the verdict is against them, and what is saved."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from test_simulate import small

from invsync import lab, simulate
from invsync.errors import UsageError
from invsync.sandbox.world import sales
from invsync.simulate import decision
from invsync.simulate.decision import COMPARED, decide
from invsync.simulate.empirical import empirical, unseen
from invsync.simulate.history import DAY_MINUTES, History

CLASSIC = simulate.Scenario("reset", lag=(30.0,), cadence=15.0)


@pytest.fixture(scope="module")
def real() -> History:
    return simulate.history(*simulate.retail(sales()))


def ways(**costs: tuple[float, float, float]) -> pl.DataFrame:
    """COMPARED from (oversold, lost_to_hidden, cost) by way."""
    rows = [
        {
            "way": way,
            "buffer": 0,
            "ratio": None,
            "largest": None,
            "oversold": o,
            "hidden": 0.0,
            "lost_to_hidden": lost,
            "cost": cost,
        }
        for way, (o, lost, cost) in costs.items()
    ]
    return pl.DataFrame(rows, schema=COMPARED)


def table(*units: int) -> pl.DataFrame:
    return pl.DataFrame({"sku": [f"S{n}" for n in range(len(units))], "units": units})


def test_a_day_of_history_is_too_little_to_say_anything(real: History) -> None:
    decided = decide(real.between(0, 1), simulate.Scenario("reset_in_flight"))

    assert "1 days of history are too few" in decided.sentence and decided.table is None


def test_too_few_oversold_units_are_luck(real: History) -> None:
    decided = decide(real, simulate.Scenario("reset_in_flight", lag=simulate.lognormal(15), pos_share=0.2))

    assert "too few to judge a buffer by (30 are needed)" in decided.sentence and decided.table is None
    assert set(decided.compared["way"]) == {"none", "single", "newsvendor", "empirical"}


def test_a_table_of_zeros_is_no_praise() -> None:
    same = (90.0, 0.0, 9000.0)
    sentence, pays = decision._verdict(ways(none=same, single=same, empirical=same), "empirical", table(0, 0))

    assert not pays and "came out as 0" in sentence


@pytest.mark.parametrize(
    ("single", "by_sku", "words", "pays"),
    [
        (
            (80.0, 900.0, 8900.0),
            (70.0, 100.0, 7100.0),
            "cost 20.2 % less on the held-out weeks than the best single",
            True,
        ),
        (
            (80.0, 900.0, 9900.0),
            (70.0, 2500.0, 9500.0),
            "Against buffers: on the held-out weeks the best table by SKU",
            False,
        ),
        ((80.0, 900.0, 8900.0), (80.0, 900.0, 8900.0), "cost 0.0 % more than the best single buffer", False),
    ],
)
def test_a_table_must_beat_no_buffer_and_the_best_single_one(
    single: tuple[float, float, float], by_sku: tuple[float, float, float], words: str, pays: bool
) -> None:
    none = (90.0, 0.0, 9000.0)
    made = decision._verdict(ways(none=none, single=single, newsvendor=by_sku), "newsvendor", table(1))

    assert words in made[0] and made[1] is pays


def test_a_verdict_against_the_buffers_saves_nothing(tmp_path: Path) -> None:
    against = decision.Decision("Against buffers.", None, ways(), ways())
    path = tmp_path / "b.parquet"

    assert lab.buffer_table(against, str(path)) == "Nothing was saved: no table of buffers is suggested."
    assert not path.exists() and "No buffers are suggested." in str(lab.largest_buffers(against.table))
    assert "give a path" in lab.buffer_table(replace(against, table=table(3)), "")
    assert "1 buffers were saved" in lab.buffer_table(replace(against, table=table(3)), str(path)) and path.exists()


def test_a_weight_of_zero_is_refused(real: History) -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        decide(real, CLASSIC, weight=0)


def test_unseen_demand_is_that_of_the_windows_in_a_plain_loop() -> None:
    """An order of 3 at minute 20 is unseen in the windows of minutes 15 and 30, the loss at 31 in that of 30."""
    demand, windows = unseen(small([(20, 0, 0, 3)], [(31, 0, -2)], [9]), CLASSIC)

    assert windows == 2 and sorted(demand.rows()) == [(0, 1, 3), (0, 2, 5)]


def test_an_empirical_buffer_is_what_that_share_of_the_windows_needed() -> None:
    moves = [(15.0 * n + 1, 0, -units) for n, units in enumerate([1, 1, 1, 1, 1, 1, 1, 1, 4, 9])]
    history = small([(2, 0, 1, 1)], moves, [99, 99])
    own = simulate.Scenario("reset_in_flight", lag=(30.0,), cadence=15.0)
    made = empirical(history, own, ratios=(0.7, 0.8, 0.9, 0.99), largest=(5, 50))

    units = {size: dict(rows.select("sku", "units").iter_rows())["S0"] for size, rows in made.items()}
    assert units == {
        (0.7, 5): 1,
        (0.7, 50): 1,
        (0.8, 5): 1,
        (0.8, 50): 1,
        (0.9, 5): 4,
        (0.9, 50): 4,
        (0.99, 5): 5,
        (0.99, 50): 9,
    }
    assert made[0.9, 50].filter(sku="S1")["units"].to_list() == [0]


def test_a_table_that_pays_is_made_of_all_weeks() -> None:
    """Each day ten units are lost beside the shop just before customers ask for what Shopify still shows."""
    lines, moves = [], []
    for day in range(28):
        at = day * DAY_MINUTES + 600
        moves += [(at + 1, 0, -10), (at + 200, 0, 20)]
        lines += [(at + 2, day, 0, 20), (at + 300, 100 + day, 1, 1)]
    history = small(lines, moves, [20, 500], days=28)
    own = simulate.Scenario("reset_in_flight", lag=(0.0,), cadence=15.0)
    decided = decide(history, own, weight=100, seeds=(0,))

    assert decided.table is not None, decided.sentence
    assert "% less on the held-out weeks" in decided.sentence
    assert dict(decided.table.select("sku", "units").iter_rows())["S1"] == 0
