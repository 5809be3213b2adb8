"""The file that is uploaded: adjustments.jsonl of 1 million changes, 250 a line, split below 100 MB."""

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from invsync import bulkfile
from tests.bench.measure import faster
from tests.bench.world import dice

CHANGES = 1_000_000
RUN_ID = "20260302T120000Z-be0c"
COLUMNS = ["inventory_item_id", "location_id", "delta", "available", "target"]
LIMIT = 100_000_000
SEAL = len(bulkfile.KEY_BEGINS) + 36 + len(bulkfile.KEY_ENDS)
TARGETS = [faster("invsync", "orjson loop", 2.5)]
Row = tuple[int, int, int, int, float]


def prepare(folder: Path, scale: float) -> None:
    """The columns of a plan's adjustments that matter here."""
    rows = pl.select(n=pl.int_range(max(1_000, int(CHANGES * scale)))).with_columns(draw=dice(400, "n").cast(pl.Int64))
    available = pl.col("draw") - 3
    made = rows.select(
        inventory_item_id=44_000_000_000_000 + pl.col("n") // 5,
        location_id=70_000_000_000 + pl.col("n") % 5,
        delta=pl.col("draw") % 7 + 1,
        available=available,
        target=(available + pl.col("draw") % 7 + 1).cast(pl.Float64),
    )
    made.write_parquet(folder / "adjustments.parquet")


def _adjustments(folder: Path) -> pl.DataFrame:
    """In the order in which `plan.decide` hands them over."""
    return pl.read_parquet(folder / "adjustments.parquet").sort("target", "inventory_item_id", "location_id")


def ours(folder: Path) -> Callable[[], list[Path]]:
    """As a job does it."""
    frame = _adjustments(folder)
    return lambda: bulkfile.write(frame, folder, run_id=RUN_ID, limit=LIMIT)


def orjson(folder: Path) -> Callable[[], list[Path]]:
    """A line at a time, every file filled up to the limit and on disk; the keys as `bulkfile` makes them."""
    frame = _adjustments(folder)
    return lambda: _loop(frame, folder)


def _loop(frame: pl.DataFrame, folder: Path) -> list[Path]:
    rows = frame.sort("target", maintain_order=True).iter_rows()
    parts = iter(lambda: list(islice(rows, bulkfile.CHANGES_A_LINE)), [])
    ready = (_content(part) for part in parts)
    paths: list[Path] = []
    content = next(ready, b"")
    while content:
        paths.append(folder / bulkfile.file_name("orjson", len(paths) + 1))
        with paths[-1].open("wb") as file:
            number = 0
            while content and file.tell() + len(content) + SEAL < LIMIT:
                file.write(_line(content, f"{RUN_ID}/{len(paths)}/{number}"))
                content, number = next(ready, b""), number + 1
            file.flush()
            os.fsync(file.fileno())
    return paths


def _content(part: list[Row]) -> bytes:
    from orjson import dumps

    changes = [
        {
            "inventoryItemId": f"{bulkfile.ITEM}{item}",
            "locationId": f"{bulkfile.LOCATION}{location}",
            "delta": delta,
            "changeFromQuantity": available,
        }
        for item, location, delta, available, _ in part
    ]
    return dumps(
        {
            "input": {
                "name": "available",
                "reason": "correction",
                "referenceDocumentUri": f"gid://invsync/Run/{RUN_ID}",
                "changes": changes,
            }
        }
    )[:-1]


def _line(content: bytes, place: str) -> bytes:
    key = uuid.uuid5(bulkfile.NAMESPACE, f"{place}/{hashlib.sha256(content).hexdigest()}")
    return content + f"{bulkfile.KEY_BEGINS}{key}{bulkfile.KEY_ENDS}".encode()


VARIANTS = {"invsync": ours, "orjson loop": orjson}


def digest(made: list[Path]) -> str:
    """The lines without their keys, which tell in which file a line stands; every file is below the limit."""
    assert all(path.stat().st_size < LIMIT for path in made)
    digest = hashlib.sha256()
    for line in _lines(made):
        digest.update(line[: line.rindex(bulkfile.KEY_BEGINS.encode())])
    return f"{len(made)} {digest.hexdigest()}"


def _lines(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            yield from file
