"""10 million pairs from Parquet to plan.parquet, one in twenty differs: mapping, differences, what is sent and held."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from invsync import equation, inflight, mapping, plan, tables
from invsync.jobs.planfile import PlanFile
from tests.bench import world
from tests.bench.frames import same
from tests.bench.measure import Target
from tests.bench.variances import SHOWN, prepare

LIMITS = ["the read alone"]
TARGETS = [
    Target(
        "streamed throughout / the read, CPU",
        lambda m: m["streamed throughout"].cpu / m["the read alone"].cpu,
        at_most=6,
    ),
    Target("streamed throughout, whole peak in MB", lambda m: m["streamed throughout"].whole, at_most=1_000),
]
Made = list[Path]


def read(folder: Path) -> None:
    """The columns that are used, in frames: the limit of anything that begins with them."""
    world.snapshot(folder)
    pl.read_parquet(folder / "levels.parquet", columns=SHOWN)
    pl.read_parquet(folder / "orders.parquet")


def plain(folder: Path) -> Made:
    """A frame at each step, as for a few pairs."""
    seen = world.snapshot(folder)
    pairs, held = mapping.pairs(seen, world.RULES)
    targets = mapping.targets(pairs, seen, world.RULES)
    variances = equation.variances(targets, _levels(folder), _in_flight(folder, pairs, seen))
    decided = plan.decide(variances)
    rows = pl.concat([decided.adjustments, decided.already_right, decided.held])
    rows.write_parquet(folder / "plain.parquet")
    held.write_parquet(folder / "plain-held.parquet")
    return [folder / "plain.parquet", folder / "plain-held.parquet"]


def as_a_run(folder: Path) -> Made:
    """As a hard sync does it: pairs and targets are frames, and of the variances those that differ."""
    seen = world.snapshot(folder)
    pairs, held = mapping.pairs(seen, world.RULES)
    targets = mapping.targets(pairs, seen, world.RULES)
    flight = _in_flight(folder, pairs, seen)
    PlanFile.write(equation.compared(targets, _levels(folder), flight, buffer=0), folder / "run.parquet")
    held.write_parquet(folder / "run-held.parquet")
    return [folder / "run.parquet", folder / "run-held.parquet"]


def ours(folder: Path) -> Made:
    """Stock is read where it lies, and targets are not collected either: only rows that differ are ever a frame."""
    seen = world.snapshot(folder, without=["product_facility"])
    stock = pl.scan_parquet(folder / "product_facility.parquet").select(world.USED["product_facility"])
    targets, held = mapping.all_targets(seen, world.RULES, stock=stock)
    flight = _in_flight(folder, targets.select(list(tables.PAIRS)), seen)
    PlanFile.write(equation.compared(targets, _levels(folder), flight, buffer=0), folder / "plan.parquet")
    held.write_parquet(folder / "held.parquet")
    return [folder / "plan.parquet", folder / "held.parquet"]


def _levels(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "levels.parquet", columns=SHOWN)


def _in_flight(folder: Path, pairs: pl.DataFrame | pl.LazyFrame, seen: tables.Snapshot) -> pl.DataFrame:
    orders, counted = pl.read_parquet(folder / "orders.parquet"), mapping.counted_facilities(seen, world.RULES)
    return inflight.in_flight(orders, tables.empty(tables.BUFFERS), pairs, seen, counted=counted)


VARIANTS: dict[str, Callable[[Path], Callable[[], Made | None]]] = {
    "streamed throughout": lambda folder: partial(ours, folder),
    "steps of a run": lambda folder: partial(as_a_run, folder),
    "frames at each step": lambda folder: partial(plain, folder),
    "the read alone": lambda folder: partial(read, folder),
}


def digest(made: Made | None) -> str:
    """The same for the same rows in any order."""
    if made is None:
        return ""
    rows, held = map(pl.read_parquet, made)
    return f"{same(rows, tables.VARIANCES)} {same(held, tables.MAPPING_HELD)}"


__all__ = ["LIMITS", "TARGETS", "VARIANTS", "digest", "prepare"]
