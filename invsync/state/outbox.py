"""The outbox: files for Shopify and the stock events that they count, committed before the first byte is sent."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from invsync import delta, tables
from invsync.errors import GuardStopped
from invsync.state import clock
from invsync.state.lease import Lease
from invsync.state.schema import CLAIM, OUTBOX
from invsync.tables import KEY
from invsync.vocabulary import FREE, UNKNOWN

BATCH = 10_000  # claims read or inserted by one statement
CLAIM_KEY = ["event_id", "location_id"]
Query = sa.Select[tuple[object, ...]]
# status: baseline, sent, nothing, held, refused, unknown, reset; quarantined and released events are free again
CLAIMS: tables.Schema = {
    "event_id": tables.TEXT,
    "location_id": tables.ID,
    "inventory_item_id": tables.ID,
    "status": tables.TEXT,
    "run_id": tables.TEXT,
    "created_at": tables.STAMP,
}


@dataclass(frozen=True)
class File:
    """A file of a run that is to be committed."""

    part: int
    path: Path
    sha256: str


@dataclass(frozen=True)
class Pending:
    """A file that was committed and is not settled."""

    run_id: str
    part: int
    path: Path
    sha256: str
    transport: str
    guarded: bool
    committed_at: datetime


class Outbox:
    """The files and claims of all shops, by the name that each is kept as."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def commit(
        self,
        lease: Lease,
        run_id: str,
        files: Sequence[File],
        *,
        transport: str,
        guarded: bool = True,
        claims: pl.DataFrame | None = None,
        answered: Sequence[int] = (),
    ) -> None:
        """Commit files of a run and claim the stock events that they count, in one transaction.

        The parts in `answered` are settled by it: these files replace them. Raises LeaseLost where the lease was lost
        and GuardStopped where another run has claimed an event; then nothing is committed.
        """
        about = {"shop": lease.shop, "fence": lease.fence, "run_id": run_id}
        rows = [about | {"transport": transport, "guarded": guarded} | _columns(file, guarded) for file in files]
        with self._engine.begin() as connection:
            lease.fence_off(connection)
            if rows:
                stamped = sa.insert(OUTBOX).values(committed_at=clock.iso(clock.now(connection)))
                connection.execute(stamped, rows)
            if claims is not None and (taken := _take(connection, lease.shop, claims)).height:
                raise _stale(taken)
            for part in answered:
                _settle(connection, run_id, part, "answered")
            lease.renew(connection)

    def settle(self, run_id: str, part: int, how: str) -> None:
        """Settle a file as `answered`, or as `expired` when it is too old to be sent again."""
        with self._engine.begin() as connection:
            _settle(connection, run_id, part, how)

    def pending(self, shop: str) -> list[Pending]:
        """Return the files of this shop that are not settled, oldest first."""
        columns = [OUTBOX.c[field.name] for field in fields(Pending)]
        query = sa.select(*columns).where(OUTBOX.c.shop == shop, OUTBOX.c.settled.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(OUTBOX.c.run_id, OUTBOX.c.part)).all()
        return [
            Pending(run_id, part, Path(path), sha256, transport, guarded, datetime.fromisoformat(committed_at))
            for run_id, part, path, sha256, transport, guarded, committed_at in rows
        ]

    def content(self, file: Pending) -> bytes | None:
        """Return the bytes of a file that is not settled; None where the database does not keep them."""
        mine = (OUTBOX.c.run_id == file.run_id) & (OUTBOX.c.part == file.part)
        with self._engine.connect() as connection:
            compressed = connection.execute(sa.select(OUTBOX.c.content).where(mine)).scalar()
        return None if compressed is None else zlib.decompress(compressed)

    def moved(self, file: Pending, path: Path) -> Pending:
        """Record another path of the file; return the file with it."""
        mine = (OUTBOX.c.run_id == file.run_id) & (OUTBOX.c.part == file.part)
        with self._engine.begin() as connection:
            connection.execute(sa.update(OUTBOX).where(mine).values(path=str(path.resolve())))
        return replace(file, path=path)

    def parts(self, run_id: str) -> list[tuple[int, Path]]:
        """Return the part and path of every file of this run that was ever committed."""
        query = sa.select(OUTBOX.c.part, OUTBOX.c.path).where(OUTBOX.c.run_id == run_id).order_by(OUTBOX.c.part)
        with self._engine.connect() as connection:
            return [(part, Path(path)) for part, path in connection.execute(query)]

    def first_commit(self, run_id: str) -> datetime:
        """Return when the first file of this run was committed; before that, nothing of it was sent."""
        query = sa.select(sa.func.min(OUTBOX.c.committed_at)).where(OUTBOX.c.run_id == run_id)
        with self._engine.connect() as connection:
            return datetime.fromisoformat(connection.execute(query).scalar_one())

    def sent_since(self, shop: str, fence: int) -> str | None:
        """Return the newest run that took this shop after this fence and committed a file; None where none did."""
        query = sa.select(OUTBOX.c.run_id).where(OUTBOX.c.shop == shop, OUTBOX.c.fence > fence)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(OUTBOX.c.fence.desc()).limit(1)).scalar()

    # -- claims

    def claim(self, shop: str, claims: pl.DataFrame) -> None:
        """Write these CLAIMS where the event is free or claimed by the same run; another run's claims stay."""
        with self._engine.begin() as connection:
            _take(connection, shop, claims)

    def claims(self, shop: str, *, events: pl.Series | None = None, run_id: str | None = None) -> pl.DataFrame:
        """Return CLAIMS of this shop: all, those of these event ids, or those of one run."""
        query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop)
        if run_id is not None:
            query = query.where(CLAIM.c.run_id == run_id)
        with self._engine.connect() as connection:
            return _read(connection, query, events)

    def unknown(self, shop: str) -> pl.DataFrame:
        """Return the CLAIMS of which nobody knows whether Shopify counted them."""
        query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop, CLAIM.c.status == UNKNOWN)
        with self._engine.connect() as connection:
            return _read(connection, query, None)

    def oldest_open(self, shop: str) -> datetime | None:
        """Return when the oldest event was created that was given back or that waits for its sum to be whole."""
        query = sa.select(sa.func.min(CLAIM.c.created_at)).where(CLAIM.c.shop == shop, CLAIM.c.status.in_(FREE))
        with self._engine.connect() as connection:
            oldest = connection.execute(query).scalar()
        return datetime.fromisoformat(oldest) if oldest else None

    def release(self, shop: str, run_id: str, pairs: pl.DataFrame, status: str = "released") -> None:
        """Give back the events that this run claimed for these pairs, or mark them with another status."""
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.run_id == run_id)
        mine &= CLAIM.c.inventory_item_id == sa.bindparam("item")
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        keys = pairs.select(item="inventory_item_id", place="location_id").to_dicts()
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.update(CLAIM).where(mine).values(status=status), keys)

    def settle_unknown(self, shop: str, pairs: pl.DataFrame, run_id: str) -> None:
        """Mark the unknown claims of these pairs as counted by a reset of this run."""
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.status == UNKNOWN)
        mine &= CLAIM.c.inventory_item_id == sa.bindparam("item")
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        keys = self.unknown(shop).join(pairs, on=KEY, how="semi").select(item=KEY[0], place=KEY[1]).unique().to_dicts()
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.update(CLAIM).where(mine).values(status="reset", run_id=run_id), keys)


