"""HotWax tables in memory, so that exported and fetched rows are queried with the same SQL as a database."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from invsync.oms.sql.statements import QUANTITIES

BATCH = 50_000
Table = tuple[Sequence[str], Iterable[tuple[object, ...]]]


def database(tables: Mapping[str, Table]) -> sa.Engine:
    """Return an in-memory SQLite database of these tables, each given as its columns and rows; quantities are numeric."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        for name, (columns, rows) in tables.items():
            _fill(connection, name, columns, rows)
    return engine


def _fill(connection: sa.Connection, name: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    typed = ", ".join(f"{column} {'NUMERIC' if column in QUANTITIES else 'TEXT'}" for column in columns)
    connection.exec_driver_sql(f"CREATE TABLE {name} ({typed})")
    insert = f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})"
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, BATCH)):
        connection.exec_driver_sql(insert, batch)
