"""Set right what webhooks named, and nothing else; what they said is read again."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from invsync import mapping, tables
from invsync.inbox import LEVEL, Inbox, echo
from invsync.jobs.context import Context
from invsync.jobs.methods.resets import Resets, by_pair
from invsync.jobs.values import HeardSelection, Settled, Window
from invsync.ledger import buffers
from invsync.ledger.reading import Reading, unreadable
from invsync.tables import KEY
from invsync.vocabulary import CONTESTED, DEFERRED, MOVING, OVERWRITTEN, REALTIME, UNKNOWN

MOST_WRITES, WITHIN = 3, timedelta(minutes=15)
ITEM, PRODUCT, ORDER = "inventory_item_id", "product_id", "order_id"


@dataclass(frozen=True)
class Realtime:
    """Resets the pairs that webhooks named since the last drain.

    A pair that another system changes each time that it was set right is held as `contested`: nobody loops.
    """

    context: Context

    @property
    def resets(self) -> Resets:
        """The method by which the pairs are reset."""
        return Resets(self.context)

    def select(self, settled: Settled) -> HeardSelection:
        """The pairs that waiting deliveries name, those of their orders and of their products, less our own echoes."""
        context, now = self.context, datetime.now(UTC)
        buffers.check(context.shop.buffer, context.oms, context.rules)
        heard = Inbox(context.state.engine).waiting(context.name)
        lines = self._lines(heard, now)
        named = heard.join(echo.echoes(heard, lines), on="number", how="anti")
        sold = self._sold(named)
        resumed = pl.Series(PRODUCT, settled.products, dtype=pl.String)
        snapshot = context.oms.snapshot(self._products(named, sold, resumed), to_select=True)
        every, held = mapping.pairs(snapshot, context.rules)
        asked = _asked(every, named, sold, resumed)
        levels = named.filter(pl.col("topic") == LEVEL).select(KEY)
        shown = every.join(levels, on=KEY, how="semi").join(asked, on=KEY, how="anti")
        contested = shown.join(_often(lines, now), on=KEY, how="semi")
        pairs = pl.concat([asked, shown.join(contested, on=KEY, how="anti")])
        held = pl.concat([by_pair(held), _contested(contested)])
        return HeardSelection(
            settled,
            pairs,
            held,
            pairs.height + held.height,
            context.mapped(),
            context.stock_rows(),
            reader=context.reader(snapshot, every),
            window=Window(_oldest(heard, "heard_at"), now),
            messages=(*unreadable(snapshot), *_messages(heard, named, sold, every)),
            heard=heard,
            sold=sold,
        )

    def _lines(self, heard: pl.DataFrame, now: datetime) -> pl.DataFrame:
        """What was sent since the oldest stamp that is heard, and while a contest is remembered."""
        oldest = _oldest(heard, "updated_at")
        since = now - WITHIN if oldest is None else min(now - WITHIN, oldest - echo.CLOCKS_DIFFER)
        return echo.sent(self.context.state.engine, self.context.kept_as, max(since, now - echo.LONGEST_RUN), now)

    def _sold(self, named: pl.DataFrame) -> pl.DataFrame:
        """The items of the orders that are named, read by the orders' ids: order_id, inventory_item_id."""
        ids = named[ORDER].drop_nulls().unique().to_list()
        if not ids:
            return tables.empty({ORDER: tables.ID, ITEM: tables.ID})
        return self.context.shopify.orders_named(ids).select(ORDER, ITEM).unique()

    def _products(self, named: pl.DataFrame, sold: pl.DataFrame, resumed: pl.Series) -> pl.Series:
        of_items = self.context.oms.products_of(pl.concat([named[ITEM], sold[ITEM]]))
        return pl.concat([named[PRODUCT], resumed, of_items]).drop_nulls().unique().alias(PRODUCT)

    def read(self, selection: HeardSelection) -> Reading:
        """The reading of the selected pairs."""
        return self.resets.read(selection)

    def reread(self, selection: HeardSelection, pairs: pl.DataFrame) -> Reading:
        """The reading of pairs that moved between our read and our write."""
        return self.resets.reread(selection, pairs)

    def guarded(
        self, selection: HeardSelection, reading: Reading, rows: pl.DataFrame
    ) -> list[tuple[bool, pl.DataFrame]]:
        """The rows, all guarded by what was read."""
        return self.resets.guarded(selection, reading, rows)

    def reasons(self, selection: HeardSelection, reading: Reading) -> pl.DataFrame | None:
        """None: one adjustment reason serves every pair."""
        return None

    def claims(self, selection: HeardSelection, reading: Reading, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of every stock event that the last read of these pairs saw."""
        return self.resets.claims(selection, reading, pairs)

    def remember(self, selection: HeardSelection, reading: Reading, outcomes: pl.LazyFrame) -> None:
        """Take from the inbox what this run covered; what is not known yet stays and is looked at again."""
        self.resets.remember(selection, reading, outcomes)
        waits = (pl.col("outcome") == UNKNOWN) | pl.col("reason").is_in([MOVING, DEFERRED, OVERWRITTEN])
        unsure = outcomes.filter(waits).collect()
        orders = selection.sold.join(unsure, on=ITEM, how="semi")
        stays = (
            pl.struct(KEY).is_in(unsure.select(pl.struct(KEY)).to_series().implode())
            | pl.col(PRODUCT).is_in(unsure[PRODUCT].implode())
            | pl.col(ORDER).is_in(orders[ORDER].implode())
        ).fill_null(False)
        covered, context = selection.heard.filter(~stays)["number"], self.context
        inbox, days = Inbox(context.state.engine), context.kept.keep_webhooks_days
        inbox.cover(context.name, covered, context.run_id, keep_days=days)


def _oldest(heard: pl.DataFrame, column: str) -> datetime | None:
    oldest = heard[column].min()
    return oldest if isinstance(oldest, datetime) else None


def _asked(every: pl.DataFrame, named: pl.DataFrame, sold: pl.DataFrame, resumed: pl.Series) -> pl.DataFrame:
    """The pairs to look at by an order, the OMS or a resumed file."""
    by_order = pl.col(ITEM).is_in(sold[ITEM].implode())
    by_oms = pl.col(PRODUCT).is_in([*resumed, *named[PRODUCT].drop_nulls()])
    return every.filter(by_order | by_oms)


def _messages(heard: pl.DataFrame, named: pl.DataFrame, sold: pl.DataFrame, every: pl.DataFrame) -> tuple[str, ...]:
    echoes = heard.height - named.height
    waited = f"{heard.height} webhooks waited; {echoes} of them are echoes of our own changes."
    items = pl.concat([named[ITEM], sold[ITEM]]).drop_nulls().unique()
    strange = sorted(set(items) - set(every[ITEM]))
    if not strange:
        return (waited,)
    return (
        waited,
        f"{len(strange)} inventory items that webhooks named are not mapped in the OMS, as {strange[0]}.",
    )


def _often(lines: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The pairs that this job has already set as often as it may for a while."""
    recent = lines.filter(pl.col("job") == REALTIME, pl.col("begun") > now - WITHIN)
    return recent.group_by(KEY).len().filter(pl.col("len") >= MOST_WRITES)


def _contested(pairs: pl.DataFrame) -> pl.DataFrame:
    """MAPPING_HELD of pairs that another system keeps changing."""
    rows = pairs.with_columns(facility_id=pl.lit(None), reason=pl.lit(CONTESTED), message=pl.lit(None))
    return tables.conform(rows, tables.MAPPING_HELD, CONTESTED)
