"""What must survive a crash, in one database: runs, the outbox with its claims, remembered orders, one lease a shop."""

import io
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.errors import LeaseHeld, UsageError

META = sa.MetaData()
TEXT = sa.String(255)
RUNS = sa.Table(
    "run", META, sa.Column("run_id", TEXT, primary_key=True), sa.Column("shop", TEXT), sa.Column("job", TEXT),
    sa.Column("status", TEXT), sa.Column("exit_code", sa.Integer), sa.Column("folder", sa.Text),
    sa.Column("thru", TEXT), sa.Column("finished_at", TEXT), sa.Column("rows_read", sa.Integer),
    sa.Column("mapped", sa.Integer), sa.Column("targets", sa.Integer), sa.Column("advances", sa.Boolean),
    sa.Column("sent", sa.Boolean),
)  # fmt: skip
OUTBOX = sa.Table(
    "outbox", META, sa.Column("run_id", TEXT, primary_key=True), sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("shop", TEXT), sa.Column("path", sa.Text), sa.Column("sha256", TEXT), sa.Column("transport", TEXT),
    sa.Column("guarded", sa.Boolean), sa.Column("committed_at", TEXT), sa.Column("settled", TEXT),
)  # fmt: skip
CLAIM = sa.Table(
    "claim", META, sa.Column("shop", TEXT, primary_key=True), sa.Column("event_id", TEXT, primary_key=True),
    sa.Column("location_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("inventory_item_id", sa.BigInteger), sa.Column("status", TEXT), sa.Column("run_id", TEXT),
    sa.Column("created_at", TEXT), sa.Index("claim_by_run", "run_id", "inventory_item_id", "location_id"),
    sa.Index("claim_by_stamp", "shop", "created_at"), sa.Index("claim_by_status", "shop", "status", "created_at"),
)  # fmt: skip
LEDGER = sa.Table(  # SOLD of the orders that may be in flight or are open, as an Arrow file, and until when it is known
    "order_ledger", META, sa.Column("shop", TEXT, primary_key=True), sa.Column("thru", TEXT), sa.Column("since", TEXT),
    sa.Column("sold", sa.LargeBinary), sa.Column("in_flight", sa.LargeBinary),
)  # fmt: skip
MEMORY = sa.Table(  # of a level: committed units of orders too old to be shown, and what the next run must look at
    "level_memory", META, sa.Column("shop", TEXT, primary_key=True),
    sa.Column("inventory_item_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("location_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("units", sa.BigInteger), sa.Column("watched", sa.Boolean), sa.Column("deferred_since", TEXT),
    sa.Column("deferred_at", TEXT),
)  # fmt: skip
LEASE = sa.Table(
    "lease", META, sa.Column("shop", TEXT, primary_key=True), sa.Column("run_id", TEXT), sa.Column("host", TEXT),
    sa.Column("pid", sa.Integer), sa.Column("heartbeat", TEXT),
)  # fmt: skip
LEASE_SECONDS, BEAT_SECONDS = 60, 15
AT_ONCE = 50_000  # claims inserted at once, so that memory is bounded
OPEN = ("quarantined", "released")
# status: baseline, sent, nothing, held, refused, unknown, reset; quarantined and released events are free again
CLAIMS: tables.Schema = {
    "event_id": tables.TEXT, "location_id": tables.ID, "inventory_item_id": tables.ID, "status": tables.TEXT,
    "run_id": tables.TEXT, "created_at": tables.STAMP,
}  # fmt: skip


DEFERRED = ["deferred_since", "deferred_at"]
LEVEL_MEMORY: tables.Schema = {
    "inventory_item_id": tables.ID, "location_id": tables.ID, "units": tables.UNITS, "watched": tables.FLAG,
    "deferred_since": tables.STAMP, "deferred_at": tables.STAMP,
}  # fmt: skip


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _sortable(moment: datetime) -> str:
    """ISO 8601 in UTC of one length, so that text sorts as time does."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass(frozen=True)
class File:
    """A file of a run on its way into the outbox."""

    part: int
    path: Path
    sha256: str


@dataclass(frozen=True)
class Pending:
    """A file that was committed to the outbox and whose outcome is not settled."""

    run_id: str
    part: int
    path: Path
    sha256: str
    transport: str
    guarded: bool
    committed_at: datetime


@dataclass(frozen=True)
class Ledger:
    """What is remembered of a shop's orders: SOLD, which of them were in flight, until when they are known, and since."""

    sold: pl.DataFrame
    in_flight: list[int]
    thru: datetime
    since: datetime


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

    @property
    def engine(self) -> sa.Engine:
        """The database, for tables that others keep beside these."""
        return self._engine

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # -- runs

    def last_done(self, shop: str, job: str) -> sa.RowMapping | None:
        """The newest run of this job that ended as `done`."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.job == job, RUNS.c.status == "done")

    def last_finished(self, shop: str, job: str | None = None) -> sa.RowMapping | None:
        """The newest run, of this job or of any, that moved its watermark."""
        return self._newest(RUNS.c.shop == shop, RUNS.c.advances, *([RUNS.c.job == job] if job else []))

    def watermark(self, shop: str, job: str) -> datetime | None:
        """The end of the last window that was finished."""
        row = self.last_finished(shop, job)
        return datetime.fromisoformat(row["thru"]) if row else None

    def mapped(self, shop: str) -> int | None:
        """The shop's mapped pairs, as the last run counted them that read them all."""
        row = self._newest(RUNS.c.shop == shop, RUNS.c.mapped.is_not(None))
        return int(row["mapped"]) if row else None

    def sent_after(self, shop: str, moment: datetime) -> str | None:
        """A run of this shop that sent something and ended after this moment."""
        row = self._newest(RUNS.c.shop == shop, RUNS.c.sent, RUNS.c.finished_at > _sortable(moment))
        return row["run_id"] if row else None

    def run(self, run_id: str) -> sa.RowMapping | None:
        """How this run ended."""
        return self._newest(RUNS.c.run_id == run_id)

    def runs(self, shop: str) -> list[sa.RowMapping]:
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
        told = {name: _sortable(fact) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(RUNS).where(RUNS.c.run_id == run_id))
            connection.execute(sa.insert(RUNS).values(run_id=run_id, shop=shop, job=job, **told))

    # -- the outbox and its claims

    def commit(self, shop: str, run_id: str, files: Sequence[File], *, transport: str, guarded: bool = True,
               claims: pl.DataFrame | None = None, answered: Sequence[int] = ()) -> None:  # fmt: skip
        """Put files and the stock events that they cover into the outbox, before the first byte leaves.

        The parts named in `answered` are settled in the same transaction: these files carry on for them.
        """
        stamp = iso(datetime.now(UTC))
        rows = [
            {"shop": shop, "run_id": run_id, "part": file.part, "path": str(file.path.resolve()),
             "sha256": file.sha256, "transport": transport, "guarded": guarded, "committed_at": stamp}
            for file in files
        ]  # fmt: skip
        with self._engine.begin() as connection:
            if rows:
                connection.execute(sa.insert(OUTBOX), rows)
            _claim(connection, shop, claims)
            for part in answered:
                _settle(connection, run_id, part, "answered")

    def settle(self, run_id: str, part: int, how: str) -> None:
        """Close a file of the outbox: `answered`, or `expired` when it is too old to be sent again."""
        with self._engine.begin() as connection:
            _settle(connection, run_id, part, how)

    def pending(self, shop: str) -> list[Pending]:
        """The files of this shop that are not settled, oldest first."""
        query = sa.select(OUTBOX).where(OUTBOX.c.shop == shop, OUTBOX.c.settled.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(OUTBOX.c.run_id, OUTBOX.c.part)).mappings().all()
        return [
            Pending(r["run_id"], r["part"], Path(r["path"]), r["sha256"], r["transport"], r["guarded"],
                    datetime.fromisoformat(r["committed_at"]))
            for r in rows
        ]  # fmt: skip

    def parts(self, run_id: str) -> list[tuple[int, Path]]:
        """Every file of this run that was ever committed, by its part."""
        query = sa.select(OUTBOX.c.part, OUTBOX.c.path).where(OUTBOX.c.run_id == run_id).order_by(OUTBOX.c.part)
        with self._engine.connect() as connection:
            return [(part, Path(path)) for part, path in connection.execute(query)]

    def claim(self, shop: str, claims: pl.DataFrame) -> None:
        """Remember these CLAIMS; one of an event at a location that has a claim already replaces it."""
        with self._engine.begin() as connection:
            _claim(connection, shop, claims)

    def claims(self, shop: str, *, since: datetime | None = None, run_id: str | None = None) -> pl.DataFrame:
        """CLAIMS of the events stamped since this moment (or without a stamp), or of one run."""
        query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop)
        if since is not None:
            query = query.where(CLAIM.c.created_at.is_(None) | (CLAIM.c.created_at >= _sortable(since)))
        if run_id is not None:
            query = query.where(CLAIM.c.run_id == run_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).fetchall()
        text = CLAIMS | {"created_at": tables.TEXT}
        found = pl.DataFrame([tuple(row) for row in rows], schema=text, orient="row")
        return found.with_columns(pl.col("created_at").str.to_datetime("%+", time_unit="us", time_zone="UTC"))

    def oldest_open(self, shop: str) -> datetime | None:
        """The stamp of the oldest event that was given back, or that waits for its sum to be whole."""
        query = sa.select(sa.func.min(CLAIM.c.created_at)).where(CLAIM.c.shop == shop, CLAIM.c.status.in_(OPEN))
        with self._engine.connect() as connection:
            found = connection.execute(query).scalar()
        return datetime.fromisoformat(found) if found else None

    def release(self, shop: str, run_id: str, pairs: pl.DataFrame, status: str = "released") -> None:
        """Give back what this run claimed for these pairs, or mark it with another status."""
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.run_id == run_id)
        mine &= CLAIM.c.inventory_item_id == sa.bindparam("item")
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        keys = pairs.select(item="inventory_item_id", place="location_id").to_dicts()
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.update(CLAIM).where(mine).values(status=status), keys)

    # -- orders and levels that the next run must know

    def ledger(self, shop: str) -> Ledger | None:
        """What is remembered of this shop's orders; None before the first read, or where another version wrote it."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(LEDGER).where(LEDGER.c.shop == shop)).mappings().first()
        if row is None:
            return None
        sold = pl.read_ipc(io.BytesIO(row["sold"]))
        if sold.schema != pl.Schema(tables.SOLD):
            return None
        flying = pl.read_ipc(io.BytesIO(row["in_flight"]))["order_id"].to_list()
        return Ledger(sold, flying, datetime.fromisoformat(row["thru"]), datetime.fromisoformat(row["since"]))

    def remember(
        self, shop: str, sold: pl.DataFrame, in_flight: Sequence[int], *, thru: datetime, since: datetime
    ) -> None:
        """Replace what is remembered of this shop's orders."""
        flying = pl.DataFrame({"order_id": in_flight}, schema={"order_id": tables.ID})
        row = {"sold": _arrow(sold), "in_flight": _arrow(flying), "thru": iso(thru), "since": iso(since)}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(LEDGER).where(LEDGER.c.shop == shop))
            connection.execute(sa.insert(LEDGER).values(shop=shop, **row))

    def level_memory(self, shop: str) -> pl.DataFrame:
        """LEVEL_MEMORY of this shop: baselines, and the pairs that the next run must look at."""
        query = sa.select(*(MEMORY.c[name] for name in LEVEL_MEMORY)).where(MEMORY.c.shop == shop)
        with self._engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        memory = pl.DataFrame(rows, schema=LEVEL_MEMORY | dict.fromkeys(DEFERRED, tables.TEXT), orient="row")
        return memory.with_columns(pl.col(DEFERRED).str.to_datetime("%+", time_unit="us", time_zone="UTC"))

    def remember_levels(self, shop: str, read: pl.DataFrame, memory: pl.DataFrame) -> None:
        """Replace what is remembered of the levels that were read, by LEVEL_MEMORY."""
        before = self.level_memory(shop).join(read, on=tables.KEY, how="semi")
        mine = (MEMORY.c.shop == shop) & (MEMORY.c.inventory_item_id == sa.bindparam("item"))
        mine &= MEMORY.c.location_id == sa.bindparam("place")
        stamps = pl.col(DEFERRED).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        with self._engine.begin() as connection:
            if before.height:
                keys = before.select(item="inventory_item_id", place="location_id").to_dicts()
                connection.execute(sa.delete(MEMORY).where(mine), keys)
            if memory.height:
                rows = memory.select(list(LEVEL_MEMORY)).with_columns(stamps, shop=pl.lit(shop))
                connection.execute(sa.insert(MEMORY), rows.to_dicts())

    # -- the lease

    @contextmanager
    def lease(self, shop: str, run_id: str) -> Iterator[str | None]:
        """Hold the shop for one run, the heart beating; tells the run whose holder is gone, if there was one."""
        gone = self._take(shop, run_id)
        ended = threading.Event()
        heart = threading.Thread(target=self._beat, args=(shop, run_id, ended), daemon=True)
        heart.start()
        try:
            yield gone
        finally:
            ended.set()
            heart.join()
            with self._engine.begin() as connection:
                connection.execute(sa.delete(LEASE).where(LEASE.c.shop == shop, LEASE.c.run_id == run_id))

    def holder(self, shop: str) -> str | None:
        """The run that holds this shop, while its process lives."""
        with self._engine.connect() as connection:
            held = connection.execute(sa.select(LEASE).where(LEASE.c.shop == shop)).mappings().first()
        return None if held is None or _gone(held, datetime.now(UTC)) else str(held["run_id"])

    def _beat(self, shop: str, run_id: str, ended: threading.Event) -> None:
        mine = (LEASE.c.shop == shop) & (LEASE.c.run_id == run_id)
        while not ended.wait(BEAT_SECONDS):
            with suppress(sa.exc.SQLAlchemyError), self._engine.begin() as connection:
                connection.execute(sa.update(LEASE).where(mine).values(heartbeat=iso(datetime.now(UTC))))

    def _take(self, shop: str, run_id: str) -> str | None:
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
        return held["run_id"] if held is not None else None


