"""The door: how each kind of value is read, and that none which cannot be read becomes another one."""

from datetime import UTC, datetime
from math import isnan
from typing import Any

import polars as pl
import pytest

from invsync.inputs import door
from invsync.inputs.door import ID, INDICATOR, MOMENT, NAME, QUANTITY, SEQUENCE, SHOPIFY_ID, WHOLE, Kind, Table

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(kind: Kind, text: str | None, timezone: str = "UTC") -> tuple[Any, list[str]]:
    """The value, and what it ought to be where it breaks a rule."""
    table = Table("table", {"x": kind})
    values, faults = table.checked(table.read(pl.DataFrame({"x": [text]}, schema={"x": pl.String}), timezone))
    return values["x"][0], faults["expected"].to_list()


@pytest.mark.parametrize("kind", [ID, SHOPIFY_ID, SEQUENCE, INDICATOR, QUANTITY, MOMENT, WHOLE])
@pytest.mark.parametrize("text", [None, "", "  ", r"\N", "NULL", "null", "None", "<NA>", "(null)", "[NULL]"])
def test_words_for_null_are_null(kind: Kind, text: str | None) -> None:
    assert read(kind, text) == (None, [])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ID, " P1\u00a0", "P1"),
        (ID, "\ufeffP1\u200b", "P1"),
        (ID, "10001.0", "10001"),
        (ID, "10001,0", "10001"),
        (ID, "'00123", "00123"),
        (ID, '="00123"', "00123"),
        (ID, '"WH"', "WH"),
        (ID, "00123", "00123"),
        (ID, "1.5", "1.5"),
        (ID, "12E4", "12E4"),
        (ID, "NA", "NA"),
        (ID, "702.938", "702.938"),
        (SHOPIFY_ID, "5512345678901.0", "5512345678901"),
        (SHOPIFY_ID, "gid://shopify/Order/1?k=1", "gid://shopify/Order/1?k=1"),
        (SEQUENCE, "1", "00001"),
        (SEQUENCE, "00001", "00001"),
        (SEQUENCE, "2.0", "00002"),
        (INDICATOR, " Y", "Y"),
        (INDICATOR, "N ", "N"),
        (QUANTITY, " 5 ", 5.0),
        (QUANTITY, "-2.5", -2.5),
        (QUANTITY, "1E+3", 1000.0),
        (QUANTITY, "-0", 0.0),
        (WHOLE, "44012345678901", 44012345678901),
        (WHOLE, "4.0", 4),
        (NAME, "NULL", "NULL"),
        (NAME, " shirt ", " shirt "),
        (MOMENT, "2026-03-02 12:00:00", NOON),
        (MOMENT, "2026-03-02T12:00:00.000Z", NOON),
        (MOMENT, "2026-03-02 13:00:00+01", NOON),
        (MOMENT, "2026-03-02 06:30:00-05:30", NOON),
        (MOMENT, "2026-03-02 12:00", NOON),
        (MOMENT, "2026-03-02 12:00:00,000 UTC", NOON),
        (MOMENT, "1772452800000", NOON),
        (MOMENT, "2026-03-02", NOON.replace(hour=0)),
    ],
)
def test_what_programs_put_around_a_value_is_no_part_of_it(kind: Kind, text: str, value: Any) -> None:
    got, faults = read(kind, text)
    assert faults == [] and got == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            (ID, text)
            for text in ("5.51235E+12", "5,5e+12", "#REF!", "########", "20,008", 'a"b', "a\x00b", "=A1", r"\\N")
        ),
        (SHOPIFY_ID, "5.512.345.678.901"),
        (SHOPIFY_ID, "5 512 345 678 901"),
        *((INDICATOR, text) for text in ("y", "yes", "true", "1", "n", "No", "false", "0", "?", "-", "#NAME?")),
        *(
            (QUANTITY, text)
            for text in (
                "1,5",
                "1.000,0",
                "12 pcs",
                "abc",
                "NaN",
                "nan",
                "inf",
                "1e999",
                "\u22122",
                "$2",
                "#DIV/0!",
                "5-Mar",
                "'4",
            )
        ),
        *((WHOLE, text) for text in ("2.5", "-1", "4.40123E+13", "1e3", "99999999999999999999", "x")),
        *(
            (MOMENT, text)
            for text in (
                "12/31/2025 0:00",
                "31.12.2025",
                "46022.0",
                "0000-00-00 00:00:00",
                "2026-02-30",
                "yesterday",
                "25-12-31 00:00",
                "1899-12-30",
                "20251231000000",
                "12:00:00",
                "2026-03-02 25:00:00",
                "#REF!",
                "infinity",
            )
        ),
    ],
)
def test_a_value_that_nobody_can_read_is_named_and_never_another_value(kind: Kind, text: str) -> None:
    value, faults = read(kind, text)
    assert len(faults) == 1
    if kind is QUANTITY:
        assert isnan(value)
    if kind is MOMENT:
        assert value < door.EARLIEST
    if kind is WHOLE:
        assert value < 0


