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
    variances = equation.variances(targets, levels((1, 7, available)), flight, buffer=buffer, set_aside=set_aside)
    assert variances.schema == pl.Schema(tables.VARIANCES)
    return variances.row(0, named=True)


def test_units_set_aside_are_a_term_of_their_own() -> None:
    row = world(10, 7, in_flight=2, buffer=1, aside=3)
    assert (row["in_flight"], row["set_aside"], row["target"], row["delta"]) == (2, 3, 4, -3)


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


def test_a_debt_holds_back_no_pair_that_shows_nothing_below_zero() -> None:
    assert world(3, 0, debt=-5)["target"] == 3


def test_units_in_flight_come_off_although_the_pair_owes_more() -> None:
    assert world(0, -1, in_flight=4, debt=-5)["target"] == -4


@pytest.mark.parametrize(("available", "target"), [(10, 2), (2, 2), (1, 2.5), (None, 2.5)])
def test_a_fraction_is_left_out_unless_that_raises(available: int | None, target: float) -> None:
    assert world(2.5, available)["target"] == target


def test_the_delta_of_a_fraction_is_the_nearest_whole_number() -> None:
    assert world(2.6, 1)["delta"] == 2


def test_the_error_of_a_sum_of_fractions_is_no_fraction() -> None:
    assert world(sum([0.1] * 10), 0)["target"] == 1


def test_a_number_beyond_any_count_of_units_has_no_delta() -> None:
    assert world(1e30, 5)["delta"] is None


@pytest.mark.parametrize(("oms", "available", "delta"), [(95, 100, -5), (50, 50, 0), (30, 25, 5)])
def test_products_a_b_and_c_of_the_documentation(oms: int, available: int, delta: int) -> None:
    assert world(oms, available)["delta"] == delta


def test_units_in_flight_never_go_back_on_sale() -> None:
    assert world(5, 1, in_flight=4)["delta"] == 0


@pytest.mark.parametrize(("oms", "buffer", "target"), [(10, 3, 7), (2, 3, 0), (-1, 3, -1), (0, 3, 0)])
def test_the_buffer_is_subtracted_only_down_to_zero(oms: int, buffer: int, target: int) -> None:
    assert world(oms, 0, buffer=buffer)["target"] == target


def test_a_pair_of_the_table_has_its_own_buffer_and_any_other_the_general_one() -> None:
    targets = rows(tables.TARGETS, (1, 7, "P", "S", "aggregate", 10), (2, 7, "Q", "T", "aggregate", 10))
    shown, flight, own = levels((1, 7, 0), (2, 7, 0)), tables.empty(tables.IN_FLIGHT), rows(tables.BUFFERS, (1, 7, 4))

    assert equation.variances(targets, shown, flight, buffer=1, buffers=own)["target"].to_list() == [6, 9]
    assert equation.variances(targets, shown, flight, buffers=own)["target"].to_list() == [6, 10]


def test_without_an_oms_row_there_is_no_target() -> None:
    assert world(None, 5)["target"] is None
    assert world(None, 5)["delta"] is None


@pytest.mark.parametrize(("table", "column"), [("targets", "oms"), ("levels", "is_active"), ("in_flight", "units")])
def test_a_table_without_a_column_is_refused_by_name(table: str, column: str) -> None:
    frames = {"targets": tables.TARGETS, "levels": tables.LEVELS, "in_flight": tables.IN_FLIGHT}
    given = {name: tables.empty(schema) for name, schema in frames.items()}

    with pytest.raises(SystemFailed, match=rf"Table {table} lacks the column\(s\) {column}"):
        equation.variances(**(given | {table: given[table].drop(column)}))


def test_a_column_of_the_wrong_type_is_refused_by_name() -> None:
    with pytest.raises(SystemFailed, match="Table levels holds a value of the wrong type"):
        wrong = levels((1, 7, 5)).with_columns(available=pl.lit("five"))
        equation.variances(tables.empty(tables.TARGETS), wrong, tables.empty(tables.IN_FLIGHT))


def test_a_level_that_stands_twice_is_refused_whatever_the_order_of_its_rows() -> None:
    for twice in ([(1, 7, 5), (1, 7, 9)], [(1, 7, 9), (2, 7, 1), (1, 7, 5)]):
        with pytest.raises(SystemFailed, match="Item 1 at location 7 stands twice"):
            equation.variances(tables.empty(tables.TARGETS), levels(*twice), tables.empty(tables.IN_FLIGHT))
