"""Rows that were fetched over HTTP: validate them, and compare or collect their values."""

import polars as pl

from invsync.oms import schemas
from invsync.oms.rest.entities import KEYS, Row, Rows
from invsync.oms.rest.envelopes import camel
from invsync.oms.schemas import TABLES, Entered
from invsync.oms.sql.statements import COLUMNS


def entered(name: str, rows: Rows) -> Entered:
    """Return the validated values of a table's rows, with their faults."""
    table, key = TABLES[name], KEYS.get(name, 1)
    texts = pl.DataFrame(list(map(_texts, rows.values())), schema=dict.fromkeys(table.columns, pl.String), orient="row")

    def place(row: int) -> str:
        named = zip(table.columns, texts.row(row)[:key], strict=False)
        return f"HotWax's {name}, {', '.join(f'{camel(column)} {value}' for column, value in named)}"

    return schemas.entered(table, texts, "UTC", lambda rows: [place(row) for row in rows])


def _texts(row: Row) -> tuple[str | None, ...]:
    return tuple(None if value is None else str(value) for value in row)


def least(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return BOOKED with the smaller of two numbers of units."""
    key = ["external_id", "product_id", "facility_id"]
    both = before.join(after.rename({"units": "later"}), on=key, nulls_equal=True)
    return both.select(*key, units=pl.min_horizontal("units", "later"))


def distinct(rows: Rows, name: str, column: str | None = None) -> list[str]:
    """Return the distinct values of one column (the first by default), sorted, without null."""
    at = COLUMNS[name].split().index(column) if column else 0
    return sorted({str(row[at]) for row in rows.values() if row[at] is not None})
