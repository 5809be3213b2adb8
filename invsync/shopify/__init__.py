"""Shopify's Admin API for one shop: methods named by nouns return tables, those named by verbs change the shop."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

import httpx
import polars as pl

from invsync import tables, web
from invsync.config.settings import ShopSettings
from invsync.retry import Sleep
from invsync.shopify import activate, bulk, changed, orders, reads, subscriptions, writes
from invsync.shopify.client import SCOPES, Check, Client
from invsync.shopify.pacing import Usage
from invsync.shopify.subscriptions import Subscription
from invsync.shopify.writes import MUTATION, Delivery, Transport

__all__ = ["MUTATION", "SCOPES", "Delivery", "Shopify", "Transport", "Usage", "answers"]


class Shopify:
    """An open connection to one shop, to be used as a context manager."""

    MUTATION = MUTATION

    def __init__(self, client: Client) -> None:
        self._client = client
        self._products = tables.empty(tables.PRODUCTS)
        self._currency: str | None = None

    @classmethod
    def open(
        cls,
        shop: ShopSettings,
        *,
        secrets: Mapping[str, str],
        sleep: Sleep = time.sleep,
        read_only: bool = False,
        before_write: Check = lambda: None,
        transport_override: httpx.BaseTransport | None = None,
    ) -> "Shopify":
        """Open a shop with the secrets of its variables; a read-only one refuses every mutation.

        `before_write` is called before each try of each mutation; an error that it raises stops the mutation.
        """
        return cls(
            Client.open(
                shop,
                secrets=secrets,
                sleep=sleep,
                read_only=read_only,
                before_write=before_write,
                transport_override=transport_override,
            )
        )

    def __enter__(self) -> "Shopify":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Shopify({self._client.shop.domain!r}, read_only={self._client.read_only})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def server_time(self) -> datetime | None:
        """Shopify's time in UTC, from the Date header of its last answer; None before the first."""
        return self._client.server_time

    @property
    def usage(self) -> Usage:
        """What the calls cost so far: points, and seconds that they waited for Shopify's limits."""
        return self._client.usage

    @property
    def api_version_served(self) -> str | None:
        """The API version of the last answer; None before the first."""
        return self._client.api_version_served

    def levels(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Return LEVELS, one row for each of these pairs of item and location."""
        known = frozenset(self._products["inventory_item_id"])
        levels, products = reads.levels(self._client, pairs, known)
        self._products = pl.concat([self._products, products]).unique("inventory_item_id", keep="last")
        return levels

    @property
    def products(self) -> pl.DataFrame:
        """PRODUCTS of the items whose levels were read; the currency is null until the locations were read."""
        return self._products.with_columns(currency=pl.lit(self._currency, dtype=tables.TEXT))

    def changed_at(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Return when the available of these pairs last changed: inventory_item_id, location_id, changed_at."""
        return changed.changed_at(self._client, pairs)

    def locations(self) -> pl.DataFrame:
        """Return every location: location_id, name, is_active."""
        locations, self._currency = reads.locations(self._client)
        return locations

    def orders(self, since: datetime, *, open_too: bool = False, ids: Sequence[int] = ()) -> pl.DataFrame:
        """Return SOLD of the orders that changed at or after this instant, of older open ones too, and of these ids."""
        return orders.orders(self._client, since, open_too=open_too, ids=ids)

    def wait(self, seconds: float) -> None:
        """Wait, so that Shopify's order search can catch up with its levels."""
        self._client.sleep(seconds)

    def activate(self, pairs: pl.DataFrame, run_id: str) -> pl.DataFrame:
        """Activate the levels of these pairs; return those that Shopify refused, with its message."""
        return activate.activate(self._client, pairs, run_id)

    def orders_named(self, ids: Sequence[int]) -> pl.DataFrame:
        """Return SOLD of the orders of these ids that exist."""
        return orders.orders_named(self._client, ids)

    def subscriptions(self, address: str) -> list[Subscription]:
        """Return each webhook subscription that is needed at the receiver of this address, and its condition."""
        return subscriptions.subscriptions(self._client, address)

    def submit(
        self, path: Path, result: Path, *, transport: Transport = "auto", stall_seconds: float = bulk.STALL_SECONDS
    ) -> Delivery:
        """Send a file of adjustments, and write one result line for each of its lines."""
        return writes.submit(self._client, path, result, transport=transport, stall_seconds=stall_seconds)


def answers(shop: ShopSettings, seconds: float) -> bool:
    """Return whether Shopify gives any response within about these seconds; it is asked without the token."""
    return web.answers(f"{shop.base_url}/admin/api/{shop.api_version}/graphql.json", seconds)
