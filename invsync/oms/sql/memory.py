"""HotWax tables held in memory, so that exported and fetched rows are asked by the same SQL as a database."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from invsync.oms.sql.statements import QUANTITIES

BATCH = 50_000
Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


def database(tables: Mapping[str, Table]) -> sa.Engine:
    """An in-memory SQLite database of these tables, each its columns and its rows; quantities become numbers."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        for name, (columns, rows) in tables.items():
            _fill(connection, name, columns, rows)
    return engine


def _fill(connection: sa.Connection, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    typed = ", ".join(f"{column} {'NUMERIC' if column in QUANTITIES else 'TEXT'}" for column in columns)
    connection.exec_driver_sql(f"CREATE TABLE {name} ({typed})")
    insert = f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})"
    remaining: Any = iter(rows)
    while batch := list(itertools.islice(remaining, BATCH)):
        connection.exec_driver_sql(insert, batch)
