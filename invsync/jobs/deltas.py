"""The job that adds what the OMS itself counted: each stock event once, whatever crashes in between."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import polars as pl

from invsync import delta, mapping, tables
from invsync.errors import GuardStopped, UsageError
from invsync.jobs.resets import WHOLE_FROM, Resets, by_pair, claims_of, is_overwritten, is_unsettled
from invsync.jobs.run import Selection
from invsync.ledger import buffers
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


@dataclass
class Deltas(Resets):
    """A run that sends the net of the OMS's stock events, unguarded and exactly once.

    Where a net change does not add up to the target, because of a floor, a buffer or a return that Shopify may have
    restocked itself, the pair is reset instead: guarded, and less what is in flight.
    """

    guarded: ClassVar[bool] = False
    free: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    every: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    net: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.NET))
    baseline: pl.DataFrame | None = None
    switched: bool = False  # another job kept the shop since the last run of this one
    since: datetime | None = None
    bent: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PAIRS))  # the pairs that are reset instead

    def events(self) -> pl.DataFrame:
        """CLAIMABLE: the stock events of the window that Shopify should hear of and that no run has claimed yet.

        The first run of a shop claims what it sees as its baseline and sends nothing, unless `since` is given or
        another job has reset the shop before: then it resets the pairs of the events since, each guarded.
        """
        buffers.check(self.shop.buffer, self.oms, self.facts)
        self._check_baseline()
        self._check_since()
        mark = self._mark()
        start = self.since = self._begin(mark)
        seen = self.oms.events(start, self.thru)
        found = delta.pushable(
            seen, self.oms.delta_reasons(), override=self.shop.delta_reasons, remotes=self.oms.remotes()
        )
        if mark is None and self.given.since is None:
            self.baseline, found = seen, found.clear()
            self.say(
                f"The first delta run of this shop: {seen.height} stock events since {iso(start)} are the baseline, "
                "nothing was sent; later ones are pushed from now on."
            )
        self._concerned(found, start)
        return self.free

    def _check_baseline(self) -> None:
        """Stop where nobody can say which stock events Shopify has counted already."""
        if why := self.state.shops.needs_hard_sync(self.kept_as):
            raise GuardStopped(f"Nothing was sent: {why}; run hard-sync for {self.given.shop}, which counts anew.")

    def _check_since(self) -> None:
        """Refuse to look at stock events that are so old that nobody knows any more which of them were counted."""
        days = self.kept.keep_claims_days
        if days and self.given.since is not None and self.given.since < self.at - timedelta(days=days):
            raise UsageError(
                f"Parameter since is more than {days} days ago, and which older stock events were counted is "
                "no longer known ([state] keep_claims_days): give a later one, or run hard-sync."
            )

    def _mark(self) -> datetime | None:
        """Until when the stock events are counted: by this job or, where another one kept the shop since, by its resets."""
        mark, recent, hard = map(self.watermark, (self.given.job, RECENT, HARD))
        self.switched = mark is None or (recent is not None and recent > mark)
        resets = [at for at in (recent, hard) if at is not None]
        return (max(resets) if resets else None) if self.switched else mark

    def _begin(self, mark: datetime | None) -> datetime:
        start = self.given.since or (mark or self.thru) - timedelta(hours=self.shop.delta_overlap_hours)
        open_ = self.state.outbox.oldest_open(self.kept_as) if mark else None
        start = min(start, open_) if open_ else start
        self.summary["window"] = {"from": iso(start), "thru": iso(self.thru)}
        return start

    def _concerned(self, found: pl.DataFrame, start: datetime) -> None:
        """These events as the stock's own transaction saw them, at the pairs that they move, less what is claimed."""
        pairs, held = tables.empty(tables.PAIRS), tables.empty(tables.MAPPING_HELD)
        owed = self._owed()
        if found.height or owed.height:
            products = pl.concat([found["product_id"].drop_nulls(), self._products_of(owed)]).unique()
            by_name = products if products.len() <= WHOLE_FROM else None
            self.snapshot = snapshot = self.oms.snapshot(by_name, events_from=start)
            self.tell_unreadable(snapshot)
            mapped, others = mapping.pairs(snapshot, **self.facts)
            self.beside = mapped
            named = mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)
            seen = snapshot.events.join(found, on="event_id", how="semi")
            unclear = others.filter(pl.col("reason") == MALFORMED)
            self.every = delta.concerned(seen, pl.concat([mapped, _held_pairs(unclear, named)]), named)
            self.free = self._unclaimed(self.every)
            reset = pl.concat([owed, self.free.select(KEY) if self.switched else self._remapped()])
            self.bent = mapped.join(reset, on=KEY, how="semi")
            pairs = mapped.join(pl.concat([self.free.select(KEY), owed]), on=KEY, how="semi")
            held = by_pair(unclear.filter(pl.col("product_id").is_in(self.free["product_id"].implode())))
            self._tell()
        self.selection = Selection(pairs, held, self.mapped(), self.stock_rows(), whole=False)

    def _remapped(self) -> pl.DataFrame:
        """The pairs of events that were counted at a location that they do not move any more: the mapping changed since."""
        claims = self.state.outbox.claims(self.kept_as, events=self.free["event_id"].unique())
        counted = claims.filter(~pl.col("status").is_in(FREE), pl.col("location_id") != delta.EVERY_LOCATION)
        elsewhere = counted.join(self.every, on=["event_id", "location_id"], how="anti")
        return self.free.join(elsewhere, on="event_id", how="semi").select(KEY).drop_nulls()

    def _events_from(self) -> datetime | None:
        return self.since if self.switched else super()._events_from()

    def _owed(self) -> pl.DataFrame:
        """The pairs that are still owed their number: swallowed at a floor, overwritten, or reset but not yet settled."""
        memory = self.state.memory.levels(self.given.shop)
        return memory.filter(is_unsettled() if self.baseline is None else pl.lit(False)).select(KEY)

    def _products_of(self, pairs: pl.DataFrame) -> pl.Series:
        items = pairs["inventory_item_id"].unique()
        return self.oms.products_of(items) if items.len() else pl.Series("product_id", [], dtype=pl.String)

    def _tell(self) -> None:
        events = self.free["event_id"].n_unique()
        nowhere = self.free.filter(pl.col("location_id") == delta.EVERY_LOCATION).height
        if events:
            self.say(f"{events} stock events are counted in this run.")
        if nowhere:
            self.say(
                f"{nowhere} of them belong to a product or facility that is not mapped: left to the next hard sync."
            )

    def changes(self) -> pl.DataFrame:
        """VARIANCES of the pairs whose events net to something: target is what Shopify will show."""
        chosen = self.chosen()
        self.summary["counts"]["read"] = chosen.pairs.height + chosen.held.height
        if chosen.pairs.is_empty() or self.snapshot is None:
            return tables.empty(tables.VARIANCES)

        def targets(snapshot: tables.Snapshot) -> pl.DataFrame:
            return mapping.targets(chosen.pairs, snapshot, **self.facts)

        self.net = delta.net_changes(self.free, self.every, chosen.pairs, self.snapshot, targets)
        self.bent = chosen.pairs.join(pl.concat([self._bent(), self.bent.select(KEY)]), on=KEY, how="semi")
        straight = self.net.join(self.bent, on=KEY, how="anti")
        levels = self.shopify.levels(straight).select(*KEY, *SHOWN)
        found = straight.join(levels, on=KEY, how="left").with_columns(
            target=pl.col("available").fill_null(0) + pl.col("net"),
            delta=pl.col("net").round(0),
            in_flight=pl.lit(0),
            set_aside=pl.lit(0),
            buffer=pl.lit(0),
            held=pl.lit(None),
        )
        blind = tables.conform(found, tables.VARIANCES, "variances")
        if self.bent.is_empty():
            return blind
        reset = self.variances(self.bent)
        self.witness.watch(reset.filter(pl.col("debt") < 0))
        return pl.concat([blind, reset])

    def _bent(self) -> pl.DataFrame:
        """The pairs whose net change is no change of the target: at a floor, with a buffer, or by a return."""
        back = self.free.filter(pl.col("reason").is_in(delta.RETURNED)).select(KEY)
        own = buffers.table(self.shop.buffer).select(*KEY, "units")
        rows = self.net.join(own, on=KEY, how="left")
        held_back = pl.col("units").fill_null(self.shop.buffer.units) > 0
        at_floor = (pl.col("oms") <= 0) | (pl.col("oms") - pl.col("net") <= 0)
        return pl.concat([rows.filter(held_back | at_floor).select(KEY), back.drop_nulls()]).unique()

    def _groups(self, rows: pl.DataFrame) -> list[tuple[bool, pl.DataFrame]]:
        """The net changes, which are blind, and the resets, which are guarded."""
        groups = [(False, rows.join(self.bent, on=KEY, how="anti")), (True, rows.join(self.bent, on=KEY, how="semi"))]
        return [(guarded, group) for guarded, group in groups if group.height] or [(False, rows)]

    def claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of the events that these changes count: a reset counts every one that its read of the OMS saw."""
        reset = super().claims(pairs.join(self.bent, on=KEY, how="semi"))
        counted = self.free.join(pairs, on=KEY, how="semi").join(reset, on=["event_id", "location_id"], how="anti")
        return pl.concat([claims_of(counted, "sent", self.run_id), reset])

    def reasons(self) -> pl.DataFrame:
        """Shopify's reason by pair: that of the pair's largest event, else a correction."""
        known = self.net.select(*KEY, "shopify_reason")
        owed = self.bent.join(known, on=KEY, how="anti")
        return pl.concat([known, owed.select(*KEY, shopify_reason=pl.lit(delta.CORRECTION))])

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Claim what was not sent as well: events that cancel out, that are held, or that nobody maps."""
        status = (
            pl.when(pl.col("reason").is_in([FRACTIONAL, MALFORMED]))
            .then(pl.lit(QUARANTINED))
            .when(pl.col("outcome") == ALREADY_RIGHT)
            .then(pl.lit("nothing"))
            .otherwise(pl.col("outcome"))
        )
        ended = outcomes.filter(pl.col("outcome").is_in([ALREADY_RIGHT, HELD, REFUSED]), ~is_overwritten())
        judged = self.free.join(ended.select(*KEY, ended_as=status), on=KEY)
        nowhere = self.free.filter(pl.col("location_id") == delta.EVERY_LOCATION).with_columns(ended_as=pl.lit(HELD))
        others = pl.concat([judged, nowhere])
        self.state.outbox.claim(self.kept_as, claims_of(others, pl.col("ended_as"), self.run_id))
        bent = outcomes.join(self.bent, on=KEY, how="semi")
        super().settled(bent.filter((pl.col("outcome") != HELD) | is_overwritten()))
        waiting = bent.filter(pl.col("reason").is_in([DEFERRED, DEFERRED_FOR_AN_HOUR, MOVING]))
        self.state.memory.watch(self.given.shop, pl.concat([outcomes.filter(is_overwritten()), waiting]))
        self.state.outbox.release(self.kept_as, self.run_id, waiting)
        if self.baseline is not None:
            seen = self.baseline.with_columns(inventory_item_id=None, location_id=delta.EVERY_LOCATION)
            self.state.outbox.claim(self.kept_as, claims_of(seen, "baseline", self.run_id))


def _held_pairs(held: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """PAIRS of these MAPPING_HELD rows: their events wait at the pair until its values can be read again."""
    online = named.filter(pl.col("form").is_in(mapping.AGGREGATE_FORMS))["location_id"]
    mode = (
        pl.when(pl.col("location_id").is_in(online.implode())).then(pl.lit("aggregate")).otherwise(pl.lit("physical"))
    )
    return tables.conform(held.drop_nulls(KEY).unique(KEY).with_columns(mode=mode), tables.PAIRS, "held pairs")
