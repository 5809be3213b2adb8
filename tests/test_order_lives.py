"""What becomes of an order after it was placed: no unit of it goes back on sale before the OMS's number lacks it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, START, STORE, Rehearsal, of_shop, open_rehearsal

from invsync.explain import explain
from invsync.state import State

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Lives:
    """A shop with 10 units of product A online and 5 of them in a store, a clock, and an OMS that imports late."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal, self.shop, self.oms, self.now = rehearsal, rehearsal.shop, rehearsal.oms, START
        self.shop.clock = lambda: self.now
        of_shop(rehearsal.config, "orders_again_after = 0")
        rehearsal.store()
        rehearsal.product(1, "A", oms=10, available=15)
        self.oms.set_stock("P1", "ST", 5, START)
        self.shop.set_level(1, STORE, 5)
        self.shown(HOUR)

    def shown(self, later: timedelta, job: str = RECENT, **given: Any) -> list[int | None]:
        """What Shopify shows online and in the store after a run at this time."""
        self.now = START + later
        self.facts = self.rehearsal.run(self.now, job=job, **given)
        assert self.facts["exit_code"] == 0, (
            self.facts["messages"],
            self.rehearsal.outcomes(self.facts)
            .select("available", "target", "outcome", "reason", "message", "after")
            .rows(),
        )
        return [self.shop.available(1, place) for place in (ONLINE, STORE)]

    def place(self, units: int, at: timedelta, place: int = ONLINE, **how: Any) -> datetime:
        self.now = START + at
        self.shop.place_order(1001, "#1001", self.now, [(1, units)], place, **how)
        return self.now

    def receive(self, at: timedelta) -> None:
        """One unit comes in, so that the OMS's row is touched."""
        self.oms.receive("P1", "WH", 1, START + at, "S1")


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lives]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        yield Lives(rehearsal)


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_a_till_sale_that_was_closed_at_once(lives: Lives, job: str) -> None:
    lives.now = START + HOUR + MINUTE
    lives.shop.sell_at_till(1001, "#1001", lives.now, [(1, 2)], STORE)

    assert lives.shown(2 * HOUR, job) == [13, 3]

    lives.oms.import_order("O1", 1001, [("P1", 2)], lives.now, "ST")
    lives.oms.reserve("O1", "ST", lives.now)
    assert lives.shown(3 * HOUR, job) == [13, 3] and lives.facts["in_flight"]["units"] == 0


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_a_sale_that_the_oms_cancels_after_it_was_booked_and_forgotten(lives: Lives, job: str) -> None:
    """The goods left the store; the OMS takes its units for free again."""
    lives.now = START + HOUR + MINUTE
    lives.shop.sell_at_till(1001, "#1001", lives.now, [(1, 2)], STORE)
    lives.oms.import_order("O1", 1001, [("P1", 2)], lives.now, "ST")
    lives.oms.reserve("O1", "ST", lives.now)
    assert lives.shown(2 * HOUR) == [13, 3] and lives.shown(3 * HOUR) == [13, 3]

    lives.oms.release("O1", START + 4 * HOUR)

    assert lives.shown(4 * HOUR + MINUTE, job) == [13, 3]
    assert lives.shown(5 * HOUR) == [13, 3] and lives.facts["in_flight"]["units"] == 4


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_units_that_were_added_after_the_import(lives: Lives, job: str) -> None:
    at = lives.place(1, HOUR + MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 1)], at)
    lives.now = at + MINUTE
    lives.shop.edit_order(1001, add=[(1, 4)])
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR, job) == [11, 5]
    level = explain("demo", "A", str(lives.rehearsal.config))
    assert [(order.units, order.reason) for order in level.in_flight] == [(4, "edited after import")]
    assert "#1001" in repr(level) and "edited after import" in repr(level)


@pytest.mark.parametrize("restock", [True, False])
def test_units_that_an_edit_removed_are_the_omss_to_give_back(lives: Lives, restock: bool) -> None:
    """Nothing tells whether they came back: they stay off sale until the OMS knows the order."""
    lives.place(4, HOUR + MINUTE)
    lives.shop.edit_order(1001, remove=[(1001001, 3)], restock=restock)
    assert lives.shown(2 * HOUR) == [11, 5]

    lives.oms.import_order("O1", 1001, [("P1", 1)], lives.now)
    assert lives.shown(3 * HOUR) == [14, 5]


def test_an_order_shipped_before_its_import(lives: Lives) -> None:
    lives.place(3, HOUR + MINUTE)
    lives.shop.fulfil_order(1001, [(1001001, 2)])
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR) == [13, 5]
    assert lives.facts["in_flight"] == {"orders": 1, "units": 3, "pairs": 1}


@pytest.mark.parametrize(("kind", "online"), [("NO_RESTOCK", 13), ("RETURN", 16)])
def test_shipped_units_that_were_refunded(lives: Lives, kind: str, online: int) -> None:
    """Without a restock they are gone; with one Shopify has them back, and the OMS never lacked them."""
    lives.place(3, HOUR + MINUTE)
    lives.shop.fulfil_order(1001)
    lives.shop.refund(1001, [(1001001, 3)], kind)
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR) == [online, 5]


