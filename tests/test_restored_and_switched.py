"""Events stay counted once where the state database is restored from a backup, and where keep_by is switched."""

import shutil
from pathlib import Path

import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, Rehearsal
from trouble import HOUR, Kept

from invsync.inbox import LEVEL, Heard, Inbox
from invsync.state import State

REALTIME = "realtime-sync"


@pytest.fixture
def kept(rehearsal: Rehearsal) -> Kept:
    return Kept(rehearsal)


def copied(kept: Kept) -> Path:
    """Let every run be copied to this storage."""
    storage, config = kept.rehearsal.config.parent / "bucket", kept.rehearsal.config
    config.write_text(config.read_text().replace("[reports]", f'[reports]\ncopy_to = "file://{storage}"'))
    return storage


def hear(kept: Kept) -> None:
    """A webhook names product A's level."""
    number, engine = kept.now.isoformat(), State(f"sqlite:///{kept.database}").engine
    Inbox(engine).add([Heard("demo", number, LEVEL, inventory_item_id=1, location_id=ONLINE)])


# -- a state that was restored


@pytest.mark.parametrize("job", [HARD, REALTIME, None])
def test_a_restored_state_waits_for_a_hard_sync(kept: Kept, job: str | None) -> None:
    restore = kept.backup()
    kept.counted(20)
    kept.run()
    restore()
    if job == REALTIME:
        kept.run(REALTIME)

    refused = [] if job == HARD else [kept.run(), kept.run()]
    healed, after = kept.run(HARD), kept.run()

    assert [one["exit_code"] for one in refused] == [3] * len(refused)
    assert (healed["exit_code"], after["exit_code"], after["counts"]["planned"]) == (0, 0, 0)
    assert (kept.available, kept.changes()) == (30, [20])


def test_a_refused_run_says_why_and_what_to_do(kept: Kept) -> None:
    restore = kept.backup()
    kept.counted(20)
    sent = kept.run()
    restore()

    message = kept.run()["messages"][-1]

    assert message.startswith("Nothing was sent") and sent["run_id"] in message and "run hard-sync" in message


def test_a_dry_hard_sync_heals_nothing(kept: Kept) -> None:
    restore = kept.backup()
    kept.counted(20)
    kept.run()
    restore()

    codes = [kept.run(HARD, dry_run=True)["exit_code"], kept.run()["exit_code"], kept.run(dry_run=True)["exit_code"]]

    assert (codes, kept.available) == ([0, 3, 3], 30)


@pytest.mark.parametrize("storage", ["the disk", "the copies"])
def test_an_empty_database_beside_older_runs_waits_too(kept: Kept, storage: str) -> None:
    copied(kept)
    kept.counted(20)
    kept.run()
    kept.database.unlink()
    if storage == "the copies":
        shutil.rmtree(kept.rehearsal.config.parent / "reports")

    assert kept.run()["exit_code"] == 3
    assert [kept.run(job)["exit_code"] for job in (HARD, DELTAS)] == [0, 0]
    assert kept.available == 30


def test_a_restored_state_is_known_by_the_copies_alone(kept: Kept) -> None:
    copied(kept)
    restore = kept.backup()
    kept.counted(20)
    sent = kept.run()
    restore()
    shutil.rmtree(kept.rehearsal.folder(sent))

    assert kept.run()["exit_code"] == 3
    assert kept.available == 30


def test_copies_from_before_there_was_a_mark_are_looked_through(kept: Kept) -> None:
    storage = copied(kept)
    restore = kept.backup()
    kept.counted(20)
    sent = kept.run()
    restore()
    shutil.rmtree(kept.rehearsal.folder(sent))
    assert (storage / "demo" / "newest-run.txt").read_text() == sent["run_id"]
    (storage / "demo" / "newest-run.txt").unlink()

    assert kept.run()["exit_code"] == 3


