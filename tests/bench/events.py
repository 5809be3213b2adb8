"""1 million stock events at 1 million pairs netted: each pair's target now, less its target as if they had not happened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from invsync import delta, mapping, tables
from tests.bench import world
from tests.bench.frames import same
from tests.bench.measure import beside, faster

EVENTS, PRODUCTS = 1_000_000, 20_000
TARGETS = [faster("invsync", "pandas", 1.5), *beside("invsync", "duckdb")]


def prepare(folder: Path, scale: float) -> None:
    """An OMS, its pairs, and events that no run has claimed yet, at every pair that each may move."""
    products = max(50, int(PRODUCTS * scale))
    seen = world.build(folder, products)
    world.places(seen, folder)
    pairs, _ = mapping.pairs(seen, world.RULES)
    pairs.write_parquet(folder / "pairs.parquet")
    draw = pl.select(n=pl.int_range(max(500, int(EVENTS * scale))))
    reasons = pl.Series(["CYCLE_COUNT", "VAR_MANUAL", "POS_SALE", "VAR_SHIP_RECV"])
    made = draw.select(
        event_id=pl.format("{}/{}", pl.col("n") + 10_000, "n"),
        product_id=pl.format("M{}", world.dice(products, "n") + 1_000_000),
        facility_id=pl.format("FAC_{}", (world.dice(world.FACILITIES, "n", "n")).cast(pl.String).str.zfill(3)),
        created_at=pl.lit(world.NOW),
        atp=(world.dice(11, "n").cast(pl.Float64) - 5.0),
        reason=pl.lit(reasons).gather(world.dice(4, "n")),
        physical_inventory_id=pl.when(world.dice(9, "n") == 0).then(pl.format("PI{}", "n")),
        names_movement=pl.lit(False),
        origin=pl.lit(None, dtype=pl.String),
    )
    events = tables.conform(made, tables.EVENTS, "events")
    named = mapping.locations(seen, aggregate_location=None)
    delta.concerned(events, pairs, named).filter(pl.col("location_id") != delta.EVERY_LOCATION).write_parquet(
        folder / "free.parquet"
    )


def ours(folder: Path) -> Callable[[], Any]:
    """As the delta job does it."""

    def run() -> Any:
        seen = world.snapshot(folder)
        pairs, free = (pl.read_parquet(folder / f"{name}.parquet") for name in ("pairs", "free"))
        return delta.net_changes(free, free, pairs, seen, lambda at: mapping.targets(pairs, at, world.RULES))

    return run


def pandas(folder: Path) -> Callable[[], Any]:
    """As an analyst does it."""
    from tests.bench import in_pandas as peer

    def run() -> Any:
        rows = peer.placed(folder)
        own, online, _ = peer.pairs(rows)
        return peer.net_changes(peer.read(folder, "free"), own, online, rows, peer.read(folder, "queue"))

    return run


def duckdb(folder: Path) -> Callable[[], Any]:
    """As an analyst does it in SQL."""
    from tests.bench import in_duckdb as peer

    return lambda: peer.net_changes(peer.opened(folder))


VARIANTS = {"invsync": ours, "pandas": pandas, "duckdb": duckdb}


def digest(made: Any) -> str:
    """The same for the same rows in any order."""
    return same(made, delta.NET)
