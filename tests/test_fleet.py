"""The shops of the index: their health, its order and its figures, each worked out again by a plain loop."""

import html
import json
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from runfolders import GONE, NOW, leave
from test_charts import outcomes

from invsync import tables
from invsync.charts import NONE, Reader
from invsync.config import settings
from invsync.schedule import table
from invsync.site import fleet, index
from invsync.site.fleet import Due
from invsync.vocabulary import HEALTHS

RECENT, HARD = "upload-recent-changes", "hard-sync"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROWS = re.compile(r'<tr role="row" data-name="([^"]+)" data-health="([^"]+)">(.*?)</tr>', re.DOTALL)


def due(since: Any = NOW - 2 * HOUR, job: str = RECENT) -> Due:
    return Due(job, since, NOW + 15 * MINUTE)


def rows(root: Path, dues: fleet.Dues | None = None) -> dict[str, tuple[str, str]]:
    """The health and the text of each row of the page, in its order."""
    index.build(root, {}, now=NOW, dues=dues)
    page = (root / "index.html").read_text(encoding="utf-8")
    plain = {name: html.unescape(re.sub(r"<[^>]+>", " ", text)) for name, _, text in ROWS.findall(page)}
    return {name: (health, " ".join(plain[name].split())) for name, health, _ in ROWS.findall(page)}


def orders(folder: Path, *minutes: int) -> None:
    """Orders in flight, this many minutes old when the run of this folder began."""
    at = NOW.strptime(folder.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=NOW.tzinfo)
    made = [(1, "#1", at - minute * MINUTE, 1, 10, 1, None) for minute in minutes]
    pl.DataFrame(made, schema=tables.IN_FLIGHT, orient="row").write_parquet(folder / "in_flight.parquet")


def spent(folder: Path, points: float, rate: float) -> None:
    (folder / "telemetry.json").write_text(json.dumps({"steps": [], "points": points, "restore_rate": rate}))


# -- health


@pytest.mark.parametrize(
    ("status", "frame", "dues", "health"),
    [
        ("done", outcomes({}), [due()], "right"),
        ("done", outcomes({}), [], "right"),
        ("partial", outcomes(GONE), [due()], "needs_you"),
        ("done", outcomes({}), [due(NOW + HOUR)], "late"),
        ("partial", outcomes(GONE), [due(NOW + HOUR)], "late"),
        ("failed", outcomes({}).clear(), [due(NOW + HOUR)], "failing"),
        ("stopped", outcomes({}).clear(), [due()], "failing"),
        ("planned", outcomes({}), [], "rehearsed"),
        ("planned", outcomes({}), [due()], "late"),
    ],
)
def test_the_health_of_a_shop(tmp_path: Path, status: str, frame: pl.DataFrame, dues: list[Due], health: str) -> None:
    leave(tmp_path, frame, status=status)

    assert rows(tmp_path, {"acme": dues})["acme"][0] == health


def test_a_shop_that_has_never_run_is_listed_with_the_time_of_its_first_run(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    page = rows(tmp_path, {"acme": [due()], "cedar": [due()]})

    assert page["cedar"][0] == "never_run"
    assert "Upload recent changes never next 1:30" in page["cedar"][1].replace("\u202f", " ")


def test_without_any_run_the_page_says_so(tmp_path: Path) -> None:
    assert rows(tmp_path, {"cedar": [due()]})["cedar"][0] == "never_run"
    assert "No run has left a report here yet." in (tmp_path / "index.html").read_text()


def test_the_worst_shop_comes_first(tmp_path: Path) -> None:
    for name, status in {"a": "done", "b": "partial", "c": "done", "d": "failed", "e": "done"}.items():
        leave(tmp_path, outcomes(GONE if status == "partial" else {}), shop=name, status=status)

    page = rows(tmp_path, {"c": [due(NOW + HOUR)], "f": [due()]})

    assert [health for health, _ in page.values()] == ["failing", "late", "never_run", "needs_you", "right", "right"]
    assert list(page) == ["d", "c", "f", "b", "a", "e"]


def test_a_late_shop_is_in_the_first_sentence_and_says_what_is_missing(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    page = rows(tmp_path, {"acme": [due(NOW + HOUR), due(job=HARD)]})

    assert "acme is late: a job has missed two of its times." in (tmp_path / "index.html").read_text()
    assert page["acme"][1].startswith("acme ■ late no upload recent changes has finished since Nov 23, 2026, 2:15")


def test_a_look_of_shadow_mode_is_a_run_of_its_job_and_a_rehearsal_is_none(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}), shop="watched", job="shadow", status="planned")
    leave(tmp_path, outcomes({}), shop="tried", status="planned")

    page = rows(tmp_path, {"watched": [due(job="shadow")], "tried": [due()]})

    assert [page[name][0] for name in ("watched", "tried")] == ["rehearsed", "late"]