def test_copies_that_cannot_be_read_are_said_and_stop_nothing(kept: Kept) -> None:
    storage = copied(kept)
    kept.counted(20)
    kept.run()
    (storage / "demo" / "newest-run.txt").unlink()
    (storage / "demo" / "newest-run.txt").mkdir()
    kept.counted(5)

    facts = kept.run()

    assert (facts["exit_code"], kept.available) == (0, 35)
    assert "could not say whether the state database was restored" in facts["messages"][0]


@pytest.mark.parametrize("moment", ["after its answers", "before its record"])
def test_a_state_that_was_restored_because_a_run_was_killed_waits(kept: Kept, moment: str) -> None:
    """The machine died in a run: nothing but the answers in its folder tell that it sent something."""
    restore = kept.backup()
    kept.counted(20)
    kept.killed(moment)
    restore()

    assert kept.run()["exit_code"] == 3
    assert [kept.run(job)["exit_code"] for job in (HARD, DELTAS)] == [0, 0]
    assert (kept.available, kept.changes()) == (30, [20])


def test_a_restored_state_that_lacks_a_run_that_failed_on_its_way_waits(kept: Kept) -> None:
    """Shopify took a line and then refused the token."""
    kept.oms.add_delta_reason("VAR_SHIP_RECV")
    kept.rehearsal.product(2, "B", oms=10, available=10)
    kept.run(HARD)
    restore = kept.backup()
    kept.counted(20)
    kept.counted(5, "P2", reason="VAR_SHIP_RECV")
    token = kept.shop.token
    kept.shop.journal = Rotating(kept)
    assert kept.run()["exit_code"] == 5
    kept.shop.token = token
    restore()

    assert kept.run()["exit_code"] == 3
    assert [kept.run(job)["exit_code"] for job in (HARD, DELTAS)] == [0, 0]
    assert kept.rehearsal.available(1, 2) == [30, 15]


