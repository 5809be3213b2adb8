"""The file that is uploaded: a line is the variables of one inventoryAdjustQuantities of up to 250 changes.

Whole columns are turned into text at once; a line's head and tail ride on its first and last change.
"""

import hashlib
import json
import mmap
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from invsync import tables

CHANGES_A_LINE = 250
LARGEST_FILE = 100_000_000
NAMESPACE = uuid.UUID("6f0b7b0e-1f5b-5c0e-9d64-5b1f6f0f9a52")
ITEM, LOCATION = "gid://shopify/InventoryItem/", "gid://shopify/Location/"
BEFORE = {
    "inventory_item_id": f'{{"inventoryItemId":"{ITEM}',
    "location_id": f'","locationId":"{LOCATION}',
    "delta": '","delta":',
    "available": ',"changeFromQuantity":',
}
KEY_BEGINS, KEY_ENDS = ',"idempotencyKey":"', '"}\n'
TAIL = "}]}" + KEY_BEGINS + "0" * 36 + KEY_ENDS
CHANGES: tables.Schema = {
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "line": pl.Int64(),
    "delta": tables.UNITS,
    "changed_from": tables.UNITS,
    "shopify_reason": tables.TEXT,
}
LINE = pl.Struct(
    {
        "input": pl.Struct(
            {
                "reason": pl.String,
                "changes": pl.List(
                    pl.Struct(
                        {
                            "inventoryItemId": pl.String,
                            "locationId": pl.String,
                            "delta": pl.Int64,
                            "changeFromQuantity": pl.Int64,
                        }
                    )
                ),
            }
        )
    }
)


@dataclass(frozen=True)
class Kept:
    """A file of a run as run.json lists it."""

    name: str
    sha256: str
    bytes: int
    lines: int | None


