"""Bring pairs to the OMS's number: the method of the recent changes, the hard sync, and what webhooks name."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from invsync import delta, mapping, tables
from invsync.jobs.context import Context
from invsync.jobs.values import Selection, Settled, Window
from invsync.ledger import buffers
from invsync.ledger.reading import Reader, Reading, unreadable
from invsync.state import CLAIMS
from invsync.tables import KEY
from invsync.vocabulary import (
    ALREADY_RIGHT,
    DELTAS,
    HARD,
    HELD,
    OVERWRITTEN,
    RECENT,
    REFUSED,
    RIGHT,
    SUPERSEDED,
    UNKNOWN,
)


@dataclass(frozen=True)
class Resets:
    """Sends target - available for each pair, guarded by what was read."""

    context: Context

    def select(self, settled: Settled) -> Selection:
        """The pairs that were touched in the window, on either side; every mapped pair without a window."""
        context = self.context
        buffers.check(context.shop.buffer, context.oms, context.rules)
        start = self._start()
        products = self._products(start, settled)
        snapshot = context.oms.snapshot(products, to_select=True)
        reader = context.reader(snapshot, tables.empty(tables.PAIRS))
        if products is not None and start is not None:
            moved = self._moved_on_shopify(start, reader)
            if not moved.is_in(products.implode()).all():
                products = products.append(moved).unique()
                snapshot = context.oms.snapshot(products, to_select=True)
        pairs, held = mapping.pairs(snapshot, context.rules)
        mapped = pairs.height if products is None else context.mapped()
        chosen = self._published(snapshot, pairs)
        held = by_pair(held)
        return Selection(
            settled,
            chosen,
            held,
            pairs.height + held.height,
            mapped,
            context.stock_rows(),
            whole=products is None and chosen.height == mapped,
            reader=replace(reader, beside=pairs, named=frozenset(snapshot.unreadable["place"])),
            window=None if context.is_whole else Window(start, context.thru),
            messages=unreadable(snapshot),
        )

    def _start(self) -> datetime | None:
        """The effective lower bound of the window; None for every pair."""
        mark = None if self.context.is_whole else self.context.watermark(self.context.job)
        return mark - timedelta(minutes=self.context.shop.overlap_minutes) if mark else None

    def _products(self, start: datetime | None, settled: Settled) -> pl.Series | None:
        """The products whose OMS rows were touched since `start` or that a resumed file named; None for all."""
        if start is None:
            return None
        source = self.context.oms
        touched = source.changed_products(
            start, self.context.thru, group=self.context.shop.oms.facility_group_id, store=source.store
        )
        resumed = pl.Series("product_id", settled.products, dtype=pl.String)
        return None if touched is None else touched.append(resumed).unique()

    def _moved_on_shopify(self, start: datetime, reader: Reader) -> pl.Series:
        """The products of the orders that changed since then, at any shop of this stock, and of unsettled levels."""
        waiting = self.context.unsettled()["inventory_item_id"]
        items = reader.witness.orders.updated(start).append(waiting)
        return pl.concat(
            [self.context.products_of(items), *(peer.moved(start) for peer in self.context.peers)]
        ).unique()

    def _published(self, snapshot: tables.Snapshot, pairs: pl.DataFrame) -> pl.DataFrame:
        """Without the physical locations of facilities that the groups given leave out."""
        given, moment = self.context.parameters, self.context.at
        at = mapping.locations(snapshot, aggregate_location=self.context.shop.aggregate_location)
        at = at.filter(pl.col("form") == "physical")
        inside = pl.col("facility_id").is_in(_facilities_of(snapshot, given.include_groups, moment).implode())
        outside = pl.col("facility_id").is_in(_facilities_of(snapshot, given.exclude_groups, moment).implode())
        left_out = outside | (~inside if given.include_groups else pl.lit(False))
        return pairs.join(at.filter(left_out), on="location_id", how="anti")

    def read(self, selection: Selection) -> Reading:
        """The reading of the selected pairs."""
        return self.reread(selection, selection.pairs)

    def reread(self, selection: Selection, pairs: pl.DataFrame) -> Reading:
        """The reading of pairs that moved between our read and our write."""
        return self.reading(selection.reader, pairs) if selection.reader else Reading()

    def reading(self, reader: Reader, pairs: pl.DataFrame, events_from: datetime | None = None) -> Reading:
        """The reading of these PAIRS, with the stock events that it saw and that no run counts yet."""
        read = reader.read(pairs.select(list(tables.PAIRS)), events_from=events_from or self.events_from())
        return replace(read, events=self.unclaimed(read.events))

    def events_from(self) -> datetime | None:
        """From which stamp on the delta job may still look at stock events; None where it never ran.

        While resets keep the shop they claim what they count too, so that a delta job that returns does not push it.
        """
        mark, recent = self.context.watermark(DELTAS), self.context.watermark(RECENT)
        if mark is None:
            return None
        start = max(mark, recent or mark) - timedelta(hours=self.context.shop.delta_overlap_hours)
        open_ = self.context.state.outbox.oldest_open(self.context.kept_as)
        return min(start, open_) if open_ else start

    def unclaimed(self, claimable: pl.DataFrame) -> pl.DataFrame:
        """The CLAIMABLE rows that no run counts yet, each looked up by its event, whatever its stamp says today."""
        if claimable.is_empty():
            return claimable
        events, context = claimable["event_id"], self.context
        asked = delta.spellings(events) if context.oms.respells_event_ids else events.unique()
        return delta.unclaimed(claimable, context.state.outbox.claims(context.kept_as, events=asked))

    def guarded(self, selection: Selection, reading: Reading, rows: pl.DataFrame) -> list[tuple[bool, pl.DataFrame]]:
        """The rows in groups, each with whether its changes are guarded by what was read."""
        return [(True, rows)]

    def reasons(self, selection: Selection, reading: Reading) -> pl.DataFrame | None:
        """Shopify's adjustment reason by pair; None: one reason serves them all."""
        return None

    def claims(self, selection: Selection, reading: Reading, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of every stock event that the last read of these pairs saw: a reset of them counts it."""
        return claims_of(reading.events.join(pairs, on=KEY, how="semi"), "reset", self.context.run_id)

    def remember(self, selection: Selection, reading: Reading, outcomes: pl.LazyFrame) -> None:
        """Write down which stock events these OUTCOMES cover, and what the next run must know of orders and levels."""
        self.remember_resets(selection, reading, outcomes, claims=self.events_from() is not None)

    def remember_resets(self, selection: Selection, reading: Reading, outcomes: pl.LazyFrame, *, claims: bool) -> None:
        """Keep the claims of the pairs that are right now, give back those of the others; remember the orders."""
        context, run_id = self.context, self.context.run_id
        outbox, kept_as = context.state.outbox, context.kept_as
        wrong = outcomes.filter(pl.col("outcome").is_in([REFUSED, HELD]), ~is_overwritten()).collect()
        owed = wrong if self._heals(selection) else wrong.clear()
        if claims:
            right = _among(outcomes.filter(pl.col("outcome").is_in([ALREADY_RIGHT, SUPERSEDED])), reading.events)
            wrong = wrong.join(owed, on=KEY, how="anti")
            outbox.claim(kept_as, Resets.claims(self, selection, reading, pl.concat([right, owed.select(KEY)])))
            outbox.release(kept_as, run_id, wrong.join(reading.events, on=KEY, how="semi"))
            right = _among(outcomes.filter(pl.col("outcome").is_in(RIGHT)), outbox.unknown(kept_as))
            outbox.settle_unknown(kept_as, right, run_id)
        if self._covers_all(selection):
            unmapped = outbox.unknown(kept_as).join(selection.pairs, on=KEY, how="anti")
            outbox.settle_unknown(kept_as, unmapped, run_id)
            context.state.shops.require_hard_sync(kept_as, None)
        if selection.reader is not None:
            selection.reader.witness.remember(reading.in_flight, whole=selection.whole)
            for peer in context.peers:
                peer.remember()
        unsure = outcomes.filter((pl.col("outcome") == UNKNOWN) | is_overwritten()).collect()
        context.state.memory.watch(context.name, pl.concat([unsure, owed]))

    def _covers_all(self, selection: Selection) -> bool:
        return self.context.job == HARD and selection.whole

    def _heals(self, selection: Selection) -> bool:
        """Whether nobody knows which events were counted before this run: what it cannot set right is reset again later."""
        return (
            self._covers_all(selection) and self.context.state.shops.needs_hard_sync(self.context.kept_as) is not None
        )


def _among(outcomes: pl.LazyFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The pairs of these OUTCOMES that the rows name."""
    if rows.is_empty():
        return rows.select(KEY)
    return outcomes.select(KEY).join(rows.lazy(), on=KEY, how="semi").collect(engine="streaming")


def is_overwritten() -> pl.Expr:
    """The change landed, and something that is no order wrote another number over it."""
    return (pl.col("reason") == OVERWRITTEN).fill_null(False)


def claims_of(claimable: pl.DataFrame, status: str | pl.Expr, run_id: str) -> pl.DataFrame:
    """CLAIMS of these CLAIMABLE rows by one run."""
    state = pl.lit(status) if isinstance(status, str) else status
    return tables.conform(claimable.with_columns(status=state, run_id=pl.lit(run_id)), CLAIMS, "claims")


def by_pair(held: pl.DataFrame) -> pl.DataFrame:
    """One row a held pair; a row that names no location stands for itself."""
    at = pl.col("location_id")
    paired = held.filter(at.is_not_null()).unique(
        ["product_id", "location_id", "reason"], keep="first", maintain_order=True
    )
    return pl.concat([held.filter(at.is_null()), paired])


def _facilities_of(snapshot: tables.Snapshot, groups: tuple[str, ...], at: datetime) -> pl.Series:
    """The facilities that are members of any of these facility groups now."""
    members = snapshot.facility_group_member.filter(
        pl.col("facility_group_id").is_in(list(groups)), mapping.is_effective(at)
    )
    return members["facility_id"].unique()
