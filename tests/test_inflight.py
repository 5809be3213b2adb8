"""The ledger of units in flight by hand-computed tables: sold less booked, and the witness."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from invsync import inflight, mapping, tables
from tests.builders import (
    FIRST,
    NOW,
    ONLINE,
    RULES,
    SECOND,
    booked,
    group,
    known,
    levels,
    mapped,
    rows,
    snapshot,
    sold,
    stock,
)

BOTH = {  # W1 counts online and has a location of its own; W2 has one and does not count
    "product_facility": stock(("A", "W1", 10), ("A", "W2", 10)),
    "shopify_shop_location": mapped(NA=ONLINE, W1=FIRST, W2=SECOND),
    "facility_group_member": group("W1"),
}
NOTHING = tables.empty(tables.BUFFERS)


def ledger(seen: tables.Snapshot, orders: pl.DataFrame, unseen: pl.DataFrame = NOTHING) -> pl.DataFrame:
    pairs, _ = mapping.pairs(seen, RULES)
    counted = mapping.counted_facilities(seen, RULES)
    found = inflight.in_flight(orders, unseen, pairs, seen, counted=counted)
    assert found.schema == pl.Schema(tables.IN_FLIGHT)
    return found


def flight(seen: tables.Snapshot, orders: pl.DataFrame, unseen: pl.DataFrame = NOTHING) -> list[tuple[Any, ...]]:
    found = ledger(seen, orders, unseen).select("order_id", "location_id", "units").rows()
    return sorted(found, key=lambda row: (row[0] or 0, row[1]))


def test_an_order_that_is_not_imported_comes_off_the_aggregate_wherever_it_is_assigned() -> None:
    assert flight(snapshot(), sold((7, 1, ONLINE, 2), (8, 1, 555, 3), (8, 99, 555, 4))) == [
        (7, ONLINE, 2),
        (8, ONLINE, 3),
    ]


def test_an_order_that_is_not_routed_yet_comes_off_the_aggregate() -> None:
    assert flight(snapshot(**BOTH), sold((7, 1, None, 2))) == [(7, ONLINE, 2)]


def test_no_units_is_no_row() -> None:
    assert flight(snapshot(), sold((7, 1, None))) == []


@pytest.mark.parametrize(
    "where", [None, "W1", "W3"], ids=["queue", "reserved", "reserved at a store without a location"]
)
def test_only_the_units_that_the_omss_number_lacks_are_booked(where: str | None) -> None:
    """Of 5 units sold 3 are in the queue or reserved; the header alone books nothing."""
    assert flight(snapshot(**booked((7, "A", where, 3))), sold((7, 1, ONLINE, 5))) == [(7, ONLINE, 2)]
    assert flight(snapshot(known_orders=known(7)), sold((7, 1, ONLINE, 5))) == [(7, ONLINE, 5)]


def test_more_booked_than_sold_gives_nothing_back() -> None:
    assert flight(snapshot(**booked((7, "A", None, 9))), sold((7, 1, ONLINE, 5), (8, 1, ONLINE, 1))) == [(8, ONLINE, 1)]


def test_shipped_units_count_until_the_oms_has_issued_them() -> None:
    """A till sale, and an order shipped before its import: nothing is open, and the units are gone all the same."""
    assert flight(snapshot(**BOTH), sold((7, 1, FIRST, 0, 2))) == [(7, ONLINE, 2), (7, FIRST, 2)]
    assert flight(snapshot(**BOTH, **booked((7, "A", "W1", 2))), sold((7, 1, FIRST, 0, 2))) == []


def test_units_that_came_back_to_another_location_are_no_gain_anywhere() -> None:
    """Shipped from FIRST, taken back at SECOND, the OMS knows neither."""
    assert flight(snapshot(**BOTH), sold((7, 1, FIRST, 0, 2), (7, 1, SECOND, 0, -2))) == [(7, ONLINE, 2), (7, FIRST, 2)]


def test_removed_units_count_until_the_oms_knows_the_line() -> None:
    order = sold((7, 1, ONLINE, 2), (7, 1, None, 0, 0, 3))
    assert flight(snapshot(), order) == [(7, ONLINE, 5)]
    assert flight(snapshot(**booked((7, "A", None, 2))), order) == []
    assert flight(snapshot(known_orders=known(7)), order) == [(7, ONLINE, 5)]


def test_units_at_a_store_outside_the_aggregates_set_do_not_come_off_it() -> None:
    found = flight(snapshot(**BOTH), sold((7, 1, SECOND, 2), (7, 1, FIRST, 3)))
    assert found == [(7, ONLINE, 3), (7, FIRST, 3), (7, SECOND, 2)]


def test_what_such_a_store_booked_is_its_own_sale_first() -> None:
    """2 sold at SECOND and 3 online; W2 reserved 2, which are its own: the online units are not booked."""
    order = sold((7, 1, SECOND, 2), (7, 1, ONLINE, 3))
    assert flight(snapshot(**BOTH, **booked((7, "A", "W2", 2))), order) == [(7, ONLINE, 3)]
    assert flight(snapshot(**BOTH, **booked((7, "A", "W2", 5))), order) == []


def test_a_physical_location_waits_for_its_own_facility() -> None:
    """2 of 3 are reserved at W1; what W2 reserved, and other orders, are no help."""
    seen = snapshot(**BOTH, **booked((7, "A", "W1", 2), (7, "A", "W2", 9), (8, "A", "W1", 9)))
    assert (7, FIRST, 1) in flight(seen, sold((7, 1, FIRST, 3)))


def test_every_aggregate_location_is_judged_by_its_own_set() -> None:
    """W1 and W2 share FIRST; an order assigned to W3's location is outside that set."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "W2", 10), ("A", "W3", 10)),
        shopify_shop_location=mapped(W1=FIRST, W2=FIRST, W3=SECOND),
    )
    found = flight(seen, sold((7, 1, SECOND, 5), (8, 1, None, 1)))
    assert found == [(7, SECOND, 5), (8, FIRST, 1)]


