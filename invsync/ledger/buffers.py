"""The table of buffers that a shop names: read through the door, and held against the pairs that are mapped."""

from pathlib import Path

import polars as pl

from invsync import mapping, tables
from invsync.config.settings import Buffer
from invsync.errors import UsageError
from invsync.inputs.door import WHOLE, Table
from invsync.inputs.tabular import entered
from invsync.oms import Source
from invsync.tables import KEY

BUFFERS = Table("buffers", {name: WHOLE for name in tables.BUFFERS}, key=KEY, required=["units"])
NAMED = 5


def table(given: Buffer) -> pl.DataFrame:
    """BUFFERS of the configured table; empty where none is named, and refused with the row where one cannot be read."""
    if given.table is None:
        return tables.empty(tables.BUFFERS)
    return entered("The buffer table", Path(given.table), BUFFERS)


def check(given: Buffer, source: Source, rules: mapping.Rules) -> None:
    """Refuse a table with a row that belongs to no mapped pair: what it was meant to hide would be sold."""
    rows = table(given)
    if rows.is_empty():
        return
    pairs, held = mapping.pairs(source.snapshot(source.products_of(rows["inventory_item_id"])), rules)
    known = pl.concat([pairs.select(KEY), held.select(KEY).drop_nulls()])
    strange = rows.join(known, on=KEY, how="anti")
    if strange.height:
        named = ", ".join(f"item {item} at location {place}" for item, place, _ in strange.head(NAMED).iter_rows())
        raise UsageError(
            f"The buffer table {given.table} names {strange.height} pair(s) that are not mapped ({named}): "
            "correct the ids, or take the rows out."
        )
