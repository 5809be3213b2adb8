from typing import Any

import polars as pl
import pytest

from invsync import plan, tables
from invsync.config.settings import Guards
from invsync.errors import GuardStopped

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
        ({"oms": None, "target": None, "delta": None}, "no_oms_row"),
        ({"tracked": None, "available": None, "delta": None}, "unknown_item"),
        ({"requires_components": True}, "bundle"),
        ({"tracked": False}, "untracked"),
        ({"target": 2.5}, "fractional"),
        ({"target": 2e9}, "too_large"),
        ({"is_active": False, "target": 0.0}, "inactive_level"),
        ({"is_active": False}, "inactive_level"),
        ({"held": "ambiguous_mapping"}, "ambiguous_mapping"),
    ],
)
def test_a_row_is_held_by_name(row: dict[str, Any], reason: str) -> None:
    decided = plan.decide(variances(row))

    assert decided.held["held"].to_list() == [reason]
    assert decided.adjustments.is_empty()


def test_every_row_ends_in_exactly_one_class_and_the_riskiest_goes_first() -> None:
    rows = variances(
        {"target": 9.0}, {"inventory_item_id": 2, "target": 0.0, "delta": -3}, {"delta": 0}, {"tracked": False}
    )

    decided = plan.decide(rows)

    assert decided.adjustments["target"].to_list() == [0.0, 9.0]
    assert decided.adjustments.height + decided.already_right.height + decided.held.height == rows.height


def found(adjustments: pl.DataFrame, **counts: Any) -> list[plan.Guarded]:
    facts = {
        "mapped": 100,
        "rows": 100,
        "rows_before": 100,
        "targets": 100,
        "targets_before": 100,
        "selling": 100,
    } | counts
    return plan.guards(adjustments, Guards(), **facts)


@pytest.mark.parametrize(("n", "stopped"), [(19, []), (20, ["max_zeroed_share"])])
def test_a_share_fires_only_from_the_absolute_floor(n: int, stopped: list[str]) -> None:
    zeroed = variances(*[{"inventory_item_id": i, "target": 0.0, "delta": -3} for i in range(n)])

    assert [guard.name for guard in found(zeroed) if guard.stopped] == stopped


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

    assert any(guard.stopped for guard in found(rows, mapped=mapped, selling=selling)) == stopped


@pytest.mark.parametrize("counts", [{"rows": 79}, {"targets": 79}])
def test_a_shrunken_read_stops_the_run_with_its_numbers(counts: dict[str, int]) -> None:
    guards = found(variances({}), **counts)

    with pytest.raises(GuardStopped, match=r"min_rows_share is 0\.79 against the limit 0\.8 \(rows 79\)"):
        plan.enforce(guards, {"rows": 79})


def test_guards_that_hold_let_the_run_go_on() -> None:
    plan.enforce(found(variances({})), {})