def test_an_hour_that_does_not_occur_is_the_next_and_one_that_occurs_twice_the_first() -> None:
    assert read(MOMENT, "2026-03-29 02:30:00", "Europe/Paris") == (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), [])
    assert read(MOMENT, "2026-10-25 02:30:00", "Europe/Paris") == (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), [])


def faults_of(table: Table, *rows: tuple[str | None, ...]) -> tuple[int, list[tuple[int, str]]]:
    texts = pl.DataFrame(rows, schema=dict.fromkeys(table.columns, pl.String), orient="row")
    values, faults = table.checked(table.read(texts))
    return values.height, list(faults.select(door.ROW, "column").iter_rows())


def test_a_key_stands_once_an_equal_row_counts_once_and_a_key_is_never_empty() -> None:
    table = Table("table", {"a": ID, "b": ID, "units": QUANTITY}, key=["a", "b"])
    assert faults_of(table, ("1", "2", "5"), ("1", "3", "5")) == (2, [])
    assert faults_of(table, ("1", "2", "5"), ("1", "2", "5.0"), ("1", "3", "5")) == (2, [])
    assert faults_of(table, ("1", "2", "5"), ("1", "2", "6")) == (1, [(0, "a, b"), (1, "a, b")])
    assert faults_of(table, ("1", None, "5"), ("1", "3", "x")) == (2, [(0, "b"), (1, "units")])


def test_an_equal_row_is_a_fault_where_the_table_says_so_and_a_required_column_is_never_empty() -> None:
    table = Table("table", {"a": ID, "units": QUANTITY}, key=["a"], required=["units"], repeats=False)
    assert faults_of(table, ("1", "5"), ("1", "5")) == (1, [(0, "a"), (1, "a")])
    assert faults_of(table, ("1", ""), ("2", "5")) == (2, [(0, "units")])


def test_rows_without_a_key_are_named_though_they_are_equal() -> None:
    table = Table("table", {"a": ID, "b": ID}, key=["a"])
    _, faults = faults_of(table, (None, "x"), (None, "x"))
    assert faults == [(0, "a"), (1, "a")]


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        (QUANTITY, pl.Series([1, 2]), [1.0, 2.0]),
        (QUANTITY, pl.Series([1.5, None]), [1.5, None]),
        (ID, pl.Series([20012.0, None]), ["20012", None]),
        (ID, pl.Series([7]), ["7"]),
        (SHOPIFY_ID, pl.Series([1e22]), ["1e+22"]),
        (MOMENT, pl.Series([datetime(2026, 3, 2, 13)]), [NOON]),
        (MOMENT, pl.Series([NOON]), [NOON]),
        (MOMENT, pl.Series([1772452800000]), [NOON]),
        (WHOLE, pl.Series([4.0, 2.5]), [4, -1]),
        (INDICATOR, pl.Series([True]), ["true"]),
    ],
)
def test_columns_of_numbers_and_stamps_are_read_as_well(kind: Kind, column: pl.Series, expected: list[Any]) -> None:
    assert kind.values(column, "Europe/Paris").to_list() == expected
