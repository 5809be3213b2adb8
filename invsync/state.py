"""What must survive a crash: runs, the outbox of files, and one lease a shop (SQLite, or any SQLAlchemy URL)."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from invsync.errors import LeaseHeld, UsageError

META = sa.MetaData()
TEXT = sa.String(255)
RUNS = sa.Table(
    "run", META, sa.Column("run_id", TEXT, primary_key=True), sa.Column("shop", TEXT), sa.Column("job", TEXT),
    sa.Column("status", TEXT), sa.Column("exit_code", sa.Integer), sa.Column("thru", TEXT),
    sa.Column("rows_read", sa.Integer), sa.Column("targets", sa.Integer), sa.Column("advances", sa.Boolean),
)  # fmt: skip
OUTBOX = sa.Table(
    "outbox", META, sa.Column("run_id", TEXT, primary_key=True), sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("shop", TEXT), sa.Column("path", sa.Text), sa.Column("sha256", TEXT), sa.Column("transport", TEXT),
    sa.Column("committed_at", TEXT), sa.Column("settled", TEXT),
)  # fmt: skip
LEASE = sa.Table(
    "lease", META, sa.Column("shop", TEXT, primary_key=True), sa.Column("run_id", TEXT), sa.Column("host", TEXT),
    sa.Column("pid", sa.Integer), sa.Column("heartbeat", TEXT),
)  # fmt: skip
LEASE_SECONDS = 60


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Pending:
    """A file that was committed to the outbox and whose outcome is not settled."""

    run_id: str
    part: int
    path: Path
    sha256: str
    transport: str
    committed_at: datetime


class State:
    """The small truth of all shops, in one database."""

    def __init__(self, url: str) -> None:
        """Open the database at this SQLAlchemy URL and make its tables."""
        try:
            self._engine = sa.create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
            META.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise UsageError(
                f"The state database cannot be opened ({type(error).__name__}): correct [state] url."
            ) from None

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def last_done(self, shop: str, job: str) -> sa.RowMapping | None:
        """The newest run of this job that ended as `done`."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.status == "done")

    def watermark(self, shop: str, job: str) -> datetime | None:
        """The end of the last window that was finished."""
        row = self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.advances)
        return datetime.fromisoformat(row["thru"]) if row else None

    def _newest(self, *conditions: sa.ColumnElement[bool]) -> sa.RowMapping | None:
        with self._engine.connect() as connection:
            query = sa.select(RUNS).where(*conditions).order_by(RUNS.c.thru.desc(), RUNS.c.run_id.desc()).limit(1)
            return connection.execute(query).mappings().first()

    def record(self, run_id: str, shop: str, job: str, **facts: object) -> None:
        """Remember how a run ended (`status, exit_code, thru, rows_read, targets, advances`)."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(RUNS).where(RUNS.c.run_id == run_id))
            connection.execute(sa.insert(RUNS).values(run_id=run_id, shop=shop, job=job, **facts))

    def commit(self, shop: str, run_id: str, part: int, path: Path, sha256: str, transport: str) -> None:
        """Put a file into the outbox, before its first byte leaves."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(OUTBOX).values(
                shop=shop, run_id=run_id, part=part, path=str(path.resolve()), sha256=sha256, transport=transport,
                committed_at=iso(datetime.now(UTC)),
            ))  # fmt: skip

    def settle(self, run_id: str, part: int, how: str) -> None:
        """Close a file of the outbox: `answered`, or `expired` when it is too old to be sent again."""
        with self._engine.begin() as connection:
            mine = (OUTBOX.c.run_id == run_id) & (OUTBOX.c.part == part)
            connection.execute(sa.update(OUTBOX).where(mine).values(settled=how))

    def pending(self, shop: str) -> list[Pending]:
        """The files of this shop that are not settled, oldest first."""
        query = sa.select(OUTBOX).where(OUTBOX.c.shop == shop, OUTBOX.c.settled.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(OUTBOX.c.run_id, OUTBOX.c.part)).mappings().all()
        return [
            Pending(r["run_id"], r["part"], Path(r["path"]), r["sha256"], r["transport"],
                    datetime.fromisoformat(r["committed_at"]))
            for r in rows
        ]  # fmt: skip

    @contextmanager
    def lease(self, shop: str, run_id: str) -> Iterator[None]:
        """Hold the shop for one run; a holder that is gone is taken over, a living one refuses us."""
        self._take(shop, run_id)
        try:
            yield
        finally:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(LEASE).where(LEASE.c.shop == shop, LEASE.c.run_id == run_id))

    def beat(self, shop: str, run_id: str) -> None:
        """Say that the holder is alive."""
        with self._engine.begin() as connection:
            mine = (LEASE.c.shop == shop) & (LEASE.c.run_id == run_id)
            connection.execute(sa.update(LEASE).where(mine).values(heartbeat=iso(datetime.now(UTC))))

    def _take(self, shop: str, run_id: str) -> None:
        now = datetime.now(UTC)
        mine = {"shop": shop, "run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "heartbeat": iso(now)}
        try:
            with self._engine.begin() as connection:
                held = connection.execute(sa.select(LEASE).where(LEASE.c.shop == shop)).mappings().first()
                if held is not None and not _gone(held, now):
                    raise LeaseHeld(
                        f"Run {held['run_id']} (process {held['pid']} on {held['host']}) holds shop {shop}: wait for it."
                    )
                if held is not None:
                    connection.execute(sa.delete(LEASE).where(LEASE.c.shop == shop, LEASE.c.run_id == held["run_id"]))
                connection.execute(sa.insert(LEASE).values(**mine))
        except sa.exc.IntegrityError:
            raise LeaseHeld(f"Another run has just taken shop {shop}: wait for it.") from None


def _gone(held: sa.RowMapping, now: datetime) -> bool:
    if held["host"] == socket.gethostname():
        return not _alive(held["pid"])
    return now - datetime.fromisoformat(held["heartbeat"]) > timedelta(seconds=LEASE_SECONDS)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
