import polars as pl
import pytest
from builders import levels, rows

from invsync import equation, tables
from invsync.errors import SystemFailed


def world(
    oms: float | None,
    available: int | None,
    in_flight: int = 0,
    buffer: int = 0,
    *,
    debt: float | None = None,
    aside: int = 0,
) -> dict[str, object]:
    targets = rows(tables.TARGETS, (1, 7, "P", "SKU", "aggregate", oms, debt))
    flight = rows(tables.IN_FLIGHT, (9, "#9", None, 1, 7, in_flight))
    set_aside = rows(tables.BUFFERS, (1, 7, aside))
    found = equation.variances(targets, levels((1, 7, available)), flight, buffer=buffer, set_aside=set_aside)
    return found.row(0, named=True)


def test_units_set_aside_are_a_term_of_their_own() -> None:
    found = world(10, 7, in_flight=2, buffer=1, aside=3)
    assert (found["in_flight"], found["set_aside"], found["target"], found["delta"]) == (2, 3, 4, -3)


@pytest.mark.parametrize(
    ("available", "debt", "in_flight", "target"),
    [
        (-5, -5, 0, -5),
        (-8, -5, 0, -5),
        (-3, -5, 0, -3),
        (0, -5, 0, 0),
        (4, -5, 0, 0),
        (-7, -5, 2, -7),
        (-2, None, 0, 0),
    ],
    ids=["owed", "beyond the debt", "less than the debt", "paid back", "above", "and in flight", "no debt"],
)
def test_a_negative_number_is_not_raised_beyond_what_the_oms_owes(
    available: int, debt: int | None, in_flight: int, target: int
) -> None:
    assert world(0, available, in_flight, debt=debt)["target"] == target


@pytest.mark.parametrize(("available", "target"), [(10, 2), (2, 2), (1, 2.5), (None, 2.5)])
def test_a_fraction_is_left_out_unless_that_raises(available: int | None, target: float) -> None:
    assert world(2.5, available)["target"] == target


@pytest.mark.parametrize(("oms", "available", "delta"), [(95, 100, -5), (50, 50, 0), (30, 25, 5)])
def test_products_a_b_and_c_of_the_documentation(oms: int, available: int, delta: int) -> None:
    assert world(oms, available)["delta"] == delta


def test_units_in_flight_never_go_back_on_sale() -> None:
    assert world(5, 1, in_flight=4)["delta"] == 0


@pytest.mark.parametrize(("oms", "buffer", "target"), [(10, 3, 7), (2, 3, 0), (-1, 3, -1), (0, 3, 0)])
def test_the_buffer_is_subtracted_only_down_to_zero(oms: int, buffer: int, target: int) -> None:
    assert world(oms, 0, buffer=buffer)["target"] == target


def test_without_an_oms_row_there_is_no_target() -> None:
    assert world(None, 5)["target"] is None
    assert world(None, 5)["delta"] is None


def test_a_table_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(SystemFailed, match=r"Table levels lacks the column\(s\) is_active"):
        equation.variances(tables.empty(tables.TARGETS), levels().drop("is_active"), tables.empty(tables.IN_FLIGHT))


def test_a_column_of_the_wrong_type_is_refused_by_name() -> None:
    with pytest.raises(SystemFailed, match="Table levels holds a value of the wrong type"):
        wrong = levels((1, 7, 5)).with_columns(available=pl.lit("five"))
        equation.variances(tables.empty(tables.TARGETS), wrong, tables.empty(tables.IN_FLIGHT))


def test_a_level_that_stands_twice_is_refused_whatever_the_order_of_its_rows() -> None:
    for twice in ([(1, 7, 5), (1, 7, 9)], [(1, 7, 9), (2, 7, 1), (1, 7, 5)]):
        with pytest.raises(SystemFailed, match="Item 1 at location 7 stands twice"):
            equation.variances(tables.empty(tables.TARGETS), levels(*twice), tables.empty(tables.IN_FLIGHT))
