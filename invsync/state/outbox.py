"""Files on their way to Shopify and the stock events that they count, committed before the first byte leaves."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from invsync import delta, tables
from invsync.errors import GuardStopped
from invsync.state import clock
from invsync.state.lease import Lease
from invsync.state.schema import CLAIM, OUTBOX
from invsync.tables import KEY
from invsync.vocabulary import FREE

AT_ONCE = 10_000  # claims looked up or inserted at once, so that memory and statements are bounded
PLACE = ["event_id", "location_id"]
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


class Outbox:
    """The files and claims of all shops, each shop under the name it is kept as."""

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
        """Put files of a run and the stock events that they count into the outbox, before the first byte leaves.

        The parts named in `answered` are settled in the same transaction: these files carry on for them. A lease that
        was lost is LeaseLost; an event that another file counts is GuardStopped. Then nothing is committed.
        """
        shop = lease.shop
        rows = [
            {
                "shop": shop,
                "run_id": run_id,
                "part": file.part,
                "path": str(file.path.resolve()),
                "sha256": file.sha256,
                "transport": transport,
                "guarded": guarded,
                "fence": lease.fence,
                "content": None if guarded else zlib.compress(file.path.read_bytes()),
            }
            for file in files
        ]
        with self._engine.begin() as connection:
            lease.fenced(connection)
            if rows:
                stamped = sa.insert(OUTBOX).values(committed_at=clock.iso(clock.now(connection)))
                connection.execute(stamped, rows)
            if claims is not None and (taken := _take(connection, shop, claims)).height:
                raise _stale(taken)
            for part in answered:
                _settle(connection, run_id, part, "answered")
            lease.renew(connection)

    def settle(self, run_id: str, part: int, how: str) -> None:
        """Close a file: `answered`, or `expired` when it is too old to be sent again."""
        with self._engine.begin() as connection:
            _settle(connection, run_id, part, how)

    def pending(self, shop: str) -> list[Pending]:
        """The files of this shop that are not settled, oldest first."""
        names = [name for name in OUTBOX.c if name.name not in {"content", "shop", "settled", "fence"}]
        query = sa.select(*names).where(OUTBOX.c.shop == shop, OUTBOX.c.settled.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(OUTBOX.c.run_id, OUTBOX.c.part)).mappings().all()
        return [
            Pending(
                r["run_id"],
                r["part"],
                Path(r["path"]),
                r["sha256"],
                r["transport"],
                r["guarded"],
                datetime.fromisoformat(r["committed_at"]),
            )
            for r in rows
        ]

    def content(self, file: Pending) -> bytes | None:
        """The bytes of an open file, where the database has them."""
        mine = (OUTBOX.c.run_id == file.run_id) & (OUTBOX.c.part == file.part)
        with self._engine.connect() as connection:
            kept = connection.execute(sa.select(OUTBOX.c.content).where(mine)).scalar()
        return None if kept is None else zlib.decompress(kept)

    def moved(self, file: Pending, path: Path) -> Pending:
        """The file at another path, which the outbox names from now on."""
        mine = (OUTBOX.c.run_id == file.run_id) & (OUTBOX.c.part == file.part)
        with self._engine.begin() as connection:
            connection.execute(sa.update(OUTBOX).where(mine).values(path=str(path.resolve())))
        return replace(file, path=path)

    def parts(self, run_id: str) -> list[tuple[int, Path]]:
        """Every file of this run that was ever committed, by its part."""
        query = sa.select(OUTBOX.c.part, OUTBOX.c.path).where(OUTBOX.c.run_id == run_id).order_by(OUTBOX.c.part)
        with self._engine.connect() as connection:
            return [(part, Path(path)) for part, path in connection.execute(query)]

    def first_commit(self, run_id: str) -> datetime:
        """When the first file of this run was committed: before that, nothing of it was sent."""
        query = sa.select(sa.func.min(OUTBOX.c.committed_at)).where(OUTBOX.c.run_id == run_id)
        with self._engine.connect() as connection:
            return datetime.fromisoformat(connection.execute(query).scalar_one())

    def sent_since(self, shop: str, fence: int) -> str | None:
        """A run of this shop that took it after this fence and committed a file."""
        query = sa.select(OUTBOX.c.run_id).where(OUTBOX.c.shop == shop, OUTBOX.c.fence > fence)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(OUTBOX.c.fence.desc()).limit(1)).scalar()

    # -- claims

    def claim(self, shop: str, claims: pl.DataFrame) -> None:
        """Take what is free of these CLAIMS, and change what the same run took; what another run took stays."""
        with self._engine.begin() as connection:
            _take(connection, shop, claims)

    def claims(self, shop: str, *, events: pl.Series | None = None, run_id: str | None = None) -> pl.DataFrame:
        """CLAIMS of these event ids, or of one run."""
        query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop)
        if run_id is not None:
            query = query.where(CLAIM.c.run_id == run_id)
        with self._engine.connect() as connection:
            return _read(connection, query, events)

    def unknown(self, shop: str) -> pl.DataFrame:
        """CLAIMS of which nobody knows whether Shopify counted them."""
        query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop, CLAIM.c.status == "unknown")
        with self._engine.connect() as connection:
            return _read(connection, query, None)

    def oldest_open(self, shop: str) -> datetime | None:
        """The stamp of the oldest event that was given back, or that waits for its sum to be whole."""
        query = sa.select(sa.func.min(CLAIM.c.created_at)).where(CLAIM.c.shop == shop, CLAIM.c.status.in_(FREE))
        with self._engine.connect() as connection:
            oldest = connection.execute(query).scalar()
        return datetime.fromisoformat(oldest) if oldest else None

    def release(self, shop: str, run_id: str, pairs: pl.DataFrame, status: str = "released") -> None:
        """Give back what this run claimed for these pairs, or mark it with another status."""
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.run_id == run_id)
        mine &= CLAIM.c.inventory_item_id == sa.bindparam("item")
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        keys = pairs.select(item="inventory_item_id", place="location_id").to_dicts()
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.update(CLAIM).where(mine).values(status=status), keys)

    def settle_unknown(self, shop: str, pairs: pl.DataFrame, run_id: str) -> None:
        """Mark the unknown claims of these pairs as counted by a reset, which made their number right."""
        mine = (CLAIM.c.shop == shop) & (CLAIM.c.status == "unknown")
        mine &= CLAIM.c.inventory_item_id == sa.bindparam("item")
        mine &= CLAIM.c.location_id == sa.bindparam("place")
        keys = self.unknown(shop).join(pairs, on=KEY, how="semi").select(item=KEY[0], place=KEY[1]).unique().to_dicts()
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.update(CLAIM).where(mine).values(status="reset", run_id=run_id), keys)


def _settle(connection: sa.Connection, run_id: str, part: int, how: str) -> None:
    mine = (OUTBOX.c.run_id == run_id) & (OUTBOX.c.part == part)
    connection.execute(sa.update(OUTBOX).where(mine).values(settled=how, content=None))


def _take(connection: sa.Connection, shop: str, claims: pl.DataFrame) -> pl.DataFrame:
    """Take the CLAIMS that are free or of the same run; those that another run took come back."""
    if claims.is_empty():
        return claims
    rows = claims.select(list(CLAIMS)).unique(PLACE, keep="last").sort(PLACE)
    query = sa.select(*(CLAIM.c[name] for name in CLAIMS)).where(CLAIM.c.shop == shop)
    known = _read(connection, query, rows["event_id"].unique())
    others = known.join(rows.select("run_id").unique(), on="run_id", how="anti")
    mine = delta.unclaimed(rows, others)
    _replace(connection, shop, known.join(mine, on=PLACE, how="semi"), mine)
    taken = rows.join(mine, on=PLACE, how="anti")
    return taken.join(others.select("event_id", by="run_id").unique("event_id"), on="event_id")


def _replace(connection: sa.Connection, shop: str, before: pl.DataFrame, rows: pl.DataFrame) -> None:
    mine = (CLAIM.c.shop == shop) & (CLAIM.c.event_id == sa.bindparam("event"))
    mine &= CLAIM.c.location_id == sa.bindparam("place")
    for part in before.select(event="event_id", place="location_id").iter_slices(AT_ONCE):
        connection.execute(sa.delete(CLAIM).where(mine), part.to_dicts())
    stamped = rows.with_columns(pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"), shop=pl.lit(shop))
    for part in stamped.iter_slices(AT_ONCE):
        connection.execute(sa.insert(CLAIM), part.to_dicts())


def _read(connection: sa.Connection, query: sa.Select[Any], events: pl.Series | None) -> pl.DataFrame:
    """CLAIMS that this query finds, of these events where they are given."""
    rows = [tuple(row) for part in _limited(query, events) for row in connection.execute(part)]
    claims = pl.DataFrame(rows, schema=CLAIMS | {"created_at": tables.TEXT}, orient="row")
    return claims.with_columns(pl.col("created_at").str.to_datetime("%+", time_unit="us", time_zone="UTC"))


def _limited(query: sa.Select[Any], events: pl.Series | None) -> Iterator[sa.Select[Any]]:
    if events is None:
        yield query
        return
    for first in range(0, events.len(), AT_ONCE):
        yield query.where(CLAIM.c.event_id.in_(events[first : first + AT_ONCE].to_list()))


def _stale(taken: pl.DataFrame) -> GuardStopped:
    by = taken["by"].sort()[-1]
    return GuardStopped(
        f"Nothing of this file was sent: run {by} has counted {taken.height} of its stock events in the "
        "meantime; make a new dry run, or run the job again."
    )
