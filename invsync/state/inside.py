"""What the state database looks like inside: its size, its rows, its leases, what is open in it, and whether it is whole."""

from collections.abc import Sequence

import sqlalchemy as sa

from invsync.state.schema import CLAIM, LEASE, META, OUTBOX, SHOPS, VERSION

WHOLE = "ok"


class Inside:
    """The database of all shops, looked at and not changed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def size(self) -> int | None:
        """Its bytes; None where the server does not say."""
        if self._engine.dialect.name == "sqlite":
            return int(self._one("PRAGMA page_count")) * int(self._one("PRAGMA page_size"))
        if self._engine.dialect.name == "postgresql":
            return sum(int(self._one(f"SELECT pg_total_relation_size('{table}')")) for table in META.tables)
        return None

    def _one(self, statement: str) -> str:
        with self._engine.connect() as connection:
            return str(connection.exec_driver_sql(statement).scalar_one())

    def rows(self) -> dict[str, int]:
        """Rows by table."""
        tables = [table for table in META.sorted_tables if table is not VERSION]
        with self._engine.connect() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in tables
            }

    def leases(self) -> Sequence[sa.RowMapping]:
        """Each shop that is held: shop, run_id, host, pid, heartbeat."""
        return self._read(sa.select(LEASE).order_by(LEASE.c.shop))

    def shops(self) -> Sequence[sa.RowMapping]:
        """Each shop: kept_as, domain, and why its delta job waits for a hard sync."""
        return self._read(sa.select(SHOPS).order_by(SHOPS.c.kept_as))

    def holders(self) -> list[str]:
        """The names under which an outbox is kept."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(OUTBOX.c.shop).distinct().order_by(OUTBOX.c.shop)).scalars())

    def claims(self) -> Sequence[sa.RowMapping]:
        """Claims by shop and status: shop, status, events."""
        by = [CLAIM.c.shop, CLAIM.c.status]
        return self._read(sa.select(*by, sa.func.count().label("events")).group_by(*by).order_by(*by))

    def faults(self) -> list[str]:
        """What SQLite's own check finds wrong; empty where all is whole, or a server looks after itself."""
        if self._engine.dialect.name != "sqlite":
            return []
        with self._engine.connect() as connection:
            lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
            return [line for line in lines if line != WHOLE]

    def _read(self, query: sa.Select[tuple[object, ...]]) -> Sequence[sa.RowMapping]:
        with self._engine.connect() as connection:
            return connection.execute(query).mappings().all()
