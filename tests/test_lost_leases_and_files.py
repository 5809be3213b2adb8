"""A run that loses its shop or its files: it sends nothing more, says so, and what follows counts everything once."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, Rehearsal
from trouble import HOUR, Kept, once

from invsync.errors import LeaseHeld
from invsync.inbox import LEVEL, Heard, Inbox
from invsync.jobs import launch
from invsync.jobs.delivery import Delivery
from invsync.shopify import bulk, writes
from invsync.state import State

REALTIME = "realtime-sync"
SEAMS: dict[str, tuple[Any, str, bool]] = {
    "at its commit": (Delivery, "send_files", False),
    "before its first request": (Delivery, "deliver", False),
    "between two requests": (writes, "_deliver", True),
    "before its bulk operation": (bulk, "store", True),
}


@pytest.fixture
def kept(rehearsal: Rehearsal) -> Kept:
    """Products A and B, whose next events stand on a line each."""
    rehearsal.oms.add_delta_reason("VAR_SHIP_RECV")
    rehearsal.product(2, "B", oms=10, available=10)
    return Kept(rehearsal)


def two_lines(kept: Kept) -> None:
    kept.counted(20)
    kept.counted(5, "P2", reason="VAR_SHIP_RECV")


def one_change_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Delivery.write
    monkeypatch.setattr(Delivery, "write", lambda self, rows, size=1: write(self, rows, 1))


def mutations(kept: Kept) -> int:
    """How many mutations the shop was asked for."""
    return sum(row["query"].startswith("mutation") for row in kept.shop.requests)


# -- the lease


@pytest.mark.parametrize("job", [DELTAS, HARD])
@pytest.mark.parametrize("seam", SEAMS)
def test_a_run_that_lost_its_shop_sends_nothing_more(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, seam: str, job: str
) -> None:
    two_lines(kept)
    one_change_a_line(monkeypatch)
    monkeypatch.setattr(writes, "MOST_AT_ONCE", 1)
    place, name, after = SEAMS[seam]
    asked: list[int] = []

    def taken_over() -> None:
        kept.taken_over(monkeypatch, job)
        asked.append(mutations(kept))

    once(monkeypatch, place, name, taken_over, after=after)

    facts = kept.run(job, transport="bulk" if "bulk" in seam else "direct")

    assert facts["exit_code"] == 5 and "another run took over shop demo" in facts["messages"][-1]
    assert asked == [mutations(kept)]
    assert sorted(kept.changes()) == [5, 20]
    assert (kept.run()["exit_code"], kept.rehearsal.available(1, 2)) == (0, [30, 15])


def test_the_run_that_took_over_sends_a_file_that_is_not_on_its_disk(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_lines(kept)
    monkeypatch.setattr(writes, "MOST_AT_ONCE", 1)

    def taken_over() -> None:
        shutil.rmtree(kept.folders()[-1])
        kept.taken_over(monkeypatch, exit_code=4)

    once(monkeypatch, writes, "_deliver", taken_over, after=True)

    assert kept.run(transport="direct")["exit_code"] == 5
    assert "restored from the state database" in said(kept)
    assert (sorted(kept.changes()), kept.run()["exit_code"]) == ([5, 20], 0)


def said(kept: Kept) -> str:
    """What all runs said."""
    runs = [json.loads(path.read_text())["messages"] for folder in kept.folders() for path in folder.glob("run.json")]
    return "\n".join(message for messages in runs for message in messages)


def test_a_run_that_lost_its_shop_leaves_the_answers_of_the_other_run(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.counted(20)
    once(monkeypatch, Delivery, "deliver", lambda: kept.taken_over(monkeypatch))

    facts = kept.run()

    answers = (kept.rehearsal.folder(facts) / "result.jsonl").read_text().splitlines()
    assert [json.loads(line)["data"]["inventoryAdjustQuantities"]["userErrors"] for line in answers] == [[]]


# -- files


GONE: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "edited": lambda path: path.write_text(path.read_text().replace(":20", ":90")),
    "cut": lambda path: path.write_text(""),
}


def lost(kept: Kept, how: str, *, content: bool = True) -> None:
    """What becomes of the file that a killed run left: gone or edited; 24 hours old; or in no database either."""
    if how == "old":
        a_day_ago = (datetime.now(UTC) - timedelta(hours=24)).isoformat().replace("+00:00", "Z")
        kept.sql("update outbox set committed_at = ? where settled is null", a_day_ago)
    else:
        GONE[how](next(kept.folders()[-1].glob("adjustments.jsonl")))
    if not content:
        kept.sql("update outbox set content = null")


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        ("gone", "after its commit"),
        ("gone", "after its answers"),
        ("edited", "after its commit"),
        ("cut", "after its answers"),
    ],
)
def test_a_file_of_deltas_that_was_lost_is_sent_as_it_was_committed(kept: Kept, how: str, moment: str) -> None:
    kept.counted(20)
    kept.killed(moment)
    lost(kept, how)

    codes = [kept.run()["exit_code"] for _ in range(2)]

    assert (codes, kept.available, kept.changes()) == ([4, 0], 30, [20])


@pytest.mark.parametrize(
    ("job", "how", "moment"),
    [
        (RECENT, "gone", "after its commit"),
        (RECENT, "old", "after its answers"),
        (RECENT, "edited", "after its answers"),
        (HARD, "gone", "after its answers"),
        (HARD, "old", "after its commit"),
        (HARD, "edited", "after its commit"),
    ],
)
def test_a_file_of_resets_that_was_lost_is_planned_anew(rehearsal: Rehearsal, job: str, how: str, moment: str) -> None:
    kept = Kept(rehearsal, by=RECENT)
    kept.counted(20)
    kept.killed(moment, job)
    lost(kept, how)

    codes = [kept.run()["exit_code"] for _ in range(2)]

    assert (codes, kept.available, kept.changes()) == ([0, 0], 30, [20])


def in_real_time(kept: Kept) -> None:
    """The shop's clock is this machine's, as its stamps are compared with those of the state."""
    kept.counted(1)
    kept.run()
    kept.now = datetime.now(UTC) - HOUR
    kept.shop.clock = lambda: datetime.now(UTC)


@pytest.mark.parametrize("how", ["gone", "old"])
def test_deltas_that_may_have_been_counted_are_unknown_until_a_hard_sync(kept: Kept, how: str) -> None:
    in_real_time(kept)
    kept.counted(20)
    kept.killed("after its commit")
    lost(kept, how, content=False)
    kept.shop.place_order(1001, "#1001", datetime.now(UTC), [(1, 1)], ONLINE)

    unknown = [kept.run()["exit_code"] for _ in range(2)]
    healed = [kept.run(job)["exit_code"] for job in (HARD, DELTAS)]

    assert (unknown, healed, kept.available) == ([4, 4], [0, 0], 30)


def test_an_unknown_event_of_a_pair_that_is_not_mapped_any_more_is_settled_too(kept: Kept) -> None:
    kept.counted(20)
    kept.run()
    kept.sql("update claim set status = 'unknown' where status = 'sent'")
    with kept.oms.batch() as connection:
        connection.exec_driver_sql("delete from shopify_shop_product where product_id = 'P1'")

    assert [kept.run(job)["exit_code"] for job in (DELTAS, HARD, DELTAS)] == [4, 0, 0]


@pytest.mark.parametrize("how", ["gone", "old"])
def test_deltas_that_cannot_have_been_counted_are_sent_again(kept: Kept, how: str) -> None:
    in_real_time(kept)
    kept.counted(20)
    kept.killed("after its commit")
    lost(kept, how, content=False)

    assert (kept.run()["exit_code"], kept.available, kept.run()["counts"]["planned"]) == (0, 31, 0)


def test_what_a_run_sent_long_before_its_lost_file_is_not_sent_again(kept: Kept) -> None:
    """Its first file took half an hour; the second is lost, and nobody can tell which pairs stood in it."""
    in_real_time(kept)
    kept.counted(20)
    kept.run()
    later = (datetime.now(UTC) + HOUR / 2).isoformat().replace("+00:00", "Z")
    kept.sql(
        "insert into outbox select run_id, 2, shop, path || '.gone', sha256, transport, 1, ?, null, fence, null "
        "from outbox where run_id = (select max(run_id) from outbox)",
        later,
    )

    codes = [kept.run(job)["exit_code"] for job in (DELTAS, HARD, DELTAS)]

    assert (codes, kept.available) == ([4, 0, 0], 31)


def test_a_dry_run_leaves_an_open_file_alone_and_says_so(kept: Kept) -> None:
    kept.counted(20)
    kept.killed("after its commit")

    facts = kept.run(dry_run=True)

    assert "a dry run does not send it" in facts["messages"][0] and kept.changes() == []
    assert (kept.run()["exit_code"], kept.changes()) == (0, [20])


# -- a shop that has two names


@pytest.fixture
def twice(kept: Kept) -> Callable[..., dict[str, Any]]:
    """The same shop configured as `second` too; what runs a job under that name."""
    config = kept.rehearsal.config
    text = config.read_text()
    config.write_text(text + text[text.index("[shops.demo]") :].replace("shops.demo", "shops.second"))

    def run(job: str = DELTAS, **given: Any) -> dict[str, Any]:
        kept.now += timedelta(minutes=5)
        given = {"shop": "second", "config": str(config), "at": kept.now.isoformat(), **given}
        return launch.run(job, given, engine="inprocess")

    return run


def test_two_names_of_a_shop_have_one_lease(kept: Kept, twice: Callable[..., dict[str, Any]]) -> None:
    state = State(f"sqlite:///{kept.database}")

    with state.lease("demo", "R1"), pytest.raises(LeaseHeld):
        twice()


def test_two_names_of_a_shop_count_an_event_once(kept: Kept, twice: Callable[..., dict[str, Any]]) -> None:
    twice()
    for run in (kept.run, twice):
        kept.counted(20)
        run()
    codes = [kept.run()["exit_code"], twice()["exit_code"]]

    assert (codes, kept.available, kept.changes()) == ([0, 0], 50, [20, 20])


@pytest.mark.parametrize("moment", ["after its commit", "after its answers"])
def test_a_file_that_one_name_left_open_is_settled_under_the_other(
    kept: Kept, twice: Callable[..., dict[str, Any]], moment: str
) -> None:
    kept.counted(20)
    kept.killed(moment)

    facts = twice()

    assert "sent again under the same keys" in facts["messages"][0]
    assert (kept.run()["exit_code"], kept.changes()) == (0, [20])


def test_what_a_hard_sync_counted_under_one_name_is_not_pushed_under_the_other(
    kept: Kept, twice: Callable[..., dict[str, Any]]
) -> None:
    kept.counted(20)
    twice(HARD)

    assert (kept.run()["exit_code"], kept.available, kept.changes()) == (0, 30, [20])


def test_a_shop_that_was_renamed_loses_no_event(kept: Kept, twice: Callable[..., dict[str, Any]]) -> None:
    kept.counted(20)

    facts = [twice(), twice()]

    assert ([one["exit_code"] for one in facts], kept.available) == ([0, 0], 30)


def test_what_one_name_wrote_is_an_echo_under_the_other(
    rehearsal: Rehearsal, kept: Kept, twice: Callable[..., dict[str, Any]]
) -> None:
    kept.shop.clock = lambda: datetime.now(UTC)
    kept.oms.set_stock("P1", "WH", 12, kept.now)
    kept.run(HARD)
    inbox = Inbox(State(f"sqlite:///{kept.database}").engine)
    level = {"inventory_item_id": 1, "location_id": ONLINE, "available": 12}
    inbox.add([Heard("second", "d1", LEVEL, updated_at=kept.shop.levels[1, ONLINE].updated_at, **level)])

    facts = twice(REALTIME)

    assert "1 of them are echoes" in facts["messages"][0] and facts["counts"]["selected"] == 0
