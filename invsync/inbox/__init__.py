"""The inbox: webhook deliveries that no run has covered yet, in the state database."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from invsync import tables
from invsync.errors import UsageError
from invsync.state import iso
from invsync.state.retention import covered_before
from invsync.state.schema import WEBHOOK

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

DIALECTS = ("sqlite", "postgresql")
KEEP_DAYS = 7
LEVEL, CREATED, CANCELLED, FINISHED = (
    "inventory_levels/update",
    "orders/create",
    "orders/cancelled",
    "bulk_operations/finish",
)
STOCK = "stock/event"
HEARD: tables.Schema = {
    "number": tables.ID,
    "topic": tables.TEXT,
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "order_id": tables.ID,
    "product_id": tables.TEXT,
    "available": tables.UNITS,
    "updated_at": tables.STAMP,
    "heard_at": tables.STAMP,
}


@dataclass(frozen=True)
class Heard:
    """One delivery: what it names, and the ids by which a repetition is recognised.

    `content` is the hash of a body that names its own moment; None where two deliveries may have the same body.
    """

    shop: str
    delivery: str
    topic: str
    content: str | None = None
    inventory_item_id: int | None = None
    location_id: int | None = None
    order_id: int | None = None
    product_id: str | None = None
    available: int | None = None
    updated_at: datetime | None = None


class Inbox:
    """The deliveries of all shops; each waits until a run that covered it has finished."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the deliveries in this state database."""
        self._engine = engine

    def open(self) -> None:
        """Prepare for deliveries during runs: in SQLite, readers and the writer no longer wait for each other.

        Raises UsageError where the database is neither SQLite nor PostgreSQL.
        """
        if self._engine.dialect.name not in DIALECTS:
            raise UsageError("Webhooks need a state database of SQLite or PostgreSQL: correct [state] url.")
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def add(self, deliveries: Sequence[Heard]) -> set[str]:
        """Write those of these deliveries that are new, in one transaction; return the ids of the new ones."""
        now = iso(datetime.now(UTC))
        rows = [
            asdict(delivery)
            | {"heard_at": now, "updated_at": iso(delivery.updated_at) if delivery.updated_at else None}
            for delivery in deliveries
        ]
        insert = self._insert().on_conflict_do_nothing().returning(WEBHOOK.c.delivery)
        with self._engine.begin() as connection:
            return set(connection.execute(insert, rows).scalars())

    def _insert(self) -> "sqlite.Insert | postgresql.Insert":
        if self._engine.dialect.name == "sqlite":
            return sqlite.insert(WEBHOOK)
        from sqlalchemy.dialects import postgresql  # late: it is slow to import

        return postgresql.insert(WEBHOOK)

    def waiting(self, shop: str) -> pl.DataFrame:
        """Return HEARD of this shop that no run has covered yet, oldest first."""
        mine = (WEBHOOK.c.shop == shop) & WEBHOOK.c.covered_by.is_(None)
        query = sa.select(*(WEBHOOK.c[name] for name in HEARD)).where(mine).order_by(WEBHOOK.c.number)
        with self._engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        stamps: tables.Schema = {"updated_at": tables.TEXT, "heard_at": tables.TEXT}
        deliveries = pl.DataFrame(rows, schema=HEARD | stamps, orient="row")
        return deliveries.with_columns(pl.col(*stamps).str.to_datetime("%+", time_unit="us", time_zone="UTC"))

    def count(self, shop: str) -> int:
        """Return how many deliveries of this shop wait."""
        mine = (WEBHOOK.c.shop == shop) & WEBHOOK.c.covered_by.is_(None)
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())

    def shops_waiting(self) -> set[str]:
        """Return the shops of which deliveries wait."""
        query = sa.select(WEBHOOK.c.shop).where(WEBHOOK.c.covered_by.is_(None)).distinct()
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def orders(self, shop: str, since: datetime) -> list[int]:
        """Return the ids of the orders that deliveries named since then or that wait."""
        mine = (WEBHOOK.c.shop == shop) & WEBHOOK.c.order_id.is_not(None)
        mine &= WEBHOOK.c.covered_by.is_(None) | (WEBHOOK.c.heard_at >= iso(since))
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(WEBHOOK.c.order_id).where(mine).distinct()).scalars())

    def cover(self, shop: str, numbers: Iterable[int], by: str, *, keep_days: int = KEEP_DAYS) -> None:
        """Mark these deliveries as covered by a run; remove those covered `keep_days` ago, or none where it is 0."""
        keys = [{"of_number": number} for number in numbers]
        with self._engine.begin() as connection:
            if keys:
                named = sa.update(WEBHOOK).where(WEBHOOK.c.number == sa.bindparam("of_number"))
                connection.execute(named.values(covered_by=by), keys)
            if keep_days:
                old = covered_before(shop, datetime.now(UTC) - timedelta(days=keep_days))
                connection.execute(sa.delete(WEBHOOK).where(old))
