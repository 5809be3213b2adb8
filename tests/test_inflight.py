"""The ledger of units in flight by hand-computed tables: sold less booked, and the witness."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from invsync import inflight, mapping, tables
from invsync.errors import SystemFailed
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
    listed,
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
    units = inflight.in_flight(orders, unseen, pairs, seen, counted=counted)
    assert units.schema == pl.Schema(tables.IN_FLIGHT)
    return units


def flight(seen: tables.Snapshot, orders: pl.DataFrame, unseen: pl.DataFrame = NOTHING) -> list[tuple[Any, ...]]:
    units = ledger(seen, orders, unseen).select("order_id", "location_id", "units").rows()
    return sorted(units, key=lambda row: (row[0] or 0, row[1]))


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
    units = flight(snapshot(**BOTH), sold((7, 1, SECOND, 2), (7, 1, FIRST, 3)))
    assert units == [(7, ONLINE, 3), (7, FIRST, 3), (7, SECOND, 2)]


def test_what_such_a_store_booked_is_its_own_sale_first() -> None:
    """2 sold at SECOND and 3 online; W2 reserved 2, which are its own: the online units are not booked."""
    order = sold((7, 1, SECOND, 2), (7, 1, ONLINE, 3))
    assert flight(snapshot(**BOTH, **booked((7, "A", "W2", 2))), order) == [(7, ONLINE, 3)]
    assert flight(snapshot(**BOTH, **booked((7, "A", "W2", 5))), order) == []


def test_what_such_a_store_sold_and_has_not_booked_takes_nothing_from_the_others() -> None:
    """2 sold at SECOND, of which W2 reserved 1; the 3 sold online are all reserved at W1."""
    order = sold((7, 1, SECOND, 2), (7, 1, ONLINE, 3))
    assert flight(snapshot(**BOTH, **booked((7, "A", "W2", 1), (7, "A", "W1", 3))), order) == [(7, SECOND, 1)]


def test_each_item_is_judged_alone() -> None:
    two = BOTH | {"product_facility": stock(*((p, w, 10) for p in "AB" for w in ("W1", "W2")))}
    seen = snapshot(**two, **booked((7, "A", "W2", 5)), shopify_shop_product=listed(("A", 1), ("B", 2)))
    assert flight(seen, sold((7, 1, SECOND, 2), (7, 1, ONLINE, 3), (7, 2, ONLINE, 1))) == [(7, ONLINE, 1)]


def test_a_part_of_a_unit_that_is_not_booked_is_a_whole_one() -> None:
    assert flight(snapshot(**booked((7, "A", None, 2.5))), sold((7, 1, ONLINE, 5))) == [(7, ONLINE, 3)]


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
    units = flight(seen, sold((7, 1, SECOND, 5), (8, 1, None, 1)))
    assert units == [(7, SECOND, 5), (8, FIRST, 1)]


def test_rows_come_oldest_first_and_units_without_an_order_last() -> None:
    orders = sold((7, 1, SECOND, 1), (7, 1, FIRST, 1), (9, 1, FIRST, 1), (8, 1, FIRST, 1))
    orders = orders.with_columns(pl.Series("created_at", [NOW, NOW, NOW - timedelta(hours=1), NOW]).cast(tables.STAMP))
    seen = ledger(snapshot(**BOTH), orders, rows(tables.BUFFERS, (1, FIRST, 1)))

    assert seen.select("order_id", "location_id").rows() == [
        (9, ONLINE),
        (9, FIRST),
        (7, ONLINE),
        (7, FIRST),
        (7, SECOND),
        (8, ONLINE),
        (8, FIRST),
        (None, ONLINE),
        (None, FIRST),
    ]


def test_an_order_whose_rows_disagree_on_its_name_is_counted_once() -> None:
    order = sold((7, 1, ONLINE, 2), (7, 1, FIRST, 1)).with_columns(name=pl.Series(["#7", "#7-edited"]))
    assert flight(snapshot(), order) == [(7, ONLINE, 3)]


@pytest.mark.parametrize(("table", "column"), [("sold", "shipped"), ("pairs", "mode")])
def test_a_table_without_a_column_is_refused_by_name(table: str, column: str) -> None:
    given = {"sold": tables.empty(tables.SOLD), "pairs": tables.empty(tables.PAIRS)}
    given[table] = given[table].drop(column)
    counted = mapping.counted_facilities(snapshot(), RULES)

    with pytest.raises(SystemFailed, match=rf"Table {table} lacks the column\(s\) {column}"):
        inflight.in_flight(**given, unseen=NOTHING, snapshot=snapshot(), counted=counted)


def test_orders_with_units_and_without_a_header_are_unknown() -> None:
    orders = sold((6, 1, ONLINE, 1), (7, 1, ONLINE, 1), (8, 1, ONLINE, 0, 1), (9, 1, ONLINE, 1, -1), (5, 1, ONLINE))
    assert inflight.unknown_orders(orders, snapshot(known_orders=known(6)))["order_id"].to_list() == [7, 8]


def test_a_site_is_the_only_facility_of_a_location_that_is_not_online() -> None:
    """Named twice alike is once; two facilities, no id, `_NA_` and the aggregate's own location are no site."""
    named = mapped(W1=FIRST, W2=SECOND, W3=SECOND, W4="x", NA=903, W5=ONLINE)
    seen = snapshot(shopify_shop_location=pl.concat([named, named.head(1)]))
    pairs, _ = mapping.pairs(seen, replace(RULES, aggregate_location=ONLINE))

    places = inflight.sites(pairs.filter(pl.col("location_id") != SECOND), seen)
    assert places.select("location_id", "facility_id").rows() == [(FIRST, "W1")]


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
        ("imported, not booked", (7, 1, ONLINE, 0, 5), booked((7, "A", None, 3, 5))),
    ],
)
def test_each_order_says_why_it_still_counts(reason: str, order: tuple[Any, ...], oms: dict[str, Any]) -> None:
    assert ledger(snapshot(**oms), sold(order))["reason"].to_list() == [reason]


