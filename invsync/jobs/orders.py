"""Shopify's orders of the look-back, read whole once and from then on only where something moved."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from invsync import inflight, tables
from invsync.shopify import Shopify
from invsync.state import State


@dataclass
class Orders:
    """The ORDERS and ASSIGNED that may be in flight; equal in effect to reading every order created since `since`.

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
            return self.shopify.orders(self.since)
        ids = self.state.remembered(self.shop)
        found, assigned = self.shopify.orders(self.since, updated=known[0] - self.overlap, ids=ids)
        young = found.filter(pl.col("created_at") >= self.since)
        return young, assigned.join(young, on="order_id", how="semi")

    def _again(self, orders: pl.DataFrame, assigned: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What changed since the first read of this run, put over it."""
        changed, moved = self.shopify.orders(self.since, updated=self.thru - self.overlap)
        fresh = [frame.join(changed, on="order_id", how="anti") for frame in (orders, assigned)]
        return pl.concat([fresh[0], changed]), pl.concat([fresh[1], moved])

    def remember(self, snapshot: tables.Snapshot, physical: pl.Series) -> None:
        """Keep for the next run which orders may still be in flight, given the OMS and its physical locations."""
        if self._read is None:
            return
        orders, assigned = self._read
        open_ = assigned.filter(pl.col("location_id").is_in(physical.implode()))["order_id"]
        unknown = inflight.unknown_orders(orders, snapshot)["order_id"]
        kept = pl.concat([unknown, open_]).unique().to_list()
        self.state.remember(self.shop, kept, thru=self.thru, since=self.since)
