"""Jobs that bring Shopify to the OMS's number: recent changes, the hard sync, and what webhooks name."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import delta, diff, inflight, mapping, tables
from invsync.errors import UsageError
from invsync.jobs.orders import Orders, looked_back
from invsync.jobs.run import Run, Selection, facilities_of
from invsync.settings import Buffer
from invsync.state import CLAIMS, iso
from invsync.tables import KEY

WHOLE_FROM = 20_000  # products beyond which one read of everything is cheaper than asking by name


@dataclass
class Resets(Run):
    """A run that sends target - available, guarded by what was read."""

    orders: Orders | None = None
    snapshot: tables.Snapshot | None = None
    newest_known: datetime | None = None
    covered: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))

    def select(self) -> Selection:
        """The pairs to look at, and the rows that map to none: every mapped pair without a window."""
        start = self._window()
        products = self._products(start)
        snapshot = self.mapped_by(products)
        if products is not None and start is not None:
            sold = self._sold_since(start, snapshot)
            if not sold.is_in(products.implode()).all():
                products = products.append(sold).unique()
                snapshot = self.mapped_by(products)
        pairs, held = mapping.pairs(snapshot, **self.facts)
        mapped = pairs.height if products is None else self.mapped()
        chosen, held = self._published(snapshot, pairs), by_pair(held)
        whole = products is None and chosen.height == mapped
        self.selection = Selection(chosen, held, mapped, self.stock_rows(), whole)
        self.summary["counts"]["read"] = pairs.height + held.height
        return self.selection

    def mapped_by(self, products: pl.Series | None) -> tables.Snapshot:
        """What these products, or all, map to, and up to when the OMS knows orders; no order but the newest."""
        snapshot = self.oms.snapshot(products, since=self.at)
        self.newest_known = snapshot.newest_known
        return snapshot

    def _products(self, start: datetime | None) -> pl.Series | None:
        """The products whose OMS rows were touched since `start` or that a resumed file named; None for all."""
        if start is None:
            return None
        touched = self.oms.changed_products(
            start, self.thru, group=self.shop.oms.facility_group_id, store=self.oms.store
        )
        resumed = pl.Series("product_id", self.reopened, dtype=pl.String)
        return None if touched is None else touched.append(resumed).unique()

    def _sold_since(self, start: datetime, snapshot: tables.Snapshot) -> pl.Series:
        """The products of the window's orders in a shop that has stores: what a store sells is online no more, though
        no row of the OMS tells so yet. Where every order falls on the online location itself, Shopify counts for us.
        """
        if "physical" not in mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)["form"]:
            return pl.Series("product_id", [], dtype=pl.String)
        orders, _ = self._orders().read()
        return self.oms.products_of(orders.filter(pl.col("created_at") >= start)["inventory_item_id"])

    def _window(self) -> datetime | None:
        """The effective lower bound of the window; None for every pair."""
        if self.given.job == "hard-sync":
            return None
        mark = self.state.watermark(self.given.shop, self.given.job)
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
        levels = self.shopify.levels(pairs)
        orders, assigned = self._orders().read()
        self.snapshot = snapshot = self._stock(pairs)
        counted = mapping.counted_facilities(snapshot, **self.facts)
        targets = mapping.targets(pairs, snapshot, **self.facts)
        flight = inflight.in_flight(orders, assigned, pairs, snapshot, counted=counted)
        self.in_flight = pl.concat([self.in_flight.join(pairs, on=KEY, how="anti"), flight])
        self._cover(snapshot, pairs)
        self._freshness(orders, snapshot)
        return diff.variances(targets, levels, flight, buffer=self.shop.buffer.units, buffers=buffers(self.shop.buffer))

    def reread(self, stale: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of pairs that moved between our read and our write, from fresh reads."""
        return self.variances(stale.select(list(tables.PAIRS)))

    def _orders(self) -> Orders:
        if self.orders is None:
            since = looked_back(self.at, self.shop.orders_lookback_days, self.newest_known)
            self.orders = Orders(
                self.given.shop, self.shopify, self.state, since, self.thru,
                timedelta(minutes=self.shop.overlap_minutes), whole=self.given.job == "hard-sync",
            )  # fmt: skip
        return self.orders

    def _stock(self, pairs: pl.DataFrame) -> tables.Snapshot:
        products = pairs["product_id"].unique()
        since = self._orders().since - timedelta(days=1)
        return self.oms.snapshot(
            products if products.len() <= WHOLE_FROM else None, since=since, events_from=self._events_from()
        )

    def _events_from(self) -> datetime | None:
        """From which stamp on the delta job may still look at stock events; None where it never ran."""
        mark = self.state.watermark(self.given.shop, "push-deltas") if self.shop.keep_by == "deltas" else None
        if mark is None:
            return None
        start = mark - timedelta(hours=self.shop.delta_overlap_hours)
        open_ = self.state.oldest_open(self.given.shop)
        return min(start, open_) if open_ else start

    def _cover(self, snapshot: tables.Snapshot, pairs: pl.DataFrame) -> None:
        """Note the unclaimed stock events that this read of these pairs saw."""
        start = self._events_from()
        if start is None:
            return
        named = mapping.locations(snapshot, aggregate_location=self.shop.aggregate_location)
        seen = delta.concerned(snapshot.events, pairs, named).filter(pl.col("location_id") != delta.EVERY_LOCATION)
        free = delta.unclaimed(seen, self.state.claims(self.given.shop, since=start))
        self.covered = pl.concat([self.covered.join(pairs, on=KEY, how="anti"), free])

    def claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of every stock event that the last read of these pairs saw: a reset of them counts it."""
        return claims_of(self.covered.join(pairs, on=KEY, how="semi"), "reset", self.run_id)

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Keep the claims of the pairs that are right now, give back those of the others; remember the orders."""
        if self._events_from() is not None:
            right = outcomes.filter(pl.col("outcome").is_in(["already_right", "superseded"]))
            wrong = outcomes.filter(pl.col("outcome").is_in(["refused", "held"]))
            self.state.claim(self.given.shop, self.claims(right))
            self.state.release(self.given.shop, self.run_id, wrong.join(self.covered, on=KEY, how="semi"))
        if self.snapshot is not None:
            named = mapping.locations(self.snapshot, aggregate_location=self.shop.aggregate_location)
            self._orders().remember(self.snapshot, named.filter(pl.col("form") == "physical")["location_id"])

    def _freshness(self, orders: pl.DataFrame, snapshot: tables.Snapshot) -> None:
        unknown = inflight.unknown_orders(orders, snapshot)["created_at"].min()
        limit = self.at - timedelta(minutes=self.shop.late_after_minutes)
        if isinstance(unknown, datetime) and unknown < limit:
            self.summary["orders_late_since"] = iso(unknown)
            self.say(f"The order import is late: an order of {iso(unknown)} is not in the OMS yet; "
                     "its units were subtracted, so nothing sold goes back on sale.")  # fmt: skip


