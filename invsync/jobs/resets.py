"""Jobs that bring Shopify to the OMS's number: recent changes, the hard sync, and what webhooks name."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from invsync import delta, diff, inflight, mapping, tables
from invsync.jobs.run import Run, Selection, facilities_of
from invsync.ledger import buffers
from invsync.ledger.orders import Orders, looked_back
from invsync.ledger.witness import Seen, Witness, not_for_sale
from invsync.oms import schemas
from invsync.state import CLAIMS, iso
from invsync.tables import KEY
from invsync.vocabulary import (
    ALREADY_RIGHT,
    DEFERRED,
    DEFERRED_FOR_AN_HOUR,
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

SET_ASIDE = ("reserved", "damaged", "quality_control", "safety_stock")
WHOLE_FROM = 20_000  # products beyond which one read of everything is cheaper than asking by name


STARVED_AFTER = timedelta(hours=1)


@dataclass
class Resets(Run):
    """A run that sends target - available, guarded by what was read."""

    snapshot: tables.Snapshot | None = None
    newest_known: datetime | None = None
    unreadable: set[str] = field(default_factory=set)
    covered: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    beside: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PAIRS))  # every pair of the items read

    def select(self) -> Selection:
        """The pairs to look at, and the rows that map to none: every mapped pair without a window."""
        buffers.check(self.shop.buffer, self.oms, self.facts)
        start = self._window()
        products = self._products(start)
        snapshot = self.mapped_by(products)
        if products is not None and start is not None:
            moved = self._moved_on_shopify(start)
            if not moved.is_in(products.implode()).all():
                products = products.append(moved).unique()
                snapshot = self.mapped_by(products)
        pairs, held = mapping.pairs(snapshot, **self.facts)
        mapped = pairs.height if products is None else self.mapped()
        self.beside = pairs
        chosen, held = self._published(snapshot, pairs), by_pair(held)
        whole = products is None and chosen.height == mapped
        self.selection = Selection(chosen, held, mapped, self.stock_rows(), whole)
        self.summary["counts"]["read"] = pairs.height + held.height
        return self.selection

    def mapped_by(self, products: pl.Series | None) -> tables.Snapshot:
        """What these products, or all, map to, and up to when the OMS knows orders."""
        snapshot = self.oms.snapshot(products)
        self.newest_known = snapshot.newest_known
        self.tell_unreadable(snapshot)
        return snapshot

    def tell_unreadable(self, snapshot: tables.Snapshot) -> None:
        """Name the values of the OMS that nobody can read, once a run."""
        news = snapshot.unreadable.filter(~pl.col("place").is_in(self.unreadable))
        if news.height:
            self.unreadable |= set(news["place"])
            self.say(
                "Some values of the OMS cannot be read, and the pairs that they feed are held: "
                f"{schemas.sentence(news)}."
            )

    def _products(self, start: datetime | None) -> pl.Series | None:
        """The products whose OMS rows were touched since `start` or that a resumed file named; None for all."""
        if start is None:
            return None
        touched = self.oms.changed_products(
            start, self.thru, group=self.shop.oms.facility_group_id, store=self.oms.store
        )
        resumed = pl.Series("product_id", self.reopened, dtype=pl.String)
        return None if touched is None else touched.append(resumed).unique()

    def _moved_on_shopify(self, start: datetime) -> pl.Series:
        """The products of the orders that changed since then, at any shop of this stock, and of unsettled levels."""
        waiting = self.state.memory.levels(self.given.shop).filter(is_unsettled())["inventory_item_id"]
        items = self.witness.orders.updated(start).append(waiting).unique()
        return pl.concat(
            [
                self.oms.products_of(items) if items.len() else pl.Series("product_id", [], dtype=pl.String),
                *(peer.moved(start) for peer in self.peers),
            ]
        ).unique()

    def _window(self) -> datetime | None:
        """The effective lower bound of the window; None for every pair."""
        if self.given.job == HARD:
            return None
        mark = self.watermark(self.given.job)
        start = mark - timedelta(minutes=self.shop.overlap_minutes) if mark else None
        self.summary["window"] = {"from": iso(start) if start else None, "thru": iso(self.thru)}
        return start

    def _published(self, snapshot: tables.Snapshot, pairs: pl.DataFrame) -> pl.DataFrame:
        """Without the physical locations of facilities that the groups given leave out."""
        at = mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)
        at = at.filter(pl.col("form") == "physical")
        inside = pl.col("facility_id").is_in(facilities_of(snapshot, self.given.include_groups, self.at).implode())
        outside = pl.col("facility_id").is_in(facilities_of(snapshot, self.given.exclude_groups, self.at).implode())
        left_out = outside | (~inside if self.given.include_groups else pl.lit(False))
        return pairs.join(at.filter(left_out), on="location_id", how="anti")

    def variances(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of these pairs, read in the safe order: Shopify's levels, Shopify's orders, then the OMS."""
        seen = self.witness.look(pairs, self.beside)
        mine = seen.sold.join(pairs, on="inventory_item_id", how="semi")
        elsewhere = [peer.look(pairs["product_id"].unique()) for peer in self.peers]
        self.snapshot = snapshot = self._stock(pairs, mine)
        counted = mapping.counted_facilities(snapshot, **self.facts)
        targets = mapping.targets(pairs, snapshot, **self.facts)
        flight = inflight.in_flight(mine, seen.unseen, pairs, snapshot, counted=counted)
        flight = pl.concat([flight, *(rows.at(pairs, snapshot) for rows in elsewhere)])
        self.in_flight = pl.concat([self.in_flight.join(pairs, on=KEY, how="anti"), flight])
        self.tell_unreadable(snapshot)
        self._cover(snapshot, pairs)
        self._freshness(mine, snapshot)
        self._tell_levels(seen)
        aside, fresh = not_for_sale(seen.levels, self.shop.set_aside), self.witness.fresh_changes(seen)
        found = diff.variances(
            targets,
            seen.levels,
            flight,
            buffer=self.shop.buffer.units,
            buffers=buffers.table(self.shop.buffer),
            set_aside=inflight.at_pairs(aside, pairs, snapshot, counted),
        )
        if parts := targets.filter(pl.col("oms") != pl.col("oms").round(0)).height:
            self.say(f"{parts} pairs have a fraction of a unit in the OMS: it is left out, and never raises a number.")
        return self._deferred(found, inflight.at_pairs(fresh, pairs, snapshot, counted))

    def _deferred(self, found: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES in which no pair is raised on a fresh, unexplained change; lowering never waits."""
        raised = found.filter(pl.col("delta") > 0).join(fresh, on=KEY, how="semi").select(KEY)
        if raised.is_empty():
            return found
        since = self.witness.defer(raised)
        word = (
            pl.when(pl.col("since") <= self.at - STARVED_AFTER)
            .then(pl.lit(DEFERRED_FOR_AN_HOUR))
            .otherwise(pl.lit(DEFERRED))
        )
        held = found.join(since.with_columns(word=word), on=KEY, how="left", maintain_order="left")
        return held.with_columns(held=pl.coalesce("held", "word")).select(list(tables.VARIANCES))

    def _tell_levels(self, seen: Seen) -> None:
        """What people must know of orders that Shopify does not show, and of units that are set aside."""
        if seen.baseline.height:
            named = ", ".join(f"{item} at {place}: {units}" for item, place, units in seen.baseline.head(5).iter_rows())
            self.say(
                f"{seen.baseline['units'].sum()} committed units at {seen.baseline.height} levels belong to orders "
                f"that Shopify does not show us; they are not subtracted ({named})."
            )
        aside = {name: int(seen.levels[name].fill_null(0).sum()) for name in SET_ASIDE}
        self.summary["set_aside"] = {name: units for name, units in aside.items() if units}

    def reread(self, stale: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of pairs that moved between our read and our write, from fresh reads."""
        return self.variances(stale.select(list(tables.PAIRS)))

    @cached_property
    def witness(self) -> Witness:
        """The shop's levels and orders, seen together."""
        since = looked_back(self.at, self.shop.orders_lookback_days, self.newest_known)
        overlap, whole = timedelta(minutes=self.shop.overlap_minutes), self.given.job == HARD
        orders = Orders(
            self.given.shop,
            self.shopify,
            self.state,
            since,
            self.thru,
            overlap,
            whole=whole,
            cancelled=self.oms.cancelled_orders,
        )
        return Witness(self.shop, orders, self.at, self.kept_as, self.given.at)

    def _stock(self, pairs: pl.DataFrame, sold: pl.DataFrame) -> tables.Snapshot:
        """The OMS's rows for these pairs, and what it holds of these orders."""
        products = pairs["product_id"].unique()
        return self.oms.snapshot(
            products if products.len() <= WHOLE_FROM else None,
            orders=sold["order_id"].unique().to_list(),
            events_from=self._events_from(),
        )

    def _events_from(self) -> datetime | None:
        """From which stamp on the delta job may still look at stock events; None where it never ran.

        While resets keep the shop they claim what they count too, so that a delta job that returns does not push it.
        """
        mark, recent = self.watermark(DELTAS), self.watermark(RECENT)
        if mark is None:
            return None
        start = max(mark, recent or mark) - timedelta(hours=self.shop.delta_overlap_hours)
        open_ = self.state.outbox.oldest_open(self.kept_as)
        return min(start, open_) if open_ else start

    def _cover(self, snapshot: tables.Snapshot, pairs: pl.DataFrame) -> None:
        """Note the unclaimed stock events that this read of these pairs saw."""
        start = self._events_from()
        if start is None:
            return
        named = mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)
        seen = delta.concerned(snapshot.events, pairs, named).filter(pl.col("location_id") != delta.EVERY_LOCATION)
        self.covered = pl.concat([self.covered.join(pairs, on=KEY, how="anti"), self._unclaimed(seen)])

    def _unclaimed(self, claimable: pl.DataFrame) -> pl.DataFrame:
        """The CLAIMABLE rows that no run counts yet, each looked up by its event, whatever its stamp says today."""
        events = claimable["event_id"]
        asked = delta.spellings(events) if self.shop.oms.kind == "files" else events.unique()
        claims = self.state.outbox.claims(self.kept_as, events=asked)
        return delta.unclaimed(claimable, claims)

    def claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of every stock event that the last read of these pairs saw: a reset of them counts it."""
        return claims_of(self.covered.join(pairs, on=KEY, how="semi"), "reset", self.run_id)

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Keep the claims of the pairs that are right now, give back those of the others; remember the orders."""
        wrong = outcomes.filter(pl.col("outcome").is_in([REFUSED, HELD]), ~is_overwritten())
        owed = wrong if self._heals() else wrong.clear()
        if self._events_from() is not None:
            right = outcomes.filter(pl.col("outcome").is_in([ALREADY_RIGHT, SUPERSEDED]))
            wrong = wrong.join(owed, on=KEY, how="anti")
            self.state.outbox.claim(self.kept_as, self.claims(pl.concat([right, owed])))
            self.state.outbox.release(self.kept_as, self.run_id, wrong.join(self.covered, on=KEY, how="semi"))
            reset = outcomes.filter(pl.col("outcome").is_in(RIGHT))
            self.state.outbox.settle_unknown(self.kept_as, reset, self.run_id)
        if self._covers_all():
            unmapped = self.state.outbox.unknown(self.kept_as).join(self.chosen().pairs, on=KEY, how="anti")
            self.state.outbox.settle_unknown(self.kept_as, unmapped, self.run_id)
            self.state.shops.require_hard_sync(self.kept_as, None)
        if self.snapshot is not None:
            self.witness.remember(self.in_flight, whole=self.chosen().whole)
            for peer in self.peers:
                peer.remember()
        unsure = outcomes.filter((pl.col("outcome") == UNKNOWN) | is_overwritten())
        self.state.memory.watch(self.given.shop, pl.concat([unsure, owed]))

    def _covers_all(self) -> bool:
        return self.given.job == HARD and self.chosen().whole

    def _heals(self) -> bool:
        """Whether nobody knows which events were counted before this run: what it cannot set right is reset again later."""
        return self._covers_all() and self.state.shops.needs_hard_sync(self.kept_as) is not None

    def _freshness(self, orders: pl.DataFrame, snapshot: tables.Snapshot) -> None:
        unknown = inflight.unknown_orders(orders, snapshot)["created_at"].min()
        limit = self.at - timedelta(minutes=self.shop.late_after_minutes)
        if isinstance(unknown, datetime) and unknown < limit:
            self.summary["orders_late_since"] = iso(unknown)
            self.say(
                f"The order import is late: an order of {iso(unknown)} is not in the OMS yet; "
                "its units were subtracted, so nothing sold goes back on sale."
            )


def is_overwritten() -> pl.Expr:
    """The change landed, and something that is no order wrote another number over it."""
    return (pl.col("reason") == OVERWRITTEN).fill_null(False)


def is_unsettled() -> pl.Expr:
    """The level, by its LEVEL_MEMORY, is one that the next run must look at."""
    return pl.col("watched") | pl.col("deferred_since").is_not_null()


def claims_of(claimable: pl.DataFrame, status: str | pl.Expr, run_id: str) -> pl.DataFrame:
    """CLAIMS of these CLAIMABLE rows by one run."""
    told = pl.lit(status) if isinstance(status, str) else status
    return tables.conform(claimable.with_columns(status=told, run_id=pl.lit(run_id)), CLAIMS, "claims")


def by_pair(held: pl.DataFrame) -> pl.DataFrame:
    """One row a held pair; a row that names no location stands for itself."""
    at = pl.col("location_id")
    paired = held.filter(at.is_not_null()).unique(
        ["product_id", "location_id", "reason"], keep="first", maintain_order=True
    )
    return pl.concat([held.filter(at.is_null()), paired])
