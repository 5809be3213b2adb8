"""What a run remembers of Shopify's orders and levels for the next run."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.state import clock
from invsync.state.schema import LEDGER, MEMORY

DEFERRED = ["deferred_since", "deferred_at"]
LEVEL_MEMORY: tables.Schema = {
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "units": tables.UNITS,
    "watched": tables.FLAG,
    "deferred_since": tables.STAMP,
    "deferred_at": tables.STAMP,
}


@dataclass(frozen=True)
class Ledger:
    """A shop's orders as SOLD, the ids of those in flight, and the span `since` to `thru` in which they were read."""

    sold: pl.DataFrame
    in_flight: list[int]
    thru: datetime
    since: datetime


class Memory:
    """The remembered orders and levels of all shops, by the shop's name in the configuration."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ledger(self, shop: str) -> Ledger | None:
        """Return the orders of this shop; None before the first read, or where another version wrote them."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(LEDGER).where(LEDGER.c.shop == shop)).mappings().first()
        if row is None:
            return None
        sold = pl.read_ipc(io.BytesIO(row["sold"]))
        if sold.schema != pl.Schema(tables.SOLD):
            return None
        in_flight = pl.read_ipc(io.BytesIO(row["in_flight"]))["order_id"].to_list()
        return Ledger(sold, in_flight, datetime.fromisoformat(row["thru"]), datetime.fromisoformat(row["since"]))

    def remember(
        self, shop: str, sold: pl.DataFrame, in_flight: Sequence[int], *, thru: datetime, since: datetime
    ) -> None:
        """Replace the orders of this shop."""
        ids = pl.DataFrame({"order_id": in_flight}, schema={"order_id": tables.ID})
        row = {"sold": _arrow(sold), "in_flight": _arrow(ids), "thru": clock.iso(thru), "since": clock.iso(since)}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(LEDGER).where(LEDGER.c.shop == shop))
            connection.execute(sa.insert(LEDGER).values(shop=shop, **row))

    def levels(self, shop: str) -> pl.DataFrame:
        """Return LEVEL_MEMORY of this shop: baselines, and the pairs that the next run must look at."""
        query = sa.select(*(MEMORY.c[name] for name in LEVEL_MEMORY)).where(MEMORY.c.shop == shop)
        with self._engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        memory = pl.DataFrame(rows, schema=LEVEL_MEMORY | dict.fromkeys(DEFERRED, tables.TEXT), orient="row")
        return memory.with_columns(pl.col(DEFERRED).str.to_datetime("%+", time_unit="us", time_zone="UTC"))

    def remember_levels(self, shop: str, read: pl.DataFrame, memory: pl.DataFrame) -> None:
        """Replace what is remembered of the levels in `read` by these rows of LEVEL_MEMORY."""
        before = self.levels(shop).join(read, on=tables.KEY, how="semi")
        mine = (MEMORY.c.shop == shop) & (MEMORY.c.inventory_item_id == sa.bindparam("item"))
        mine &= MEMORY.c.location_id == sa.bindparam("place")
        stamps = pl.col(DEFERRED).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        with self._engine.begin() as connection:
            if before.height:
                keys = before.select(item="inventory_item_id", place="location_id").to_dicts()
                connection.execute(sa.delete(MEMORY).where(mine), keys)
            if memory.height:
                rows = memory.select(list(LEVEL_MEMORY)).with_columns(stamps, shop=pl.lit(shop))
                connection.execute(sa.insert(MEMORY), rows.to_dicts())

    def watch(self, shop: str, pairs: pl.DataFrame) -> None:
        """Make the next run look at these pairs, whatever else it looks at."""
        keys = pairs.select(tables.KEY).drop_nulls().unique()
        if keys.height:
            known = keys.join(self.levels(shop).drop("watched"), on=tables.KEY, how="left")
            rows = known.with_columns(pl.col("units").fill_null(0), watched=pl.lit(True))
            self.remember_levels(shop, keys, rows)


def _arrow(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()
