"""`run.json`: written and read back as one value, whatever version wrote it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invsync import bulkfile
from invsync.plan import Guarded
from invsync.runs import record
from invsync.runs.record import Record

WHOLE = Record(
    "20261123T131500Z-ab12",
    "acme",
    "hard-sync",
    "done",
    0,
    "2026-11-23T13:15:00Z",
    "2026-11-23T13:16:00Z",
    window={"from": None, "thru": "2026-11-23T13:15:00Z"},
    transport="bulk",
    operation_ids=("gid://shopify/BulkOperation/1",),
    files=(bulkfile.Kept("plan.parquet", "ab", 9, None),),
    guards=(Guarded("max_units", 3, 10, False),),
    messages=("one", "two"),
    locations={"7": "Online"},
    set_aside={"reserved": 2},
    orders_late_since="2026-11-23T11:00:00Z",
    subscriptions_lost=(),
    applies="20261123T120000Z-0000",
)
# As it was written before records had a version.
BEFORE = {
    "run_id": "20260301T120000Z-0001",
    "shop": "acme",
    "job": "push-deltas",
    "status": "partial",
    "exit_code": 4,
    "started_at": "2026-03-01T12:00:00Z",
    "finished_at": "2026-03-01T12:00:09Z",
    "window": None,
    "counts": {
        "read": 3,
        "selected": 3,
        "planned": 1,
        "applied": 1,
        "already_right": 1,
        "superseded": 0,
        "refused": 1,
        "held": 0,
        "unknown": 0,
    },
    "units": {"raised": 2, "lowered": 0},
    "in_flight": {"orders": 0, "units": 0, "pairs": 0},
    "transport": "direct",
    "api_version": "2026-01",
    "operation_ids": [],
    "files": [],
    "guards": [],
    "messages": ["one"],
    "locations": {},
}


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record.write(tmp_path, WHOLE)

    assert record.read(tmp_path) == WHOLE
    assert json.loads((tmp_path / "run.json").read_text())["version"] == record.VERSION


def test_what_a_run_did_not_look_at_is_left_out(tmp_path: Path) -> None:
    written = replace(WHOLE, set_aside=None, orders_late_since=None, subscriptions_lost=None, applies=None).json()

    assert not {"set_aside", "orders_late_since", "subscriptions_lost", "applies", "undoes"} & set(written)
    assert written["transport"] == "bulk"


def test_a_record_without_a_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(BEFORE))
    read = record.read(tmp_path)

    assert read is not None and (read.status, read.exit_code, read.counts["refused"]) == ("partial", 4, 1)
    assert {name: value for name, value in read.json().items() if name != "version"} == BEFORE


@pytest.mark.parametrize("content", ["", "[]", "{", '"done"', "null"], ids=["empty", "a list", "cut", "a text", "null"])
def test_a_file_that_is_no_record_is_a_run_that_failed(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    read = record.read(tmp_path) or Record()

    assert read.status == "failed" and read.exit_code == 5


@pytest.mark.parametrize("name", sorted(BEFORE))
@pytest.mark.parametrize("value", [7.5, "what", ["x"], {"x": []}, None, True], ids=lambda value: type(value).__name__)
def test_a_field_of_another_type_is_as_if_it_were_left_out(name: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(BEFORE | {name: value}))
    read = record.read(tmp_path)

    assert read is not None
    assert Record.of(read.json()).json() == read.json()
