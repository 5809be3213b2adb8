"""What webhooks name is read again and set right; nothing else is touched, and nothing heard is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rehearsal import ONLINE, STORE, Rehearsal, of_shop, open_rehearsal

from invsync.errors import GuardStopped
from invsync.inbox import CANCELLED, CREATED, LEVEL, STOCK, Heard, Inbox
from invsync.state import State

JOB = "realtime-sync"


class Ears:
    """Deliveries put straight into the inbox of a rehearsal, and the job that drains it."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.inbox = Inbox(State(f"sqlite:///{rehearsal.config.parent}/invsync.db").engine)
        self.number = 0

    def hear(self, topic: str, **named: Any) -> None:
        self.number += 1
        self.inbox.add([Heard("demo", f"d{self.number}", topic, **named)])

    def level(self, item: int, at: int = ONLINE, **named: Any) -> None:
        self.hear(LEVEL, inventory_item_id=item, location_id=at, **named)

    def drain(self, **given: Any) -> dict[str, Any]:
        return self.rehearsal.run(datetime.now(UTC), job=JOB, **given)

    def waiting(self) -> int:
        return self.inbox.count("demo")


@pytest.fixture
def ears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        for item in (1, 2, 3):
            rehearsal.product(item, f"S{item}", oms=10, available=7)
        yield Ears(rehearsal)


def order(ears: Ears, number: int, *lines: tuple[int, int]) -> None:
    now = datetime.now(UTC)
    ears.rehearsal.shop.place_order(number, f"#{number}", now, list(lines), ONLINE)


def test_only_the_pair_that_was_named_is_set(ears: Ears) -> None:
    ears.level(1, available=7)

    facts = ears.drain()

    assert (facts["exit_code"], facts["counts"]["selected"], facts["counts"]["applied"]) == (0, 1, 1)
    assert ears.rehearsal.available(1, 2, 3) == [10, 7, 7]
    assert ears.waiting() == 0


def test_many_deliveries_of_one_pair_are_one_change(ears: Ears) -> None:
    for units in range(5):
        ears.level(1, available=units)
    ears.hear(STOCK, product_id="P1")

    assert ears.drain()["counts"]["selected"] == 1
    assert len(ears.rehearsal.shop.journal) == 1


def test_the_payloads_number_is_never_used(ears: Ears) -> None:
    ears.level(1, available=999)

    ears.drain()

    assert ears.rehearsal.available(1) == [10]


def test_an_event_of_the_oms_sets_every_location_of_its_product(ears: Ears) -> None:
    ears.rehearsal.store()
    ears.rehearsal.oms.set_stock("P1", "ST", 4, datetime(2026, 3, 2, tzinfo=UTC))
    ears.rehearsal.shop.set_level(1, STORE, 1)
    ears.hear(STOCK, product_id="P1")

    ears.drain()

    assert (ears.rehearsal.available(1), ears.rehearsal.available(1, at=STORE)) == ([14], [4])


def test_an_order_that_is_heard_is_in_flight_though_no_search_finds_it(ears: Ears) -> None:
    order(ears, 501, (1, 2))
    ears.rehearsal.shop.orders[501].created_at = datetime.now(UTC)
    hidden = ears.rehearsal.shop.orders[501]
    hidden.updated_at = datetime.now(UTC) - timedelta(days=1)  # a search for what changed lately passes it by
    ears.hear(STOCK, product_id="P2")
    ears.drain()
    ears.hear(CREATED, order_id=501)

    facts = ears.drain()

    assert facts["in_flight"] == {"orders": 1, "units": 2, "pairs": 1}
    assert ears.rehearsal.available(1) == [8]


def test_a_job_by_schedule_counts_the_orders_that_were_heard_too(ears: Ears) -> None:
    raises_at_once(ears)
    ears.rehearsal.run(datetime.now(UTC))
    order(ears, 502, (1, 2))
    ears.rehearsal.shop.orders[502].updated_at = datetime.now(UTC) - timedelta(days=1)
    ears.hear(CREATED, order_id=502)
    ears.rehearsal.oms.set_stock("P1", "WH", 20, datetime.now(UTC) - timedelta(minutes=1))

    ears.rehearsal.run(datetime.now(UTC))

    assert ears.rehearsal.available(1) == [18]


def test_a_cancelled_order_gives_its_units_back(ears: Ears) -> None:
    raises_at_once(ears)  # no order says who set the level below, however fast this runs
    order(ears, 503, (1, 2))
    ears.hear(CREATED, order_id=503)
    ears.drain()
    ears.rehearsal.shop.cancel_order(503)
    ears.rehearsal.shop.set_level(1, ONLINE, 8)  # as if Shopify had not restocked
    ears.hear(CANCELLED, order_id=503)

    ears.drain()

    assert ears.rehearsal.available(1) == [10]