def test_the_page_agrees_with_the_schedule_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "invsync.toml"
    config.write_text(
        '[shops.acme]\ndomain = "acme.myshopify.com"\ntoken_env = "T"\noms.shop_id = "A"\n'
        '[shops.acme.schedule]\nupload_recent_changes = "*/15 * * * *"\nhard_sync = "0 3 * * *"\n'
    )
    recent, hard = table.dues(settings.load(config), NOW)["acme"]

    assert (recent.since, recent.next) == (NOW.replace(hour=12, minute=45), NOW.replace(hour=13, minute=30))
    assert (hard.since, hard.next) == (
        NOW.replace(hour=3, minute=0) - timedelta(days=1),
        NOW.replace(hour=3, minute=0) + timedelta(days=1),
    )


# -- figures


def test_each_figure_equals_a_plain_loop_over_the_folders(tmp_path: Path) -> None:
    dice, made = random.Random(7), {}
    for number in range(12):
        name, at = f"shop{number}", NOW - dice.randrange(60) * MINUTE
        made[name] = [run_of(tmp_path, name, job, at + n * 15 * MINUTE, dice) for job in (RECENT, HARD) for n in (0, 1)]
    page = rows(tmp_path)

    for name, folders in made.items():
        right, every = judged(folders)
        assert f"{right} of {every}" in page[name][1]
        assert f"oldest order {Reader().span(age(folders))}" in page[name][1]
        assert page[name][1].replace("\u00a0", " ").endswith(Reader().share(share(folders)).replace("\u00a0", " "))


def run_of(root: Path, shop: str, job: str, at: Any, dice: random.Random) -> Path:
    at += (job == HARD) * MINUTE
    kinds: list[dict[str, Any]] = [{}, {"delta": 2}, {"outcome": "held", "reason": "deferred", "delta": 1}, GONE]
    frame = outcomes(
        *(
            dice.choice(kinds) | {"inventory_item_id": item, "sku": f"S{item}", "product_id": f"P{item}"}
            for item in dice.sample(range(30), 12)
        )
    )
    folder = leave(root, frame, shop=shop, job=job, at=at)
    orders(folder, *(dice.randrange(1, 500) for _ in range(3)))
    spent(folder, dice.randrange(10, 900), dice.choice([50.0, 100.0]))
    return folder


def judged(folders: list[Path]) -> tuple[int, int]:
    last: dict[int, str] = {}
    for folder in sorted(folders, key=lambda folder: folder.name):
        for row in pl.read_parquet(folder / "outcomes.parquet").to_dicts():
            last[row["inventory_item_id"]] = row["outcome"]
    return sum(outcome in ("applied", "already_right", "superseded") for outcome in last.values()), len(last)


def age(folders: list[Path]) -> timedelta:
    newest = max(folders, key=lambda folder: folder.name)
    began = NOW.strptime(newest.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=NOW.tzinfo)
    oldest = min(row["created_at"] for row in pl.read_parquet(newest / "in_flight.parquet").to_dicts())
    return began + timedelta(seconds=7) - oldest


def share(folders: list[Path]) -> float:
    total = 0.0
    for job in (RECENT, HARD):
        newest = max((folder for folder in folders if folder.parent.name == job), key=lambda folder: folder.name)
        facts = json.loads((newest / "telemetry.json").read_text())
        total += facts["points"] / (facts["restore_rate"] * 15 * 60)
    return total


def test_what_no_run_measured_is_a_dash(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    text = rows(tmp_path)["acme"][1]

    assert text.endswith(NONE) and "oldest order" not in text


def test_money_at_risk_is_the_sum_over_the_faults_of_the_shop(tmp_path: Path) -> None:
    priced = [
        GONE | {"inventory_item_id": n, "product_id": f"P{n}", "target": 10.0, "available": 10 + n, "after": None}
        for n in (1, 2, 3)
    ]
    frame = outcomes(*priced).with_columns(price=pl.lit(4.0), currency=pl.lit("EUR"))
    leave(tmp_path, frame, status="partial")

    assert f"{Reader().money((1 + 2 + 3) * 4.0, 'EUR')} at risk" in rows(tmp_path)["acme"][1]


def test_every_health_has_the_mark_of_a_status() -> None:
    assert sorted(health.rank for health in HEALTHS.values()) == list(range(len(HEALTHS)))
