"""What a job needs of an OMS, and how the configured one is opened."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import polars as pl

from invsync.config.settings import OmsSettings, secret
from invsync.errors import UsageError
from invsync.oms.files.source import Exported, load
from invsync.oms.rest.auth import connected
from invsync.oms.rest.endpoints import TRIES
from invsync.oms.rest.entities import Api
from invsync.oms.rest.source import Rest
from invsync.oms.sql.reader import connect
from invsync.oms.sql.source import Database
from invsync.tables import Snapshot


class Source(Protocol):
    """An OMS that can be read; `store` is the product store, resolved."""

    store: str

    def now(self) -> datetime:
        """The OMS clock, UTC."""

    def changed_products(
        self, from_: datetime | None, thru: datetime, *, group: str | None = None, store: str | None = None
    ) -> pl.Series | None:
        """The product_id touched in [from_, thru); None means all."""

    def products_of(self, items: pl.Series) -> pl.Series:
        """The product_id of the products that these inventory items are mapped to."""

    def events(self, from_: datetime, thru: datetime | None) -> pl.DataFrame:
        """EVENTS recorded in [from_, thru), or since from_ where thru is None."""

    def cancelled_orders(self, from_: datetime) -> list[int]:
        """The Shopify orders of which an item was cancelled in the OMS at or after this moment."""

    def delta_reasons(self) -> pl.DataFrame:
        """DELTA_REASONS: the reasons that the OMS lists for deltas, with their dates."""

    def remotes(self) -> frozenset[str]:
        """The remotes through which the OMS talks with this shop."""

    def snapshot(
        self, products: pl.Series | None = None, *, orders: Sequence[int] = (), events_from: datetime | None = None
    ) -> Snapshot:
        """HotWax's rows in one transaction, for these products or for all, and what it holds of these Shopify orders.

        Their events since `events_from` too.
        """

    def row_count(self, near: int = 0) -> int:
        """The number of product_facility rows; `near`, the last one that was found, may make it cheaper."""

    def close(self) -> None:
        """Give the connections back."""


def open_source(oms: OmsSettings, *, tries: int = TRIES) -> Source:
    """The configured OMS, checked: the shop exists, is enabled and has a product store."""
    if oms.kind == "files":
        if not oms.path:
            raise UsageError("The OMS is of kind files but names no folder: set path under the shop's oms.")
        return Exported(load(oms.path, secret(oms.password_env, os.environ), timezone=oms.timezone), oms)
    if oms.kind == "rest":
        return Rest(Api(connected(oms, os.environ), oms, tries), oms)
    url = oms.url or secret(oms.url_env, os.environ)
    if not url:
        raise UsageError("The OMS database has no address: set url or url_env under the shop's oms.")
    return Database(connect(url, oms.timezone), oms)
