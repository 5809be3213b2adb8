"""The file that is uploaded: a line is the variables of one inventoryAdjustQuantities of up to 250 changes.

Whole columns are turned into text at once; a chunk's head and tail ride on its first and last row.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

CHANGES_A_LINE = 250
LARGEST_FILE = 100_000_000
NAMESPACE = uuid.UUID("6f0b7b0e-1f5b-5c0e-9d64-5b1f6f0f9a52")
ITEM = '{"inventoryItemId":"gid://shopify/InventoryItem/'
LOCATION = '","locationId":"gid://shopify/Location/'


@dataclass(frozen=True)
class Kept:
    """A file of a run as run.json lists it."""

    name: str
    sha256: str
    bytes: int
    lines: int | None


def head(reason: str, reference: str) -> str:
    """How a line begins, up to its first change."""
    fixed = json.dumps({"name": "available", "reason": reason, "referenceDocumentUri": reference})
    return '{"input":' + fixed[:-1].replace('": "', '":"').replace('", "', '","') + ',"changes":['


def changes(adjustments: pl.DataFrame, *, guarded: bool = True) -> pl.Series:
    """One text a change; guarded ones carry the available that was read, unguarded ones null."""
    was = pl.col("available").cast(pl.String) if guarded else pl.lit("null")
    text = pl.concat_str(
        pl.lit(ITEM), pl.col("inventory_item_id").cast(pl.String), pl.lit(LOCATION),
        pl.col("location_id").cast(pl.String), pl.lit('","delta":'), pl.col("delta").cast(pl.String),
        pl.lit(',"changeFromQuantity":'), was, pl.lit("}"),
    )  # fmt: skip
    return adjustments.select(change=text)["change"]


def key(run_id: str, part: int, line: int, body: bytes) -> str:
    """The idempotency key of a line: derived from the run, the place and the content, so a replay has the same."""
    return str(uuid.uuid5(NAMESPACE, f"{run_id}/{part}/{line}/{hashlib.sha256(body).hexdigest()}"))


def lines(adjustments: pl.DataFrame, *, run_id: str, reason: str = "correction", part: int = 1,
          guarded: bool = True, size: int = CHANGES_A_LINE) -> Iterator[bytes]:  # fmt: skip
    """The lines of the file, 250 changes each, in the order of the rows, without holding them all."""
    start = head(reason, f"gid://invsync/Run/{run_id}")
    for number, rows in enumerate(adjustments.iter_slices(size)):
        body = (start + ",".join(changes(rows, guarded=guarded)) + "]}").encode()
        yield body + b',"idempotencyKey":"' + key(run_id, part, number, body).encode() + b'"}\n'


def write(adjustments: pl.DataFrame, folder: Path, *, run_id: str, first_part: int = 1, reason: str = "correction",
          limit: int = LARGEST_FILE, size: int = CHANGES_A_LINE, guarded: bool = True) -> list[Path]:  # fmt: skip
    """Write `adjustments.jsonl` (`adjustments-2.jsonl` …, each below `limit` bytes); at least one file."""
    widest = len(head(reason, f"gid://invsync/Run/{run_id}")) + 250 * size
    rows_a_file = max(1, limit // widest) * size
    paths: list[Path] = []
    for offset in range(0, max(adjustments.height, 1), rows_a_file):
        part = first_part + len(paths)
        path = folder / file_name("adjustments", part)
        with path.open("wb") as file:
            file.writelines(lines(adjustments.slice(offset, rows_a_file), run_id=run_id, reason=reason,
                                  part=part, guarded=guarded, size=size))  # fmt: skip
        paths.append(path)
    return paths


def file_name(stem: str, part: int) -> str:
    """`adjustments.jsonl` for part 1, `adjustments-2.jsonl` for part 2."""
    return f"{stem}.jsonl" if part == 1 else f"{stem}-{part}.jsonl"


def kept(path: Path) -> Kept:
    """What run.json says of this file."""
    data = path.read_bytes()
    text = path.suffix in {".jsonl", ".graphql"}
    return Kept(path.name, hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n") if text else None)
