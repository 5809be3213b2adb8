"""Shadow mode watches another sync, says what it did, and sends nothing."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rehearsal import HARD, ONLINE, RECENT, START, TOKEN, Rehearsal, of_shop
from typer.testing import CliRunner
from watching import MINUTE, Watch, watching

from invsync import shadow
from invsync.cli import app
from invsync.config import settings
from invsync.errors import UsageError
from invsync.jobs import launch
from invsync.sandbox.demo import TOKEN_ENV
from invsync.schedule.export.files import export
from invsync.schedule.table import entries
from invsync.schedule.watchdog import overdue
from invsync.state import State
from invsync.vocabulary import SHADOW

HOUR = timedelta(hours=1)


def test_a_morning_beside_a_plain_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(tmp_path, monkeypatch) as watch:
        facts = watched(watch, [watch.world.now + n * 15 * MINUTE for n in range(13)])
        check(watch, facts)


def watched(watch: Watch, looks: list[datetime]) -> dict[str, Any]:
    """The last of these looks; a plain reset runs five minutes before each but the first."""
    world = watch.world
    world.advance(looks[0])
    facts = watch.look()
    for at in looks[1:]:
        world.advance(at - 5 * MINUTE)
        watch.reset()
        world.advance(at)
        journal, orders = len(world.shop.journal), len(world.shop.orders)
        facts = watch.look()
        assert len(world.shop.journal) == journal and len(world.shop.orders) == orders, "a look sends nothing"
    return facts


def check(watch: Watch, facts: dict[str, Any]) -> None:
    """The looks and the page say of each level what the journal of the shop says."""
    folder = watch.config.parent / "reports" / "demo" / SHADOW / facts["run_id"]
    looks = pl.concat(pl.read_parquet(path) for path in folder.parent.glob("*/shadow.parquet"))
    levels = shadow.by_level(looks, since=watch.world.start, thru=watch.world.now).to_dicts()
    prices = {item.item_id: float(item.price) for item in watch.world.shop.items.values()}
    worth = sum(units * prices[item] for item, units in watch.put_back.items())
    page = (folder / "report.html").read_text(encoding="utf-8")
    tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)", page))

    assert not any("incomplete" in message for message in facts["messages"]), facts["messages"]
    assert sum(watch.put_back.values()) > 100
    assert {row["inventory_item_id"]: row["put_back"] for row in levels if row["put_back"]} == watch.put_back
    assert {row["inventory_item_id"]: row["hours"] for row in levels} == pytest.approx(watch.hours_wrong())
    assert tiles["Sold units put back on sale"] == f"{sum(watch.put_back.values()):,}"
    assert tiles["Levels that were wrong"] == f"{len(watch.hours_wrong()):,}"
    assert tiles["Wrong now"] == f"{len(watch.wrong_since):,}"
    assert f"In the last 7 days another sync put {sum(watch.put_back.values()):,} sold units back on sale;" in page
    assert "<caption>Levels that stayed wrong</caption>" in page and "&lt;" not in page.split('id="pairs"')[0]
    assert f"worth £{float(f'{worth:.3g}'):,.0f}" in page


@pytest.fixture
def other(rehearsal: Rehearsal) -> Rehearsal:
    """A shop that another system keeps."""
    of_shop(rehearsal.config, 'keep_by = "another"')
    return rehearsal


def look(shop: Rehearsal, minutes: int) -> list[dict[str, Any]]:
    """The LOOK rows of a look so many minutes after the start."""
    facts = shop.run(START + minutes * MINUTE, job=SHADOW, dry_run=True)
    assert facts["status"] == "planned", facts["messages"]
    return pl.read_parquet(shop.folder(facts) / "shadow.parquet").to_dicts()


def test_a_shipment_between_two_looks_is_nothing_that_somebody_wrote(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    look(other, 0)
    other.shop.place_order(1001, "#1001", START + 5 * MINUTE, [(1, 4)], ONLINE)
    assert look(other, 10) == []
    other.shop.clock = lambda: START + 12 * MINUTE
    other.shop.fulfil_order(1001)

    assert look(other, 20) == []


def test_a_raise_over_an_order_is_counted_once_and_ends_when_the_order_is_booked(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    look(other, 0)
    other.shop.place_order(1001, "#1001", START + 5 * MINUTE, [(1, 4)], ONLINE)
    other.shop.clock = lambda: START + 8 * MINUTE
    other.shop.set_level(1, ONLINE, 10)

    (first,) = look(other, 10)
    (second,) = look(other, 20)
    other.shop.clock = lambda: START + 25 * MINUTE
    other.shop.set_level(1, ONLINE, 6)
    (third,) = look(other, 30)

    assert (first["put_back"], first["off"], first["written"]) == (4, 4, 4)
    assert (second["put_back"], second["off"]) == (0, 4) and second["wrong_since"] == first["at"]
    assert third["off"] == 0 and third["ended"] == first["at"] and third["ended_off"] == 4


def test_a_unit_is_put_back_even_where_its_order_is_booked_before_the_look(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    look(other, 0)
    other.shop.place_order(1001, "#1001", START + 2 * MINUTE, [(1, 4)], ONLINE)
    other.shop.clock = lambda: START + 4 * MINUTE
    other.shop.set_level(1, ONLINE, 10)
    other.oms.import_order("OM1", 1001, [("P1", 4)], START + 6 * MINUTE)

    (row,) = look(other, 10)
    assert (row["in_flight"], row["put_back"], row["off"]) == (0, 4, 4)


def test_a_raise_that_no_order_explains_is_wrong_but_puts_no_sold_unit_back(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    look(other, 0)
    other.shop.set_level(1, ONLINE, 15)

    (row,) = look(other, 10)
    assert (row["put_back"], row["off"]) == (0, 5)


def test_a_first_look_finds_what_is_wrong_but_not_who_did_it(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    other.shop.place_order(1001, "#1001", START - 5 * MINUTE, [(1, 4)], ONLINE)
    other.shop.set_level(1, ONLINE, 10)

    (row,) = look(other, 0)
    assert (row["written"], row["put_back"], row["off"]) == (None, 0, 4)


def test_a_look_that_is_killed_before_it_is_kept_counts_nothing_twice(
    other: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.product(1, "A", oms=10, available=10)
    look(other, 0)
    other.shop.place_order(1001, "#1001", START + 2 * MINUTE, [(1, 4)], ONLINE)
    other.shop.clock = lambda: START + 4 * MINUTE
    other.shop.set_level(1, ONLINE, 10)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == "looks.parquet":
            raise OSError("no space left")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    assert other.run(START + 10 * MINUTE, job=SHADOW, dry_run=True)["status"] == "failed"
    monkeypatch.undo()
    monkeypatch.setenv(TOKEN_ENV, TOKEN)
    facts = other.run(START + 20 * MINUTE, job=SHADOW, dry_run=True)

    levels = pl.read_parquet(other.folder(facts) / "levels.parquet")
    assert levels["put_back"].to_list() == [4] and levels["times"].to_list() == [1]


def test_a_look_says_so_however_much_is_wrong(other: Rehearsal) -> None:
    for item in range(1, 31):
        other.product(item, f"S{item}", oms=50, available=20)
    other.config.write_text(other.config.read_text() + "[shops.demo.guards]\nmax_changed_share = 0.1\nmax_units = 10\n")

    assert len(look(other, 0)) == 30


def test_a_feed_that_is_cut_short_stops_a_look_and_is_no_look(other: Rehearsal) -> None:
    for item in range(1, 31):
        other.product(item, f"S{item}", oms=50, available=50)
    look(other, 0)
    with sqlite3.connect(other.config.parent / "oms.db") as connection:
        connection.execute("DELETE FROM product_facility WHERE product_id NOT IN ('P1', 'P2')")

    assert other.run(START + 10 * MINUTE, job=SHADOW, dry_run=True)["status"] == "stopped"


def test_the_schedule_knows_that_a_look_ran(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=10)
    now = datetime.now(UTC)
    typed = CliRunner().invoke(app, ["run", SHADOW, "--shop", "demo", "--config", str(other.config)])
    configured = settings.load(other.config)
    state = State(configured.state.url)
    (entry,) = entries(configured)

    assert typed.exit_code == 0, typed.output
    assert (entry.job, overdue(state, [entry], now + 5 * MINUTE)) == (SHADOW, [])
    assert len(overdue(state, [entry], now + 2 * HOUR)) == 1
    state.close()


def test_a_dag_of_airflow_leaves_a_look_a_dry_run(other: Rehearsal) -> None:
    dags = export("airflow", other.config, [], image="x")["invsync_dags.py"]
    (given,) = re.findall(r"expand\(parameters=(\[.*\])\)", dags)

    dry = {job: eval(given, {"job": job, "shops": ["demo"], "CONFIG": "c"})[0]["dry_run"] for job in (SHADOW, HARD)}

    assert f"('{SHADOW}', '*/15 * * * *')" in dags.replace('"', "'") and dry == {SHADOW: True, HARD: False}


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_no_job_sends_to_a_shop_that_another_system_keeps(other: Rehearsal, job: str) -> None:
    other.product(1, "A", oms=10, available=4)

    with pytest.raises(UsageError, match="kept by another system"):
        other.run(job=job)
    planned = other.run(job=job, dry_run=True)
    with pytest.raises(UsageError, match="kept by another system"):
        other.apply(planned)
    assert other.shop.journal == [] and other.available(1) == [4]


def test_a_look_never_sends_and_its_plan_cannot_be_applied(other: Rehearsal) -> None:
    other.product(1, "A", oms=10, available=4)

    with pytest.raises(UsageError, match="shadow sends nothing"):
        other.run(job=SHADOW, dry_run=False)
    facts = other.run(job=SHADOW, dry_run=True)
    of_shop(other.config).write_text(other.config.read_text().replace('"another"', '"resets"'))
    with pytest.raises(UsageError, match="shadow sends nothing"):
        other.apply(facts)
    assert facts["counts"]["planned"] == 1 and other.shop.journal == []


def test_a_shop_that_invsync_keeps_is_not_watched(rehearsal: Rehearsal) -> None:
    with pytest.raises(UsageError, match='keep_by = "another"'):
        launch.run(SHADOW, {"shop": "demo", "config": str(rehearsal.config)}, engine="inprocess")