def test_the_reason_of_an_order_depends_on_its_own_rows_alone() -> None:
    orders = sold((7, 1, ONLINE, 2), (8, 1, ONLINE, 0, 2), (9, 1, ONLINE, 3))
    seen = ledger(snapshot(**booked((9, "A", None, 1, 3))), orders)

    assert seen["reason"].to_list() == ["not imported", "shipped before import", "imported, not booked"]


def level(item: int, place: int, committed: int, minutes: int = 0, **more: Any) -> pl.DataFrame:
    return levels((item, place, 5)).with_columns(
        committed=pl.lit(committed, dtype=pl.Int64),
        committed_at=pl.lit(NOW - timedelta(minutes=minutes)).cast(tables.STAMP),
    )


def settled(at: pl.DataFrame, excess: pl.DataFrame, orders: pl.DataFrame, before: int | None = 0) -> pl.DataFrame:
    memory = rows(tables.BUFFERS, *([] if before is None else [(1, ONLINE, before)]))
    return inflight.settled(excess, at, orders, memory, now=NOW, settle=timedelta(minutes=10))


def at_online(units: int) -> list[tuple[int, int, int]]:
    """The rows of a table of units, all of them at item 1 online; none where there are no units."""
    return [(1, ONLINE, units)] if units else []


def test_committed_units_without_an_order_are_in_flight() -> None:
    shown = sold((7, 1, ONLINE, 2), (8, 1, ONLINE, 0, 9))
    excess = inflight.unexplained(level(1, ONLINE, 5), shown)
    assert excess.rows() == [(1, ONLINE, 3)]
    assert flight(snapshot(), shown, excess) == [(None, ONLINE, 3), (7, ONLINE, 2), (8, ONLINE, 9)]


def test_committed_units_at_a_store_come_off_every_number_that_counts_them() -> None:
    unseen = rows(tables.BUFFERS, (1, FIRST, 1), (1, SECOND, 4))
    assert flight(snapshot(**BOTH), sold(), unseen) == [(None, ONLINE, 1), (None, FIRST, 1), (None, SECOND, 4)]


def test_units_of_levels_are_seen_from_their_pairs_alone() -> None:
    units = rows(tables.BUFFERS, (1, FIRST, 3), (1, SECOND, 4), (1, 555, 9), (2, FIRST, 5))
    pairs, _ = mapping.pairs(snapshot(**BOTH), RULES)
    seen = inflight.at_pairs(units, pairs, snapshot(**BOTH), mapping.counted_facilities(snapshot(**BOTH), RULES))
    assert sorted(seen.rows()) == [(1, ONLINE, 3), (1, FIRST, 3), (1, SECOND, 4)]


def test_units_that_are_not_routed_are_counted_once() -> None:
    """2 units without a fulfilment order are committed at FIRST: its own number has only the witness."""
    unseen = rows(tables.BUFFERS, (1, FIRST, 2))
    assert flight(snapshot(**BOTH), sold((7, 1, None, 2)), unseen) == [(None, FIRST, 2), (7, ONLINE, 2)]


@pytest.mark.parametrize(
    ("committed", "quiet_for", "before", "baseline"),
    [
        (3, 11, 0, 3),
        (3, 11, None, 3),
        (3, 9, 0, 0),
        (3, 9, None, 0),
        (3, 9, 2, 2),
        (1, 9, 2, 1),
        (5, 10, 2, 5),
        (0, 10, 2, 0),
    ],
    ids=[
        "quiet",
        "quiet, seen first",
        "fresh",
        "fresh, seen first",
        "fresh, older known",
        "older shipped meanwhile",
        "quiet again",
        "explained",
    ],
)
def test_only_what_has_been_quiet_long_enough_is_the_baseline(
    committed: int, quiet_for: int, before: int | None, baseline: int
) -> None:
    at = level(1, ONLINE, committed, quiet_for)
    excess = inflight.unexplained(at, sold())
    assert excess.rows() == at_online(committed)
    quiet = settled(at, excess, sold((7, 2, None, 9)), before)
    assert quiet.rows() == at_online(baseline)
    assert inflight.less(excess, quiet).rows() == at_online(committed - baseline)


@pytest.mark.parametrize(("waiting", "baseline"), [(1, 2), (3, 0), (4, 0)])
def test_units_that_wait_for_a_location_are_no_baseline(waiting: int, baseline: int) -> None:
    at = level(1, ONLINE, 3, 11)
    orders = sold((7, 1, None, waiting))
    assert settled(at, inflight.unexplained(at, orders), orders).rows() == at_online(baseline)


def test_more_open_than_committed_is_nothing_unexplained() -> None:
    assert inflight.unexplained(level(1, ONLINE, 3), sold((7, 1, ONLINE, 4))).rows() == []


def test_a_baseline_above_the_excess_leaves_nothing_in_flight() -> None:
    assert inflight.less(rows(tables.BUFFERS, (1, ONLINE, 3)), rows(tables.BUFFERS, (1, ONLINE, 4))).rows() == []
