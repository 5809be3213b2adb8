import json
from pathlib import Path

import polars as pl

from invsync import bulkfile


def rows(n: int) -> pl.DataFrame:
    return pl.DataFrame({
        "inventory_item_id": range(1, n + 1), "location_id": [7] * n, "delta": [-5] * n, "available": [100] * n,
    })  # fmt: skip


def test_a_line_holds_the_variables_of_one_mutation_in_a_fixed_order() -> None:
    (line,) = bulkfile.lines(rows(1), run_id="20260101T000000Z-ab12")

    parsed = json.loads(line)
    assert list(parsed) == ["input", "idempotencyKey"]
    assert parsed["input"] == {
        "name": "available", "reason": "correction", "referenceDocumentUri": "gid://invsync/Run/20260101T000000Z-ab12",
        "changes": [{"inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": "gid://shopify/Location/7",
                     "delta": -5, "changeFromQuantity": 100}],
    }  # fmt: skip


def test_250_changes_a_line_and_distinct_keys() -> None:
    parsed = [json.loads(line) for line in bulkfile.lines(rows(501), run_id="r")]

    assert [len(line["input"]["changes"]) for line in parsed] == [250, 250, 1]
    assert len({line["idempotencyKey"] for line in parsed}) == 3


def test_the_same_rows_of_the_same_run_give_the_same_bytes() -> None:
    assert list(bulkfile.lines(rows(300), run_id="r")) == list(bulkfile.lines(rows(300), run_id="r"))
    assert list(bulkfile.lines(rows(1), run_id="r")) != list(bulkfile.lines(rows(1), run_id="s"))


def test_an_unguarded_change_carries_an_explicit_null() -> None:
    (line,) = bulkfile.lines(rows(1), run_id="r", guarded=False)

    assert json.loads(line)["input"]["changes"][0]["changeFromQuantity"] is None


def test_files_split_below_the_limit_and_lose_no_row(tmp_path: Path) -> None:
    paths = bulkfile.write(rows(2000), tmp_path, run_id="r", limit=200_000)

    assert [path.name for path in paths] == [
        f"adjustments{'' if n == 1 else f'-{n}'}.jsonl" for n in range(1, len(paths) + 1)
    ]
    assert len(paths) > 1 and all(path.stat().st_size <= 200_000 for path in paths)
    changes = [c for path in paths for line in path.open() for c in json.loads(line)["input"]["changes"]]
    assert len({c["inventoryItemId"] for c in changes}) == 2000


def test_no_rows_make_one_empty_file(tmp_path: Path) -> None:
    (path,) = bulkfile.write(rows(0), tmp_path, run_id="r")

    assert path.read_bytes() == b""
    assert bulkfile.kept(path).lines == 0