def test_a_restock_that_the_oms_does_not_know_of_is_taken_back(lives: Lives) -> None:
    """The OMS shipped the units and has not received the return: it does not sell them yet."""
    at = lives.place(3, HOUR + MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 3)], at)
    lives.oms.reserve("O1", "WH", at)
    lives.shop.fulfil_order(1001)
    assert lives.shown(2 * HOUR) == [12, 5]

    lives.now = START + 3 * HOUR
    lives.shop.refund(1001, [(1001001, 3)], "RETURN")
    assert lives.shown(3 * HOUR + 5 * MINUTE) == [12, 5]


@pytest.mark.parametrize("first", ["oms", "shopify"])
def test_a_cancellation_in_either_order(lives: Lives, first: str) -> None:
    at = lives.place(3, HOUR + MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 3)], at)
    assert lives.shown(2 * HOUR) == [12, 5]
    cancels = [lambda: lives.oms.cancel_order("O1", lives.now), lambda: lives.shop.cancel_order(1001)]
    early, late = cancels if first == "oms" else cancels[::-1]

    early()
    assert lives.shown(2 * HOUR + 15 * MINUTE) == [12, 5]
    lives.now += 30 * MINUTE
    late()
    assert lives.shown(3 * HOUR) == [15, 5]


@pytest.mark.parametrize("where", [ONLINE, STORE])
def test_an_order_that_is_not_routed_yet(lives: Lives, where: int) -> None:
    lives.place(2, HOUR + MINUTE, where, routed=False)
    lives.oms.receive("P1", "ST", 1, lives.now, "S1")

    assert lives.shown(2 * HOUR) == [14, 6 if where == ONLINE else 4]


@pytest.mark.parametrize(("where", "shown"), [(ONLINE, [13, 5]), (STORE, [13, 2])])
def test_an_order_that_the_search_does_not_find_yet(lives: Lives, where: int, shown: list[int]) -> None:
    lives.shop.search_lag = timedelta(seconds=30)
    lives.receive(HOUR + 5 * MINUTE)
    lives.place(3, 2 * HOUR - timedelta(seconds=10), where)

    assert lives.shown(2 * HOUR) == shown
    assert lives.facts["in_flight"]["units"] == 3 * len({where, ONLINE})
    assert lives.shown(2 * HOUR + MINUTE) == shown and lives.facts["in_flight"]["orders"] == 1


def test_a_till_sale_that_the_search_does_not_find_yet_is_not_raised_over(lives: Lives) -> None:
    """It commits nothing, so only the fresh change of what is on hand speaks of it."""
    lives.shop.search_lag = timedelta(seconds=30)
    lives.receive(HOUR + 5 * MINUTE)
    lives.now = START + 2 * HOUR - timedelta(seconds=10)
    lives.shop.sell_at_till(1001, "#1001", lives.now, [(1, 2)], STORE)

    assert lives.shown(2 * HOUR) == [15, 3] and lives.facts["counts"]["held"] == 2
    reasons = lives.rehearsal.outcomes(lives.facts).filter(outcome="held")["reason"]
    assert reasons.to_list() == ["deferred", "deferred"]
    assert lives.shown(2 * HOUR + 15 * MINUTE) == [14, 3]


def test_an_order_that_is_never_imported_is_never_forgotten(lives: Lives) -> None:
    lives.place(4, HOUR + MINUTE)
    assert lives.shown(2 * HOUR, HARD) == [11, 5]
    for day in (15, 30, 61, 90):
        assert lives.shown(day * DAY, HARD) == [11, 5]
    lives.receive(90 * DAY)
    assert lives.shown(90 * DAY + HOUR) == [12, 5]


def test_orders_that_shopify_does_not_show_are_the_baseline(lives: Lives) -> None:
    lives.place(4, HOUR + MINUTE)
    del lives.shop.orders[1001]
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR, HARD) == [16, 5]
    assert any("does not show us" in message for message in lives.facts["messages"])


@pytest.mark.parametrize("job", [RECENT, HARD])
def test_units_that_are_set_aside_in_shopify(lives: Lives, job: str) -> None:
    lives.now = START + HOUR + MINUTE
    lives.shop.set_aside(1, ONLINE, 3)
    lives.shop.set_aside(1, STORE, 1)
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR, job) == [12, 4]
    assert lives.facts["set_aside"] == {"reserved": 4} and lives.facts["in_flight"]["units"] == 0
    assert explain("demo", "A", str(lives.rehearsal.config)).set_aside == 4


@pytest.mark.parametrize(("listed", "online"), [("", 16), ('set_aside = ["damaged"]', 14)])
def test_damaged_units_are_taken_off_only_where_the_shop_says_so(lives: Lives, listed: str, online: int) -> None:
    of_shop(lives.rehearsal.config, listed)
    lives.now = START + HOUR + MINUTE
    lives.shop.set_aside(1, ONLINE, 2, "damaged")
    lives.receive(HOUR + 5 * MINUTE)

    assert lives.shown(2 * HOUR) == [online, 5]
    assert lives.facts["set_aside"] == {"damaged": 2}


