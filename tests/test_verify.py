"""What the answers to a file mean for every change that stood in it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from invsync import bulkfile, verify


def answers(folder: Path, *replies: dict[str, Any], rows: int = 3, size: int = 250) -> pl.DataFrame:
    """ANSWERS of a file of `rows` changes, `size` a line, to which Shopify replied with these result lines."""
    result = folder / "result.jsonl"
    frame = pl.DataFrame(
        {"inventory_item_id": range(1, rows + 1), "location_id": 7, "delta": 1, "available": 2, "target": 3},
        schema_overrides={"location_id": pl.Int64, "target": pl.Float64},
    )
    (path,) = bulkfile.write(frame, folder, run_id="r", size=size)
    result.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    return verify.answers(path, result)


def payload(*faults: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"inventoryAdjustQuantities": {"userErrors": list(faults)}}}


def fault(code: str, place: str) -> dict[str, Any]:
    return {"code": code, "field": ["input", "changes", place, "inventoryItemId"], "message": code}


@pytest.mark.parametrize(
    ("reply", "expected"),
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
def test_every_change_gets_one_answer(tmp_path: Path, reply: dict[str, Any] | None, expected: list[str]) -> None:
    replies = [] if reply is None else [reply | {"__lineNumber": 0}]

    assert answers(tmp_path, *replies)["answer"].to_list() == expected


def test_the_lines_of_a_file_are_joined_with_replies_in_any_order(tmp_path: Path) -> None:
    found = answers(
        tmp_path,
        payload(fault("INVALID_LOCATION", "1"), fault("CHANGE_FROM_QUANTITY_STALE", "0")) | {"__lineNumber": 3},
        {"errors": [{"message": "down", "extensions": {"code": "INTERNAL"}}], "__lineNumber": 2},
        payload() | {"__lineNumber": 0},
        rows=9,
        size=2,
    )

    silent = "Shopify gave no answer to this line"
    assert found.schema == pl.Schema(verify.ANSWERS)
    assert found.drop("location_id").rows() == [
        (1, 0, "landed", None, None),
        (2, 0, "landed", None, None),
        (3, 1, "unknown", None, silent),
        (4, 1, "unknown", None, silent),
        (5, 2, "unplaced", "INTERNAL", "down"),
        (6, 2, "unplaced", "INTERNAL", "down"),
        (7, 3, "stale", "CHANGE_FROM_QUANTITY_STALE", "CHANGE_FROM_QUANTITY_STALE"),
        (8, 3, "refused", "INVALID_LOCATION", "INVALID_LOCATION"),
        (9, 4, "unknown", None, silent),
    ]


def test_two_faults_of_one_change_give_one_answer(tmp_path: Path) -> None:
    twice = payload(fault("INVALID_LOCATION", "1"), fault("INVALID_INVENTORY_ITEM", "1")) | {"__lineNumber": 0}

    assert answers(tmp_path, twice)["code"].to_list() == [None, "INVALID_INVENTORY_ITEM", None]


def test_words_of_shopify_that_look_like_success_are_read_as_words(tmp_path: Path) -> None:
    told = {"code": "INVALID_LOCATION", "field": None, "message": '"userErrors":[] "__lineNumber":7'}

    found = answers(tmp_path, payload(told) | {"__lineNumber": 0})
    assert set(found["message"]) == {told["message"]}


def test_a_file_without_a_result_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "adjustments.jsonl"
    path.write_bytes(b"")

    assert verify.answers(path, tmp_path / "result.jsonl").height == 0
