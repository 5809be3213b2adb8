"""One reading of a shop in the safe order: Shopify's levels, Shopify's orders, then the OMS.

Whatever moves in between makes Shopify refuse the change that follows, instead of applying a wrong one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

import polars as pl

from invsync import delta, equation, inflight, mapping, oms, tables
from invsync.config.settings import ShopSettings
from invsync.ledger import buffers
from invsync.ledger.orders import Orders, looked_back
from invsync.ledger.peers import Peer
from invsync.ledger.witness import Seen, Witness, not_for_sale
from invsync.oms import schemas
from invsync.shopify import Shopify
from invsync.state import State, iso
from invsync.tables import KEY
from invsync.vocabulary import DEFERRED, DEFERRED_FOR_AN_HOUR

SET_ASIDE = ("reserved", "damaged", "quality_control", "safety_stock")
WHOLE_FROM = 20_000  # products beyond which one read of everything is cheaper than asking by name
STARVED_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Reading:
    """What was read of some pairs.

    `variances` are their VARIANCES, computed when they are collected; `in_flight` is the IN_FLIGHT behind them, and
    `events` are the CLAIMABLE stock events that the OMS's number contains. `set_aside` counts units by Shopify's name of the quantity; `late_since` is the oldest
    order that the OMS does not know although it should by now.
    """

    variances: pl.LazyFrame = field(default_factory=lambda: tables.empty(tables.VARIANCES).lazy())
    in_flight: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.IN_FLIGHT))
    events: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    set_aside: Mapping[str, int] = field(default_factory=dict)
    late_since: datetime | None = None
    messages: tuple[str, ...] = ()

    def updated(self, later: "Reading") -> Self:
        """This reading with the pairs of a later one as they were read then."""
        pairs = later.variances.select(KEY).collect()
        return replace(
            self,
            variances=pl.concat([self.variances.join(pairs.lazy(), on=KEY, how="anti"), later.variances]),
            in_flight=pl.concat([self.in_flight.join(pairs, on=KEY, how="anti"), later.in_flight]),
            events=pl.concat([self.events.join(pairs, on=KEY, how="anti"), later.events]),
            late_since=later.late_since or self.late_since,
            messages=(*self.messages, *later.messages),
        )


@dataclass(frozen=True)
class Reader:
    """Reads pairs of one shop; `peers` are the other shops that sell the same stock."""

    shop: ShopSettings
    oms: oms.Source
    witness: Witness
    rules: mapping.Rules
    at: datetime
    peers: Sequence[Peer] = ()
    beside: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PAIRS))  # every pair of the items read
    named: frozenset[str] = frozenset()  # places of unreadable values that the run has named already

    def read(self, pairs: pl.DataFrame, *, events_from: datetime | None = None) -> Reading:
        """The reading of these PAIRS; with the stock events since `events_from` that it contains, where that is given.

        Without pairs nothing is asked, unless the orders are still to be read so that they can be remembered.
        """
        if pairs.is_empty() and self.witness.orders.are_read:
            return Reading()
        return self.judge(self.witness.look(pairs, self.beside), pairs, events_from=events_from)

    def judge(self, seen: Seen, pairs: pl.DataFrame, *, events_from: datetime | None = None) -> Reading:
        """The reading of these PAIRS, given what Shopify showed before the OMS is read."""
        sold = seen.sold.join(pairs, on="inventory_item_id", how="semi")
        elsewhere = [peer.look(pairs["product_id"].unique()) for peer in self.peers]
        snapshot = self._stock(pairs, sold, events_from)
        counted = mapping.counted_facilities(snapshot, self.rules)
        targets = mapping.targets(pairs, snapshot, self.rules)
        flight = inflight.in_flight(sold, seen.unseen, pairs, snapshot, counted=counted)
        flight = pl.concat([flight, *(rows.at(pairs, snapshot) for rows in elsewhere)])
        aside, fresh = not_for_sale(seen.levels, self.shop.set_aside), self.witness.fresh_changes(seen)
        variances = equation.compared(
            targets,
            seen.levels,
            flight,
            buffer=self.shop.buffer.units,
            buffers=buffers.table(self.shop.buffer),
            set_aside=inflight.at_pairs(aside, pairs, snapshot, counted),
        )
        late = self._late(sold, snapshot)
        return Reading(
            variances=self._deferred(variances, inflight.at_pairs(fresh, pairs, snapshot, counted)),
            in_flight=flight,
            events=self._events(snapshot, pairs) if events_from else tables.empty(delta.CLAIMABLE),
            set_aside={name: units for name in SET_ASIDE if (units := int(seen.levels[name].fill_null(0).sum()))},
            late_since=late,
            messages=(*unreadable(snapshot, self.named), *_lateness(late), *_unseen(seen), *_fractions(targets)),
        )

    def _stock(self, pairs: pl.DataFrame, sold: pl.DataFrame, events_from: datetime | None) -> tables.Snapshot:
        """The OMS's rows for these pairs, and what it holds of these orders."""
        products = pairs["product_id"].unique()
        return self.oms.snapshot(
            products if products.len() <= WHOLE_FROM else None,
            orders=sold["order_id"].unique().to_list(),
            events_from=events_from,
        )

    def _events(self, snapshot: tables.Snapshot, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMABLE: the stock events of these pairs that this read of the OMS saw."""
        named = mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)
        events = delta.concerned(snapshot.events, pairs, named)
        return events.filter(pl.col("location_id") != delta.EVERY_LOCATION)

    def _deferred(self, variances: pl.LazyFrame, fresh: pl.DataFrame) -> pl.LazyFrame:
        """VARIANCES in which no pair is raised on a fresh, unexplained change; lowering never waits."""
        if fresh.is_empty():
            return variances
        raising = variances.filter(pl.col("delta") > 0).join(fresh.lazy(), on=KEY, how="semi").select(KEY)
        raised = raising.collect(engine="streaming")
        if raised.is_empty():
            return variances
        since = self.witness.defer(raised)
        starved = pl.col("since") <= self.at - STARVED_AFTER
        reason = pl.when(starved).then(pl.lit(DEFERRED_FOR_AN_HOUR)).otherwise(pl.lit(DEFERRED))
        since = since.with_columns(reason=reason)
        rows = variances.join(since.lazy(), on=KEY, how="left", maintain_order="left")
        return rows.with_columns(held=pl.coalesce("held", "reason")).select(list(tables.VARIANCES))

    def _late(self, sold: pl.DataFrame, snapshot: tables.Snapshot) -> datetime | None:
        """When the oldest order was placed that the OMS should know by now; None where it knows them all."""
        oldest = inflight.unknown_orders(sold, snapshot)["created_at"].min()
        limit = self.at - timedelta(minutes=self.shop.late_after_minutes)
        return oldest if isinstance(oldest, datetime) and oldest < limit else None


def reader(
    name: str,
    shop: ShopSettings,
    source: oms.Source,
    shopify: Shopify,
    state: State,
    *,
    rules: mapping.Rules,
    snapshot: tables.Snapshot,
    every: pl.DataFrame,
    at: datetime,
    thru: datetime,
    kept_as: str,
    clock: datetime | None = None,
    peers: Sequence[Peer] = (),
    whole: bool = False,
) -> Reader:
    """The reader of a shop whose PAIRS `every` are mapped by this snapshot.

    `clock` replaces Shopify's own in every decision; with `whole` every order is read, not only those that changed.
    """
    since = looked_back(at, shop.orders_lookback_days, snapshot.newest_known)
    overlap = timedelta(minutes=shop.overlap_minutes)
    orders = Orders(name, shopify, state, since, thru, overlap, whole=whole, cancelled=source.cancelled_orders)
    witness = Witness(shop, orders, at, kept_as, clock)
    return Reader(shop, source, witness, rules, at, peers, every, frozenset(snapshot.unreadable["place"]))


def unreadable(snapshot: tables.Snapshot, named: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """A message on the values of the OMS that cannot be read, but for the places `named`; none where there are none."""
    values = snapshot.unreadable.filter(~pl.col("place").is_in(sorted(named)))
    if values.is_empty():
        return ()
    return (
        f"Some values of the OMS cannot be read, and the pairs that they feed are held: {schemas.sentence(values)}.",
    )


def _lateness(late: datetime | None) -> tuple[str, ...]:
    if late is None:
        return ()
    return (
        f"The order import is late: an order of {iso(late)} is not in the OMS yet; "
        "its units were subtracted, so nothing sold goes back on sale.",
    )


def _unseen(seen: Seen) -> tuple[str, ...]:
    """A message on committed units of orders that Shopify does not show us; none where there are none."""
    if seen.baseline.is_empty():
        return ()
    named = ", ".join(f"{item} at {place}: {units}" for item, place, units in seen.baseline.head(5).iter_rows())
    return (
        f"{seen.baseline['units'].sum()} committed units at {seen.baseline.height} levels belong to orders "
        f"that Shopify does not show us; they are not subtracted ({named}).",
    )


def _fractions(targets: pl.DataFrame) -> tuple[str, ...]:
    parts = targets.filter(pl.col("oms") != pl.col("oms").round(0)).height
    return (f"{parts} pairs have a fraction of a unit in the OMS: it is left out, and never raises a number.",) * (
        parts > 0
    )
