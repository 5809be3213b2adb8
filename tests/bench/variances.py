"""Mapping and difference of 10 million pairs: 200,000 products at 50 facilities, from Parquet to VARIANCES."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from invsync import equation, inflight, mapping, tables
from tests.bench import world
from tests.bench.frames import same
from tests.bench.measure import beside, faster, leaner

BUFFER = 0
SHOWN = ["inventory_item_id", "location_id", "available", "is_active", "tracked", "requires_components"]
HELD = {name: dtype for name, dtype in tables.MAPPING_HELD.items() if name != "message"}  # a sentence for people
TARGETS = [faster("invsync", "pandas", 6), leaner("invsync", "pandas", 0.5), *beside("invsync", "duckdb")]
Made = tuple[Any, Any]


def prepare(folder: Path, scale: float) -> None:
    """The OMS's tables, the levels, orders and what is known of locations, as Parquet."""
    seen = world.build(folder, max(50, int(world.PRODUCTS * scale)))
    world.levels(seen).write_parquet(folder / "levels.parquet")
    world.orders(seen).write_parquet(folder / "orders.parquet")
    world.places(seen, folder)


def ours(folder: Path) -> Callable[[], Made]:
    """As a job does it."""

    def run() -> Made:
        seen = world.snapshot(folder)
        levels = pl.read_parquet(folder / "levels.parquet", columns=SHOWN)
        orders = pl.read_parquet(folder / "orders.parquet")
        pairs, held = mapping.pairs(seen, world.RULES)
        counted = mapping.counted_facilities(seen, world.RULES)
        targets = mapping.targets(pairs, seen, world.RULES)
        flight = inflight.in_flight(orders, tables.empty(tables.BUFFERS), pairs, seen, counted=counted)
        return held, equation.variances(targets, levels, flight, buffer=BUFFER)

    return run


def pandas(folder: Path) -> Callable[[], Made]:
    """As an analyst does it."""
    from tests.bench import in_pandas as peer

    def run() -> Made:
        rows = peer.placed(folder)
        own, online, held = peer.pairs(rows)
        wanted = peer.targets(own, online, rows, peer.read(folder, "queue"))
        flight = peer.in_flight(folder, wanted)
        return held, peer.variances(wanted, peer.read(folder, "levels", SHOWN), flight, buffer=BUFFER)

    return run


def duckdb(folder: Path) -> Callable[[], Made]:
    """As an analyst does it in SQL."""
    from tests.bench import in_duckdb as peer

    def run() -> Made:
        database = peer.opened(folder)
        return peer.held(database), peer.variances(database, buffer=BUFFER)

    return run


VARIANTS = {"invsync": ours, "pandas": pandas, "duckdb": duckdb}


def digest(made: Made) -> str:
    """The same for the same rows in any order."""
    return f"{same(made[0], HELD)} {same(made[1], tables.VARIANCES)}"
