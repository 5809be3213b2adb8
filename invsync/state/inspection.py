"""Read-only facts about the state database: its size, its rows, its leases, its claims and its integrity."""

from typing import TypedDict, cast

import sqlalchemy as sa

from invsync.state.schema import CLAIM, LEASE, META, OUTBOX, SHOPS, VERSION

INTACT = "ok"  # what SQLite's integrity check says of a database without faults


class LeaseRow(TypedDict):
    """A lease that is taken, and the process that holds it."""

    shop: str
    run_id: str
    host: str
    pid: int
    heartbeat: str


class ShopRow(TypedDict):
    """A shop, and why its delta job waits for a hard sync."""

    kept_as: str
    domain: str
    needs_hard_sync: str | None


class ClaimCount(TypedDict):
    """How many stock events of a shop have claims of one status."""

    shop: str
    status: str
    events: int


class Inspection:
    """What the database holds of all shops; nothing is changed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def size(self) -> int | None:
        """Return its size in bytes; None where the server does not say."""
        if self._engine.dialect.name == "sqlite":
            return int(self._scalar("PRAGMA page_count")) * int(self._scalar("PRAGMA page_size"))
        if self._engine.dialect.name == "postgresql":
            return sum(int(self._scalar(f"SELECT pg_total_relation_size('{table}')")) for table in META.tables)
        return None

    def _scalar(self, statement: str) -> str:
        with self._engine.connect() as connection:
            return str(connection.exec_driver_sql(statement).scalar_one())

    def rows(self) -> dict[str, int]:
        """Return the number of rows by table."""
        tables = [table for table in META.sorted_tables if table is not VERSION]
        with self._engine.connect() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in tables
            }

    def leases(self) -> list[LeaseRow]:
        """Return each lease that is taken."""
        return [cast(LeaseRow, row) for row in self._read(sa.select(LEASE).order_by(LEASE.c.shop))]

    def shops(self) -> list[ShopRow]:
        """Return each shop that has run."""
        return [cast(ShopRow, row) for row in self._read(sa.select(SHOPS).order_by(SHOPS.c.kept_as))]

    def outboxes(self) -> list[str]:
        """Return the names under which the shops' files are kept."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(OUTBOX.c.shop).distinct().order_by(OUTBOX.c.shop)).scalars())

    def claims(self) -> list[ClaimCount]:
        """Return the number of claims by shop and status."""
        by = [CLAIM.c.shop, CLAIM.c.status]
        query = sa.select(*by, sa.func.count().label("events")).group_by(*by).order_by(*by)
        return [cast(ClaimCount, row) for row in self._read(query)]

    def faults(self) -> list[str]:
        """Return what SQLite's integrity check finds wrong; empty where it is intact, or a server looks after itself."""
        if self._engine.dialect.name != "sqlite":
            return []
        with self._engine.connect() as connection:
            lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
            return [line for line in lines if line != INTACT]

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[dict[str, object]]:
        with self._engine.connect() as connection:
            return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]
