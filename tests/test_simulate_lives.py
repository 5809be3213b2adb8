"""Order lives in the replay: days worked by hand, and the cost of each life on real sales."""

from dataclasses import fields
from math import inf
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_simulate import small

from invsync import simulate
from invsync.errors import UsageError
from invsync.sandbox.world import sales
from invsync.simulate import engine, events, lives, study
from invsync.simulate.charts import POLICY_NAMES
from invsync.simulate.history import History
from invsync.simulate.measures import Replay
from invsync.simulate.scenario import Lives, Scenario

IN_FLIGHT = Path(__file__).parents[1] / "docs" / "in-flight.md"
NAMES = [field.name for field in fields(Lives)]
MIXED = dict.fromkeys(NAMES, 0.2)
SEARCHES = {"reset", "reset_by_header"}  # the policies that put units back while an order is not visible


def day(
    policy: str, lines: list[tuple[float, int, int, int]], moves: list[tuple[float, int, int]], **knobs: Any
) -> Replay:
    """A replay of one item with ten units in stock, a job every ten minutes and orders twenty minutes late."""
    return simulate.replay(small(lines, moves, [10]), Scenario(policy, lag=(20.0,), cadence=10.0, **knobs))


def shown(replayed: Replay, *at: float) -> list[int]:
    """What Shopify shows after the events of these minutes."""
    return [replayed.ledger.filter(pl.col("at") <= minute)["shown"][-1] for minute in at]


def test_a_unit_added_after_the_import_is_put_back_by_header_and_not_by_units() -> None:
    lines, moves = [(5, 0, 0, 2)], [(48, 0, 1)]  # imported at 25, a unit added at 45, which the OMS hears of at 65
    by_header, by_units = (
        day(policy, lines, moves, lives=Lives(edited=1)) for policy in ("reset_by_header", "reset_in_flight")
    )

    assert shown(by_header, 44, 45, 50, 70) == [8, 7, 9, 8]
    assert shown(by_units, 44, 45, 50, 70) == [8, 7, 8, 8]
    assert (by_header.sums()["put_back"], by_units.sums()["put_back"]) == (1, 0)


def test_an_order_not_in_the_search_yet_is_put_back_by_header_and_kept_by_the_witness() -> None:
    lines, moves = [(9, 0, 0, 2)], [(9, 0, 1)]
    by_header, by_units = (
        day(policy, lines, moves, search_lag=3.0) for policy in ("reset_by_header", "reset_in_flight")
    )

    assert shown(by_header, 9, 10, 30) == [8, 11, 9]
    assert shown(by_units, 9, 10, 30) == [8, 9, 9]
    assert by_header.sums()["put_back"] == 2


@pytest.mark.parametrize(
    ("settle", "numbers", "put_back"), [(5.0, [8, 8, 9], 0), (3.0, [8, 8, 9], 0), (1.0, [8, 11, 11], 2)]
)
def test_a_raise_waits_while_a_till_sale_is_fresh(settle: float, numbers: list[int], put_back: int) -> None:
    replayed = day("reset_in_flight", [(9, 0, 0, 2)], [(9, 0, 1)], lives=Lives(till=1), search_lag=3.0, settle=settle)

    assert shown(replayed, 9, 10, 20) == numbers
    assert replayed.sums()["put_back"] == put_back


def test_a_lower_number_never_waits() -> None:
    replayed = day("reset_in_flight", [(9, 0, 0, 2)], [(9, 0, -3)], lives=Lives(till=1), search_lag=3.0, settle=5.0)

    assert shown(replayed, 9, 10, 20) == [8, 7, 7]
    assert replayed.sums()["put_back"] == 0


@pytest.mark.parametrize(("life", "back"), [("refunded", 1), ("cancelled", 3)])
def test_restocked_units_are_on_sale_at_once_and_a_reset_hides_them_until_the_oms_knows(life: str, back: int) -> None:
    at = {"refunded": 5 + lives.REFUNDED_AFTER, "cancelled": 5 + lives.CANCELLED_AFTER}[life]
    resets, deltas = (
        day(policy, [(5, 0, 0, 3)], [], lives=Lives(**{life: 1})) for policy in ("reset_in_flight", "deltas")
    )

    assert shown(resets, at, at + 10, at + 25) == [7 + back, 7, 7 + back]
    assert shown(deltas, at, at + 10, at + 25) == [7 + back] * 3
    assert resets.totals()["restocked"] == back and resets.ledger["left"][-1] == 7 + back


def test_a_return_comes_back_days_after_the_import() -> None:
    history = small([(5, 0, 0, 3)], [], [10], days=5)
    ledger = simulate.replay(history, Scenario("deltas", lag=(20.0,), lives=Lives(returned=1))).ledger

    assert ledger.filter(pl.col("kind").is_in([engine.RESTOCK, engine.RELEASE]))["at"].to_list() == [
        25.0 + lives.RETURNED_AFTER,
        45.0 + lives.RETURNED_AFTER,
    ]
    assert ledger["left"][-1] == 8


def test_each_share_is_of_the_orders_and_changes_no_other_draws() -> None:
    history = small([(600.0 + order // 4, order, 0, 1) for order in range(4000)], [], [10_000])
    plain, some, more = (
        events.drawn(history, Scenario(lives=of), {"reset"})
        for of in (Lives(), Lives(edited=0.25), Lives(edited=0.25, till=0.5))
    )

    assert 900 < some.lines.height - plain.lines.height < 1100
    assert some.lines.equals(more.lines) and some.lines[:4000].equals(plain.lines)


@pytest.mark.parametrize(("knob", "value"), [("edited", 1.1), ("till", -0.1), ("returned", inf)])
def test_a_share_out_of_its_range_is_refused_by_name(knob: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"Knob {knob} is .*: it must be"):
        Lives(**{knob: value})


@pytest.mark.parametrize(("knob", "value"), [("search_lag", -1.0), ("search_lag", 11.0), ("settle", -1.0)])
def test_a_search_that_never_catches_up_is_refused(knob: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"Knob {knob} is .*: it must be"):
        Scenario(**{knob: value})


@pytest.fixture(scope="module")
def real() -> History:
    return simulate.history(*simulate.retail(sales()))


def test_what_each_life_puts_back_on_real_sales(real: History) -> None:
    costs = study.life_costs(real, Scenario(lag=simulate.lognormal(15), pos_share=0.2))
    put_back = {row["life"]: row["put_back"] for row in costs.filter(policy="reset_by_header").to_dicts()}

    assert costs.filter(~pl.col("policy").is_in(SEARCHES))["put_back"].sum() == 0
    assert list(put_back) == ["plain", *NAMES, "search_lag", "all"]
    assert {life for life, units in put_back.items() if units} == {"edited", "search_lag", "all"}
    for row in costs.filter(life="all").to_dicts():
        assert f"| {POLICY_NAMES[row['policy']]} | {row['put_back']:,} | {row['hidden']:.1f} |" in IN_FLIGHT.read_text()


@pytest.mark.parametrize("policy", simulate.POLICIES)
def test_units_sold_less_restocked_and_left_add_up_to_the_units_stocked(real: History, policy: str) -> None:
    pairs = simulate.replay(real, Scenario(policy, pos_share=0.2, edits=9, lives=Lives(**MIXED), search_lag=5)).pairs()
    stocked = pairs["stocked"] + pairs["received"] - pairs["removed"]

    assert pairs["restocked"].sum() > 0
    assert (pairs["sold"] - pairs["restocked"] + pairs["left"]).equals(stocked)
