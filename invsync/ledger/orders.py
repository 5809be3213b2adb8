"""Shopify's orders as the ledger needs them: read whole once, from then on only where something moved."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from invsync.inbox import Inbox
from invsync.shopify import Shopify
from invsync.state import State

HEARD_FOR = timedelta(minutes=15)
SHOWN = timedelta(days=60)  # read_orders shows no older ones
ID, ITEM = "order_id", "inventory_item_id"


def looked_back(at: datetime, days: int, newest_known: datetime | None) -> datetime:
    """From when on orders are looked for: the look-back, and all that the OMS's order import has missed."""
    start = at - timedelta(days=days)
    return max(min(start, newest_known), at - SHOWN) if newest_known else start


@dataclass
class Orders:
    """The SOLD rows of every order that may be in flight, and of every open one.

    The first read takes every order that changed since `since` and the open ones of any age; later ones what changed
    since the last read, and every order that was in flight. One that a webhook spoke of is read by its id, whether
    Shopify's search finds it yet or not. Age removes no order: it goes when its units are booked or given back, and
    comes back when the OMS cancels it afterwards, which `cancelled` tells from a moment on.
    """

    shop: str
    shopify: Shopify
    state: State
    since: datetime
    thru: datetime
    overlap: timedelta
    whole: bool
    cancelled: Callable[[datetime], list[int]] = lambda since: []
    _sold: pl.DataFrame | None = field(default=None)

    @property
    def are_read(self) -> bool:
        """Whether there is something to remember."""
        return self._sold is not None

    def read(self) -> pl.DataFrame:
        """SOLD as it is now."""
        if self._sold is None:
            self._sold = self._first()
        else:
            self._changed(self.thru - self.overlap, [])
        return self._sold

    def read_again(self, items: pl.Series) -> pl.DataFrame:
        """SOLD after a second look at what changed, and at every order of these items that is known."""
        sold = self.read() if self._sold is None else self._sold
        known = sold.filter(pl.col(ITEM).is_in(items.implode()), pl.col("open") > 0)[ID].unique().to_list()
        self._changed(self.thru - self.overlap, known)
        assert self._sold is not None
        return self._sold

    def updated(self, since: datetime) -> pl.Series:
        """The items of the orders that changed since then."""
        return self.read().filter(pl.col("updated_at") >= since)[ITEM].unique()

    def _first(self) -> pl.DataFrame:
        kept = self.state.memory.ledger(self.shop)
        if kept is None or self.whole or kept.since > self.since or kept.thru - self.overlap < self.since:
            ids = {*self._heard(), *self.cancelled(self.since if kept is None else kept.thru - self.overlap)}
            fresh = self.shopify.orders(self.since, open_too=True, ids=sorted(ids))
            missing = [] if kept is None else sorted({*kept.in_flight} - {*fresh[ID]})
            return fresh if kept is None else self._with(fresh, kept.sold, missing)
        self._sold = kept.sold
        since = kept.thru - self.overlap
        self._changed(since, sorted({*kept.in_flight, *self.cancelled(since)}))
        return self._sold

    def _with(self, fresh: pl.DataFrame, before: pl.DataFrame, missing: list[int]) -> pl.DataFrame:
        """A whole read, with the orders that are in flight though they are closed and long unchanged."""
        named = self.shopify.orders_named(missing)
        too_old = before.filter(pl.col(ID).is_in(missing), pl.col("created_at") < self.thru - SHOWN)
        return pl.concat([fresh, named, too_old.join(named, on=ID, how="anti")])

    def _changed(self, since: datetime, ids: list[int]) -> None:
        """Put what changed since then, and these orders as they are now, over what is known."""
        assert self._sold is not None
        fresh = self.shopify.orders(since, ids=sorted({*ids, *self._heard()}))
        gone = pl.col(ID).is_in(ids) & (pl.col("created_at") >= self.thru - SHOWN)  # deleted, unless read below
        kept = self._sold.join(fresh, on=ID, how="anti").filter(~gone)
        self._sold = pl.concat([kept, fresh])

    def _heard(self) -> list[int]:
        return Inbox(self.state.engine).orders(self.shop, datetime.now(UTC) - max(self.overlap, HEARD_FOR))

    def remember(self, in_flight: pl.DataFrame, judged: pl.Series | None) -> None:
        """Keep for the next run the open orders, those in flight, and those with an item that this run did not judge.

        `judged` are the items of the pairs that were read; None for all.
        """
        if self._sold is None:
            return
        flying = in_flight[ID].drop_nulls().unique()
        unjudged = pl.lit(False) if judged is None else ~pl.col(ITEM).is_in(judged.implode())
        left = pl.sum_horizontal("open", "shipped", "removed") != 0
        stays = pl.col(ID).is_in(flying.implode()) | ((pl.col("open") > 0) | (left & unjudged)).any().over(ID)
        self.state.memory.remember(
            self.shop, self._sold.filter(stays), sorted(flying), thru=self.thru, since=self.since
        )
