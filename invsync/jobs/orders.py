"""Shopify's orders of the look-back, read whole once and from then on only where something moved."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from invsync import inflight, tables
from invsync.inbox import Inbox
from invsync.shopify import Shopify
from invsync.state import State

HEARD_FOR = timedelta(minutes=15)
SHOWN = timedelta(days=60)  # read_orders shows no older ones


def looked_back(at: datetime, days: int, newest_known: datetime | None) -> datetime:
    """From when on orders may be in flight: the look-back, and all that the OMS's order import has missed."""
    start = at - timedelta(days=days)
    return max(min(start, newest_known), at - SHOWN) if newest_known else start


@dataclass
class Orders:
    """The ORDERS and ASSIGNED that may be in flight; equal in effect to reading every order created since `since`.

    One that a webhook spoke of is read by its id, whether Shopify's search finds it yet or not.
    An order stays remembered while the OMS does not know it, or while it is assigned to a physical location.
    """

    shop: str
    shopify: Shopify
    state: State
    since: datetime
    thru: datetime
    overlap: timedelta
    whole: bool
    _read: tuple[pl.DataFrame, pl.DataFrame] | None = field(default=None)

    def read(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The orders as they are now."""
        self._read = self._first() if self._read is None else self._again(*self._read)
        return self._read

    def _first(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        known = self.state.orders_read(self.shop)
        if self.whole or known is None or known[1] > self.since or known[0] - self.overlap < self.since:
            return self._young(None, [])
        return self._young(known[0] - self.overlap, self.state.remembered(self.shop))

    def _again(self, orders: pl.DataFrame, assigned: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What changed since the first read of this run, put over it."""
        changed, moved = self._young(self.thru - self.overlap, [])
        fresh = [frame.join(changed, on="order_id", how="anti") for frame in (orders, assigned)]
        return pl.concat([fresh[0], changed]), pl.concat([fresh[1], moved])

    def _young(self, updated: datetime | None, ids: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The orders of the look-back that changed since then, those of these ids, and those heard of."""
        heard = Inbox(self.state.engine).orders(self.shop, datetime.now(UTC) - max(self.overlap, HEARD_FOR))
        found, assigned = self.shopify.orders(self.since, updated=updated, ids=sorted({*ids, *heard}))
        young = found.filter(pl.col("created_at") >= self.since)
        return young, assigned.join(young, on="order_id", how="semi")

    def remember(self, snapshot: tables.Snapshot, physical: pl.Series) -> None:
        """Keep for the next run which orders may still be in flight, given the OMS and its physical locations."""
        if self._read is None:
            return
        orders, assigned = self._read
        open_ = assigned.filter(pl.col("location_id").is_in(physical.implode()))["order_id"]
        unknown = inflight.unknown_orders(orders, snapshot)["order_id"]
        kept = pl.concat([unknown, open_]).unique().to_list()
        self.state.remember(self.shop, kept, thru=self.thru, since=self.since)