def _arrow(frame: pl.DataFrame) -> bytes:
    kept = io.BytesIO()
    frame.write_ipc(kept, compression="zstd")
    return kept.getvalue()


def _settle(connection: sa.Connection, run_id: str, part: int, how: str) -> None:
    mine = (OUTBOX.c.run_id == run_id) & (OUTBOX.c.part == part)
    connection.execute(sa.update(OUTBOX).where(mine).values(settled=how))


def _claim(connection: sa.Connection, shop: str, claims: pl.DataFrame | None) -> None:
    if claims is None or claims.is_empty():
        return
    rows = claims.select(
        *(name for name in CLAIMS if name != "created_at"),
        created_at=pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        shop=pl.lit(shop),
    )
    rows = rows.unique(["event_id", "location_id"], keep="last").sort("event_id", "location_id")
    if replaced := _replaced(connection, shop, rows):
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.event_id == sa.bindparam("event"))
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        connection.execute(sa.delete(CLAIM).where(mine), replaced)
    for part in rows.iter_slices(AT_ONCE):
        connection.execute(sa.insert(CLAIM), part.to_dicts())


def _replaced(connection: sa.Connection, shop: str, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Event and place of the claims that these rows replace."""
    query = sa.select(CLAIM.c.event_id, CLAIM.c.location_id).where(CLAIM.c.shop == shop)
    if not rows["created_at"].has_nulls():
        query = query.where(CLAIM.c.created_at.is_(None) | (CLAIM.c.created_at >= rows["created_at"].min()))
    schema = {"event": pl.String, "place": pl.Int64}
    known = pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=schema, orient="row")
    keys = rows.select(event="event_id", place="location_id")
    return known.join(keys, on=["event", "place"], how="semi").to_dicts()


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
