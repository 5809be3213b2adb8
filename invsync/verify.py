"""What became of every change: the answers to the lines, joined with what Shopify shows afterwards."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from invsync import tables
from invsync.diff import KEY

ANSWERS: tables.Schema = {
    "inventory_item_id": pl.Int64(), "location_id": pl.Int64(), "line": pl.Int64(),
    "answer": pl.String(), "code": pl.String(), "message": pl.String(),
}  # fmt: skip
STALE = {"CHANGE_FROM_QUANTITY_STALE"}


def answers(path: Path, result: Path) -> pl.DataFrame:
    """One row a change that stood in the file: landed, stale, refused, innocent (its batch failed) or unknown.

    `innocent` means that another row of the same atomic batch was named; `unplaced` that the batch was refused
    without naming a row, so that it must be halved.
    """
    replies = {reply["__lineNumber"]: reply for reply in map(json.loads, result.open())} if result.exists() else {}
    rows: list[tuple[Any, ...]] = []
    with path.open() as file:
        for number, line in enumerate(file):
            changes = json.loads(line)["input"]["changes"]
            for change, answer in zip(changes, _line(replies.get(number), len(changes)), strict=True):
                rows.append((_id(change["inventoryItemId"]), _id(change["locationId"]), number, *answer))
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


def _id(gid: str) -> int:
    return int(gid.rsplit("/", 1)[1])


def _line(reply: dict[str, Any] | None, changes: int) -> list[tuple[str, str | None, str | None]]:
    payload = ((reply or {}).get("data") or {}).get("inventoryAdjustQuantities")
    if payload is None:
        errors = (reply or {}).get("errors") or [{"message": "Shopify gave no answer to this line"}]
        code = (errors[0].get("extensions") or {}).get("code")
        kind = "unknown" if reply is None or code in {"UNKNOWN_OUTCOME", "NOT_SENT"} else "unplaced"
        return [(kind, code, errors[0].get("message"))] * changes
    faults = payload["userErrors"]
    if not faults:
        return [("landed", None, None)] * changes
    return _batch(faults, changes)


def _batch(faults: list[dict[str, Any]], changes: int) -> list[tuple[str, str | None, str | None]]:
    named = {place: fault for fault in faults if (place := _place(fault)) is not None and place < changes}
    if not named:
        return [("unplaced", faults[0].get("code"), faults[0].get("message"))] * changes
    return [
        ("stale" if named[n].get("code") in STALE else "refused", named[n].get("code"), named[n].get("message"))
        if n in named
        else ("innocent", None, None)
        for n in range(changes)
    ]


def _place(fault: dict[str, Any]) -> int | None:
    field = fault.get("field") or []
    return int(field[2]) if len(field) > 2 and field[1] == "changes" and str(field[2]).isdigit() else None


def read_back(landed: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """OUTCOMES of the VARIANCES that landed: applied when Shopify shows what was sent, superseded otherwise."""
    after = levels.select(*KEY, after="available")
    sent = pl.col("available") + pl.col("delta")
    return landed.join(after, on=KEY, how="left").select(
        *tables.VARIANCES,
        outcome=pl.when(pl.col("after").is_null()).then(pl.lit("unknown"))
        .when(pl.col("after") == sent).then(pl.lit("applied")).otherwise(pl.lit("superseded")),
        reason=pl.when(pl.col("after") != sent).then(pl.lit("moved_after_the_write")),
        message=pl.lit(None, dtype=pl.String),
        after="after",
    )  # fmt: skip


def outcome(variances: pl.DataFrame, name: str, *, reason: pl.Expr | None = None,
            message: pl.Expr | None = None) -> pl.DataFrame:  # fmt: skip
    """OUTCOMES of VARIANCES that all ended as `name`, with what Shopify showed when it was read."""
    nothing = pl.lit(None, dtype=pl.String)
    return variances.select(
        *tables.VARIANCES,
        outcome=pl.lit(name),
        reason=nothing if reason is None else reason,
        message=nothing if message is None else message,
        after="available",
    )
