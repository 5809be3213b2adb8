"""A shop opened to be read: no lease, nothing changed, nothing sent."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from invsync import mapping, oms, tables
from invsync.config import settings
from invsync.ledger import reading
from invsync.ledger.peers import Peer, peers
from invsync.shopify import Shopify
from invsync.state import State


@dataclass(frozen=True)
class OpenShop:
    """The systems of one shop, the moment of the reading, and the other shops that sell the same stock."""

    name: str
    settings: settings.ShopSettings
    oms: oms.Source
    shopify: Shopify
    state: State
    rules: mapping.Rules
    at: datetime
    peers: tuple[Peer, ...]

    def reader(self, snapshot: tables.Snapshot, every: pl.DataFrame) -> reading.Reader:
        """The reader of this shop's pairs, of which `every` are mapped by the snapshot."""
        return reading.reader(
            self.name,
            self.settings,
            self.oms,
            self.shopify,
            self.state,
            rules=self.rules,
            snapshot=snapshot,
            every=every,
            at=self.at,
            thru=self.at,
            kept_as=self.state.shops.known_as(self.settings.identity) or self.name,
            peers=self.peers,
        )


@contextmanager
def opened(configured: settings.Settings, name: str) -> Iterator[OpenShop]:
    """The shop of this name, for as long as the block lasts.

    A UsageError for an unknown shop or a secret that is not there; OmsFailed, ShopifyFailed or SystemFailed where a
    system cannot be opened.
    """
    shop, at = configured.shop(name), datetime.now(UTC)
    with ExitStack() as stack:
        state = stack.enter_context(closing(State(configured.state.url)))
        source = stack.enter_context(closing(oms.open_source(shop.oms)))
        secrets = settings.by_variable(shop.api_variables, os.environ)
        shopify = stack.enter_context(Shopify.open(shop, secrets=secrets, read_only=True))
        beside = tuple(peers(configured, name, source, state, at=at, thru=at, given=None))
        for peer in beside:
            stack.callback(peer.close)
        yield OpenShop(name, shop, source, shopify, state, oms.mapping_rules(shop, source, at), at, beside)
