"""What the answers to a file mean for every change that stood in it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import NOW, levels, rows

from invsync import bulkfile, tables, verify
from invsync.errors import SystemFailed

LAPSED = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"
SILENT = "Shopify gave no answer to this line"


def answers(folder: Path, *replies: dict[str, Any] | str, changes: int = 3, size: int = 250) -> pl.DataFrame:
    """ANSWERS of a file of as many changes, `size` a line, to which Shopify replied with these result lines."""
    result = folder / "result.jsonl"
    frame = pl.DataFrame(
        {"inventory_item_id": range(1, changes + 1), "location_id": 7, "delta": 1, "available": 2, "target": 3},
        schema_overrides={"location_id": pl.Int64, "target": pl.Float64},
    )
    (path,) = bulkfile.write(frame, folder, run_id="r", size=size)
    lines = (reply if isinstance(reply, str) else json.dumps(reply) for reply in replies)
    result.write_text("".join(line + "\n" for line in lines))
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
        (payload(fault("INVALID_LOCATION", "3")), ["unplaced"] * 3),
        (payload(fault("INVALID_LOCATION", "first")), ["unplaced"] * 3),
        (payload({"code": "INVALID_REASON", "field": ["input", "changes"], "message": "?"}), ["unplaced"] * 3),
        (payload({"code": "INVALID_REASON", "field": ["input", "1"], "message": "?"}), ["unplaced"] * 3),
        (payload(fault("INVALID_LOCATION", "2"), {"code": "X", "message": "?"}), ["innocent", "innocent", "refused"]),
        (payload({"code": LAPSED, "field": None, "message": "?"}), ["stale"] * 3),
        ({"data": None, "errors": [{"message": "?"}]}, ["unplaced"] * 3),
        ({}, ["unplaced"] * 3),
        ({"errors": [{"message": "?", "extensions": {"code": "UNKNOWN_OUTCOME"}}]}, ["unknown"] * 3),
        ({"errors": [{"message": "?", "extensions": {"code": "NOT_SENT"}}]}, ["unknown"] * 3),
        (None, ["unknown"] * 3),
    ],
)
def test_every_change_gets_one_answer(tmp_path: Path, reply: dict[str, Any] | None, expected: list[str]) -> None:
    replies = [] if reply is None else [reply | {"__lineNumber": 0}]

    assert answers(tmp_path, *replies)["answer"].to_list() == expected


def test_the_lines_of_a_file_are_joined_with_replies_in_any_order(tmp_path: Path) -> None:
    seen = answers(
        tmp_path,
        payload(fault("INVALID_LOCATION", "1"), fault("CHANGE_FROM_QUANTITY_STALE", "0")) | {"__lineNumber": 3},
        {"errors": [{"message": "down", "extensions": {"code": "INTERNAL"}}], "__lineNumber": 2},
        payload() | {"__lineNumber": 0},
        changes=9,
        size=2,
    )

    assert seen.schema == pl.Schema(verify.ANSWERS)
    assert seen.drop("location_id").rows() == [
        (1, 0, "landed", None, None),
        (2, 0, "landed", None, None),
        (3, 1, "unknown", None, SILENT),
        (4, 1, "unknown", None, SILENT),
        (5, 2, "unplaced", "INTERNAL", "down"),
        (6, 2, "unplaced", "INTERNAL", "down"),
        (7, 3, "stale", "CHANGE_FROM_QUANTITY_STALE", "CHANGE_FROM_QUANTITY_STALE"),
        (8, 3, "refused", "INVALID_LOCATION", "INVALID_LOCATION"),
        (9, 4, "unknown", None, SILENT),
    ]


def test_the_one_change_of_a_line_needs_no_name(tmp_path: Path) -> None:
    refusal = payload({"code": "INVALID_LOCATION", "field": None, "message": "gone"}) | {"__lineNumber": 0}

    seen = answers(tmp_path, refusal, changes=1)
    assert seen.select("answer", "code", "message").rows() == [("refused", "INVALID_LOCATION", "gone")]


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        ({"errors": [{"message": "?", "extensions": {"code": "NOT_SENT"}}]}, "NOT_SENT", "?"),
        ({"errors": [], "data": None}, None, SILENT),
        (payload({"code": "INVALID_REASON", "message": "no"}, fault("X", "9")), "INVALID_REASON", "no"),
        (payload({"code": "X"}, {"code": LAPSED, "message": "used up"}), LAPSED, "used up"),
    ],
    ids=["no answer", "an answer without words", "the first of two faults", "a key that is used up"],
)
def test_an_answer_to_a_whole_line_keeps_the_words_of_shopify(
    tmp_path: Path, reply: dict[str, Any], code: str | None, message: str
) -> None:
    seen = answers(tmp_path, reply | {"__lineNumber": 0})

    assert seen.select("code", "message").unique().rows() == [(code, message)]


def test_a_place_that_the_line_of_one_change_has_not_is_unplaced(tmp_path: Path) -> None:
    refusal = payload(fault("INVALID_LOCATION", "1")) | {"__lineNumber": 0}

    assert answers(tmp_path, refusal, changes=1)["answer"].to_list() == ["unplaced"]


def test_a_success_is_read_however_it_is_spaced(tmp_path: Path) -> None:
    spaced = '{"data": {"inventoryAdjustQuantities": {"userErrors": [ ]}}, "__lineNumber": 0}'

    assert answers(tmp_path, spaced)["answer"].to_list() == ["landed"] * 3


def test_a_blank_line_of_the_result_is_passed_over(tmp_path: Path) -> None:
    assert answers(tmp_path, payload() | {"__lineNumber": 0}, "")["answer"].to_list() == ["landed"] * 3


def test_two_faults_of_one_change_give_one_answer(tmp_path: Path) -> None:
    twice = payload(fault("INVALID_LOCATION", "1"), fault("INVALID_INVENTORY_ITEM", "1")) | {"__lineNumber": 0}

    assert answers(tmp_path, twice)["code"].to_list() == [None, "INVALID_INVENTORY_ITEM", None]


def test_words_of_shopify_that_look_like_success_are_read_as_words(tmp_path: Path) -> None:
    refusal = {"code": "INVALID_LOCATION", "field": None, "message": '"userErrors":[] "__lineNumber":7'}

    seen = answers(tmp_path, payload(refusal) | {"__lineNumber": 0})
    assert set(seen["message"]) == {refusal["message"]}


def test_a_file_without_a_result_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "adjustments.jsonl"
    path.write_bytes(b"")

    assert verify.answers(path, tmp_path / "result.jsonl").height == 0


def landed(*changes: tuple[int, int, int]) -> pl.DataFrame:
    """VARIANCES from (item, available, delta), all at location 7."""
    frame = rows(tables.VARIANCES, *((item, 7) for item, _, _ in changes))
    return frame.with_columns(
        available=pl.Series([available for _, available, _ in changes], dtype=pl.Int64),
        delta=pl.Series([delta for _, _, delta in changes], dtype=pl.Int64),
    )


def test_what_landed_is_judged_by_what_shopify_shows_afterwards() -> None:
    shown = levels((1, 7, 5), (2, 7, 4), (3, 7, None), (1, 8, 99)).with_columns(available_at=pl.lit(NOW))

    seen = verify.read_back(landed((1, 3, 2), (2, 3, 2), (3, 3, 2), (4, 3, 2)), shown)
    assert seen.schema == pl.Schema(tables.OUTCOMES)
    assert seen.select("inventory_item_id", "outcome", "reason", "message", "after", "after_at").rows() == [
        (1, "applied", None, None, 5, NOW),
        (2, "superseded", "moved_after_the_write", None, 4, NOW),
        (3, "unknown", None, None, None, NOW),
        (4, "unknown", None, None, None, None),
    ]


def test_a_table_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(SystemFailed, match=r"Table landed lacks the column\(s\) oms"):
        verify.read_back(landed((1, 3, 2)).drop("oms"), levels())


def test_what_another_system_wrote_over_is_held() -> None:
    moved = verify.read_back(landed((1, 3, 2)), levels((1, 7, 4)))

    assert verify.overwritten(moved).select("outcome", "reason", "after").rows() == [("held", "overwritten", 4)]


def test_an_outcome_of_many_rows_shows_what_was_read() -> None:
    plain = verify.outcome(landed((1, 3, 2)), "refused")
    named = verify.outcome(landed((1, 3, 2)), "held", reason=pl.lit("guard"), message=pl.lit("stopped"))

    assert plain.schema == named.schema == pl.Schema(tables.OUTCOMES)
    columns = ["outcome", "reason", "message", "after", "after_at"]
    assert plain.select(columns).rows() == [("refused", None, None, 3, None)]
    assert named.select(columns).rows() == [("held", "guard", "stopped", 3, None)]
