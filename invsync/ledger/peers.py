"""Other shops that sell the same stock: what is in flight at one is in flight at all of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from invsync import inflight, mapping, oms, tables
from invsync.config import settings
from invsync.config.connectors import OmsSettings
from invsync.ledger.orders import Orders, looked_back
from invsync.ledger.witness import Witness
from invsync.shopify import Shopify
from invsync.state import State

ITEM, NOWHERE = "inventory_item_id", tables.empty(tables.IN_FLIGHT)


@dataclass(frozen=True)
class Elsewhere:
    """Units in flight at another shop, by product and by the facility of a store (null for the online stock)."""

    shop: str
    rows: pl.DataFrame

    def at(self, pairs: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
        """IN_FLIGHT of these pairs of ours, which sell the same stock."""
        if self.rows.is_empty():
            return NOWHERE
        facility = _facilities(pairs, snapshot)
        mine = pairs.select("product_id", *tables.KEY).join(facility, on="location_id", how="left")
        rows = self.rows.join(mine, on=["product_id", "facility_id"], nulls_equal=True)
        name = pl.format("{} ({})", "name", pl.lit(self.shop))
        return tables.conform(rows.with_columns(name=name), tables.IN_FLIGHT, "in_flight")


@dataclass
class Peer:
    """Another configured shop on the same stock, only ever read."""

    name: str
    shop: settings.ShopSettings
    source: oms.Source
    shopify: Shopify
    state: State
    run_for: str
    at: datetime
    thru: datetime
    given: datetime | None
    in_flight: pl.DataFrame = field(default_factory=lambda: NOWHERE)

    @cached_property
    def witness(self) -> Witness:
        """Its levels and orders; what we remember of them is our own, whatever its own runs remember."""
        since = looked_back(self.at, self.shop.orders_lookback_days, None)
        overlap = timedelta(minutes=self.shop.overlap_minutes)
        mine = f"{self.run_for}:{self.name}"
        orders = Orders(
            mine,
            self.shopify,
            self.state,
            since,
            self.thru,
            overlap,
            whole=False,
            cancelled=self.source.cancelled_orders,
        )
        kept_as = self.state.shops.known_as(self.shop.identity) or self.name
        return Witness(self.shop, orders, self.at, kept_as, self.given)

    @property
    def rules(self) -> mapping.Rules:
        """How it is mapped."""
        return oms.mapping_rules(self.shop, self.source, self.at)

    def moved(self, start: datetime) -> pl.Series:
        """The products of its orders that changed since then."""
        return self.source.products_of(self.witness.orders.updated(start))

    def look(self, products: pl.Series) -> Elsewhere:
        """What is in flight of these products, read in the safe order."""
        pairs, _ = mapping.pairs(self.source.snapshot(products), self.rules)
        seen = self.witness.look(pairs, pairs)
        sold = seen.sold.join(pairs, on=ITEM, how="semi")
        snapshot = self.source.snapshot(products, orders=sold["order_id"].unique().to_list())
        counted = mapping.counted_facilities(snapshot, self.rules)
        flight = inflight.in_flight(sold, seen.unseen, pairs, snapshot, counted=counted)
        self.in_flight = pl.concat([self.in_flight, flight])
        placed = flight.join(pairs.select(*tables.KEY, "product_id"), on=tables.KEY)
        placed = placed.join(_facilities(pairs, snapshot), on="location_id", how="left")
        return Elsewhere(self.name, placed.drop(tables.KEY))

    def remember(self) -> None:
        """Keep what the next run must know."""
        self.witness.remember(self.in_flight)

    def close(self) -> None:
        """Give the connections back."""
        self.shopify.close()
        self.source.close()


def peers(
    configured: settings.Settings,
    name: str,
    source: oms.Source,
    state: State,
    *,
    at: datetime,
    thru: datetime,
    given: datetime | None,
) -> Iterator[Peer]:
    """The other configured shops that read the same product store and facility group of the same OMS."""
    for other, shop in of_same_stock(configured, name).items():
        theirs = oms.open_source(shop.oms)
        if theirs.store != source.store:
            theirs.close()
            continue
        secrets = settings.by_variable(shop.api_variables, os.environ)
        shopify = Shopify.open(shop, secrets=secrets, read_only=True)
        yield Peer(other, shop, theirs, shopify, state, name, at, thru, given)


def of_same_stock(configured: settings.Settings, name: str) -> dict[str, settings.ShopSettings]:
    """Return the other configured shops that read the same facility group of the same OMS, by name."""
    mine = _stock(configured.shop(name).oms)
    return {other: shop for other, shop in configured.shops.items() if other != name and _stock(shop.oms) == mine}


def _stock(of: OmsSettings) -> tuple[str | None, ...]:
    """What two shops have in common that sell the same stock."""
    return of.kind, *of.address, of.facility_group_id


def _facilities(pairs: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """The one facility behind each physical location: location_id, facility_id."""
    physical = pairs.filter(pl.col("mode") == "physical").select("location_id").unique()
    return inflight.sites(pairs, snapshot).join(physical, on="location_id", how="semi")
