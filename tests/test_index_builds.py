"""Builds of the index: many small ones equal one, whatever became of the runs, the kept tables, or another process."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from os import utime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from faultseries import leave_series
from runfolders import GONE, NOW, leave, leave_many, outcomes, random_outcomes

from invsync.site import folders, history, index, shards, store
from invsync.vocabulary import ALREADY_RIGHT

PATTERNS = ["index.html", "inbox.html", "_site/*.js"]
STATE = Path("_site") / "state"
BUILD = "import sys; from pathlib import Path; from invsync.site import index; index.build(Path(sys.argv[1]), {})"


def pages(root: Path) -> dict[str, bytes]:
    """Every file that a browser may load."""
    return {path.name: path.read_bytes() for pattern in PATTERNS for path in root.glob(pattern)}


def built(root: Path) -> dict[str, bytes]:
    index.build(root, {}, now=NOW)
    return pages(root)


def anew(root: Path) -> dict[str, bytes]:
    """The pages of a first build of these runs."""
    copy = root.parent / "anew"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("_site", "index.html", "inbox.html"))
    return built(copy)


def run_of(root: Path, at: datetime, **options: Any) -> Path:
    return leave(root, outcomes({"delta": 3}), at=at, **options)


def test_a_build_after_each_few_runs_leaves_the_pages_of_one_build(tmp_path: Path) -> None:
    leave_series(tmp_path / "whole", runs=48)
    runs = sorted((tmp_path / "whole").glob("*/*/*"), key=lambda run: (run.name, run.parts[-3]))
    for n, run in enumerate(runs):
        shutil.copytree(run, tmp_path / "parts" / run.relative_to(tmp_path / "whole"))
        if n % 5 == 0:
            built(tmp_path / "parts")
    assert built(tmp_path / "parts") == built(tmp_path / "whole")


def test_older_months_name_their_shops_when_the_order_of_shops_changes(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    for shop in ("acme", "birch"):
        run_of(root, NOW - timedelta(days=62), shop=shop)
    built(root)
    leave(root, outcomes(GONE), shop="birch", status="partial")  # now the worst, so the first
    run_of(root, NOW, shop="acme", job="hard-sync")
    assert built(root) == anew(root)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [flipped, cut, Path.unlink])
@pytest.mark.parametrize("table", ["runs.*", "pairs.*", "faults.*", "events-*", store.LIST])
def test_damaged_tables_are_made_anew(tmp_path: Path, table: str, damage: Callable[[Path], None]) -> None:
    root = tmp_path / "reports"
    leave_many(root, 12)
    pages_before = built(root)
    damage(next((root / STATE).glob(table)))
    assert index.build(root, {}, now=NOW).fresh == 12 and pages(root) == pages_before
    assert index.build(root, {}, now=NOW).fresh == 0


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"version": 0, "files": {}}', '{"version": 1, "files": {"runs": "../x"}}']
)
def test_a_list_of_tables_that_another_version_or_program_wrote_is_not_used(tmp_path: Path, text: str) -> None:
    root = tmp_path / "reports"
    run_of(root, NOW)
    pages_before = built(root)
    (root / STATE / store.LIST).write_text(text)
    assert index.build(root, {}, now=NOW).fresh == 1 and pages(root) == pages_before


def test_tables_of_other_reports_are_brought_up_to_these(tmp_path: Path) -> None:
    leave_many(tmp_path / "other", 5, shops=("cedar",))
    run_of(tmp_path / "reports", NOW)
    built(tmp_path / "other")
    shutil.copytree(tmp_path / "other" / "_site", tmp_path / "reports" / "_site")
    made = index.build(tmp_path / "reports", {}, now=NOW)
    assert (made.runs, made.fresh, made.gone) == (1, 1, 5)


def test_scripts_of_another_version_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "reports"
    run_of(root, NOW)
    (script,) = (root / "_site").glob("items-*.js") if built(root) else ()
    script.write_text("of an older version")
    monkeypatch.setattr(index, "__version__", "999")
    assert b"older version" not in built(root)[script.name]


def test_a_month_whose_script_is_gone_is_written_again(tmp_path: Path) -> None:
    run_of(tmp_path, NOW)
    pages_before = built(tmp_path)
    (tmp_path / "_site" / f"runs-{NOW:%Y-%m}.js").unlink()
    assert built(tmp_path) == pages_before


@pytest.mark.parametrize("seconds", [-86_400, 0, 86_400])
def test_a_rewritten_run_is_noticed_wherever_the_clock_stands(tmp_path: Path, seconds: int) -> None:
    root = tmp_path / "reports"
    record, old = run_of(root, NOW - timedelta(days=90)) / "run.json", run_of(root, NOW)
    assert old and built(root)
    written = record.stat().st_mtime_ns
    record.write_text(record.read_text().replace('"done"', '"failed"'))
    utime(record, ns=(written, written + seconds * 10**9))
    assert index.build(root, {}, now=NOW).fresh == 1 and pages(root) == anew(root)


def test_a_run_that_is_said_to_have_begun_in_another_month_leaves_the_list_of_its_old_one(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    record = run_of(root, NOW) / "run.json"
    run_of(root, NOW + timedelta(minutes=15))
    built(root)
    record.write_text(record.read_text().replace("2026-11-", "2026-10-"))
    scripts, first = built(root), anew(root)
    assert all(scripts[f"runs-{month}.js"] == first[f"runs-{month}.js"] for month in ("2026-10", "2026-11"))


def test_a_run_that_arrives_late_in_an_old_month_is_listed_there(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    run_of(root, NOW)
    built(root)
    late = run_of(root, NOW - timedelta(days=90))
    pages_after = built(root)
    assert late.name.encode() in pages_after[f"runs-{NOW - timedelta(days=90):%Y-%m}.js"]
    shutil.rmtree(late)
    assert index.build(root, {}, now=NOW).gone == 1
    assert late.name.encode() not in built(root)[f"runs-{NOW - timedelta(days=90):%Y-%m}.js"]


def test_with_nothing_new_no_file_is_touched(tmp_path: Path) -> None:
    leave_many(tmp_path, 12)
    built(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != store.LOCK}
    built(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_build_that_was_killed_leaves_the_tables_of_the_one_before(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    leave(root, outcomes({"in_flight": 2}))
    built(root)
    leave(root, outcomes({"in_flight": 5}), at=NOW + timedelta(minutes=15))
    history.extend(history.load(root / STATE), root)  # and was killed before it saved
    (root / STATE / "pairs.4711.part").write_bytes(b"half of a table")
    assert history.load(root / STATE).runs.height == 1
    assert built(root) == anew(root)
    files = history.load(root / STATE).files.values()
    assert {path.name for path in (root / STATE).iterdir()} == {*files, store.LIST, store.LOCK}


def test_a_build_that_was_killed_before_its_scripts_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "reports"
    leave_many(root, 6)
    built(root)
    run_of(root, NOW + timedelta(minutes=15))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shards, "write", interrupted)
        built(root)
    assert built(root) == anew(root)


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_builds_at_the_same_time_leave_what_one_would(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    leave_many(root, 30)
    builds = [subprocess.Popen([sys.executable, "-c", BUILD, str(root)]) for _ in range(3)]
    assert [build.wait(120) for build in builds] == [0, 0, 0]
    assert built(root) == anew(root)


def test_looks_become_events_as_a_plain_loop_makes_them(tmp_path: Path) -> None:
    dice = random.Random(11)
    for n in range(40):
        rows = random_outcomes(dice, 9, items=6).unique(["inventory_item_id", "location_id"], maintain_order=True)
        leave(tmp_path, rows.with_columns(target=pl.lit(dice.choice([0.0, 4.0]))), at=NOW + timedelta(minutes=n))
    kept = history.load(tmp_path / STATE)
    history.extend(kept, tmp_path)
    looks = folders.looked(tmp_path, kept.runs).sort("at")
    events = kept.events("path", "item", "location_id", "newly", "exposed").collect()
    assert sorted(events.iter_rows()) == sorted(plain(looks))


def plain(looks: pl.DataFrame) -> list[tuple[str, str, int, int, int]]:
    """Path, item, location, units newly in flight and exposed, of each look that is an event."""
    events, last = [], {}
    for row in looks.iter_rows(named=True):
        pair = (row["product_id"], row["location_id"])
        flight, sold_out = last.get(pair, (0, False))
        newly, is_out = max(0, row["in_flight"] - flight), row["target"] <= 0
        exposed = (newly + (0 if sold_out else flight)) if is_out else 0
        last[pair] = row["in_flight"], is_out
        if row["outcome"] != ALREADY_RIGHT or newly or exposed:
            events.append((row["path"], row["item"], row["location_id"], newly, exposed))
    return events


def test_the_newest_events_of_an_item_are_those_of_all_months(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "EVENTS_AN_ITEM", 3)
    for days in range(0, 120, 20):
        leave(tmp_path, outcomes({"delta": 1}, {"sku": "B", "inventory_item_id": 2}), at=NOW - timedelta(days=days))
    kept = history.load(tmp_path / STATE)
    history.extend(kept, tmp_path)
    names = pl.DataFrame({"item": ["SKU-1"], "key": ["sku-1"], "place": [0]})
    newest = shards._newest(kept, names)["at"].to_list()
    assert newest == [NOW - timedelta(days=days) for days in (0, 20, 40)]
