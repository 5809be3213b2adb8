"""Orders in flight by hand-computed tables."""

from typing import Any

import polars as pl

from invsync import inflight, mapping, tables
from tests.builders import (
    FIRST,
    GROUP,
    NOW,
    ONLINE,
    SECOND,
    STORE,
    assigned,
    group,
    mapped,
    orders,
    rows,
    snapshot,
    stock,
)  # fmt: skip

NO_ORDERS, UNASSIGNED = orders(), assigned()
BOTH = {
    "product_facility": stock(("A", "W1", 10), ("A", "W2", 10)),
    "shopify_shop_location": mapped(NA=ONLINE, W1=FIRST, W2=SECOND),
    "facility_group_member": group("W1"),
}


def flight(seen: tables.Snapshot, sold: pl.DataFrame, open_: pl.DataFrame = UNASSIGNED) -> list[tuple[Any, ...]]:
    options: dict[str, Any] = {"aggregate_location": None, "group": GROUP, "store": STORE, "at": NOW}
    pairs, _ = mapping.pairs(seen, **options)
    counted = mapping.counted_facilities(seen, **options)
    found = inflight.in_flight(sold, open_, pairs, seen, counted=counted)
    assert found.schema == pl.Schema(tables.IN_FLIGHT)
    return sorted(found.select("order_id", "location_id", "units").rows())


def test_an_unknown_order_comes_off_the_aggregate_wherever_it_is() -> None:
    assert flight(snapshot(), orders((7, 1, 2), (8, 1, 3), (8, 99, 4))) == [(7, ONLINE, 2), (8, ONLINE, 3)]


def test_known_by_header_is_known_whole() -> None:
    known = rows(tables.KNOWN_ORDERS, (7,))
    assert flight(snapshot(known_orders=known), orders((7, 1, 2), (8, 1, 3))) == [(8, ONLINE, 3)]


def test_no_units_is_no_row() -> None:
    assert flight(snapshot(), orders((7, 1, 0))) == []


def test_units_outside_the_aggregates_set_do_not_come_off_it() -> None:
    """W2 is mapped and not in the group: of 5 units the 2 assigned there leave 3 for the aggregate."""
    found = flight(snapshot(**BOTH), orders((7, 1, 5)), assigned((7, 1, SECOND, 2), (7, 1, FIRST, 3)))
    assert found == [(7, ONLINE, 3), (7, FIRST, 3), (7, SECOND, 2)]


def test_units_assigned_to_an_unmapped_location_come_off_the_aggregate() -> None:
    assert flight(snapshot(**BOTH), orders((7, 1, 5)), assigned((7, 1, 555, 5))) == [(7, ONLINE, 5)]


def test_a_physical_location_waits_for_the_reservation_not_for_the_header() -> None:
    """The OMS knows order 7 and has reserved 2 of 3 at W1; those at W2 are another facility's."""
    seen = snapshot(
        **BOTH,
        known_orders=rows(tables.KNOWN_ORDERS, (7,)),
        known_units=rows(tables.KNOWN_UNITS, (7, "A", "W1", 2.0), (7, "A", "W2", 9.0), (8, "A", "W1", 9.0)),
    )
    assert flight(seen, orders((7, 1, 3)), assigned((7, 1, FIRST, 3))) == [(7, FIRST, 1)]


def test_a_reserved_fulfilment_order_is_no_longer_in_flight() -> None:
    seen = snapshot(
        **BOTH,
        known_orders=rows(tables.KNOWN_ORDERS, (7,)),
        known_units=rows(tables.KNOWN_UNITS, (7, "A", "W1", 5.0)),
    )
    assert flight(seen, orders((7, 1, 3)), assigned((7, 1, FIRST, 3))) == []


def test_every_aggregate_location_is_told_by_its_own_set() -> None:
    """W1 and W2 share FIRST; an order assigned to W3's location is outside that set."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "W2", 10), ("A", "W3", 10)),
        shopify_shop_location=mapped(W1=FIRST, W2=FIRST, W3=SECOND),
    )
    found = flight(seen, orders((7, 1, 5), (8, 1, 1)), assigned((7, 1, SECOND, 5)))
    assert found == [(7, SECOND, 5), (8, FIRST, 1)]


def test_nothing_sold_is_an_empty_table() -> None:
    assert flight(snapshot(**BOTH), NO_ORDERS) == []
