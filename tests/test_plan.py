from math import nan
from typing import Any

import polars as pl
import pytest

from invsync import plan, tables
from invsync.config.settings import Guards
from invsync.errors import GuardStopped, SystemFailed

RIGHT = {
    "inventory_item_id": 1,
    "location_id": 7,
    "product_id": "P",
    "sku": "S",
    "mode": "aggregate",
    "oms": 5.0,
    "available": 3,
    "is_active": True,
    "tracked": True,
    "requires_components": False,
    "in_flight": 0,
    "buffer": 0,
    "target": 5.0,
    "delta": 2,
    "held": None,
}


def variances(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([RIGHT | row for row in rows], schema=tables.VARIANCES)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"oms": nan}, "malformed"),
        ({"target": nan}, "malformed"),
        ({"oms": None, "target": None, "delta": None}, "no_oms_row"),
        ({"tracked": None, "available": None, "delta": None}, "unknown_item"),
        ({"requires_components": True}, "bundle"),
        ({"tracked": False}, "untracked"),
        ({"target": 2.5}, "fractional"),
        ({"target": 1e9 + 1}, "too_large"),
        ({"target": -1e9 - 1}, "too_large"),
        ({"delta": 2_000_000_001}, "too_large"),
        ({"delta": -2_000_000_001}, "too_large"),
        ({"is_active": False, "target": 0.0}, "inactive_level"),
        ({"is_active": False}, "inactive_level"),
        ({"is_active": None}, "inactive_level"),
        ({"available": None, "delta": None}, "inactive_level"),
        ({"held": "ambiguous_mapping"}, "ambiguous_mapping"),
    ],
)
def test_a_row_is_held_by_name(row: dict[str, Any], reason: str) -> None:
    decided = plan.decide(variances(row))

    assert decided.held["held"].to_list() == [reason]
    assert decided.adjustments.is_empty()


@pytest.mark.parametrize(
    "row",
    [{"target": 1e9}, {"target": -1e9}, {"delta": 2_000_000_000}, {"delta": -2_000_000_000}],
    ids=["target", "target below zero", "delta", "delta below zero"],
)
def test_a_row_at_the_limit_of_shopify_is_sent(row: dict[str, Any]) -> None:
    assert plan.decide(variances(row)).adjustments.height == 1


def test_an_item_that_is_not_said_to_be_a_bundle_is_sent() -> None:
    assert plan.decide(variances({"requires_components": None})).adjustments.height == 1


def test_a_level_without_a_number_is_held_as_it_is() -> None:
    decided = plan.decide(variances({"is_active": False, "available": None, "delta": None}))

    assert decided.held["available"].to_list() == [None]


@pytest.mark.parametrize(
    ("row", "available", "delta"),
    [
        ({"is_active": False}, 3, 2),
        ({"is_active": False, "available": 5, "delta": 0}, 5, 0),
        ({"is_active": False, "target": 1.0, "available": None, "delta": None}, 0, 1),
        ({}, 3, 2),
    ],
    ids=["inactive", "inactive with the right number", "missing", "active"],
)
def test_a_level_that_should_sell_something_is_activated_and_sent(
    row: dict[str, Any], available: int, delta: int
) -> None:
    decided = plan.decide(variances(row), activate=True)

    assert decided.adjustments.select("available", "delta").rows() == [(available, delta)]
    assert decided.adjustments.schema == pl.Schema(tables.VARIANCES)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"target": 0.0}, "inactive_level"),
        ({"target": 0.0, "is_active": True}, "inactive_level"),
        ({"oms": None, "target": None}, "no_oms_row"),
    ],
    ids=["nothing to sell", "active without a number", "no OMS row"],
)
def test_a_level_that_should_sell_nothing_is_not_activated(row: dict[str, Any], reason: str) -> None:
    decided = plan.decide(variances({"is_active": False, "available": None, "delta": None} | row), activate=True)

    assert decided.held.select("held", "available").rows() == [(reason, None)]


def test_a_missing_level_whose_number_cannot_be_read_is_held() -> None:
    row = {"oms": nan, "target": nan, "is_active": False, "available": None, "delta": None}

    assert plan.decide(variances(row), activate=True).held["held"].to_list() == ["malformed"]


def test_a_row_that_is_right_already_is_not_sent_whether_levels_are_activated_or_not() -> None:
    for activate in (False, True):
        assert plan.decide(variances({"delta": 0}), activate=activate).already_right.height == 1


def test_a_row_that_shows_its_target_and_is_held_is_held() -> None:
    decided = plan.decide(variances({"delta": 0, "held": "deferred"}, {"delta": 0, "tracked": False}))

    assert decided.held["held"].to_list() == ["deferred", "untracked"]
    assert decided.already_right.is_empty()


