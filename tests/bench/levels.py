"""A bulk query's answer of 1 million levels at 5 locations an item, from its file to LEVELS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from invsync import tables
from invsync.shopify import reads
from tests.bench.frames import same
from tests.bench.measure import Target, faster
from tests.bench.world import dice

LEVELS, LOCATIONS = 1_000_000, 5
TARGETS = [
    faster("invsync", "msgspec loop", 2),
    Target("invsync, peak in MB, twice the file", lambda m: m["invsync"].peak, at_most=528),
]


def prepare(folder: Path, scale: float) -> None:
    """The file as Shopify writes it: an item's line, then its levels, each with its parent; slashes escaped."""
    items = pl.select(n=pl.int_range(max(100, int(LEVELS * scale) // LOCATIONS)))
    everywhere = items.join(pl.select(at=pl.int_range(LOCATIONS)), how="cross")
    item, location = (pl.lit(r"gid:\/\/shopify\/" + kind + r"\/") for kind in ("InventoryItem", "Location"))
    parent = item + (44_000_000_000_000 + pl.col("n")).cast(pl.String)
    available = dice(400, "n", "at").cast(pl.Int64) - 3
    lines = pl.concat(
        [
            items.select(
                "n",
                line=pl.concat_str(
                    pl.lit('{"id":"'),
                    parent,
                    pl.lit('","sku":"SKU-'),
                    "n",
                    pl.lit('-BLK","tracked":true,"variant":'),
                    pl.lit('{"requiresComponents":false}}'),
                ),
            ),
            everywhere.select(
                "n",
                line=pl.concat_str(
                    pl.lit('{"id":"'),
                    pl.lit(r"gid:\/\/shopify\/InventoryLevel\/"),
                    "at",
                    pl.lit("?inventory_item_id="),
                    "n",
                    pl.lit('","isActive":true,"location":{"id":"'),
                    location,
                    70_000_000_000 + pl.col("at"),
                    pl.lit('"},"quantities":[{"quantity":'),
                    available,
                    pl.lit('}],"__parentId":"'),
                    parent,
                    pl.lit('"}'),
                ),
            ),
        ]
    ).sort("n", maintain_order=True)
    lines.select("line").write_csv(folder / "levels.jsonl", include_header=False, quote_style="never")


def ours(folder: Path) -> Callable[[], Any]:
    """As a job does it."""
    return lambda: reads.parse_levels(folder / "levels.jsonl")


def msgspec(folder: Path) -> Callable[[], Any]:
    """A typed loop: one decoder, columns as lists, the levels joined with their items at the end."""
    from tests.bench import in_msgspec

    return lambda: in_msgspec.parse(folder / "levels.jsonl")


VARIANTS = {"invsync": ours, "msgspec loop": msgspec}


def digest(made: Any) -> str:
    """The same for the same rows in any order."""
    return same(made, tables.LEVELS)