def _columns(file: File, guarded: bool) -> dict[str, object]:
    """The columns of one file; the database keeps the content of a file without a guard."""
    content = None if guarded else zlib.compress(file.path.read_bytes())
    return {"part": file.part, "path": str(file.path.resolve()), "sha256": file.sha256, "content": content}


def _settle(connection: sa.Connection, run_id: str, part: int, how: str) -> None:
    mine = (OUTBOX.c.run_id == run_id) & (OUTBOX.c.part == part)
    connection.execute(sa.update(OUTBOX).where(mine).values(settled=how, content=None))


def _take(connection: sa.Connection, shop: str, claims: pl.DataFrame) -> pl.DataFrame:
    """Write the CLAIMS that are free or of the same run; return those of another run, which is named as `by`."""
    if claims.is_empty():
        return claims
    rows = claims.select(list(CLAIMS)).unique(CLAIM_KEY, keep="last").sort(CLAIM_KEY)
    query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop)
    known = _read(connection, query, rows["event_id"].unique())
    others = known.join(rows.select("run_id").unique(), on="run_id", how="anti")
    mine = delta.unclaimed(rows, others)
    _replace(connection, shop, known.join(mine, on=CLAIM_KEY, how="semi"), mine)
    taken = rows.join(mine, on=CLAIM_KEY, how="anti")
    return taken.join(others.select("event_id", by="run_id").unique("event_id"), on="event_id")


def _replace(connection: sa.Connection, shop: str, before: pl.DataFrame, rows: pl.DataFrame) -> None:
    mine = (CLAIM.c.shop == shop) & (CLAIM.c.event_id == sa.bindparam("event"))
    mine &= CLAIM.c.location_id == sa.bindparam("place")
    for part in before.select(event="event_id", place="location_id").iter_slices(BATCH):
        connection.execute(sa.delete(CLAIM).where(mine), part.to_dicts())
    stamped = rows.with_columns(pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"), shop=pl.lit(shop))
    for part in stamped.iter_slices(BATCH):
        connection.execute(sa.insert(CLAIM), part.to_dicts())


def _read(connection: sa.Connection, query: Query, events: pl.Series | None) -> pl.DataFrame:
    """The CLAIMS of this query, or only those of these events."""
    rows = [tuple(row) for part in _batches(query, events) for row in connection.execute(part)]
    claims = pl.DataFrame(rows, schema=CLAIMS | {"created_at": tables.TEXT}, orient="row")
    return claims.with_columns(pl.col("created_at").str.to_datetime("%+", time_unit="us", time_zone="UTC"))


def _batches(query: Query, events: pl.Series | None) -> Iterator[Query]:
    if events is None:
        yield query
        return
    for first in range(0, events.len(), BATCH):
        yield query.where(CLAIM.c.event_id.in_(events[first : first + BATCH].to_list()))


def _stale(taken: pl.DataFrame) -> GuardStopped:
    by = taken["by"].sort()[-1]
    return GuardStopped(
        f"Nothing of this file was sent: run {by} has counted {taken.height} of its stock events in the "
        "meantime; make a new dry run, or run the job again."
    )