def test_nothing_sold_is_an_empty_table() -> None:
    assert flight(snapshot(**BOTH), sold()) == []


@pytest.mark.parametrize(
    ("reason", "order", "oms"),
    [
        ("not imported", (7, 1, ONLINE, 2), {}),
        ("shipped before import", (7, 1, ONLINE, 0, 2), {}),
        ("edited after import", (7, 1, ONLINE, 5), booked((7, "A", None, 3))),
        ("imported without its line", (7, 1, ONLINE, 5), {"known_orders": known(7)}),
        ("cancelled in the OMS only", (7, 1, ONLINE, 5), booked((7, "A", None, 0))),
        ("imported, not booked", (7, 1, ONLINE, 5), booked((7, "A", None, 3, 5))),
    ],
)
def test_each_order_says_why_it_still_counts(reason: str, order: tuple[Any, ...], oms: dict[str, Any]) -> None:
    assert ledger(snapshot(**oms), sold(order))["reason"].to_list() == [reason]


def level(item: int, place: int, committed: int, minutes: int = 0, **more: Any) -> pl.DataFrame:
    return levels((item, place, 5)).with_columns(
        committed=pl.lit(committed, dtype=pl.Int64),
        committed_at=pl.lit(NOW - timedelta(minutes=minutes)).cast(tables.STAMP),
    )


def settled(at: pl.DataFrame, excess: pl.DataFrame, before: int = 0) -> int:
    memory = rows(tables.BUFFERS, (1, ONLINE, before))
    found = inflight.settled(excess, at, sold((7, 2, None, 9)), memory, now=NOW, settle=timedelta(minutes=10))
    return int(found["units"].sum())


def test_committed_units_without_an_order_are_in_flight() -> None:
    shown = sold((7, 1, ONLINE, 2), (8, 1, ONLINE, 0, 9))
    excess = inflight.unexplained(level(1, ONLINE, 5), shown)
    assert excess.rows() == [(1, ONLINE, 3)]
    assert flight(snapshot(), shown, excess) == [(None, ONLINE, 3), (7, ONLINE, 2), (8, ONLINE, 9)]


def test_committed_units_at_a_store_come_off_every_number_that_counts_them() -> None:
    unseen = rows(tables.BUFFERS, (1, FIRST, 3), (1, SECOND, 4))
    assert flight(snapshot(**BOTH), sold(), unseen) == [(None, ONLINE, 3), (None, FIRST, 3), (None, SECOND, 4)]


def test_units_that_are_not_routed_are_counted_once() -> None:
    """2 units without a fulfilment order are committed at FIRST: its own number has only the witness."""
    unseen = rows(tables.BUFFERS, (1, FIRST, 2))
    assert flight(snapshot(**BOTH), sold((7, 1, None, 2)), unseen) == [(None, FIRST, 2), (7, ONLINE, 2)]


@pytest.mark.parametrize(
    ("committed", "quiet_for", "before", "baseline"),
    [(3, 11, 0, 3), (3, 9, 0, 0), (3, 9, 2, 2), (1, 9, 2, 1), (5, 10, 2, 5), (0, 10, 2, 0)],
    ids=["quiet", "fresh", "fresh, older known", "older shipped meanwhile", "quiet again", "explained"],
)
def test_only_what_has_been_quiet_long_enough_is_the_baseline(
    committed: int, quiet_for: int, before: int, baseline: int
) -> None:
    at = level(1, ONLINE, committed, quiet_for)
    excess = inflight.unexplained(at, sold())
    assert settled(at, excess, before) == baseline
    rest = inflight.less(excess, rows(tables.BUFFERS, (1, ONLINE, baseline)))
    assert rest["units"].sum() == committed - baseline
