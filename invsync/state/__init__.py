"""What must survive a crash, in one database: runs, the outbox with its claims, remembered orders, one lease a shop."""

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
    """The small truth of all shops, in one database."""

    def __init__(self, url: str) -> None:
        """Open the database at this SQLAlchemy URL: a new one is made, an older one is backed up and upgraded."""
        self.engine = database.opened(url)
        self.runs, self.shops = Runs(self.engine), Shops(self.engine)
        self.outbox, self.memory = Outbox(self.engine), Memory(self.engine)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def now(self) -> datetime:
        """What the clock of the database says."""
        with self.engine.connect() as connection:
            return clock.now(connection)

    @contextmanager
    def lease(self, shop: str, run_id: str) -> Iterator[Lease]:
        """Hold the shop for one run, the heart beating; one that is held by another is LeaseHeld."""
        held = lease.take(self.engine, shop, run_id)
        try:
            with held.beating():
                yield held
        finally:
            held.release()

    def joined(self, shop: str, run_id: str) -> Lease:
        """The lease that another process took for this run; LeaseLost where it is no longer held."""
        return lease.joined(self.engine, shop, run_id)

    def holder(self, shop: str) -> str | None:
        """The run that holds this shop, while its process lives."""
        return lease.holder(self.engine, shop)