class Rotating(list):  # type: ignore[type-arg]
    """A journal at whose first line the token is taken away."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.shop = kept.shop

    def append(self, row: object) -> None:
        super().append(row)
        if len(self) == 1:
            self.shop.rotate_token()


def test_a_killed_run_that_sent_nothing_needs_no_hard_sync(kept: Kept) -> None:
    restore = kept.backup()
    kept.counted(20)
    kept.killed("after its commit")
    restore()

    assert (kept.run()["exit_code"], kept.available) == (0, 30)


def test_a_plan_is_not_applied_to_a_restored_state(kept: Kept) -> None:
    kept.counted(20)
    planned = kept.run(dry_run=True)
    restore = kept.backup()
    kept.run()
    restore()

    assert (kept.rehearsal.apply(planned)["exit_code"], kept.available) == (3, 30)


def test_a_partial_hard_sync_heals_and_what_it_held_is_not_pushed(kept: Kept) -> None:
    """A unit was just taken where no order shows it: the raise waits, and the count of before the restore is not sent again."""
    kept.rehearsal.product(2, "B", oms=10, available=10)
    restore = kept.backup()
    kept.counted(20)
    kept.run()
    restore()
    kept.oms.set_stock("P2", "WH", 9.5, kept.now)
    kept.shop.set_level(2, ONLINE, 9)
    kept.now += HOUR
    at = kept.now + 5 * HOUR / 60
    kept.shop.clock = lambda: at
    kept.shop.set_level(1, ONLINE, 29)

    healed = kept.run(HARD)
    assert healed["counts"]["held"] == 1
    kept.shop.clock = lambda: kept.now
    kept.run()
    kept.run()

    assert kept.available == 30


def test_what_the_healing_hard_sync_could_not_set_right_is_reset_and_not_pushed(kept: Kept) -> None:
    restore = kept.backup()
    kept.counted(20)
    kept.run()
    restore()
    kept.shop.set_level(1, ONLINE, 29)
    kept.shop.spoil.add(1)
    assert kept.run(HARD)["exit_code"] == 4

    kept.shop.spoil.clear()
    codes = [kept.run()["exit_code"] for _ in range(2)]

    assert (codes, kept.available) == ([0, 0], 30)


def test_a_raise_that_waits_after_a_hard_sync_is_made_by_the_delta_job(kept: Kept) -> None:
    kept.now += HOUR
    at = kept.now + 5 * HOUR / 60
    kept.shop.clock = lambda: at
    kept.shop.set_level(1, ONLINE, 9)
    assert kept.run(HARD)["counts"]["held"] == 1
    kept.shop.clock = lambda: kept.now

    assert (kept.run()["exit_code"], kept.available) == (0, 10)


# -- another way of keeping the shop


def test_what_happened_before_between_and_after_a_switch_to_deltas_and_back_is_counted_once(
    rehearsal: Rehearsal,
) -> None:
    kept, shown = Kept(rehearsal, by=RECENT), []
    for by in (RECENT, DELTAS, RECENT, DELTAS):
        kept.counted(20)
        kept.keep_by(by)
        kept.counted(-3)
        codes = {kept.run()["exit_code"], kept.run()["exit_code"]}
        kept.counted(1)
        codes |= {kept.run()["exit_code"]}
        shown.append((kept.available, codes))

    assert shown == [(28, {0}), (46, {0}), (64, {0}), (82, {0})]


@pytest.mark.parametrize("job", [HARD, REALTIME])
def test_what_a_reset_counted_while_resets_kept_the_shop_is_not_pushed(kept: Kept, job: str) -> None:
    kept.keep_by(RECENT)
    kept.counted(20)
    hear(kept)
    kept.run(job)
    assert kept.available == 30
    kept.keep_by(DELTAS)

    facts = [kept.run(), kept.run()]

    assert [one["exit_code"] for one in facts] == [0, 0]
    assert (kept.available, kept.changes()) == (30, [20])


@pytest.mark.parametrize("moment", ["after its commit", "after its answers", "before its record"])
@pytest.mark.parametrize("by", [RECENT, DELTAS])
def test_a_switch_after_a_killed_run_counts_its_events_once(rehearsal: Rehearsal, by: str, moment: str) -> None:
    kept, other = Kept(rehearsal, by), RECENT if by == DELTAS else DELTAS
    kept.keep_by(other)
    kept.run()
    kept.keep_by(by)
    kept.counted(20)
    kept.killed(moment)
    kept.keep_by(other)

    codes = [kept.run()["exit_code"] for _ in range(2)]

    assert (codes, kept.available) == ([0, 0], 30)


def test_a_first_delta_run_after_resets_waits_with_a_raise_and_does_not_push_it(rehearsal: Rehearsal) -> None:
    """The reset has counted the event; a unit was taken a moment before the switch, so the raise waits for a run."""
    kept = Kept(rehearsal, by=RECENT)
    kept.counted(20)
    kept.run()
    kept.keep_by(DELTAS)
    at = kept.now + 5 * HOUR / 60
    kept.shop.clock = lambda: at
    kept.shop.set_level(1, ONLINE, 29)

    assert kept.run()["counts"]["held"] == 1
    kept.shop.clock = lambda: kept.now
    facts = [kept.run(), kept.run()]

    assert ([one["exit_code"] for one in facts], kept.available) == ([0, 0], 30)


def test_a_switch_between_a_plan_and_its_application_refuses_the_plan(rehearsal: Rehearsal) -> None:
    kept = Kept(rehearsal, by=DELTAS)
    kept.counted(20)
    planned = kept.run(dry_run=True)
    kept.keep_by(RECENT)
    kept.run()
    kept.keep_by(DELTAS)

    assert (kept.rehearsal.apply(planned)["exit_code"], kept.available) == (3, 30)


def test_an_unknown_event_is_settled_under_either_way_of_keeping(kept: Kept) -> None:
    kept.counted(20)
    kept.run()
    kept.sql("update claim set status = 'unknown' where status = 'sent'")
    kept.keep_by(RECENT)

    codes = [kept.run(job)["exit_code"] for job in (RECENT, HARD, RECENT)]

    assert (codes, kept.available) == ([0, 0, 0], 30)