def write(
    adjustments: pl.DataFrame,
    folder: Path,
    *,
    run_id: str,
    first_part: int = 1,
    reason: str = "correction",
    limit: int = LARGEST_FILE,
    size: int = CHANGES_A_LINE,
    guarded: bool = True,
) -> list[Path]:
    """Write `adjustments.jsonl` (`adjustments-2.jsonl` …), at least one file, each below `limit` bytes and on disk.

    Lines come in the order of the smallest `target` on them (the available that results). A column
    `shopify_reason` takes the place of `reason`; a line then holds changes of one reason. Guarded changes
    carry the available that was read, unguarded ones null.
    """
    rows = _placed(adjustments, reason=reason, size=size)
    begins = rows["begins"].arg_true()
    files = max(1, -(-begins.len() // max(1, limit // _widest_line(rows, run_id, size))))
    offsets = begins.gather_every(max(1, -(-begins.len() // files))).to_list() or [0]
    sealed: list[Future[None]] = []
    paths = [folder / file_name("adjustments", part) for part in range(first_part, first_part + len(offsets))]
    with ThreadPoolExecutor(1) as sealing:  # while the next file is written
        for number, (start, end) in enumerate(pairwise([*offsets, rows.height])):
            text = rows[start:end].lazy().select(_text(rows, run_id, guarded))
            text.sink_csv(
                paths[number], include_header=False, quote_style="never", line_terminator="", engine="streaming"
            )
            sealed.append(sealing.submit(_seal_file, paths[number], f"{run_id}/{first_part + number}"))
    for file in sealed:
        file.result()
    return paths


def lines(
    adjustments: pl.DataFrame,
    *,
    run_id: str,
    reason: str = "correction",
    part: int = 1,
    guarded: bool = True,
    size: int = CHANGES_A_LINE,
) -> Iterator[bytes]:
    """The lines that `write` would put into one file."""
    rows = _placed(adjustments, reason=reason, size=size)
    text = bytearray(rows.select(_text(rows, run_id, guarded).str.join("")).item().encode())
    _seal(text, f"{run_id}/{part}")
    yield from bytes(text).splitlines(keepends=True)


def _placed(adjustments: pl.DataFrame, *, reason: str, size: int) -> pl.DataFrame:
    """The changes in the order of the file, each with its reason and whether it begins and ends its line."""
    rows = adjustments.sort("target", maintain_order=True).with_row_index("row")
    if "shopify_reason" in rows.columns:
        nth = pl.int_range(pl.len()).over("shopify_reason")
        first_on_line = pl.col("row").min().over("shopify_reason", nth // size)
        placed = rows.with_columns(line=first_on_line).sort("line", "row")
    else:
        placed = rows.with_columns(shopify_reason=pl.lit(reason), line=pl.col("row") // size)
    begins, ends = (pl.col("line").ne_missing(pl.col("line").shift(by)) for by in (1, -1))
    return placed.select(*BEFORE, "shopify_reason", begins=begins, ends=ends)


def _text(rows: pl.DataFrame, run_id: str, guarded: bool) -> pl.Expr:
    """One text a change; all of them joined are the lines, with zeros in place of the keys."""
    heads = {reason: _head(reason, run_id) for reason in rows["shopify_reason"].unique()}
    head = pl.col("shopify_reason").replace_strict(heads, return_dtype=pl.String)
    numbers = {name: pl.col(name).cast(pl.String) for name in BEFORE}
    numbers |= {} if guarded else {"available": pl.lit("null")}
    return pl.concat_str(
        pl.when("begins").then(head).otherwise(pl.lit(",")),
        *(piece for name, number in numbers.items() for piece in (pl.lit(BEFORE[name]), number)),
        pl.when("ends").then(pl.lit(TAIL)).otherwise(pl.lit("}")),
    )


def _head(reason: str, run_id: str) -> str:
    fixed = {"name": "available", "reason": reason, "referenceDocumentUri": f"gid://invsync/Run/{run_id}"}
    return '{"input":' + json.dumps(fixed, separators=(",", ":"))[:-1] + ',"changes":['


def _widest_line(rows: pl.DataFrame, run_id: str, size: int) -> int:
    """An upper bound of a line's bytes."""
    numbers = (max(len(str(rows[name].min())), len(str(rows[name].max()))) for name in BEFORE)
    head = max((len(_head(reason, run_id)) for reason in rows["shopify_reason"].unique()), default=0)
    return head + size * (sum(numbers) + len("".join(BEFORE.values())) + len(",}")) + len(TAIL)


def _seal_file(path: Path, place: str) -> None:
    """Seal the lines of a file and see it to disk."""
    if path.stat().st_size:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as written:
            _seal(written, place)
            written.flush()


def _seal(text: bytearray | mmap.mmap, place: str) -> None:
    """Write each line's key over its zeros: from run, part, line and content, so a replay has the same."""
    start, number = 0, 0
    with memoryview(text) as view:
        while (end := text.find(b"\n", start)) >= 0:
            key_at = end + 1 - len(KEY_ENDS) - 36
            content = hashlib.sha256(view[start : key_at - len(KEY_BEGINS)]).hexdigest()
            view[key_at : key_at + 36] = str(uuid.uuid5(NAMESPACE, f"{place}/{number}/{content}")).encode()
            start, number = end + 1, number + 1


def read(path: Path) -> pl.DataFrame:
    """CHANGES of a file, in its order; `line` is 0-based, `changed_from` null where the change is unguarded."""
    line = pl.col("text").str.json_decode(LINE).struct.field("input").struct.unnest()
    return (
        pl.scan_lines(path, name="text", row_index_name="line")
        .select("line", line)
        .explode("changes")
        .select(
            inventory_item_id=_number("inventoryItemId", ITEM),
            location_id=_number("locationId", LOCATION),
            line=pl.col("line").cast(pl.Int64),
            delta=pl.col("changes").struct.field("delta"),
            changed_from=pl.col("changes").struct.field("changeFromQuantity"),
            shopify_reason="reason",
        )
        .collect(engine="streaming")
    )


def _number(field: str, prefix: str) -> pl.Expr:
    return pl.col("changes").struct.field(field).str.strip_prefix(prefix).cast(pl.Int64)


def file_name(stem: str, part: int) -> str:
    """`adjustments.jsonl` for part 1, `adjustments-2.jsonl` for part 2."""
    return f"{stem}.jsonl" if part == 1 else f"{stem}-{part}.jsonl"


def kept(path: Path) -> Kept:
    """What run.json says of this file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        ends = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return Kept(path.name, digest, path.stat().st_size, ends if path.suffix in {".jsonl", ".graphql"} else None)
