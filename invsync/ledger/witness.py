"""A shop's levels and orders seen together: what the orders do not explain is in flight, or must not be raised yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from invsync import inflight, tables
from invsync.config.settings import ShopSettings
from invsync.inbox import echo
from invsync.ledger.orders import HEARD_FOR, Orders
from invsync.state import LEVEL_MEMORY
from invsync.tables import KEY

APART = timedelta(hours=1)  # deferrals further apart are no wait that goes on
SAME_CHANGE = timedelta(seconds=5)  # from a change of a level to the update of the order that caused it
ITEM = "inventory_item_id"


@dataclass(frozen=True)
class Seen:
    """LEVELS, SOLD, the committed units that are not visible yet, and those of orders too old to be shown."""

    levels: pl.DataFrame
    sold: pl.DataFrame
    unseen: pl.DataFrame
    baseline: pl.DataFrame


@dataclass
class Witness:
    """The levels and the orders of one shop; `given` is the clock that replaces Shopify's own in every decision."""

    settings: ShopSettings
    orders: Orders
    at: datetime
    kept_as: str
    given: datetime | None = None
    memory: pl.DataFrame = field(default_factory=lambda: tables.empty(LEVEL_MEMORY))

    def look(self, pairs: pl.DataFrame, beside: pl.DataFrame) -> Seen:
        """What the levels and the orders of these pairs' items say, read in this order; looked at twice where they differ.

        `beside` are the other pairs of the shop, PAIRS both: a store's units come off the online number too.
        """
        every = pl.concat([pairs, beside.join(pairs, on=ITEM, how="semi")]).unique(
            KEY, keep="first", maintain_order=True
        )
        shopify = self.orders.shopify
        seen = self._judged(shopify.levels(every), self.orders.read())
        again = every.join(seen.unseen, on=ITEM, how="semi")
        if again.height:
            shopify.wait(self.settings.orders_again_after)
            fresh = shopify.levels(again)
            levels = pl.concat([seen.levels.join(fresh, on=KEY, how="anti"), fresh])
            seen = self._judged(levels, self.orders.read_again(again[ITEM].unique()))
        self._note(seen)
        return seen

    def _judged(self, levels: pl.DataFrame, sold: pl.DataFrame) -> Seen:
        excess, before = inflight.unexplained(levels, sold), self.orders.state.memory.levels(self.orders.shop)
        settle = timedelta(minutes=self.settings.orders_settle)
        baseline = inflight.settled(excess, levels, sold, before, now=self._now(), settle=settle)
        return Seen(levels, sold, inflight.less(excess, baseline), baseline)

    def _now(self) -> datetime:
        return self.given or self.orders.shopify.server_time or self.at

    def _note(self, seen: Seen) -> None:
        watched = seen.unseen.select(*KEY, watched=pl.lit(True))
        rows = seen.levels.select(KEY).join(seen.baseline, on=KEY, how="left").join(watched, on=KEY, how="left")
        rows = rows.with_columns(
            pl.col("units").fill_null(0),
            pl.col("watched").fill_null(False),
            deferred_since=pl.lit(None, dtype=tables.STAMP),
            deferred_at=pl.lit(None, dtype=tables.STAMP),
        )
        self.memory = pl.concat([self.memory.join(rows, on=KEY, how="anti"), rows.select(list(LEVEL_MEMORY))])

    def fresh_changes(self, seen: Seen) -> pl.DataFrame:
        """The levels whose stock changed a moment ago, by no visible order and no adjustment of ours: item, location, units 1.

        What moves between available, committed and reserved is read in one level and needs no explanation; a change
        of what is on hand does: it may be a till sale whose order is not visible yet. Only an order that shipped there
        explains it.
        """
        settle, now, at = timedelta(seconds=self.settings.orders_settle_seconds), self._now(), pl.col("on_hand_at")
        fresh = seen.levels.filter(at > now - settle, at < now + settle)
        near = (pl.col("updated_at") >= at) & (pl.col("updated_at") <= at + SAME_CHANGE)
        by_order = fresh.join(seen.sold.filter(pl.col("shipped") != 0), on=KEY).filter(near).select(KEY)
        left = fresh.join(by_order, on=KEY, how="anti")
        if left.height:
            clock = datetime.now(UTC)
            ours = echo.sent(self.orders.state.engine, self.kept_as, clock - HEARD_FOR, clock)
            not_since = pl.col("proved_at").is_null() | (at <= pl.col("proved_at") + echo.STAMPS_DIFFER)
            ours = left.join(ours, on=[*KEY, "available"]).filter(not_since)
            left = left.join(ours, on=KEY, how="anti")
        return left.select(*KEY, units=pl.lit(1, dtype=pl.Int64))

    def watch(self, pairs: pl.DataFrame) -> None:
        """Let the next run look at these pairs, whatever else it looks at."""
        rows = self.memory.join(pairs.select(*KEY, more=pl.lit(True)), on=KEY, how="left")
        self.memory = rows.with_columns(watched=pl.col("watched") | pl.col("more").fill_null(False)).drop("more")

    def defer(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Since when these pairs wait to be raised, remembered for the next run: item, location, since.

        A pair that was deferred long ago and not looked at in between waits anew.
        """
        before = self.orders.state.memory.levels(self.orders.shop).filter(pl.col("deferred_at") >= self.at - APART)
        since = pairs.join(before.select(*KEY, since="deferred_since"), on=KEY, how="left")
        since = since.with_columns(pl.col("since").fill_null(self.at))
        rows = self.memory.join(since, on=KEY, how="left").with_columns(
            deferred_since=pl.coalesce("since", "deferred_since"),
            deferred_at=pl.when(pl.col("since").is_not_null()).then(self.at).otherwise("deferred_at"),
        )
        self.memory = rows.select(list(LEVEL_MEMORY))
        return since

    def remember(self, in_flight: pl.DataFrame, *, whole: bool = False) -> None:
        """Keep for the next run what it must know of orders, given those in flight, and of levels.

        Only the items that were looked at are judged, or every item where the whole shop was.
        """
        self.orders.remember(in_flight, None if whole else self.memory[ITEM].unique())
        kept = (pl.col("units") > 0) | pl.col("watched") | pl.col("deferred_since").is_not_null()
        self.orders.state.memory.remember_levels(self.orders.shop, self.memory.select(KEY), self.memory.filter(kept))


def not_for_sale(levels: pl.DataFrame, listed: Sequence[str]) -> pl.DataFrame:
    """Units of LEVELS set aside in Shopify, reserved or by the names listed: item, location, units (> 0)."""
    units = pl.sum_horizontal(pl.max_horizontal(pl.col(name).fill_null(0), 0) for name in ["reserved", *listed])
    return levels.select(*KEY, units=units).filter(pl.col("units") > 0)
