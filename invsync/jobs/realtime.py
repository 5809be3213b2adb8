"""The job that webhooks ask for: what they named is read again and set right, and nothing else."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from invsync import mapping, tables
from invsync.inbox import HEARD, LEVEL, Inbox, echo
from invsync.jobs.resets import Resets, by_pair
from invsync.jobs.run import Selection
from invsync.ledger import buffers
from invsync.state import iso
from invsync.tables import KEY
from invsync.vocabulary import CONTESTED, DEFERRED, MOVING, OVERWRITTEN, REALTIME, UNKNOWN

MOST_WRITES, WITHIN = 3, timedelta(minutes=15)
ITEM, PRODUCT, ORDER = "inventory_item_id", "product_id", "order_id"


@dataclass
class Realtime(Resets):
    """A run that resets the pairs that webhooks named since the last drain.

    A pair that another system changes each time that it was set right is held as `contested`: nobody loops.
    """

    heard: pl.DataFrame = field(default_factory=lambda: tables.empty(HEARD))
    sold: pl.DataFrame = field(default_factory=lambda: tables.empty({ORDER: tables.ID, ITEM: tables.ID}))

    def select(self) -> Selection:
        """The pairs that waiting deliveries name, those of their orders and of their products, less our own echoes."""
        buffers.check(self.shop.buffer, self.oms, self.facts)
        now, inbox = datetime.now(UTC), Inbox(self.state.engine)
        self.heard = inbox.waiting(self.given.shop)
        lines = self._sent(now)
        named = self.heard.join(echo.echoes(self.heard, lines), on="number", how="anti")
        self.sold = self._sold(named)
        every, held = mapping.pairs(self.mapped_by(self._named_products(named)), **self.facts)
        self.beside = every
        asked, shown = self._asked(every, named)
        contested = shown.join(_often(lines, now), on=KEY, how="semi")
        pairs = pl.concat([asked, shown.join(contested, on=KEY, how="anti")])
        held = pl.concat([by_pair(held), _contested(contested)])
        self.selection = Selection(pairs, held, self.mapped(), self.stock_rows(), whole=False)
        self.summary["counts"]["read"] = pairs.height + held.height
        self._tell(named, every, now)
        return self.selection

    def _sent(self, now: datetime) -> pl.DataFrame:
        """What was sent since the oldest stamp that is heard, and while a contest is remembered."""
        oldest = self.heard["updated_at"].min()
        since = min(now - WITHIN, oldest - echo.CLOCKS_DIFFER) if isinstance(oldest, datetime) else now - WITHIN
        return echo.sent(self.state.engine, self.kept_as, max(since, now - echo.LONGEST_RUN), now)

    def _sold(self, named: pl.DataFrame) -> pl.DataFrame:
        """The items of the orders that are named, read by the orders' ids: order_id, inventory_item_id."""
        ids = named[ORDER].drop_nulls().unique().to_list()
        return self.shopify.orders_named(ids).select(ORDER, ITEM).unique() if ids else self.sold

    def _named_products(self, named: pl.DataFrame) -> pl.Series:
        items = pl.concat([named[ITEM], self.sold[ITEM]])
        told = pl.concat([named[PRODUCT], pl.Series(self.reopened, dtype=pl.String)])
        return pl.concat([told, self.oms.products_of(items)]).drop_nulls().unique().alias(PRODUCT)

    def _asked(self, every: pl.DataFrame, named: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The pairs to look at by an order, the OMS or a resumed file; and those that only Shopify's levels name."""
        by_order = pl.col(ITEM).is_in(self.sold[ITEM].implode())
        by_oms = pl.col(PRODUCT).is_in([*self.reopened, *named[PRODUCT].drop_nulls()])
        asked = every.filter(by_order | by_oms)
        levels = named.filter(pl.col("topic") == LEVEL).select(KEY)
        return asked, every.join(levels, on=KEY, how="semi").join(asked, on=KEY, how="anti")

    def _tell(self, named: pl.DataFrame, every: pl.DataFrame, now: datetime) -> None:
        oldest = self.heard["heard_at"].min()
        self.summary["window"] = {"from": iso(oldest) if isinstance(oldest, datetime) else None, "thru": iso(now)}
        self.say(
            f"{self.heard.height} webhooks waited; {self.heard.height - named.height} of them are echoes of our "
            "own changes."
        )
        unmapped = pl.concat([named[ITEM], self.sold[ITEM]]).drop_nulls().unique()
        if strange := sorted(set(unmapped) - set(every[ITEM])):
            self.say(f"{len(strange)} inventory items that webhooks named are not mapped in the OMS, as {strange[0]}.")

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Take from the inbox what this run covered; what is not known yet stays and is looked at again."""
        super().settled(outcomes)
        unsure = outcomes.filter(
            (pl.col("outcome") == UNKNOWN) | pl.col("reason").is_in([MOVING, DEFERRED, OVERWRITTEN])
        )
        orders = self.sold.join(unsure, on=ITEM, how="semi")
        stays = (
            pl.struct(KEY).is_in(unsure.select(pl.struct(KEY)).to_series().implode())
            | pl.col(PRODUCT).is_in(unsure[PRODUCT].implode())
            | pl.col(ORDER).is_in(orders[ORDER].implode())
        ).fill_null(False)
        covered, keep = self.heard.filter(~stays)["number"], self.kept.keep_webhooks_days
        Inbox(self.state.engine).cover(self.given.shop, covered, self.run_id, keep_days=keep)


def _often(lines: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The pairs that this job has already set as often as it may for a while."""
    recent = lines.filter(pl.col("job") == REALTIME, pl.col("begun") > now - WITHIN)
    return recent.group_by(KEY).len().filter(pl.col("len") >= MOST_WRITES)


def _contested(pairs: pl.DataFrame) -> pl.DataFrame:
    """MAPPING_HELD of pairs that another system keeps changing."""
    rows = pairs.with_columns(facility_id=pl.lit(None), reason=pl.lit(CONTESTED))
    return tables.conform(rows, tables.MAPPING_HELD, CONTESTED)