def test_a_table_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(SystemFailed, match=r"Table variances lacks the column\(s\) oms"):
        plan.decide(variances({}).drop("oms"))


def test_every_row_ends_in_exactly_one_class_and_the_riskiest_goes_first() -> None:
    rows = variances(
        {"target": 9.0}, {"inventory_item_id": 2, "target": 0.0, "delta": -3}, {"delta": 0}, {"tracked": False}
    )

    decided = plan.decide(rows)

    assert decided.adjustments["target"].to_list() == [0.0, 9.0]
    assert decided.adjustments.height + decided.already_right.height + decided.held.height == rows.height


def test_rows_of_one_target_are_sent_by_item_then_location() -> None:
    keys = [(2, 7), (1, 9), (1, 8), (2, 6)]
    rows = variances(*({"inventory_item_id": item, "location_id": location} for item, location in keys))

    assert plan.decide(rows).adjustments.select(tables.KEY).rows() == sorted(keys)


def guarded(adjustments: pl.DataFrame, **counts: Any) -> list[plan.Guarded]:
    numbers = {
        "mapped": 100,
        "rows": 100,
        "rows_before": 100,
        "targets": 100,
        "targets_before": 100,
        "selling": 100,
    } | counts
    return plan.guards(adjustments, Guards(), **numbers)


def measured(adjustments: pl.DataFrame, name: str, **counts: Any) -> tuple[float, bool]:
    """The number of one guard, and whether it stops the run."""
    (guard,) = (guard for guard in guarded(adjustments, **counts) if guard.name == name)
    return guard.value, guard.stopped


@pytest.mark.parametrize(
    ("target", "available", "share"),
    [(0.0, 1, 0.01), (-1.0, 3, 0.01), (1.0, 3, 0.0), (0.0, 0, 0.0), (0.0, -2, 0.0)],
)
def test_a_pair_is_zeroed_that_sells_something_now_and_nothing_then(
    target: float, available: int, share: float
) -> None:
    assert measured(variances({"target": target, "available": available}), "max_zeroed_share")[0] == share


def test_units_that_move_up_and_down_are_added() -> None:
    rows = variances({"delta": 60_000}, {"inventory_item_id": 2, "delta": -40_000})

    assert measured(rows, "max_units") == (100_000, False)
    assert measured(rows.with_columns(pl.col("delta") * 2), "max_units") == (200_000, True)


def test_a_share_at_its_limit_does_not_stop_the_run_and_is_rounded() -> None:
    rows = variances(*({"inventory_item_id": item} for item in range(50)))

    assert measured(rows, "max_changed_share", mapped=100) == (0.5, False)
    assert measured(rows, "max_changed_share", mapped=99) == (0.5051, True)
    assert measured(rows, "min_rows_share", rows=80) == (0.8, False)


def test_a_shop_without_pairs_or_without_an_earlier_run_has_no_shares_to_guard() -> None:
    assert measured(variances(), "max_changed_share", mapped=0) == (0.0, False)
    assert measured(variances(), "min_rows_share", rows_before=None, targets_before=None) == (1.0, False)


@pytest.mark.parametrize(("n", "stopped"), [(19, []), (20, ["max_zeroed_share"])])
def test_a_share_fires_only_from_the_absolute_floor(n: int, stopped: list[str]) -> None:
    zeroed = variances(*[{"inventory_item_id": i, "target": 0.0, "delta": -3} for i in range(n)])

    assert [guard.name for guard in guarded(zeroed) if guard.stopped] == stopped


@pytest.mark.parametrize(
    ("zeroed", "selling", "mapped", "stopped"),
    [
        (19, 19, 19, True),
        (19, 20, 19, False),
        (3, 3, 3, True),
        (2, 2, 2, False),
        (19, 19, 20, False),
    ],
)
def test_a_shop_too_small_for_shares_stops_where_nothing_would_be_left_to_sell(
    zeroed: int, selling: int, mapped: int, stopped: bool
) -> None:
    rows = variances(*[{"inventory_item_id": i, "target": 0.0, "delta": -3} for i in range(zeroed)])

    sentences = [guard.sentence() for guard in guarded(rows, mapped=mapped, selling=selling) if guard.stopped]
    assert sentences == ["selling_pairs_left is 0 against the limit 1"] * stopped


@pytest.mark.parametrize("counts", [{"rows": 79}, {"targets": 79}])
def test_a_shrunken_read_stops_the_run_with_its_numbers(counts: dict[str, int]) -> None:
    guards = guarded(variances({}), **counts)

    with pytest.raises(GuardStopped, match=r"min_rows_share is 0\.79 against the limit 0\.8 \(rows 79\)"):
        plan.enforce(guards, {"rows": 79})


def test_guards_that_hold_let_the_run_go_on() -> None:
    plan.enforce(guarded(variances({})), {})