def test_an_unknown_order_or_item_is_reported_and_leaves_the_inbox(ears: Ears) -> None:
    ears.hear(CREATED, order_id=404)
    ears.level(99)

    facts = ears.drain()

    assert any("1 inventory items that webhooks named are not mapped in the OMS, as 99" in m for m in facts["messages"])
    assert (facts["exit_code"], ears.waiting()) == (0, 0)


def test_a_dry_run_leaves_the_inbox_as_it_is(ears: Ears) -> None:
    ears.level(1)

    ears.drain(dry_run=True)

    assert (ears.waiting(), ears.rehearsal.available(1)) == (1, [7])


def test_what_a_stopped_run_did_not_cover_waits_on(ears: Ears) -> None:
    with ears.rehearsal.config.open("a") as file:
        file.write("[shops.demo.guards]\nmin_pairs = 0\nmax_changed_share = 0.1\n")
    ears.level(1)

    assert ears.drain()["exit_code"] == GuardStopped.exit_code
    assert ears.waiting() == 1


class Mover(list[dict[str, Any]]):
    """The shop's requests; an order moves item 1 just before each adjustment."""

    def __init__(self, ears: Ears) -> None:
        super().__init__()
        self._shop = ears.rehearsal.shop

    def append(self, row: dict[str, Any]) -> None:
        super().append(row)
        if "inventoryAdjustQuantities" in row["query"]:
            self._shop.set_level(1, ONLINE, len(self))


def test_a_pair_that_would_not_settle_is_looked_at_again(ears: Ears) -> None:
    ears.level(1)
    ears.level(2)
    ears.rehearsal.shop.requests = Mover(ears)

    facts = ears.drain()

    assert (facts["counts"]["held"], facts["counts"]["applied"]) == (1, 1)
    assert ears.inbox.waiting("demo")["inventory_item_id"].to_list() == [1]


def test_our_own_echo_is_known_by_what_we_sent_and_when(ears: Ears) -> None:
    ears.level(1)
    ears.drain()
    ears.level(1, available=10, updated_at=ears.rehearsal.shop.levels[1, ONLINE].updated_at)

    facts = ears.drain()

    assert facts["messages"][0] == "1 webhooks waited; 1 of them are echoes of our own changes."
    assert (facts["counts"]["selected"], ears.waiting()) == (0, 0)


def test_our_number_that_another_system_wrote_again_after_a_sale_is_no_echo(ears: Ears) -> None:
    ears.level(1)
    ears.drain()
    shop, later = ears.rehearsal.shop, datetime.now(UTC) + timedelta(seconds=5)
    shop.clock = lambda: later
    shop.place_order(1001, "#1001", later, [(1, 4)], ONLINE)
    ears.level(1, available=6, updated_at=later)
    ears.drain()
    shop.set_level(1, ONLINE, 10)
    ears.level(1, available=10, updated_at=later)

    ears.drain()

    assert ears.rehearsal.available(1) == [6]


@pytest.mark.parametrize(
    "stamps",
    [
        {"available": 9},
        {"available": 10, "updated_at": datetime(2026, 3, 1, tzinfo=UTC)},
        {"available": 10},
    ],
)
def test_a_change_that_is_not_ours_is_no_echo(ears: Ears, stamps: dict[str, Any]) -> None:
    ears.level(1)
    ears.drain()
    ears.level(1, **({"updated_at": datetime.now(UTC)} if stamps == {"available": 9} else {}) | stamps)

    assert ears.drain()["counts"]["selected"] == 1


def test_a_raise_over_a_change_of_a_moment_ago_waits(ears: Ears) -> None:
    """Somebody, or a till whose order is not visible yet, took units a moment ago."""
    ears.rehearsal.shop.set_level(1, ONLINE, 5)
    ears.level(1, available=5)

    facts = ears.drain()

    assert (facts["exit_code"], facts["counts"]["held"], ears.rehearsal.available(1)) == (0, 1, [5])
    assert ears.rehearsal.outcomes(facts)["reason"].to_list() == ["deferred"] and ears.waiting() == 1


def raises_at_once(ears: Ears) -> None:
    of_shop(ears.rehearsal.config, "orders_settle_seconds = 0")


def test_two_writers_settle_instead_of_looping(ears: Ears) -> None:
    raises_at_once(ears)
    for _ in range(6):
        ears.rehearsal.shop.set_level(1, ONLINE, 5)
        ears.level(1, available=5, updated_at=datetime.now(UTC))
        facts = ears.drain()

    assert len(ears.rehearsal.shop.journal) == 3
    assert facts["exit_code"] == 4
    assert ears.rehearsal.outcomes(facts).select("sku", "outcome", "reason").rows() == [("S1", "held", "contested")]


def test_a_contested_pair_still_follows_the_oms(ears: Ears) -> None:
    raises_at_once(ears)
    for _ in range(4):
        ears.rehearsal.shop.set_level(1, ONLINE, 5)
        ears.level(1, available=5, updated_at=datetime.now(UTC))
        ears.drain()
    ears.hear(STOCK, product_id="P1")

    ears.drain()

    assert ears.rehearsal.available(1) == [10]
