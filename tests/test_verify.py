"""What the answers to a file mean for every change that stood in it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from invsync import bulkfile, verify


def judged(folder: Path, reply: dict[str, Any] | None, rows: int = 3) -> list[str]:
    path, result = folder / "adjustments.jsonl", folder / "result.jsonl"
    frame = pl.DataFrame(
        {"inventory_item_id": range(1, rows + 1), "location_id": 7, "delta": 1, "available": 2, "target": 3},
        schema_overrides={"location_id": pl.Int64, "target": pl.Float64},
    )
    path.write_bytes(b"".join(bulkfile.lines(frame, run_id="r")))
    result.write_text("" if reply is None else json.dumps(reply | {"__lineNumber": 0}) + "\n")
    return verify.answers(path, result)["answer"].to_list()


def payload(*faults: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"inventoryAdjustQuantities": {"userErrors": list(faults)}}}


def fault(code: str, place: str) -> dict[str, Any]:
    return {"code": code, "field": ["input", "changes", place, "inventoryItemId"], "message": code}


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        (payload(), ["landed"] * 3),
        (payload(fault("INVALID_INVENTORY_ITEM", "1")), ["innocent", "refused", "innocent"]),
        (payload(fault("CHANGE_FROM_QUANTITY_STALE", "0")), ["stale", "innocent", "innocent"]),
        (payload({"code": "ADJUST_QUANTITIES_FAILED", "field": None, "message": "?"}), ["unplaced"] * 3),
        (payload(fault("INVALID_LOCATION", "9")), ["unplaced"] * 3),
        ({"errors": [{"message": "?", "extensions": {"code": "UNKNOWN_OUTCOME"}}]}, ["unknown"] * 3),
        ({"errors": [{"message": "?", "extensions": {"code": "NOT_SENT"}}]}, ["unknown"] * 3),
        (None, ["unknown"] * 3),
    ],
)
def test_every_change_gets_one_answer(tmp_path: Path, reply: dict[str, Any] | None, answers: list[str]) -> None:
    assert judged(tmp_path, reply) == answers
