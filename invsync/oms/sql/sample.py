"""A few rows of any HotWax table, for questions that no run asks."""

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms.rest.endpoints import Filter
from invsync.oms.rest.source import Rest
from invsync.oms.source import Source
from invsync.oms.sql.source import Database
from invsync.oms.sql.values import frame


class Lacking(Exception):
    """This HotWax, or its export, has no such table or column; the text names it."""


def sample(
    source: Source, name: str, schema: tables.Schema, limit: int, *, among: Filter | None = None, newest: str = ""
) -> pl.DataFrame:
    """Up to `limit` rows of a table: those among a column's values, those with the newest stamp first."""
    if isinstance(source, Rest):
        return _over_http(source, name, schema, limit, among, newest)
    assert isinstance(source, Database)
    with source.reader.transaction() as connection:
        table = _table(source, connection, name, schema)
        query = sa.select(*table.c).limit(limit)
        if among is not None:
            query = query.where(table.c[among.column].in_(among.among or []))
        if newest:
            query = query.where(table.c[newest].is_not(None)).order_by(table.c[newest].desc())
        return source.reader.rows(connection, query, schema)


def _table(source: Database, connection: sa.Connection, name: str, schema: tables.Schema) -> sa.TableClause:
    if name not in source.names:
        raise Lacking(f"table {name}")
    there = {column["name"].lower() for column in sa.inspect(connection).get_columns(source.names[name])}
    if missing := sorted(set(schema) - there):
        raise Lacking(f"column {', '.join(missing)} in {name}")
    return sa.table(source.names[name], *(sa.column(column) for column in schema))


def _over_http(
    source: Rest, name: str, schema: tables.Schema, limit: int, among: Filter | None, newest: str
) -> pl.DataFrame:
    filters = [among] if among else []
    rows = source.api.sample(name, list(schema), limit, *filters, order=f"-{newest}" if newest else None)
    if rows is None:
        raise Lacking(f"table {name} over its APIs")
    found = frame(rows, schema, "UTC")
    return found.drop_nulls(newest) if newest else found
