"""Leases: one run at a time for a shop, by the database's clock, with a fence that stops a run that lost its lease.

Each takeover increments the shop's fence. A run that is paused for longer than its lease lasts meets another number
in its next commit, and before its next request, and sends nothing more.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from invsync.errors import InvsyncError, LeaseHeld, LeaseLost
from invsync.state import clock, process
from invsync.state.schema import FENCE, LEASE

_HELD: dict[tuple[str, str], "Lease"] = {}  # by this process, for a shop and a run
LASTS = timedelta(seconds=60)  # after the last heartbeat, when another run may take the shop
BEAT_SECONDS = 15
STOP_SECONDS = 30  # after the last heartbeat, when no request may begin: one that has begun by then ends in time


@dataclass
class Lease:
    """A shop held by a run; `took_over` is the run whose process had ended or was silent, if there was one."""

    engine: sa.Engine
    shop: str
    run_id: str
    fence: int
    took_over: str | None = None
    _last_beat: float = field(default_factory=clock.boottime)
    _ended: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise LeaseLost if another run has taken the shop; call it before each request."""
        if clock.boottime() - self._last_beat > STOP_SECONDS:
            self.beat()

    def fence_off(self, connection: sa.Connection) -> None:
        """Let only the holder commit the transaction of this connection; raise LeaseLost for any other."""
        mine = (FENCE.c.shop == self.shop) & (FENCE.c.number == self.fence) & (FENCE.c.run_id == self.run_id)
        if connection.execute(sa.update(FENCE).where(mine).values(number=self.fence)).rowcount != 1:
            raise self._lost()

    def beat(self) -> None:
        """Write a heartbeat."""
        with self.engine.begin() as connection:
            self.fence_off(connection)
            self.renew(connection)

    def renew(self, connection: sa.Connection) -> None:
        """Write a heartbeat in this transaction, as its last step: no other heartbeat can be written while it is open.

        It counts from before it is written, so that this process never believes in the lease for too long.
        """
        asked = clock.boottime()
        mine = (LEASE.c.shop == self.shop) & (LEASE.c.run_id == self.run_id)
        beat = sa.update(LEASE).where(mine).values(heartbeat=clock.iso(clock.now(connection)))
        if connection.execute(beat).rowcount != 1:
            raise self._lost()
        self._last_beat = asked

    def sign(self) -> None:
        """Record this process as the holder, so that its end frees the shop at once."""
        with self.engine.begin() as connection:
            self.fence_off(connection)
            _sign(connection, self.shop, self.run_id)

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"Run {self.run_id} stood still for so long that another run took over shop {self.shop}: it has "
            "sent nothing since; read the report of the run that took over."
        )

    @contextmanager
    def heartbeats(self) -> Iterator["Lease"]:
        """Write heartbeats from a thread while the block lasts."""
        thread = threading.Thread(target=self._beat_until_ended, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(InvsyncError, sa.exc.SQLAlchemyError):  # the next check raises it, where it matters
                self.beat()

    def release(self) -> None:
        """Give the shop back, if this run still holds it."""
        _HELD.pop((self.shop, self.run_id), None)
        with suppress(InvsyncError, sa.exc.SQLAlchemyError), self.engine.begin() as connection:
            connection.execute(sa.delete(LEASE).where(LEASE.c.shop == self.shop, LEASE.c.run_id == self.run_id))


def take(engine: sa.Engine, shop: str, run_id: str) -> Lease:
    """Take a shop that is free, or whose holder has ended or is silent; raise LeaseHeld where a run holds it."""
    asked = clock.boottime()
    try:
        with engine.begin() as connection:
            number = _next_fence(connection, shop, run_id)
            held = connection.execute(sa.select(LEASE).where(LEASE.c.shop == shop)).mappings().first()
            if held is not None and not _is_free(connection, held):
                raise _held_by(held)
            connection.execute(sa.delete(LEASE).where(LEASE.c.shop == shop))
            beat = clock.iso(clock.now(connection))
            connection.execute(sa.insert(LEASE).values(shop=shop, run_id=run_id, heartbeat=beat))
            _sign(connection, shop, run_id)
    except sa.exc.IntegrityError:
        raise LeaseHeld(f"Another run has just taken shop {shop}: wait for it.") from None
    lease = Lease(engine, shop, run_id, number, held["run_id"] if held is not None else None, asked)
    _HELD[shop, run_id] = lease
    return lease


def joined(engine: sa.Engine, shop: str, run_id: str) -> Lease:
    """Return the lease of this run, which another process may have taken, and record this process as its holder.

    Raises LeaseLost where the run no longer holds the shop.
    """
    if (mine := _HELD.get((shop, run_id))) is not None:
        return mine
    with engine.connect() as connection:
        query = sa.select(FENCE.c.number).where(FENCE.c.shop == shop, FENCE.c.run_id == run_id)
        number = connection.execute(query).scalar()
    lease = Lease(engine, shop, run_id, -1 if number is None else int(number))
    lease.beat()
    lease.sign()
    return lease


def holder(engine: sa.Engine, shop: str) -> str | None:
    """Return the run that holds this shop; None where it is free or its holder has ended or is silent."""
    with engine.connect() as connection:
        held = connection.execute(sa.select(LEASE).where(LEASE.c.shop == shop)).mappings().first()
        return None if held is None or _is_free(connection, held) else str(held["run_id"])


def _next_fence(connection: sa.Connection, shop: str, run_id: str) -> int:
    """Increment the shop's fence; whoever else would take the shop waits for this transaction."""
    increment = sa.update(FENCE).where(FENCE.c.shop == shop).values(number=FENCE.c.number + 1)
    if connection.execute(increment).rowcount == 0:
        connection.execute(sa.insert(FENCE).values(shop=shop, number=1, run_id=run_id))
    return int(connection.execute(sa.select(FENCE.c.number).where(FENCE.c.shop == shop)).scalar_one())


def _sign(connection: sa.Connection, shop: str, run_id: str) -> None:
    """Record this process as the holder of the shop."""
    this = process.this()
    mine = {"run_id": run_id, "machine": this.machine, "started": this.started}
    connection.execute(sa.update(FENCE).where(FENCE.c.shop == shop).values(**mine))
    lease = sa.update(LEASE).where(LEASE.c.shop == shop, LEASE.c.run_id == run_id)
    connection.execute(lease.values(host=this.host, pid=this.pid))


def _is_free(connection: sa.Connection, held: sa.RowMapping) -> bool:
    """Whether this lease may be taken: its heartbeat is too old, or its process has certainly ended."""
    beat: datetime = datetime.fromisoformat(held["heartbeat"])
    if abs(clock.now(connection) - beat) > LASTS:
        return True
    signed = connection.execute(
        sa.select(FENCE.c.machine, FENCE.c.started).where(
            FENCE.c.shop == held["shop"], FENCE.c.run_id == held["run_id"]
        )
    ).first()
    return signed is not None and process.has_ended(process.Process(held["host"], held["pid"], *signed))


def _held_by(held: sa.RowMapping) -> LeaseHeld:
    return LeaseHeld(
        f"Run {held['run_id']} (process {held['pid']} on {held['host']}) holds shop {held['shop']}: wait for it."
    )
