"""Ad hoc queries: a few rows of any table for doctor, and the whole history of orders for a replay."""

from collections.abc import Mapping, Sequence

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms.source import ORDER_HEADERS, ORDER_ITEMS, Lacking
from invsync.oms.sql.reader import Reader


def sample(
    reader: Reader,
    names: Mapping[str, str],
    name: str,
    schema: tables.Schema,
    limit: int,
    *,
    where: Mapping[str, Sequence[str]],
    newest: str,
) -> pl.DataFrame:
    """Return at most `limit` rows of a table, given the real names of the tables; see `Source.sample`."""
    if name not in names:
        raise Lacking(f"table {name}")
    table = _table(names[name], schema)
    query = sa.select(*table.c).where(*(table.c[column].in_(values) for column, values in where.items())).limit(limit)
    if newest:
        query = query.where(table.c[newest].is_not(None)).order_by(table.c[newest].desc())
    with reader.transaction() as connection:
        columns = {column["name"].lower() for column in sa.inspect(connection).get_columns(names[name])}
        if missing := sorted(set(schema) - columns):
            raise Lacking(f"column {', '.join(missing)} in {name}")
        return reader.rows(connection, query, schema)


def order_history(reader: Reader) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return ORDER_HEADERS and ORDER_ITEMS of every order that has an id in another system."""
    header, item = _table("order_header", [*ORDER_HEADERS, "external_id"]), _table("order_item", ORDER_ITEMS)
    imported = header.c.external_id.is_not(None)
    headers = sa.select(*(header.c[name] for name in ORDER_HEADERS)).where(imported)
    items = sa.select(*item.c).join(header, header.c.order_id == item.c.order_id).where(imported)
    with reader.transaction() as connection:
        return reader.rows(connection, headers, ORDER_HEADERS), reader.rows(connection, items, ORDER_ITEMS)


def _table(name: str, columns: Sequence[str] | tables.Schema) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))
