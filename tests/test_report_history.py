"""What is remembered of every pair over all runs, and that it is remembered once, whatever happens to the folders."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from runfolders import GONE, NOW, leave
from test_charts import outcomes

from invsync import tables
from invsync.site import folders, history, store

RIGHT = {"outcome": "already_right", "delta": 0}


def remembered(root: Path) -> history.History:
    kept = history.load(root / "_site" / "state")
    history.extend(kept, root)
    kept.save()
    return kept


def after(minutes: int) -> Any:
    return NOW + timedelta(minutes=minutes)


def test_a_run_is_one_row_with_its_counts(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"delta": 5}, {"sku": "B", "delta": -2}, RIGHT))
    (run,) = remembered(tmp_path).runs.to_dicts()
    assert (run["shop"], run["job"], run["status"]) == ("acme", "upload-recent-changes", "done")
    assert (run["raised"], run["lowered"], run["already_right"], run["seconds"]) == (5, 2, 1, 7.0)


def test_only_new_runs_are_read(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    remembered(tmp_path)
    leave(tmp_path, outcomes({}), at=after(15))
    kept = history.load(tmp_path / "_site" / "state")
    assert history.extend(kept, tmp_path) == (1, 0)
    assert history.extend(kept, tmp_path) == (0, 0) and kept.runs.height == 2


def test_a_rewritten_run_json_refreshes_the_run_and_repeats_no_event(tmp_path: Path) -> None:
    folder = leave(tmp_path, outcomes({"in_flight": 3}))
    remembered(tmp_path)
    text = (folder / "run.json").read_text().replace('"done"', '"partial"')
    (folder / "run.json").write_text(text)
    kept = remembered(tmp_path)
    assert kept.runs["status"].to_list() == ["partial"]
    assert kept.events("newly").collect()["newly"].to_list() == [3]


def test_a_run_that_is_still_at_work_is_digested_when_it_has_ended(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"in_flight": 3}), status="failed", finished_at=None)
    assert remembered(tmp_path).pairs.is_empty()
    shutil.rmtree(tmp_path / "acme")
    leave(tmp_path, outcomes({"in_flight": 3}))
    assert remembered(tmp_path).events("newly").collect()["newly"].to_list() == [3]


def test_a_build_that_was_cut_off_leaves_no_event_twice(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    history.extend(history.load(tmp_path / "_site" / "state"), tmp_path)
    assert remembered(tmp_path).events().collect().height == 1


def test_a_history_that_another_version_kept_is_made_anew(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    before = remembered(tmp_path)
    older = store.write(before.folder, "pairs", before.pairs.drop("since"))
    store.commit(before.folder, before.files | {"pairs": older})
    kept = remembered(tmp_path)
    assert kept.pairs.height == kept.events().collect().height == kept.runs.height == 1


def test_a_run_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    folder = leave(tmp_path, outcomes({}), at=after(15))
    assert remembered(tmp_path).runs.height == 1
    shutil.rmtree(folder)
    kept = remembered(tmp_path)
    assert kept.runs.is_empty() and kept.events().collect().is_empty()


def test_a_pair_that_was_right_is_no_event_but_its_look_is_kept(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"delta": 5}, RIGHT | {"sku": "B", "inventory_item_id": 2}))
    leave(tmp_path, outcomes(RIGHT), at=after(15))
    kept = remembered(tmp_path)
    assert kept.events("item").collect()["item"].to_list() == ["SKU-1"]
    looks = {row["item"]: (row["at"], row["outcome"]) for row in kept.pairs.to_dicts()}
    assert looks == {"SKU-1": (after(15), "already_right"), "B": (NOW, "already_right")}


@pytest.mark.parametrize("together", [True, False])
def test_units_in_flight_count_once_when_they_are_first_seen(tmp_path: Path, together: bool) -> None:
    for n, units in enumerate([2, 2, 5, 0, 1]):
        leave(tmp_path, outcomes(RIGHT | {"in_flight": units}), at=after(15 * n))
        if not together:
            remembered(tmp_path)
    assert remembered(tmp_path).events("newly").collect()["newly"].to_list() == [2, 3, 1]


@pytest.mark.parametrize("together", [True, False])
def test_a_fault_is_open_since_the_first_of_its_last_row(tmp_path: Path, together: bool) -> None:
    for n, row in enumerate([GONE, {}, GONE, GONE]):
        leave(tmp_path, outcomes(row), at=after(15 * n))
        if not together:
            remembered(tmp_path)
    (pair,) = remembered(tmp_path).pairs.to_dicts()
    assert pair["fault"] and pair["since"] == after(30)
    leave(tmp_path, outcomes({}), at=after(60))
    (pair,) = remembered(tmp_path).pairs.to_dicts()
    assert not pair["fault"] and pair["since"] is None


def test_a_run_that_a_guard_stopped_is_listed_but_does_not_count_as_a_reading_of_the_pair(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(GONE), status="partial")
    stopped = {"outcome": "held", "reason": "guard", "in_flight": 9}
    leave(tmp_path, outcomes(stopped), at=after(15), status="stopped")
    kept = remembered(tmp_path)
    assert kept.pairs.select("outcome", "since").rows() == [("refused", NOW)]
    assert kept.events("reason", "fault").collect().rows() == [(GONE["reason"], True), ("guard", False)]


def test_a_delta_run_does_not_look_at_orders_and_makes_none_new(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(RIGHT | {"in_flight": 3}))
    leave(tmp_path, outcomes({"in_flight": 0}), at=after(5), job="push-deltas")
    leave(tmp_path, outcomes(RIGHT | {"in_flight": 4}), at=after(15))
    assert remembered(tmp_path).events("newly").collect()["newly"].to_list() == [3, 0, 1]


def test_a_run_json_that_cannot_be_read_is_a_failed_run(tmp_path: Path) -> None:
    (leave(tmp_path, outcomes({})) / "run.json").write_text("{")
    (run,) = remembered(tmp_path).runs.to_dicts()
    assert run["status"] == "failed" and run["started_at"] == NOW


@pytest.mark.parametrize("broken", [b"", b"PAR1", None])
def test_one_unreadable_table_does_not_hide_the_others(tmp_path: Path, broken: bytes | None) -> None:
    bad = leave(tmp_path, outcomes({}), at=after(15)) / "outcomes.parquet"
    bad.write_bytes(broken) if broken is not None else pl.DataFrame({"x": [1]}).write_parquet(bad)
    leave(tmp_path, outcomes({"sku": "B"}))
    kept = remembered(tmp_path)
    assert kept.runs.height == 2 and kept.pairs["item"].to_list() == ["B"]


def test_many_runs_are_digested_as_one_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(9):
        leave(tmp_path, outcomes({"in_flight": n % 4}, GONE | {"sku": "B", "inventory_item_id": 2}), at=after(15 * n))
    once = history.load(tmp_path / "once")
    history.extend(once, tmp_path)
    monkeypatch.setattr(history, "FILES", 2)
    parts = history.load(tmp_path / "parts")
    history.extend(parts, tmp_path)
    assert once.pairs.sort("item").equals(parts.pairs.sort("item"))
    assert once.events().collect().sort("at", "item").equals(parts.events().collect().sort("at", "item"))


def test_an_empty_folder_has_no_history(tmp_path: Path) -> None:
    kept = remembered(tmp_path)
    assert kept.runs.is_empty() and kept.events().collect().schema == pl.Schema(history.EVENTS)
    assert folders.looked(tmp_path, kept.runs).equals(tables.empty(folders.LOOKED))