def test_a_debt_is_not_forgiven(lives: Lives) -> None:
    """17 of 15 units are sold; when the order is cancelled on Shopify first, nothing that is not there is sold."""
    at = lives.place(17, HOUR + MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 17)], at)
    assert lives.shown(2 * HOUR) == [-2, 5]

    lives.now = START + 3 * HOUR
    lives.shop.refund(1001, [(1001001, 2)], "CANCEL")
    assert lives.shown(3 * HOUR + 5 * MINUTE) == [0, 5]


def test_a_mapping_that_is_new_is_looked_at(lives: Lives) -> None:
    lives.oms.add_product("P2", "B")
    lives.oms.set_stock("P2", "WH", 3, START)
    lives.shop.add_item(2, "B")
    lives.shop.set_level(2, ONLINE, 50)
    lives.oms.map_product("P2", 2)
    with lives.oms.batch() as connection:
        stamp = "update shopify_shop_product set last_updated_stamp = '2026-03-02 13:05:00' where product_id = 'P2'"
        connection.exec_driver_sql(stamp)

    lives.shown(HOUR + 15 * MINUTE)

    assert lives.shop.available(2, ONLINE) == 3


def test_a_loss_below_the_floor_is_owed_by_the_delta_job(lives: Lives) -> None:
    lives.rehearsal.keep_by_deltas()
    lives.shown(HOUR + MINUTE, DELTAS)
    at = lives.place(15, HOUR + 2 * MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 15)], at)
    lives.oms.adjust("P1", "WH", -2, at, "CYCLE_COUNT", physical_inventory_id="PI1")
    assert lives.shown(HOUR + 5 * MINUTE, DELTAS) == [0, 5]

    lives.now += MINUTE
    lives.shop.cancel_order(1001)
    lives.oms.cancel_order("O1", lives.now)
    assert lives.shown(HOUR + 10 * MINUTE, DELTAS)[0] == 13


def test_a_return_that_shopify_restocked_itself_is_not_added_again(lives: Lives) -> None:
    lives.rehearsal.keep_by_deltas()
    lives.oms.add_delta_reason("RTN_ITM_RCPT")
    lives.shown(HOUR + MINUTE, DELTAS)
    at = lives.place(1, HOUR + 2 * MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 1)], at)
    lives.oms.reserve("O1", "WH", at)
    lives.shop.fulfil_order(1001)
    lives.now += MINUTE
    lives.shop.refund(1001, [(1001001, 1)], "RETURN")
    lives.oms.take_back("P1", "WH", 1, lives.now, "R1")

    assert lives.shown(HOUR + 10 * MINUTE, DELTAS) == [15, 5]


def test_the_delta_job_forgets_no_order_of_a_pair_that_it_does_not_judge(lives: Lives) -> None:
    """A's event is added blindly while its shipped, unknown order is remembered; B's pair at the floor is reset."""
    lives.rehearsal.product(2, "B", oms=1, available=0)
    lives.rehearsal.keep_by_deltas()
    lives.shown(HOUR + MINUTE, DELTAS)
    lives.place(3, HOUR + 2 * MINUTE)
    lives.shop.fulfil_order(1001)
    lives.shown(HOUR + 3 * MINUTE, HARD)
    for product, units in (("P1", 1), ("P2", -1)):
        lives.oms.adjust(product, "WH", units, lives.now, "CYCLE_COUNT", physical_inventory_id=f"PI{product}")
    lives.shown(HOUR + 5 * MINUTE, DELTAS)

    assert lives.shown(HOUR + 10 * MINUTE, HARD) == [13, 5] and lives.facts["in_flight"]["units"] == 3
    ledger = State(f"sqlite:///{lives.rehearsal.config.parent}/invsync.db").memory.ledger("demo")
    assert ledger is not None and ledger.in_flight == [1001]


def test_a_reviewed_reset_of_the_delta_job_is_guarded(lives: Lives) -> None:
    """The return is received, the plan reviewed, and then Shopify restocks the same unit itself."""
    lives.rehearsal.keep_by_deltas()
    lives.oms.add_delta_reason("RTN_ITM_RCPT")
    lives.shown(HOUR + MINUTE, DELTAS)
    at = lives.place(1, HOUR + 2 * MINUTE)
    lives.oms.import_order("O1", 1001, [("P1", 1)], at)
    lives.oms.reserve("O1", "WH", at)
    lives.shop.fulfil_order(1001)
    lives.now += 5 * MINUTE
    lives.oms.take_back("P1", "WH", 1, lives.now, "R1")
    lives.shown(HOUR + 10 * MINUTE, DELTAS, dry_run=True)

    lives.shop.refund(1001, [(1001001, 1)], "RETURN")
    applied = lives.rehearsal.apply(lives.facts)

    assert lives.shop.available(1, ONLINE) == 15 and applied["counts"]["held"] == 1
