"""Retention: which rows of the state may be removed, and their removal.

A stock event is known by its claim. A claim is removed only when its run is old, its event lies before everything
that a run of the shop will read again, and nothing about it is open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from invsync.state.clock import iso, sortable
from invsync.state.lease import Lease
from invsync.state.runs import RunRow, Runs
from invsync.state.schema import CLAIM, LEASE, OUTBOX, RUNS, WEBHOOK
from invsync.vocabulary import CLOSED, DELTAS, PLANNED, UNKNOWN

BATCH = 10_000  # rows removed in one transaction, so that a run of another shop waits briefly
FREE_SHARE = 0.1  # of the pages of an SQLite file, from which on a vacuum is worth it
TABLES = {"claims": CLAIM, "files": OUTBOX, "runs": RUNS, "webhooks": WEBHOOK}


@dataclass(frozen=True)
class Shop:
    """A shop by its name and the name it is kept as, how far its runs look back, and how long a plan may be applied."""

    name: str
    kept_as: str
    overlap: timedelta
    plan_age: timedelta


@dataclass(frozen=True)
class Cutoffs:
    """The moments before which claims, runs with their files, and covered webhooks may go; None keeps them for ever."""

    claims: datetime | None
    runs: datetime | None
    webhooks: datetime | None


def covered_before(shop: str, moment: datetime) -> sa.ColumnElement[bool]:
    """The deliveries of this shop that arrived before this moment and that a run has covered."""
    return (WEBHOOK.c.shop == shop) & WEBHOOK.c.covered_by.is_not(None) & (WEBHOOK.c.heard_at < iso(moment))


class Retention:
    """What of each shop's rows is needed, and what may be removed, at this moment."""

    def __init__(self, engine: sa.Engine, now: datetime) -> None:
        self._engine, self._now, self._runs = engine, now, Runs(engine)

    def needed_runs(self, shop: Shop) -> set[str]:
        """Return the runs that a replay, a watermark, a guard, an alert, apply or undo may still ask for."""
        return self.open_runs(shop) | {row["run_id"] for row in self._latest(shop) if row}

    def open_runs(self, shop: Shop) -> set[str]:
        """Return the runs that have unsettled files or claims, whose plan may be applied, or that hold the lease."""
        fresh = sortable(self._now - shop.plan_age)
        queries = [
            sa.select(OUTBOX.c.run_id).where(OUTBOX.c.shop == shop.kept_as, OUTBOX.c.settled.is_(None)),
            sa.select(CLAIM.c.run_id).where(CLAIM.c.shop == shop.kept_as, CLAIM.c.status == UNKNOWN),
            sa.select(LEASE.c.run_id).where(LEASE.c.shop == shop.kept_as),
            sa.select(RUNS.c.run_id).where(
                RUNS.c.shop == shop.name, RUNS.c.status == PLANNED, RUNS.c.finished_at >= fresh
            ),
        ]
        with self._engine.connect() as connection:
            return {run_id for query in queries for run_id in connection.execute(query.distinct()).scalars()}

    def _latest(self, shop: Shop) -> Iterator[RunRow | None]:
        """The newest run, the newest that counted pairs, and of each job the newest that advanced, finished or sent."""
        with self._engine.connect() as connection:
            query = sa.select(RUNS.c.job).where(RUNS.c.shop == shop.name).distinct()
            jobs = list(connection.execute(query).scalars())
        yield self._runs.one(self._runs.newest(shop.name) or "")
        yield self._runs.last_mapped(shop.name)
        for job in jobs:
            yield self._runs.last_advance(shop.name, job)
            yield self._runs.last_finished(shop.name, job)
            yield self._runs.last_sent(shop.name, job)

    def first_unread(self, shop: Shop) -> datetime | None:
        """Return the moment before which no run will read stock events again; None where that is not known."""
        watermark = self._runs.watermark(shop.name, DELTAS)  # every job reads events from there on, less the overlap
        if watermark is None:
            return None
        is_open = (CLAIM.c.shop == shop.kept_as) & CLAIM.c.status.not_in(CLOSED)
        with self._engine.connect() as connection:
            oldest = connection.execute(sa.select(sa.func.min(CLAIM.c.created_at)).where(is_open)).scalar()
        return min(watermark, datetime.fromisoformat(oldest) if oldest else watermark) - shop.overlap

    def expired(self, shop: Shop, cutoffs: Cutoffs) -> dict[str, sa.ColumnElement[bool]]:
        """Return, for each kind of row, the condition of those that may be removed."""
        needed = self.needed_runs(shop)
        expired: dict[str, sa.ColumnElement[bool]] = {}
        if cutoffs.claims is not None and (unread := self.first_unread(shop)) is not None:
            expired["claims"] = _expired_claims(shop, cutoffs.claims, unread, self.open_runs(shop))
        if cutoffs.runs is not None:
            before = sortable(cutoffs.runs)
            files = (OUTBOX.c.shop == shop.kept_as) & OUTBOX.c.settled.is_not(None) & (OUTBOX.c.committed_at < before)
            expired["files"] = files & OUTBOX.c.run_id.not_in(needed)
            runs = (RUNS.c.shop == shop.name) & (RUNS.c.finished_at < before)
            expired["runs"] = runs & RUNS.c.run_id.not_in(needed)
        if cutoffs.webhooks is not None:
            expired["webhooks"] = covered_before(shop.name, cutoffs.webhooks)
        return expired

    def count(self, shop: Shop, cutoffs: Cutoffs) -> dict[str, int]:
        """Return how many rows of each kind may be removed."""
        with self._engine.connect() as connection:
            return {
                kind: connection.execute(
                    sa.select(sa.func.count()).select_from(TABLES[kind]).where(expired)
                ).scalar_one()
                for kind, expired in self.expired(shop, cutoffs).items()
            }

    def prune(self, lease: Lease, shop: Shop, cutoffs: Cutoffs) -> dict[str, int]:
        """Remove in batches what may be removed, while the lease is held; return how many rows of each kind went."""
        return {kind: self._remove(lease, TABLES[kind], old) for kind, old in self.expired(shop, cutoffs).items()}

    def _remove(self, lease: Lease, table: sa.Table, expired: sa.ColumnElement[bool]) -> int:
        keys, removed = list(table.primary_key), 0
        mine = [key == sa.bindparam(f"of_{key.name}") for key in keys]
        while True:
            with self._engine.begin() as connection:
                lease.fence_off(connection)
                rows = connection.execute(sa.select(*keys).where(expired).limit(BATCH)).all()
                if not rows:
                    return removed
                named = [{f"of_{key.name}": value for key, value in zip(keys, row, strict=True)} for row in rows]
                connection.execute(sa.delete(table).where(*mine), named)
            removed += len(rows)

    def vacuum(self) -> bool:
        """Give the room of removed rows back to the disk where it is worth it; return whether that was done."""
        if self._engine.dialect.name != "sqlite":
            return False  # a server does it by itself
        with self._engine.connect() as connection:
            pages, free = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count")
            )
        if free < pages * FREE_SHARE or not free:
            return False
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return True


def _expired_claims(shop: Shop, cutoff: datetime, unread: datetime, open_runs: set[str]) -> sa.ColumnElement[bool]:
    """Closed claims of runs before the cutoff that left nothing open, and of events that no run will read again."""
    old = (CLAIM.c.shop == shop.kept_as) & CLAIM.c.status.in_(CLOSED)
    old &= (CLAIM.c.run_id < f"{cutoff:%Y%m%dT%H%M%SZ}") & (CLAIM.c.created_at < sortable(min(cutoff, unread)))
    return old & CLAIM.c.run_id.not_in(open_runs)
