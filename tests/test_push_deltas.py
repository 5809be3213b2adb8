"""The delta job end to end: each stock event of the OMS's own is counted on Shopify once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, START, STORE, Rehearsal, inputs, of_shop, open_rehearsal

from invsync.errors import UsageError

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        rehearsal.keep_by_deltas()
        rehearsal.oms.add_delta_reason("VAR_DAMAGED", "VAR_SHIP_RECV", "RTN_ITM_RCPT")
        yield rehearsal


def documented(kept: Rehearsal) -> None:
    """Product A has 5 and four of them are sold in orders that the OMS has not downloaded; product B has 10."""
    kept.product(1, "A", oms=5, available=5)
    kept.product(2, "B", oms=10, available=10)
    kept.run(START + HOUR, DELTAS)
    for order in range(4):
        kept.shop.place_order(1001 + order, f"#{1001 + order}", START + HOUR, [(1, 1)], ONLINE)
    kept.oms.damage("P1", "WH", 1, START + HOUR + MINUTE, "PI1")
    kept.oms.receive("P2", "WH", 2, START + HOUR + MINUTE, "SHIP1")


def test_the_documentations_products_a_and_b(kept: Rehearsal) -> None:
    documented(kept)

    facts = kept.run(START + HOUR + 5 * MINUTE, DELTAS)

    assert kept.available(1, 2) == [0, 12]
    assert facts["exit_code"] == 0 and facts["counts"]["applied"] == 2
    sent = inputs(kept.folder(facts))
    assert [(line["reason"], [c["delta"] for c in line["changes"]]) for line in sent] == [
        ("cycle_count_available", [-1]),
        ("received", [2]),
    ]
    assert all(change["changeFromQuantity"] is None for line in sent for change in line["changes"])


def test_a_hard_sync_right_after_changes_nothing(kept: Rehearsal) -> None:
    documented(kept)
    kept.run(START + HOUR + 5 * MINUTE, DELTAS)

    facts = kept.run(START + HOUR + 6 * MINUTE, HARD)

    assert kept.available(1, 2) == [0, 12] and facts["counts"]["already_right"] == 2


def test_events_that_a_hard_sync_has_seen_are_not_pushed_after_it(kept: Rehearsal) -> None:
    documented(kept)

    kept.run(START + HOUR + 5 * MINUTE, HARD)
    assert kept.available(1, 2) == [0, 12]
    facts = kept.run(START + HOUR + 6 * MINUTE, DELTAS)

    assert kept.available(1, 2) == [0, 12] and facts["counts"]["planned"] == 0


def test_an_event_committed_late_with_an_early_stamp_is_pushed_once_after_the_hard_sync(kept: Rehearsal) -> None:
    documented(kept)
    kept.run(START + HOUR + 5 * MINUTE, HARD)

    kept.oms.receive("P2", "WH", 3, START + HOUR + 2 * MINUTE, "SHIP2")
    for minutes in (6, 11, 16):
        kept.run(START + HOUR + minutes * MINUTE, DELTAS)

    assert kept.available(2) == [15]


def test_the_first_run_sets_the_baseline_and_sends_nothing(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=5, available=3)

    facts = kept.run(START + HOUR, DELTAS)

    assert kept.available(1) == [3] and facts["exit_code"] == 0 and facts["transport"] is None
    assert "baseline" in facts["messages"][0]
    assert kept.run(START + HOUR + 5 * MINUTE, DELTAS)["counts"]["selected"] == 0


def test_a_first_run_with_since_pushes_from_there(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=5, available=5)
    kept.oms.damage("P1", "WH", 2, START + HOUR, "PI1")

    kept.run(START + 2 * HOUR, DELTAS, since=(START + MINUTE).isoformat())

    assert kept.available(1) == [3]


def test_each_event_is_pushed_once_though_windows_overlap(kept: Rehearsal) -> None:
    documented(kept)

    for minutes in (5, 10, 15):
        kept.run(START + HOUR + minutes * MINUTE, DELTAS)

    assert kept.available(1, 2) == [0, 12] and len(kept.shop.journal) == 2


def test_what_shopify_caused_or_the_list_leaves_out_is_not_pushed(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=20, available=20)
    kept.run(START + HOUR, DELTAS)
    at = START + HOUR + MINUTE
    kept.oms.import_order("O1", 1001, [("P1", 2)], at)
    kept.oms.reserve("O1", "WH", at)
    kept.oms.adjust("P1", "WH", -3, at, "VAR_MANUAL", physical_inventory_id="PI1", order_id="O1")
    kept.oms.adjust("P1", "WH", -4, at, "VAR_LOST", physical_inventory_id="PI2")
    kept.oms.adjust("P1", "WH", -1, at, "SHOPIFY_POS_SALE")

    facts = kept.run(START + HOUR + 5 * MINUTE, DELTAS)

    assert kept.available(1) == [20] and facts["counts"]["selected"] == 0


def test_safety_stock_is_respected_and_the_store_has_its_own_number(kept: Rehearsal) -> None:
    kept.store()
    kept.product(1, "A", oms=10, available=18)
    kept.oms.set_stock("P1", "ST", 10, START, minimum_stock=2)
    kept.shop.set_level(1, STORE, 8)
    kept.run(START + HOUR, DELTAS)
    kept.oms.adjust("P1", "ST", -9, START + HOUR + MINUTE, "CYCLE_COUNT", physical_inventory_id="PI1")

    kept.run(START + HOUR + 5 * MINUTE, DELTAS)

    assert kept.available(1) == [10] and kept.available(1, at=STORE) == [0]


def test_a_fraction_waits_until_the_sum_is_whole(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=10, available=10)
    kept.run(START + HOUR, DELTAS)
    kept.oms.adjust("P1", "WH", -0.5, START + HOUR + MINUTE, "VAR_DAMAGED")

    first = kept.run(START + HOUR + 5 * MINUTE, DELTAS)
    again = kept.run(START + 40 * HOUR, DELTAS)
    kept.oms.adjust("P1", "WH", -0.5, START + 40 * HOUR + MINUTE, "VAR_DAMAGED")
    last = kept.run(START + 40 * HOUR + 5 * MINUTE, DELTAS)

    assert [facts["exit_code"] for facts in (first, again, last)] == [4, 4, 0]
    assert kept.available(1) == [9]


def test_an_inactive_level_is_held_and_left_to_the_hard_sync(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=10, available=10)
    kept.run(START + HOUR, DELTAS)
    kept.shop.set_level(1, ONLINE, 10, active=False)
    kept.oms.damage("P1", "WH", 1, START + HOUR + MINUTE, "PI1")

    facts = kept.run(START + HOUR + 5 * MINUTE, DELTAS)
    after = kept.run(START + HOUR + 10 * MINUTE, DELTAS)

    assert kept.outcomes(facts)["reason"].to_list() == ["inactive_level"] and facts["exit_code"] == 4
    assert after["counts"]["selected"] == 0


def test_an_event_of_an_unmapped_product_is_reported_once_and_left_to_the_hard_sync(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=10, available=10)
    kept.oms.add_product("PX", "X")
    kept.oms.set_stock("PX", "WH", 4, START)
    kept.run(START + HOUR, DELTAS)
    kept.oms.damage("PX", "WH", 1, START + HOUR + MINUTE, "PI1")

    facts = kept.run(START + HOUR + 5 * MINUTE, DELTAS)

    assert facts["exit_code"] == 0 and "not mapped" in facts["messages"][-1]
    assert kept.state("select status from claim where event_id like 'PX-WH/%' and status != 'baseline'") == [("held",)]


def test_each_way_of_keeping_refuses_the_job_that_would_undo_it(kept: Rehearsal) -> None:
    with pytest.raises(UsageError, match="kept by deltas, which upload-recent-changes would undo"):
        kept.run(START + HOUR, RECENT)

    kept.config.write_text(kept.config.read_text().replace('keep_by = "deltas"\n', ""))
    with pytest.raises(UsageError, match="kept by resets, which push-deltas would undo"):
        kept.run(START + HOUR, DELTAS)
    assert not (kept.config.parent / "reports").exists()


@pytest.mark.parametrize(("sold", "shown"), [(0, 13), (1, 11)])
def test_a_pushed_event_is_a_known_change_and_a_till_sale_after_it_is_not(
    kept: Rehearsal, sold: int, shown: int
) -> None:
    """A hard sync raises a number that a push changed a moment ago, unless something else has changed it since."""
    pushed = START + HOUR + 5 * MINUTE
    of_shop(kept.config, "orders_again_after = 0")
    kept.product(1, "A", oms=10, available=10)
    kept.run(START + HOUR, DELTAS)
    kept.oms.receive("P1", "WH", 2, START + HOUR + MINUTE, "SHIP1")
    kept.shop.clock = lambda: pushed
    kept.run(pushed, DELTAS)
    kept.oms.set_stock("P1", "WH", 13, pushed)
    kept.shop.search_lag = 30 * SECOND
    if sold:
        kept.shop.sell_at_till(1001, "#1001", pushed + 20 * SECOND, [(1, sold)], ONLINE)
    kept.shop.clock = lambda: pushed + 22 * SECOND

    facts = kept.run(pushed + 22 * SECOND, HARD)

    assert kept.available(1) == [shown] and facts["counts"]["held"] == sold