def claims_of(claimable: pl.DataFrame, status: str | pl.Expr, run_id: str) -> pl.DataFrame:
    """CLAIMS of these CLAIMABLE rows by one run."""
    told = pl.lit(status) if isinstance(status, str) else status
    return tables.conform(claimable.with_columns(status=told, run_id=pl.lit(run_id)), CLAIMS, "claims")


def buffers(told: Buffer) -> pl.DataFrame:
    """BUFFERS of the configured table; empty where none is named."""
    if told.table is None:
        return tables.empty(tables.BUFFERS)
    path = Path(told.table)
    try:
        rows = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"The buffer table {path} cannot be read ({type(error).__name__}): correct it.") from None
    found = tables.conform(rows, tables.BUFFERS, "buffer").unique(KEY, keep="last")
    if found.filter(pl.col("units").is_null() | (pl.col("units") < 0)).height:
        raise UsageError(f"The buffer table {path} has units that are missing or below 0: correct them.")
    return found


def by_pair(held: pl.DataFrame) -> pl.DataFrame:
    """One row a held pair; a row that names no location stands for itself."""
    at = pl.col("location_id")
    paired = held.filter(at.is_not_null()).unique(
        ["product_id", "location_id", "reason"], keep="first", maintain_order=True
    )
    return pl.concat([held.filter(at.is_null()), paired])
