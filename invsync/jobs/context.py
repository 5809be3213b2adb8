"""What a run works with: its parameters, the shop's systems and state, its folder and its clock."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from invsync import mapping, oms, tables
from invsync.config import settings
from invsync.errors import ShopifyFailed
from invsync.jobs.parameters import Parameters
from invsync.ledger import reading
from invsync.ledger.peers import Peer
from invsync.ledger.reading import Reader
from invsync.shopify import Shopify
from invsync.state import Lease, State
from invsync.vocabulary import HARD, SHADOW


@dataclass(frozen=True)
class Context:
    """The surroundings of one run, open for as long as it lasts.

    `at` is the moment that every decision goes by, `thru` the end of the run's window, `peers` the other shops that
    sell the same stock, and `names` every name that the configuration gives this shop.
    """

    run_id: str
    parameters: Parameters
    shop: settings.ShopSettings
    folder: Path
    state: State
    oms: oms.Source
    shopify: Shopify
    lease: Lease
    at: datetime
    thru: datetime
    peers: tuple[Peer, ...] = ()
    names: frozenset[str] = frozenset()
    kept: settings.StateSettings = field(default_factory=settings.StateSettings)

    @property
    def job(self) -> str:
        """The job's name."""
        return self.parameters.job

    @property
    def is_whole(self) -> bool:
        """Whether the job looks at every pair, and not only at those that were touched."""
        return self.job in (HARD, SHADOW)

    @property
    def remembers(self) -> bool:
        """Whether the next run goes by what this one saw: it sends what it plans, or watches."""
        return not self.parameters.dry_run or self.job == SHADOW

    @property
    def name(self) -> str:
        """The shop's name in the configuration."""
        return self.parameters.shop

    @property
    def kept_as(self) -> str:
        """The name under which this shop's outbox and claims are kept, whatever the configuration calls it."""
        return self.lease.shop

    @property
    def rules(self) -> mapping.Rules:
        """How this shop is mapped."""
        return oms.mapping_rules(self.shop, self.oms, self.at)

    def watermark(self, job: str) -> datetime | None:
        """The end of this job's last window, under whichever of the shop's names it ran."""
        marks = (self.state.runs.watermark(name, job) for name in {self.name, self.kept_as, *self.names})
        return max((mark for mark in marks if mark is not None), default=None)

    def mapped(self) -> int:
        """The mapped pairs of the whole shop, as the last run counted them that read them all."""
        known = self.state.runs.mapped(self.name)
        return mapping.pairs(self.oms.snapshot(), self.rules)[0].height if known is None else known

    def stock_rows(self) -> int:
        """The OMS's rows of stock, counted from where the last run of this job ended."""
        before = self.state.runs.last_finished(self.name, self.job)
        return self.oms.row_count(before["rows_read"] or 0 if before else 0)

    def unsettled(self) -> pl.DataFrame:
        """LEVEL_MEMORY of the levels that the next run must look at, whatever else it looks at."""
        waits = pl.col("watched") | pl.col("deferred_since").is_not_null()
        return self.state.memory.levels(self.name).filter(waits)

    def products_of(self, items: pl.Series) -> pl.Series:
        """The products of these inventory items, by their ids in the OMS."""
        unique = items.unique()
        return self.oms.products_of(unique) if unique.len() else pl.Series("product_id", [], dtype=pl.String)

    def reader(self, snapshot: tables.Snapshot, every: pl.DataFrame) -> Reader:
        """The reader of this shop's pairs, of which `every` are mapped by the snapshot."""
        return reading.reader(
            self.name,
            self.shop,
            self.oms,
            self.shopify,
            self.state,
            rules=self.rules,
            snapshot=snapshot,
            every=every,
            at=self.at,
            thru=self.thru,
            kept_as=self.kept_as,
            clock=self.parameters.at,
            peers=self.peers,
            whole=self.is_whole,
        )

    @cached_property
    def locations(self) -> pl.DataFrame:
        """What Shopify calls its locations: location_id, name; none where it does not say, for no number hangs on it."""
        try:
            return self.shopify.locations().select("location_id", "name")
        except ShopifyFailed:
            return pl.DataFrame(schema={"location_id": tables.ID, "name": tables.TEXT})

    def read_locations(self) -> None:
        """Ask Shopify for its locations and the shop's currency, so that nothing of this is asked once changes are sent."""
        _ = self.locations

    def with_products(self, rows: pl.DataFrame, reviewed: pl.DataFrame) -> pl.DataFrame:
        """OUTCOMES or VARIANCES with the columns of PRODUCTS, null where Shopify did not show the item.

        `reviewed` are the PRODUCTS of a plan that is sent as it stands.
        """
        products = pl.concat([self.shopify.products, reviewed]).unique("inventory_item_id", keep="first")
        return rows.join(products, on="inventory_item_id", how="left", maintain_order="left")
