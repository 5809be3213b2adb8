"""What a job needs of an OMS, whichever connector reads it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pkgutil import resolve_name
from typing import Protocol

import polars as pl

from invsync import mapping, tables
from invsync.config.connectors import OmsSettings, connector
from invsync.config.settings import ShopSettings

ORDER_HEADERS: tables.Schema = {"order_id": tables.TEXT, "order_date": tables.STAMP, "created_stamp": tables.STAMP}
ORDER_ITEMS: tables.Schema = {"order_id": tables.TEXT, "product_id": tables.TEXT, "quantity": tables.QUANTITY}


class Lacking(Exception):
    """The OMS, or its export, has no such table or column; the text names it."""


class Source(Protocol):
    """An OMS opened for one Shopify shop.

    `store` is the shop's product store. `keeps_history` says whether `order_history` can be read, `respells_event_ids`
    whether leading zeros may have been dropped from event ids, so that one event has several spellings.
    """

    store: str
    keeps_history: bool
    respells_event_ids: bool

    def now(self) -> datetime:
        """Return the clock of the OMS, UTC."""

    def changed_products(
        self, from_: datetime | None, thru: datetime, *, group: str | None = None, store: str | None = None
    ) -> pl.Series | None:
        """Return the product_id of what changed in [from_, thru); None for all."""

    def products_of(self, items: pl.Series) -> pl.Series:
        """Return the product_id of the products that these inventory items are mapped to."""

    def events(self, from_: datetime, thru: datetime | None) -> pl.DataFrame:
        """Return the EVENTS recorded in [from_, thru), or since from_ where thru is None."""

    def cancelled_orders(self, from_: datetime) -> list[int]:
        """Return the Shopify orders of which an item was cancelled in the OMS at or after this moment."""

    def delta_reasons(self) -> pl.DataFrame:
        """Return DELTA_REASONS: the reasons that the OMS lists for deltas, with their dates."""

    def remotes(self) -> frozenset[str]:
        """Return the remotes through which the OMS talks with this shop."""

    def snapshot(
        self,
        products: pl.Series | None = None,
        *,
        orders: Sequence[int] = (),
        events_from: datetime | None = None,
        to_select: bool = False,
    ) -> tables.Snapshot:
        """Return one consistent read of these products, or of all, and of what the OMS holds of these Shopify orders.

        With `events_from` it has the products' stock events since then too. With `to_select` it is good for choosing
        pairs, never for their numbers: locations and memberships may be those that were read before.
        """

    def row_count(self, near: int = 0) -> int:
        """Return the number of product_facility rows; `near`, an earlier count, may make it cheaper."""

    def sample(
        self,
        table: str,
        schema: tables.Schema,
        limit: int,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        newest: str = "",
    ) -> pl.DataFrame:
        """Return at most `limit` rows of any HotWax table, for questions that no run asks.

        `where` maps a column to the values that it may have; `newest` names a stamp, of which the newest come first
        and rows without it are left out. Raises Lacking where this OMS has no such table or column.
        """

    def order_history(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return ORDER_HEADERS and ORDER_ITEMS of all Shopify orders; raises UsageError unless `keeps_history`."""

    def close(self) -> None:
        """Give the connections back."""


def open_source(oms: OmsSettings, *, tries: int | None = None) -> Source:
    """Return the configured OMS, opened and checked: the shop exists, is enabled and has a product store.

    `tries` is how often a request is sent before the OMS counts as out of reach; None for the connector's own number.
    Raises UsageError where the settings do not fit the OMS, and OmsFailed where it cannot be read.
    """
    opened: Callable[[OmsSettings, int | None], Source] = resolve_name(connector(oms.kind).reader)
    return opened(oms, tries)


def answers(oms: OmsSettings, seconds: float) -> bool:
    """Return whether the configured OMS gives any answer within about these seconds; a file always does."""
    ping = connector(oms.kind).ping
    return not ping or bool(resolve_name(ping)(oms, seconds))


def mapping_rules(shop: ShopSettings, source: Source, at: datetime) -> mapping.Rules:
    """Return how a shop is mapped at this moment."""
    return mapping.Rules(shop.aggregate_location, shop.oms.facility_group_id, source.store, at)
