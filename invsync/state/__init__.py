"""The state database: runs, the outbox with its claims, remembered orders and leases, which must survive a crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from invsync.state import clock, database, lease
from invsync.state.clock import iso
from invsync.state.lease import Lease
from invsync.state.memory import LEVEL_MEMORY, Ledger, Memory
from invsync.state.outbox import CLAIMS, File, Outbox, Pending
from invsync.state.runs import Runs, Shops
from invsync.state.schema import OUTBOX, RUNS, TEXT

__all__ = [
    "CLAIMS",
    "LEVEL_MEMORY",
    "OUTBOX",
    "RUNS",
    "TEXT",
    "File",
    "Lease",
    "Ledger",
    "Memory",
    "Outbox",
    "Pending",
    "Runs",
    "Shops",
    "State",
    "iso",
]


class State:
    """The state of all shops, in one database: `runs`, `shops`, `outbox` and `memory`."""

    def __init__(self, url: str) -> None:
        """Open the database at this SQLAlchemy URL; create it if it is new, back it up and upgrade it if it is older."""
        self.engine = database.opened(url)
        self.runs, self.shops = Runs(self.engine), Shops(self.engine)
        self.outbox, self.memory = Outbox(self.engine), Memory(self.engine)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def now(self) -> datetime:
        """Return the time by the database's own clock, in UTC."""
        with self.engine.connect() as connection:
            return clock.now(connection)

    @contextmanager
    def lease(self, shop: str, run_id: str) -> Iterator[Lease]:
        """Hold the lease of a shop for one run, with a heartbeat; raise LeaseHeld if another run holds it."""
        held = lease.take(self.engine, shop, run_id)
        try:
            with held.heartbeats():
                yield held
        finally:
            held.release()

    def joined(self, shop: str, run_id: str) -> Lease:
        """Return the lease that another process took for this run; raise LeaseLost if the run no longer holds it."""
        return lease.joined(self.engine, shop, run_id)

    def holder(self, shop: str) -> str | None:
        """Return the id of the run that holds this shop, or None if it is free or its holder has ended."""
        return lease.holder(self.engine, shop)
