"""How runs ended, how far each job has come, and what a shop is called."""

from datetime import datetime

import sqlalchemy as sa

from invsync.state.clock import sortable
from invsync.state.schema import RUNS, SHOPS

FINISHED = ("done", "partial")


class Runs:
    """The runs of all shops, each shop by its name."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last_finished(self, shop: str, job: str) -> sa.RowMapping | None:
        """The newest run of this job that came to its end, with or without pairs that need a person."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.status.in_(FINISHED))

    def last_advance(self, shop: str, job: str | None = None) -> sa.RowMapping | None:
        """The newest run, of this job or of any, that moved its watermark."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.advances, *([RUNS.c.job == job] if job else []))

    def last_sent(self, shop: str, job: str) -> sa.RowMapping | None:
        """The newest run of this job that sent something."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.sent)

    def watermark(self, shop: str, job: str) -> datetime | None:
        """The end of the last window that was finished."""
        row = self.last_advance(shop, job)
        return datetime.fromisoformat(row["thru"]) if row else None

    def mapped(self, shop: str) -> int | None:
        """The shop's mapped pairs, as the last run counted them that read them all."""
        row = self.last_mapped(shop)
        return int(row["mapped"]) if row else None

    def last_mapped(self, shop: str) -> sa.RowMapping | None:
        """The newest run, of any job, that knew how many pairs the shop has."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.mapped.is_not(None))

    def newest(self, shop: str) -> str | None:
        """The id of the newest run of this shop; ids sort by time."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(RUNS.c.run_id)).where(RUNS.c.shop == shop)).scalar()

    def one(self, run_id: str) -> sa.RowMapping | None:
        """How this run ended."""
        return self._newest(RUNS.c.run_id == run_id)

    def every(self, shop: str) -> list[sa.RowMapping]:
        """Every run of this shop, oldest first."""
        with self._engine.connect() as connection:
            query = sa.select(RUNS).where(RUNS.c.shop == shop).order_by(RUNS.c.run_id)
            return list(connection.execute(query).mappings())

    def _newest(self, *conditions: sa.ColumnElement[bool]) -> sa.RowMapping | None:
        with self._engine.connect() as connection:
            query = sa.select(RUNS).where(*conditions).order_by(RUNS.c.thru.desc(), RUNS.c.run_id.desc()).limit(1)
            return connection.execute(query).mappings().first()

    def record(self, run_id: str, shop: str, job: str, **facts: object) -> None:
        """Remember how a run ended: the columns of the run table."""
        row = {name: sortable(fact) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(RUNS).where(RUNS.c.run_id == run_id))
            connection.execute(sa.insert(RUNS).values(run_id=run_id, shop=shop, job=job, **row))


class Shops:
    """What shops are kept as, whatever the configuration calls them; `settings.ShopSettings.identity` tells them apart."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def kept_as(self, name: str, identity: str) -> str:
        """The name under which this shop's outbox, claims and lease are kept: the first that it had here.

        A rehearsal on loopback keeps its name when it has another port today.
        """
        if (known := self.known_as(identity)) is not None:
            return known
        domain = SHOPS.c.domain
        moved = sa.update(SHOPS).where(SHOPS.c.kept_as == name, domain.startswith(f"{identity.split()[0]} "))
        with self._engine.begin() as connection:
            if " " in identity and connection.execute(moved.values(domain=identity)).rowcount:
                return name
        for called in (name, identity):  # the second where another shop had this name before
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.insert(SHOPS).values(kept_as=called, domain=identity))
                break
            except sa.exc.IntegrityError:
                continue
        return self.known_as(identity) or name

    def known_as(self, identity: str) -> str | None:
        """The name under which this shop is kept; None before its first run."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(SHOPS.c.kept_as).where(SHOPS.c.domain == identity)).scalar()

    def needs_hard_sync(self, kept_as: str) -> str | None:
        """Why the delta job must wait for a hard sync of this shop; None where it need not."""
        query = sa.select(SHOPS.c.needs_hard_sync).where(SHOPS.c.kept_as == kept_as)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def require_hard_sync(self, kept_as: str, why: str | None) -> None:
        """Let the delta job wait for a hard sync, for this reason; None when one has been done."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(SHOPS).where(SHOPS.c.kept_as == kept_as).values(needs_hard_sync=why))
