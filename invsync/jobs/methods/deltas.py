"""Add what the OMS itself counted to Shopify's number: each stock event once, whatever crashes in between."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from invsync import delta, mapping, tables
from invsync.errors import GuardStopped, UsageError
from invsync.jobs.context import Context
from invsync.jobs.methods.resets import Resets, by_pair, claims_of, is_overwritten
from invsync.jobs.values import DeltaReading, EventSelection, Settled, Window
from invsync.ledger import buffers
from invsync.ledger.reading import WHOLE_FROM, Reading, unreadable
from invsync.state import iso
from invsync.tables import KEY
from invsync.vocabulary import (
    ALREADY_RIGHT,
    DEFERRED,
    DEFERRED_FOR_AN_HOUR,
    FRACTIONAL,
    FREE,
    HARD,
    HELD,
    MALFORMED,
    MOVING,
    QUARANTINED,
    RECENT,
    REFUSED,
)

SHOWN = ["available", "is_active", "tracked", "requires_components"]


@dataclass(frozen=True)
class Deltas:
    """Sends the net of the OMS's stock events, unguarded and exactly once.

    Where a net change does not add up to the target, because of a floor, a buffer or a return that Shopify may have
    restocked itself, the pair is reset instead: guarded, and less what is in flight.
    """

    context: Context

    @property
    def resets(self) -> Resets:
        """The method by which the pairs are reset whose net change is no change of the target."""
        return Resets(self.context)

    # -- selection

    def select(self, settled: Settled) -> EventSelection:
        """The pairs of the window's stock events that Shopify should hear of and that no run has claimed yet.

        The first run of a shop claims what it sees as its baseline and sends nothing, unless `since` is given or
        another job has reset the shop before: then it resets the pairs of the events since, each guarded.
        """
        context = self.context
        buffers.check(context.shop.buffer, context.oms, context.rules)
        self._check_baseline()
        self._check_since()
        mark, switched = self._mark()
        start = self._start(mark)
        events = context.oms.events(start, context.thru)
        wanted = events if events.is_empty() else self._pushable(events)
        first = mark is None and context.parameters.since is None
        chosen = self._concerned(settled, wanted.clear() if first else wanted, start, switched=switched, first=first)
        if not first:
            return chosen
        words = (
            f"The first delta run of this shop: {events.height} stock events since {iso(start)} are the baseline, "
            "nothing was sent; later ones are pushed from now on."
        )
        return replace(chosen, baseline=events, messages=(words, *chosen.messages))

    def _pushable(self, events: pl.DataFrame) -> pl.DataFrame:
        """The EVENTS that Shopify should hear of, by the OMS's reasons and remotes."""
        source, override = self.context.oms, self.context.shop.delta_reasons
        return delta.pushable(events, source.delta_reasons(), override=override, remotes=source.remotes())

    def _check_baseline(self) -> None:
        """Stop where nobody can say which stock events Shopify has counted already."""
        if why := self.context.state.shops.needs_hard_sync(self.context.kept_as):
            raise GuardStopped(f"Nothing was sent: {why}; run hard-sync for {self.context.name}, which counts anew.")

    def _check_since(self) -> None:
        """Refuse to look at stock events that are so old that nobody knows any more which of them were counted."""
        days, since = self.context.kept.keep_claims_days, self.context.parameters.since
        if days and since is not None and since < self.context.at - timedelta(days=days):
            raise UsageError(
                f"Parameter since is more than {days} days ago, and which older stock events were counted is "
                "no longer known ([state] keep_claims_days): give a later one, or run hard-sync."
            )

    def _mark(self) -> tuple[datetime | None, bool]:
        """Until when the stock events are counted, and whether it was another job that counted them, by its resets."""
        mark, recent, hard = map(self.context.watermark, (self.context.job, RECENT, HARD))
        if mark is not None and (recent is None or recent <= mark):
            return mark, False
        return max((at for at in (recent, hard) if at is not None), default=None), True

    def _start(self, mark: datetime | None) -> datetime:
        overlap = timedelta(hours=self.context.shop.delta_overlap_hours)
        start = self.context.parameters.since or (mark or self.context.thru) - overlap
        open_ = self.context.state.outbox.oldest_open(self.context.kept_as) if mark else None
        return min(start, open_) if open_ else start

    def _concerned(
        self, settled: Settled, wanted: pl.DataFrame, start: datetime, *, switched: bool, first: bool
    ) -> EventSelection:
        """These EVENTS as the stock's own transaction saw them, at the pairs that they move, less what is claimed."""
        context = self.context
        owed = context.unsettled().select(KEY).clear() if first else context.unsettled().select(KEY)
        nothing = self._nothing(settled, start, switched=switched)
        if wanted.is_empty() and owed.is_empty():
            return nothing
        items = owed["inventory_item_id"]
        products = pl.concat([wanted["product_id"].drop_nulls(), context.products_of(items)]).unique()
        snapshot = context.oms.snapshot(products if products.len() <= WHOLE_FROM else None, events_from=start)
        mapped, others = mapping.pairs(snapshot, context.rules)
        named = mapping.locations(snapshot, aggregate_location=context.shop.aggregate_location)
        seen = snapshot.events.join(wanted, on="event_id", how="semi")
        unclear = others.filter(pl.col("reason") == MALFORMED)
        every = delta.concerned(seen, pl.concat([mapped, _held_pairs(unclear, named)]), named)
        free = self.resets.unclaimed(every)
        reset = pl.concat([owed, free.select(KEY) if switched else self._remapped(free, every)])
        pairs = mapped.join(pl.concat([free.select(KEY), owed]), on=KEY, how="semi")
        held = by_pair(unclear.filter(pl.col("product_id").is_in(free["product_id"].implode())))
        return replace(
            nothing,
            pairs=pairs,
            held=held,
            read=pairs.height + held.height,
            reader=context.reader(snapshot, mapped),
            messages=(*unreadable(snapshot), *_counted(free)),
            free=free,
            every=every,
            snapshot=snapshot,
            resets=mapped.join(reset, on=KEY, how="semi"),
        )

    def _nothing(self, settled: Settled, start: datetime, *, switched: bool) -> EventSelection:
        """A selection of no pairs, from the events since `start`."""
        return EventSelection(
            settled,
            tables.empty(tables.PAIRS),
            tables.empty(tables.MAPPING_HELD),
            read=0,
            mapped=self.context.mapped(),
            rows=self.context.stock_rows(),
            window=Window(start, self.context.thru),
            switched=switched,
        )

    def _remapped(self, free: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
        """The pairs of events that were counted at a location that they do not move any more: the mapping changed since."""
        claims = self.context.state.outbox.claims(self.context.kept_as, events=free["event_id"].unique())
        counted = claims.filter(~pl.col("status").is_in(FREE), pl.col("location_id") != delta.EVERY_LOCATION)
        elsewhere = counted.join(every, on=["event_id", "location_id"], how="anti")
        return free.join(elsewhere, on="event_id", how="semi").select(KEY).drop_nulls()

    # -- reading

    def read(self, selection: EventSelection) -> DeltaReading:
        """The net changes of the pairs whose events net to something, and the reading of those that are reset instead."""
        if selection.pairs.is_empty() or selection.snapshot is None or selection.reader is None:
            return DeltaReading()

        def targets(snapshot: tables.Snapshot) -> pl.DataFrame:
            return mapping.targets(selection.pairs, snapshot, self.context.rules)

        net = delta.net_changes(selection.free, selection.every, selection.pairs, selection.snapshot, targets)
        resets = pl.concat([self._bent(selection.free, net), selection.resets.select(KEY)])
        resets = selection.pairs.join(resets, on=KEY, how="semi")
        straight = self._straight(net.join(resets, on=KEY, how="anti"))
        if resets.is_empty():
            return DeltaReading(variances=straight.lazy(), net=net, resets=resets)
        read = self._reset(selection, resets)
        selection.reader.witness.watch(read.variances.filter(pl.col("debt") < 0).collect())
        return DeltaReading.of(replace(read, variances=pl.concat([straight.lazy(), read.variances])), net, resets)

    def reread(self, selection: EventSelection, pairs: pl.DataFrame) -> Reading:
        """The reading of pairs that moved between our read and our write; net changes are never read again."""
        return self._reset(selection, pairs)

    def _reset(self, selection: EventSelection, pairs: pl.DataFrame) -> Reading:
        if selection.reader is None or selection.window is None:
            return Reading()
        since = selection.window.start if selection.switched else None
        return self.resets.reading(selection.reader, pairs, since)

    def _bent(self, free: pl.DataFrame, net: pl.DataFrame) -> pl.DataFrame:
        """The pairs whose net change is no change of the target: at a floor, with a buffer, or by a return."""
        buffer = self.context.shop.buffer
        back = free.filter(pl.col("reason").is_in(delta.RETURNED)).select(KEY)
        rows = net.join(buffers.table(buffer).select(*KEY, "units"), on=KEY, how="left")
        held_back = pl.col("units").fill_null(buffer.units) > 0
        at_floor = (pl.col("oms") <= 0) | (pl.col("oms") - pl.col("net") <= 0)
        return pl.concat([rows.filter(held_back | at_floor).select(KEY), back.drop_nulls()]).unique()

    def _straight(self, net: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of net changes: the target is what Shopify will show."""
        levels = self.context.shopify.levels(net).select(*KEY, *SHOWN)
        rows = net.join(levels, on=KEY, how="left").with_columns(
            target=pl.col("available").fill_null(0) + pl.col("net"),
            delta=pl.col("net").round(0),
            in_flight=pl.lit(0),
            set_aside=pl.lit(0),
            buffer=pl.lit(0),
            held=pl.lit(None),
        )
        return tables.conform(rows, tables.VARIANCES, "variances")

    # -- sending

    def guarded(
        self, selection: EventSelection, reading: DeltaReading, rows: pl.DataFrame
    ) -> list[tuple[bool, pl.DataFrame]]:
        """The net changes, which are blind, and the resets, which are guarded."""
        resets = reading.resets
        groups = [(False, rows.join(resets, on=KEY, how="anti")), (True, rows.join(resets, on=KEY, how="semi"))]
        return [(guarded, group) for guarded, group in groups if group.height] or [(False, rows)]

    def reasons(self, selection: EventSelection, reading: DeltaReading) -> pl.DataFrame:
        """Shopify's reason by pair: that of the pair's largest event, else a correction."""
        known = reading.net.select(*KEY, "shopify_reason")
        owed = reading.resets.join(known, on=KEY, how="anti")
        return pl.concat([known, owed.select(*KEY, shopify_reason=pl.lit(delta.CORRECTION))])

    def claims(self, selection: EventSelection, reading: DeltaReading, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of the events that these changes count: a reset counts every one that its read of the OMS saw."""
        reset = self.resets.claims(selection, reading, pairs.join(reading.resets, on=KEY, how="semi"))
        counted = selection.free.join(pairs, on=KEY, how="semi")
        counted = counted.join(reset, on=["event_id", "location_id"], how="anti")
        return pl.concat([claims_of(counted, "sent", self.context.run_id), reset])

    # -- the end

    def remember(self, selection: EventSelection, reading: DeltaReading, outcomes: pl.LazyFrame) -> None:
        """Claim what was not sent as well: events that cancel out, that are held, or that nobody maps."""
        outbox, memory, kept_as = self.context.state.outbox, self.context.state.memory, self.context.kept_as
        outbox.claim(kept_as, self._ended(selection.free, outcomes))
        bent = outcomes.join(reading.resets.lazy(), on=KEY, how="semi").collect()
        settled = bent.filter((pl.col("outcome") != HELD) | is_overwritten())
        self.resets.remember_resets(selection, reading, settled.lazy(), claims=True)
        waiting = bent.filter(pl.col("reason").is_in([DEFERRED, DEFERRED_FOR_AN_HOUR, MOVING]))
        memory.watch(self.context.name, pl.concat([outcomes.filter(is_overwritten()).collect(), waiting]))
        outbox.release(kept_as, self.context.run_id, waiting)
        if selection.baseline is not None:
            seen = selection.baseline.with_columns(inventory_item_id=None, location_id=delta.EVERY_LOCATION)
            outbox.claim(kept_as, claims_of(seen, "baseline", self.context.run_id))

    def _ended(self, free: pl.DataFrame, outcomes: pl.LazyFrame) -> pl.DataFrame:
        """CLAIMS of the free events whose pairs ended without a change, and of those that no pair maps."""
        status = (
            pl.when(pl.col("reason").is_in([FRACTIONAL, MALFORMED]))
            .then(pl.lit(QUARANTINED))
            .when(pl.col("outcome") == ALREADY_RIGHT)
            .then(pl.lit("nothing"))
            .otherwise(pl.col("outcome"))
        )
        ended = outcomes.filter(pl.col("outcome").is_in([ALREADY_RIGHT, HELD, REFUSED]), ~is_overwritten())
        judged = free.join(ended.select(*KEY, ended_as=status).collect(), on=KEY)
        nowhere = free.filter(pl.col("location_id") == delta.EVERY_LOCATION).with_columns(ended_as=pl.lit(HELD))
        return claims_of(pl.concat([judged, nowhere]), pl.col("ended_as"), self.context.run_id)


def _counted(free: pl.DataFrame) -> tuple[str, ...]:
    """What a reader must know of the events that are counted."""
    events = free["event_id"].n_unique()
    nowhere = free.filter(pl.col("location_id") == delta.EVERY_LOCATION).height
    counted = (f"{events} stock events are counted in this run.",) * (events > 0)
    left = (f"{nowhere} of them belong to a product or facility that is not mapped: left to the next hard sync.",)
    return counted + left * (nowhere > 0)


def _held_pairs(held: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """PAIRS of these MAPPING_HELD rows: their events wait at the pair until its values can be read again."""
    online = named.filter(pl.col("form").is_in(mapping.AGGREGATE_FORMS))["location_id"]
    mode = (
        pl.when(pl.col("location_id").is_in(online.implode())).then(pl.lit("aggregate")).otherwise(pl.lit("physical"))
    )
    return tables.conform(held.drop_nulls(KEY).unique(KEY).with_columns(mode=mode), tables.PAIRS, "held pairs")
