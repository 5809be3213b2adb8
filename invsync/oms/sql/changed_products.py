"""Find the products that changed in a window, by stock rows, memberships and order items."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from invsync.oms.sql.statements import Column, Statements
from invsync.oms.sql.values import bound, earliest, latest

Condition = sa.ColumnElement[bool]


class Window:
    """The window [from_, thru), or without an end, as a condition on a timestamp column of one database.

    Where the clocks change it is wider than that, never narrower.
    """

    def __init__(self, from_: datetime, thru: datetime | None, *, timezone: str, dialect: str) -> None:
        self.text = dialect == "sqlite"
        first, last = earliest(from_, timezone), None if thru is None else latest(thru, timezone)
        self.from_, self.thru = (
            None if at is None else sa.literal(bound(at) if self.text else at) for at in (first, last)
        )

    def holds(self, column: Column) -> Condition:
        """True where the timestamp is in the window."""
        plain = sa.func.replace(column, "T", " ") if self.text else column
        return plain >= self.from_ if self.thru is None else (plain >= self.from_) & (plain < self.thru)

    def touched(self, column: Column) -> Condition:
        """True where the timestamp is in the window, is null, or is text that is not a date."""
        no_date = column.op("NOT GLOB")("[12][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*") if self.text else sa.false()
        return column.is_(None) | no_date | self.holds(column)


def touched_products(
    connection: sa.Connection,
    sql: Statements,
    window: Window,
    *,
    group: str | None,
    store: str,
) -> set[str]:
    """Return the product_id of every row that changed in the window."""
    stock, item = sql["product_facility"], sql["order_item"]
    stamped = [
        sa.select(table.c.product_id).where(window.touched(table.c.last_updated_stamp)).distinct()
        for table in (stock, item)
    ]
    moved = connection.execute(moved_facilities(sql, window, group=group, store=store)).scalars().all()
    if moved:
        stamped.append(sa.select(stock.c.product_id).where(stock.c.facility_id.in_(moved)).distinct())
    results = (connection.execute(query).scalars() for query in stamped)
    return {str(product) for rows in results for product in rows if product is not None}


def moved_facilities(sql: Statements, window: Window, *, group: str | None, store: str) -> sa.CompoundSelect[Any]:
    """Return the query for facilities whose membership of the group or the store began, ended or was edited in the window."""
    member, shop = sql["facility_group_member"], sql["product_store_facility"]
    in_group = sa.true() if group is None else member.c.facility_group_id == group
    return sa.union(
        sa.select(member.c.facility_id).where(in_group, _edges(member, window)),
        sa.select(shop.c.facility_id).where(shop.c.product_store_id == store, _edges(shop, window)),
    )


def _edges(table: sa.TableClause, window: Window) -> Condition:
    columns = table.c
    return (
        window.touched(columns.last_updated_stamp) | window.holds(columns.from_date) | window.holds(columns.thru_date)
    )
