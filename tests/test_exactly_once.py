"""Each stock event is counted on Shopify once, whatever is killed, reviewed, replayed or rewritten in between."""

import pytest
from rehearsal import DELTAS, HARD, ONLINE, STORE, Rehearsal
from trouble import Kept, elsewhere

from invsync.errors import UsageError
from invsync.jobs import launch

KILLED = ["after its commit", "after its answers", "before its record"]


@pytest.fixture
def kept(rehearsal: Rehearsal) -> Kept:
    return Kept(rehearsal)


# -- reviewed plans


@pytest.mark.parametrize("moment", KILLED)
def test_a_plan_that_a_killed_run_has_overtaken_is_refused(kept: Kept, moment: str) -> None:
    kept.counted(20)
    planned = kept.run(dry_run=True)
    kept.killed(moment)

    facts = kept.rehearsal.apply(planned)

    assert (facts["exit_code"], kept.available, kept.changes()) == (3, 30, [20])
    assert "stale" in facts["messages"][-1]


def test_a_plan_whose_events_another_run_has_counted_is_refused(kept: Kept) -> None:
    kept.counted(20)
    planned = kept.run(dry_run=True)
    kept.run()

    assert kept.rehearsal.apply(planned)["exit_code"] == 3
    assert kept.available == 30


def test_of_two_plans_of_the_same_events_one_is_applied_once(kept: Kept) -> None:
    kept.counted(20)
    older, newer = kept.run(dry_run=True), kept.run(dry_run=True)

    codes = [kept.rehearsal.apply(plan)["exit_code"] for plan in (older, newer, older)]

    assert codes == [0, 3, 3]
    assert (kept.run()["exit_code"], kept.available, kept.changes()) == (0, 30, [20])


@pytest.mark.parametrize("moment", KILLED)
def test_a_plan_whose_application_was_killed_is_counted_once(kept: Kept, moment: str) -> None:
    kept.counted(20)
    planned = kept.run(dry_run=True)
    assert elsewhere(moment, launch.apply, planned["run_id"], str(kept.rehearsal.config)) == 9

    again, after = kept.rehearsal.apply(planned), kept.run()

    assert (again["exit_code"], after["exit_code"]) == (3, 0)
    assert (kept.available, kept.changes()) == (30, [20])


def test_a_plan_outlives_a_run_that_was_killed_before_its_commit(kept: Kept) -> None:
    kept.counted(20)
    planned = kept.run(dry_run=True)
    kept.killed("before its commit")

    assert kept.rehearsal.apply(planned)["exit_code"] == 0
    assert (kept.run()["counts"]["planned"], kept.available) == (0, 30)


@pytest.mark.parametrize("job", [DELTAS, HARD])
def test_what_was_undone_is_not_undone_again(kept: Kept, job: str) -> None:
    kept.counted(20)
    done = kept.run(job)
    assert kept.rehearsal.apply(kept.rehearsal.undo(done))["exit_code"] == 0

    with pytest.raises(UsageError, match="undone"):
        kept.rehearsal.undo(done)
    assert (kept.run()["counts"]["planned"], kept.available) == (0, 10)


def test_of_two_plans_that_undo_the_same_run_one_is_applied(kept: Kept) -> None:
    kept.counted(20)
    done = kept.run()
    first, second = kept.rehearsal.undo(done), kept.rehearsal.undo(done)

    codes = [kept.rehearsal.apply(plan)["exit_code"] for plan in (first, second)]

    assert (codes, kept.available) == ([0, 3], 10)


def test_what_was_held_when_a_run_was_undone_can_be_undone_later(kept: Kept) -> None:
    kept.rehearsal.product(2, "B", oms=10, available=10)
    kept.counted(20)
    kept.counted(5, "P2")
    done = kept.run()
    planned = kept.rehearsal.undo(done)
    kept.shop.set_level(2, ONLINE, 14)
    assert kept.rehearsal.apply(planned)["counts"]["held"] == 1

    rest = kept.rehearsal.apply(kept.rehearsal.undo(done))

    assert (rest["exit_code"], kept.rehearsal.available(1, 2)) == (0, [10, 9])


# -- events that are not what they were


@pytest.mark.parametrize("stamp", ["2026-03-04 13:00:00.000000", None])
def test_an_event_whose_stamp_was_rewritten_stays_counted(kept: Kept, stamp: str | None) -> None:
    kept.counted(20)
    kept.run()
    with kept.oms.batch() as connection:
        connection.exec_driver_sql(
            "update inventory_item_detail set created_stamp = ? where physical_inventory_id = 'PI1'", (stamp,)
        )
    kept.counted(-1)

    codes = [kept.run(job)["exit_code"] for job in (DELTAS, HARD, DELTAS)]

    assert (codes, kept.available, kept.changes()) == ([0, 0, 0], 29, [20, -1])


def test_an_event_that_never_had_a_stamp_is_counted_once(kept: Kept) -> None:
    kept.counted(20)
    with kept.oms.batch() as connection:
        connection.exec_driver_sql(
            "update inventory_item_detail set created_stamp = null where physical_inventory_id = 'PI1'"
        )

    codes = [kept.run()["exit_code"] for _ in range(3)]

    assert (codes, kept.available, kept.changes()) == ([0, 0, 0], 30, [20])


@pytest.mark.parametrize("sync", [True, False])
def test_an_event_is_counted_once_where_its_facility_moves_to_another_location(kept: Kept, sync: bool) -> None:
    """The store's stock is moved on Shopify with its location, after its event was counted."""
    kept.rehearsal.store()
    kept.oms.set_stock("P1", "ST", 5, kept.now)
    kept.shop.set_level(1, STORE, 5)
    kept.run(HARD)
    kept.counted(20, facility="ST")
    kept.run()
    assert kept.shop.available(1, STORE) == 25

    kept.shop.add_location(18, "Store moved")
    kept.shop.set_level(1, 18, 25)
    kept.shop.set_level(1, STORE, 0)
    with kept.oms.batch() as connection:
        connection.exec_driver_sql(
            "update shopify_shop_location set shopify_location_id = '18' where facility_id = 'ST'"
        )
    facts = [kept.run(job) for job in ([HARD] if sync else []) + [DELTAS, DELTAS]]

    assert [one["exit_code"] for one in facts] == [0] * len(facts)
    assert [kept.shop.available(1, place) for place in (ONLINE, STORE, 18)] == [35, 0, 25]
