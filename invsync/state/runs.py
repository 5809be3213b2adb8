"""How runs ended, how far each job has come, and the name under which each shop is kept."""

from datetime import datetime
from typing import TypedDict, Unpack, cast

import sqlalchemy as sa

from invsync.state.clock import sortable
from invsync.state.schema import RUNS, SHOPS
from invsync.vocabulary import SENT


class RunRow(TypedDict):
    """One row of the run table; moments are ISO 8601 texts in UTC, and `thru` is the end of the run's window."""

    run_id: str
    shop: str
    job: str
    status: str
    exit_code: int
    folder: str
    thru: str
    finished_at: str
    rows_read: int | None
    mapped: int | None
    targets: int | None
    advances: bool
    sent: bool
    fence: int | None


class RunEnd(TypedDict, total=False):
    """How a run ended: the columns that `Runs.record` writes beside its id, shop and job."""

    status: str
    exit_code: int
    folder: str
    thru: datetime
    finished_at: datetime
    rows_read: int | None
    mapped: int | None
    targets: int | None
    advances: bool
    sent: bool
    fence: int | None


class Runs:
    """The runs of all shops, by the shop's name in the configuration."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last_finished(self, shop: str, job: str) -> RunRow | None:
        """Return the newest run of this job that came to its end, done or partial, or a look that the next goes by."""
        ended = RUNS.c.status.in_(SENT) | RUNS.c.advances
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, ended)

    def last_advance(self, shop: str, job: str | None = None) -> RunRow | None:
        """Return the newest run of this job, or of any job, that moved its watermark."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.advances, *([RUNS.c.job == job] if job else []))

    def last_sent(self, shop: str, job: str) -> RunRow | None:
        """Return the newest run of this job that sent something."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.sent)

    def watermark(self, shop: str, job: str) -> datetime | None:
        """Return the end of the last window that this job finished."""
        row = self.last_advance(shop, job)
        return datetime.fromisoformat(row["thru"]) if row else None

    def mapped(self, shop: str) -> int | None:
        """Return the number of mapped pairs, as counted by the last run that read them all."""
        row = self.last_mapped(shop)
        return row["mapped"] if row else None

    def last_mapped(self, shop: str) -> RunRow | None:
        """Return the newest run, of any job, that counted the mapped pairs."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.mapped.is_not(None))

    def newest(self, shop: str) -> str | None:
        """Return the id of the newest run of this shop; ids sort by time."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(RUNS.c.run_id)).where(RUNS.c.shop == shop)).scalar()

    def one(self, run_id: str) -> RunRow | None:
        """Return the run of this id."""
        return self._newest(RUNS.c.run_id == run_id)

    def every(self, shop: str) -> list[RunRow]:
        """Return every run of this shop, oldest first."""
        query = sa.select(RUNS).where(RUNS.c.shop == shop).order_by(RUNS.c.run_id)
        with self._engine.connect() as connection:
            return [cast(RunRow, dict(row)) for row in connection.execute(query).mappings()]

    def _newest(self, *conditions: sa.ColumnElement[bool]) -> RunRow | None:
        query = sa.select(RUNS).where(*conditions).order_by(RUNS.c.thru.desc(), RUNS.c.run_id.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else cast(RunRow, dict(row))

    def record(self, run_id: str, shop: str, job: str, **end: Unpack[RunEnd]) -> None:
        """Write how a run ended, in place of what was written before."""
        row = {name: sortable(value) if isinstance(value, datetime) else value for name, value in end.items()}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(RUNS).where(RUNS.c.run_id == run_id))
            connection.execute(sa.insert(RUNS).values(run_id=run_id, shop=shop, job=job, **row))


class Shops:
    """The name under which each Shopify shop is kept, by `settings.ShopSettings.identity`, whatever it is called today."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def kept_as(self, name: str, identity: str) -> str:
        """Return the name under which this shop's outbox, claims and lease are kept, which is the first that it had.

        A sandbox shop on loopback keeps its name when its port changes.
        """
        if (known := self.known_as(identity)) is not None:
            return known
        domain = SHOPS.c.domain
        moved = sa.update(SHOPS).where(SHOPS.c.kept_as == name, domain.startswith(f"{identity.split()[0]} "))
        with self._engine.begin() as connection:
            if " " in identity and connection.execute(moved.values(domain=identity)).rowcount:
                return name
        for candidate in (name, identity):  # the second where another shop had this name before
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.insert(SHOPS).values(kept_as=candidate, domain=identity))
                break
            except sa.exc.IntegrityError:
                continue
        return self.known_as(identity) or name

    def known_as(self, identity: str) -> str | None:
        """Return the name under which this shop is kept; None before its first run."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(SHOPS.c.kept_as).where(SHOPS.c.domain == identity)).scalar()

    def needs_hard_sync(self, kept_as: str) -> str | None:
        """Return why the delta job must wait for a hard sync of this shop; None where it need not."""
        query = sa.select(SHOPS.c.needs_hard_sync).where(SHOPS.c.kept_as == kept_as)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def require_hard_sync(self, kept_as: str, why: str | None) -> None:
        """Make the delta job wait for a hard sync, for this reason; None lets it go on."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(SHOPS).where(SHOPS.c.kept_as == kept_as).values(needs_hard_sync=why))
