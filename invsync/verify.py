"""What became of every change: the answers to the lines, joined with what Shopify shows afterwards."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from invsync import bulkfile, tables
from invsync.tables import KEY
from invsync.vocabulary import APPLIED, HELD, MOVED_AFTER, OVERWRITTEN, SUPERSEDED, UNKNOWN

ANSWERS: tables.Schema = {
    "inventory_item_id": pl.Int64(),
    "location_id": pl.Int64(),
    "line": pl.Int64(),
    "answer": pl.String(),
    "code": pl.String(),
    "message": pl.String(),
}
VERDICTS: tables.Schema = {"place": pl.Int64()} | {
    name: ANSWERS[name] for name in ("line", "answer", "code", "message")
}
STALE = {"CHANGE_FROM_QUANTITY_STALE"}
LAPSED = {"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"}  # nothing of the line landed, and its key is used up
SILENCE = "Shopify gave no answer to this line"
Verdict = tuple[int | None, str, str | None, str | None]


def answers(path: Path, result: Path) -> pl.DataFrame:
    """ANSWERS, one row a change that stood in the file: landed, stale, refused, innocent, unplaced or unknown.

    `innocent` means that another row of the same atomic batch was named; `unplaced` that the batch was refused
    without naming a row, so that it must be halved.
    """
    changes = bulkfile.read(path).with_columns(place=pl.int_range(pl.len()).over("line"))
    verdicts = _verdicts(result, changes) if result.exists() else tables.empty(VERDICTS)
    of_lines, of_changes = (
        verdicts.filter(test) for test in (pl.col("place").is_null(), pl.col("place").is_not_null())
    )
    judged = changes.join(of_lines.drop("place"), on="line", how="left", maintain_order="left")
    message = pl.when(pl.col("answer").is_not_null()).then("message")
    judged = judged.with_columns(pl.col("answer").fill_null("unknown"), message=message.otherwise(pl.lit(SILENCE)))
    return judged.update(of_changes, on=["line", "place"]).select(list(ANSWERS))


def _verdicts(result: Path, changes: pl.DataFrame) -> pl.DataFrame:
    """VERDICTS: what each answered line came to, and, with their place on it, the changes that were named."""
    number = pl.col("text").str.extract(r'"__lineNumber":\s*(\d+)').cast(pl.Int64)
    clean = pl.col("text").str.contains(r'"userErrors":\s*\[\]')
    replies = pl.scan_lines(result, name="text").with_columns(line=number, clean=clean).drop_nulls("line")
    landed = replies.filter("clean").select("line", answer=pl.lit("landed")).collect(engine="streaming")
    faulty = replies.filter(~pl.col("clean")).select("line", "text").collect(engine="streaming")
    sizes = dict(changes.group_by("line").len().iter_rows())
    rows = [
        (place, line, *verdict)
        for line, text in faulty.iter_rows()
        for place, *verdict in _line(json.loads(text), sizes.get(line, 0))
    ]
    others = pl.DataFrame(rows, schema=VERDICTS, orient="row")
    return pl.concat([landed, others], how="diagonal").unique(["line", "place"], keep="last").select(list(VERDICTS))


def _line(reply: dict[str, Any], size: int) -> list[Verdict]:
    payload = (reply.get("data") or {}).get("inventoryAdjustQuantities")
    if payload is None:
        error = (reply.get("errors") or [{"message": SILENCE}])[0]
        code = (error.get("extensions") or {}).get("code")
        return [
            (None, "unknown" if code in {"UNKNOWN_OUTCOME", "NOT_SENT"} else "unplaced", code, error.get("message"))
        ]
    faults = payload["userErrors"]
    if not faults:
        return [(None, "landed", None, None)]
    if lapsed := [fault for fault in faults if fault.get("code") in LAPSED]:
        return [(None, "stale", lapsed[0].get("code"), lapsed[0].get("message"))]
    named = [(place, fault) for fault in faults if (place := _place(fault, size)) is not None]
    if not named:
        return [(None, "unplaced", faults[0].get("code"), faults[0].get("message"))]
    return [(None, "innocent", None, None)] + [
        (place, "stale" if fault.get("code") in STALE else "refused", fault.get("code"), fault.get("message"))
        for place, fault in named
    ]


def _place(fault: dict[str, Any], size: int) -> int | None:
    """Which change of its line a fault is about; a line of one change needs no name."""
    field = [str(step) for step in fault.get("field") or []]
    after = field[field.index("changes") + 1 :] if "changes" in field else []
    place = int(after[0]) if after and after[0].isdigit() else None
    return 0 if place is None and size == 1 else place if place is not None and place < size else None


def read_back(landed: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """OUTCOMES of the VARIANCES that landed: applied when Shopify shows what was sent, unknown when it shows nothing.

    Where it shows another number, the change is superseded if an order explains that, which the caller must see to.
    """
    landed = tables.checked(landed, tables.VARIANCES, "landed")
    after = levels.select(*KEY, after="available", after_at="available_at")
    sent = pl.col("available") + pl.col("delta")
    return landed.join(after, on=KEY, how="left").select(
        *tables.VARIANCES,
        outcome=pl.when(pl.col("after").is_null())
        .then(pl.lit(UNKNOWN))
        .when(pl.col("after") == sent)
        .then(pl.lit(APPLIED))
        .otherwise(pl.lit(SUPERSEDED)),
        reason=pl.when(pl.col("after") != sent).then(pl.lit(MOVED_AFTER)),
        message=pl.lit(None, dtype=pl.String),
        after="after",
        after_at="after_at",
    )


def overwritten(moved: pl.DataFrame) -> pl.DataFrame:
    """These OUTCOMES of changes that landed, held because something that is no order wrote another number at once."""
    return moved.with_columns(outcome=pl.lit(HELD), reason=pl.lit(OVERWRITTEN))


def outcome(
    variances: tables.Rows, name: str, *, reason: pl.Expr | None = None, message: pl.Expr | None = None
) -> tables.Rows:
    """OUTCOMES of VARIANCES that all ended as `name`, with what Shopify showed when it was read."""
    nothing = pl.lit(None, dtype=pl.String)
    return variances.select(
        *tables.VARIANCES,
        outcome=pl.lit(name),
        reason=nothing if reason is None else reason,
        message=nothing if message is None else message,
        after="available",
        after_at=pl.lit(None, dtype=tables.STAMP),
    )
