"""The file that is uploaded: its bytes, its order, its keys, and what it says when it is read again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import builders
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from invsync import bulkfile, tables
from invsync.jobs import delivery

GOLDEN = Path(__file__).parent / "golden" / "adjustments.jsonl"
CHANGE = st.tuples(
    st.integers(1, 2**63 - 1),
    st.integers(1, 10**12),
    st.integers(-(2**31), 2**31),
    st.integers(-(2**31), 2**31),
    st.sampled_from(["correction", "cycle_count_available", "damaged"]),
)


def frame(*changes: tuple[Any, ...]) -> pl.DataFrame:
    """Adjustments from (item, location, delta, available, reason), a reason column only where it is given."""
    names = ["inventory_item_id", "location_id", "delta", "available", "shopify_reason"]
    schema = dict.fromkeys(names[:4], pl.Int64()) | {"shopify_reason": pl.String()}
    plan = pl.DataFrame(changes, schema=schema, orient="row")
    plan = plan.with_columns(target=(pl.col("available") + pl.col("delta")).cast(pl.Float64))
    return plan.drop(name for name in names if changes and plan[name].is_null().all())


def rows(n: int) -> pl.DataFrame:
    return frame(*((item, 7, -5, 100, None) for item in range(1, n + 1)))


def parsed(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.open()]


def test_a_small_plan_gives_these_bytes(tmp_path: Path) -> None:
    plan = frame(
        (41008149659729, 67439100001, 5, 25, None),
        (41008149659727, 67439100001, -5, 100, None),
        (41008149659731, 67439100002, -3, 3, None),
        (41008149659730, 67439100002, 2, -1, None),
        (41008149659728, 67439100001, 1, 0, None),
    )
    (path,) = bulkfile.write(plan, tmp_path, run_id="20260302T120000Z-ab12", size=2)

    assert path.read_bytes() == GOLDEN.read_bytes()


def test_a_line_holds_the_variables_of_one_mutation_in_a_fixed_order() -> None:
    (line,) = bulkfile.lines(rows(1), run_id="20260101T000000Z-ab12")

    parsed = json.loads(line)
    assert list(parsed) == ["input", "idempotencyKey"]
    assert parsed["input"] == {
        "name": "available",
        "reason": "correction",
        "referenceDocumentUri": "gid://invsync/Run/20260101T000000Z-ab12",
        "changes": [
            {
                "inventoryItemId": "gid://shopify/InventoryItem/1",
                "locationId": "gid://shopify/Location/7",
                "delta": -5,
                "changeFromQuantity": 100,
            }
        ],
    }


def test_250_changes_a_line_and_distinct_keys() -> None:
    parsed = [json.loads(line) for line in bulkfile.lines(rows(501), run_id="r")]

    assert [len(line["input"]["changes"]) for line in parsed] == [250, 250, 1]
    assert len({line["idempotencyKey"] for line in parsed}) == 3


def test_the_same_rows_of_the_same_run_give_the_same_bytes() -> None:
    assert list(bulkfile.lines(rows(300), run_id="r")) == list(bulkfile.lines(rows(300), run_id="r"))
    assert list(bulkfile.lines(rows(1), run_id="r")) != list(bulkfile.lines(rows(1), run_id="s"))


def test_the_key_follows_the_run_the_part_and_the_content() -> None:
    def key(changes: pl.DataFrame, run_id: str, part: int) -> str:
        return str(json.loads(next(bulkfile.lines(changes, run_id=run_id, part=part)))["idempotencyKey"])

    other = rows(1).with_columns(delta=pl.lit(-6))
    assert len({key(rows(1), "r", 1), key(rows(1), "s", 1), key(rows(1), "r", 2), key(other, "r", 1)}) == 4


def test_an_unguarded_change_carries_an_explicit_null() -> None:
    (line,) = bulkfile.lines(rows(1), run_id="r", guarded=False)

    assert json.loads(line)["input"]["changes"][0]["changeFromQuantity"] is None


@pytest.mark.parametrize("size", [1, 2, 250])
def test_a_line_holds_one_reason_and_lines_come_by_their_smallest_target(tmp_path: Path, size: int) -> None:
    plan = frame(*((n, 7, 0, n * 7 % 10, ("damaged", "other", "correction")[n % 3]) for n in range(30)))
    (path,) = bulkfile.write(plan, tmp_path, run_id="r", size=size)

    targets = [[c["changeFromQuantity"] for c in line["input"]["changes"]] for line in parsed(path)]
    assert len(targets) == 3 * -(-10 // size)
    assert all(line == sorted(line) for line in targets)
    assert [line[0] for line in targets] == sorted(line[0] for line in targets)
    sent = {(c["inventoryItemId"], line["input"]["reason"]) for line in parsed(path) for c in line["input"]["changes"]}
    ids = plan["inventory_item_id"].cast(pl.String)
    assert sent == set(zip("gid://shopify/InventoryItem/" + ids, plan["shopify_reason"], strict=True))


def test_the_line_of_the_smallest_target_comes_first_whatever_else_it_holds() -> None:
    plan = frame((1, 7, 0, 0, "damaged"), (2, 7, 0, 9, "damaged"), (3, 7, 0, 1, "other"), (4, 7, 0, 2, "other"))

    lines = [json.loads(line) for line in bulkfile.lines(plan, run_id="r")]
    assert [line["input"]["reason"] for line in lines] == ["damaged", "other"]


@given(changes=st.lists(CHANGE, max_size=40), size=st.integers(1, 9), guarded=st.booleans())
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[Any, ...]], size: int, guarded: bool
) -> None:
    plan, folder = frame(*changes), tmp_path_factory.mktemp("run")
    paths = bulkfile.write(plan, folder, run_id="r", size=size, guarded=guarded, limit=2000)

    lines = parsed(*paths)
    assert sum(len(line["input"]["changes"]) for line in lines) == plan.height
    assert all(len(line["input"]["changes"]) <= size for line in lines)
    seen = pl.concat(bulkfile.read(path) for path in paths)
    was = pl.col("available") if guarded else pl.lit(None, dtype=pl.Int64)
    wanted = plan.select("inventory_item_id", "location_id", "delta", changed_from=was, shopify_reason="shopify_reason")
    assert seen.schema == pl.Schema(bulkfile.CHANGES)
    assert_frame_equal(seen.drop("line"), wanted, check_row_order=False)


def test_a_change_is_read_with_the_line_that_it_stands_on(tmp_path: Path) -> None:
    (path,) = bulkfile.write(rows(5), tmp_path, run_id="r", size=2)

    assert bulkfile.read(path)["line"].to_list() == [0, 0, 1, 1, 2]


def test_files_split_below_the_limit_are_equal_and_lose_no_row(tmp_path: Path) -> None:
    paths = bulkfile.write(rows(2100), tmp_path, run_id="r", limit=120_000)

    assert [path.name for path in paths] == ["adjustments.jsonl", "adjustments-2.jsonl", "adjustments-3.jsonl"]
    assert all(path.stat().st_size <= 120_000 for path in paths)
    assert [bulkfile.kept(path).lines for path in paths] == [3, 3, 3]
    assert pl.concat(map(bulkfile.read, paths))["inventory_item_id"].to_list() == list(range(1, 2101))


def test_no_file_is_larger_than_the_limit_by_a_byte(tmp_path: Path) -> None:
    wide = ((10**15 + n, 10**11, -50_000, 60_000, "cycle_count_available") for n in range(200))
    plan = frame((1, 7, -5, 100, "damaged"), *wide)
    limit = 200 * max(len(line) for line in bulkfile.lines(plan, run_id="r", size=1))

    paths = bulkfile.write(plan, tmp_path, run_id="r", size=1, limit=limit)
    assert len(paths) == 2
    assert all(path.stat().st_size <= limit for path in paths)


def test_a_line_that_is_larger_than_the_limit_has_a_file_of_its_own(tmp_path: Path) -> None:
    paths = bulkfile.write(rows(3), tmp_path, run_id="r", size=1, limit=1)

    assert [bulkfile.kept(path).lines for path in paths] == [1, 1, 1]


def test_a_file_holds_the_lines_of_its_part(tmp_path: Path) -> None:
    first, second = bulkfile.write(rows(2), tmp_path, run_id="r", size=1, limit=1)

    assert first.read_bytes() == b"".join(bulkfile.lines(rows(1), run_id="r"))
    assert second.read_bytes() == b"".join(bulkfile.lines(rows(2).tail(1), run_id="r", part=2))


def test_lines_are_counted_in_files_of_lines_alone(tmp_path: Path) -> None:
    for name, lines in [("a.jsonl", 2), ("a.graphql", 2), ("a.html", None)]:
        (tmp_path / name).write_bytes(b"1\n2\n")
        kept = bulkfile.kept(tmp_path / name)
        assert (kept.name, kept.bytes, kept.lines) == (name, 4, lines)
        assert kept.sha256 == hashlib.sha256(b"1\n2\n").hexdigest()


def test_a_later_part_takes_the_next_name(tmp_path: Path) -> None:
    assert [path.name for path in bulkfile.write(rows(1), tmp_path, run_id="r", first_part=3)] == [
        "adjustments-3.jsonl"
    ]


def test_no_rows_make_one_empty_file(tmp_path: Path) -> None:
    (path,) = bulkfile.write(rows(0), tmp_path, run_id="r")

    assert path.read_bytes() == b""
    assert bulkfile.kept(path).lines == 0
    assert bulkfile.read(path).height == 0


def test_a_file_of_an_older_version_is_completed_from_its_own_plan(tmp_path: Path) -> None:
    """Its plan has no column for what is set aside: what was planned is sent again all the same."""
    planned = builders.rows(tables.VARIANCES, (1, 7, "P1", "A", "aggregate", 5.0), available=3, delta=2, target=5.0)
    (path,) = bulkfile.write(planned, tmp_path, run_id="R", first_part=1)
    planned.drop("set_aside", "debt").write_parquet(tmp_path / "plan.parquet")

    completed = delivery.rows_of(path)

    assert completed.select("product_id", "available", "delta", "set_aside").rows() == [("P1", 3, 2, None)]
