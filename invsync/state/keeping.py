"""How long the state keeps what it knows: what may go, what a run may still need, and how it goes.

A stock event is known by its claim. A claim goes only when its run is old, its event lies before everything that any
run of the shop will look at again, and nothing about it is open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from invsync.state.clock import iso, sortable
from invsync.state.lease import Lease
from invsync.state.runs import Runs
from invsync.state.schema import CLAIM, LEASE, OUTBOX, RUNS, WEBHOOK
from invsync.vocabulary import CLOSED, DELTAS, PLANNED

AT_ONCE = 10_000  # rows removed in one transaction, so that a run of another shop waits for little
SPARE_SHARE = 0.1  # of an SQLite file that is empty, from which on it is written anew
WAYS = {"claims": CLAIM, "files": OUTBOX, "runs": RUNS, "webhooks": WEBHOOK}


@dataclass(frozen=True)
class Kept:
    """A shop as the state keeps it: its name, that of its outbox, how far its runs look back, how long a plan is fresh."""

    name: str
    kept_as: str
    overlap: timedelta
    plan_age: timedelta


@dataclass(frozen=True)
class Limits:
    """Before when claims, runs with their files, and covered webhooks may go; None where they stay for ever."""

    claims: datetime | None
    runs: datetime | None
    webhooks: datetime | None


def covered_before(shop: str, moment: datetime) -> sa.ColumnElement[bool]:
    """The deliveries of this shop that were heard before then and covered by a run."""
    return (WEBHOOK.c.shop == shop) & WEBHOOK.c.covered_by.is_not(None) & (WEBHOOK.c.heard_at < iso(moment))


class Keeping:
    """What the database holds of each shop, and what of it may go at this moment."""

    def __init__(self, engine: sa.Engine, now: datetime) -> None:
        self._engine, self._now, self._runs = engine, now, Runs(engine)

    def needed(self, shop: Kept) -> set[str]:
        """The runs of this shop that a replay, a watermark, a guard, an alert, apply or undo may still ask for."""
        return self.open_runs(shop) | {str(row["run_id"]) for row in self._asked_for(shop) if row}

    def open_runs(self, shop: Kept) -> set[str]:
        """The runs of this shop whose files or claims are not settled, whose plan may be applied, or that are at work."""
        fresh = sortable(self._now - shop.plan_age)
        queries = [
            sa.select(OUTBOX.c.run_id).where(OUTBOX.c.shop == shop.kept_as, OUTBOX.c.settled.is_(None)),
            sa.select(CLAIM.c.run_id).where(CLAIM.c.shop == shop.kept_as, CLAIM.c.status == "unknown"),
            sa.select(LEASE.c.run_id).where(LEASE.c.shop == shop.kept_as),
            sa.select(RUNS.c.run_id).where(
                RUNS.c.shop == shop.name, RUNS.c.status == PLANNED, RUNS.c.finished_at >= fresh
            ),
        ]
        with self._engine.connect() as connection:
            return {run_id for query in queries for run_id in connection.execute(query.distinct()).scalars()}

    def _asked_for(self, shop: Kept) -> Iterator[sa.RowMapping | None]:
        """The newest run of the shop, with its pairs, and of each job: with a watermark, at its end, that sent."""
        with self._engine.connect() as connection:
            mine = sa.select(RUNS.c.job).where(RUNS.c.shop == shop.name).distinct()
            jobs = list(connection.execute(mine).scalars())
        yield self._runs.one(self._runs.newest(shop.name) or "")
        yield self._runs.last_mapped(shop.name)
        for job in jobs:
            yield self._runs.last_advance(shop.name, job)
            yield self._runs.last_finished(shop.name, job)
            yield self._runs.last_sent(shop.name, job)

    def unseen_before(self, shop: Kept) -> datetime | None:
        """Before when no run of this shop will look at stock events again; None where nobody can say."""
        mark = self._runs.watermark(shop.name, DELTAS)
        if mark is None:
            return None
        waits = (CLAIM.c.shop == shop.kept_as) & CLAIM.c.status.not_in(CLOSED)
        with self._engine.connect() as connection:
            oldest = connection.execute(sa.select(sa.func.min(CLAIM.c.created_at)).where(waits)).scalar()
        return min(mark, datetime.fromisoformat(oldest) if oldest else mark) - shop.overlap

    def old(self, shop: Kept, limits: Limits) -> dict[str, sa.ColumnElement[bool]]:
        """Which rows of each kind may go."""
        needed = self.needed(shop)
        old: dict[str, sa.ColumnElement[bool]] = {}
        if limits.claims is not None and (unseen := self.unseen_before(shop)) is not None:
            old["claims"] = _claims(shop, limits.claims, unseen, self.open_runs(shop))
        if limits.runs is not None:
            before = sortable(limits.runs)
            old["files"] = (OUTBOX.c.shop == shop.kept_as) & OUTBOX.c.settled.is_not(None)
            old["files"] &= (OUTBOX.c.committed_at < before) & OUTBOX.c.run_id.not_in(needed)
            old["runs"] = (RUNS.c.shop == shop.name) & (RUNS.c.finished_at < before) & RUNS.c.run_id.not_in(needed)
        if limits.webhooks is not None:
            old["webhooks"] = covered_before(shop.name, limits.webhooks)
        return old

    def count(self, shop: Kept, limits: Limits) -> dict[str, int]:
        """How many rows of each kind may go."""
        with self._engine.connect() as connection:
            return {
                kind: connection.execute(sa.select(sa.func.count()).select_from(WAYS[kind]).where(old)).scalar_one()
                for kind, old in self.old(shop, limits).items()
            }

    def prune(self, lease: Lease, shop: Kept, limits: Limits) -> dict[str, int]:
        """Remove what may go while the shop is held, some rows at a time; how many of each kind went."""
        return {kind: self._remove(lease, WAYS[kind], old) for kind, old in self.old(shop, limits).items()}

    def _remove(self, lease: Lease, table: sa.Table, old: sa.ColumnElement[bool]) -> int:
        keys, removed = list(table.primary_key), 0
        mine = [key == sa.bindparam(f"of_{key.name}") for key in keys]
        while True:
            with self._engine.begin() as connection:
                lease.fenced(connection)
                rows = connection.execute(sa.select(*keys).where(old).limit(AT_ONCE)).all()
                if not rows:
                    return removed
                named = [{f"of_{key.name}": value for key, value in zip(keys, row, strict=True)} for row in rows]
                connection.execute(sa.delete(table).where(*mine), named)
            removed += len(rows)

    def shrink(self) -> bool:
        """Give the room of what went back to the disk, where it is worth it; whether that was done."""
        if self._engine.dialect.name != "sqlite":
            return False  # a server does it by itself
        with self._engine.connect() as connection:
            pages, free = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count")
            )
        if free < pages * SPARE_SHARE or not free:
            return False
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return True


def _claims(shop: Kept, limit: datetime, unseen: datetime, open_runs: set[str]) -> sa.ColumnElement[bool]:
    """Claims that are closed, of runs before the limit that left nothing open, and of events that nobody will see again."""
    old = (CLAIM.c.shop == shop.kept_as) & CLAIM.c.status.in_(CLOSED)
    old &= (CLAIM.c.run_id < f"{limit:%Y%m%dT%H%M%SZ}") & (CLAIM.c.created_at < sortable(min(limit, unseen)))
    return old & CLAIM.c.run_id.not_in(open_runs)
