import polars as pl
import pytest

from invsync import diff, tables


def world(oms: float | None, available: int | None, in_flight: int = 0, buffer: int = 0) -> dict[str, object]:
    targets = pl.DataFrame([[1, 7, "P", "SKU", "aggregate", oms]], schema=tables.TARGETS, orient="row")
    levels = pl.DataFrame([[1, 7, available, True, True, False, "SKU"]], schema=tables.LEVELS, orient="row")
    flight = pl.DataFrame([[9, "#9", None, 1, 7, in_flight]], schema=tables.IN_FLIGHT, orient="row")
    return diff.variances(targets, levels, flight, buffer=buffer).row(0, named=True)


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
