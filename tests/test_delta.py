"""Net changes from stock events: what may be pushed, which pairs it concerns, and what it moved there."""

from collections.abc import Callable
from datetime import timedelta
from math import isnan, nan
from typing import Any

import polars as pl
import pytest
from builders import (
    FIRST,
    LONG_AGO,
    NOW,
    ONLINE,
    RULES,
    facilities,
    group,
    mapped,
    rows,
    snapshot,
    stock,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from invsync import delta, mapping, tables
from invsync.errors import SystemFailed

BOTH = {
    "shopify_shop_location": mapped(NA=ONLINE, W1=FIRST),
    "facility": facilities(("W1",), ("W2",), ("CONFIG", "CONFIGURATION")),
}


def events(*values: tuple[Any, ...]) -> pl.DataFrame:
    """EVENTS of product A from (id, facility, atp, reason='CYCLE_COUNT', physical inventory, names a movement, origin)."""
    made = [(v[0], "A", v[1], NOW, v[2], *(v[3:] or ("CYCLE_COUNT",))) for v in values]
    return rows(tables.EVENTS, *made, names_movement=False)


def reasons(*names: str, **dates: Any) -> pl.DataFrame:
    return rows(tables.DELTA_REASONS, *((name,) for name in names), from_date=LONG_AGO, **dates)


def pushed(batch: pl.DataFrame, listed: pl.DataFrame | None = None, **how: Any) -> list[str]:
    options = {"override": None, "remotes": frozenset(("R1",))} | how
    return delta.pushable(batch, reasons() if listed is None else listed, **options)["event_id"].to_list()


def net(world: tables.Snapshot, batch: pl.DataFrame, claims: pl.DataFrame | None = None) -> dict[int, float]:
    pairs, _ = mapping.pairs(world, RULES)
    every = delta.concerned(batch, pairs, mapping.locations(world, aggregate_location=None))
    free = every if claims is None else delta.unclaimed(every, claims)
    moved = delta.net_changes(free, every, pairs, world, lambda seen: mapping.targets(pairs, seen, RULES))
    assert moved.schema == pl.Schema(delta.NET)
    return dict(moved.select("location_id", "net").iter_rows())


def claimed(*values: tuple[str, int, str]) -> pl.DataFrame:
    schema: tables.Schema = {"event_id": tables.TEXT, "location_id": tables.ID, "status": tables.TEXT}
    return rows(schema, *values)


def test_only_listed_reasons_are_pushed() -> None:
    batch = events(("1", "W1", -1), ("2", "W1", -1, "VAR_DAMAGED"), ("3", "W1", -1, None), ("4", "W1", -1, "POS_SALE"))

    assert pushed(batch) == ["1", "4"]
    assert pushed(batch, reasons("VAR_DAMAGED")) == ["2"]
    assert pushed(batch, reasons("VAR_DAMAGED"), override=("CYCLE_COUNT",)) == ["1"]


def test_a_reason_counts_while_it_is_on_the_list() -> None:
    batch = events(("1", "W1", -1))

    assert pushed(batch, reasons("CYCLE_COUNT", thru_date=NOW)) == []
    assert pushed(batch, reasons("CYCLE_COUNT", thru_date=NOW + timedelta(seconds=1))) == ["1"]
    assert pushed(batch, reasons("CYCLE_COUNT").with_columns(from_date=pl.lit(NOW + timedelta(seconds=1)))) == []


def test_a_date_that_is_not_known_keeps_no_event_back() -> None:
    event = events(("1", "W1", -1))
    undated = event.with_columns(created_at=pl.lit(None, dtype=tables.STAMP))
    always = reasons("CYCLE_COUNT").with_columns(from_date=pl.lit(None, dtype=tables.STAMP))

    assert pushed(event, always) == ["1"]
    assert pushed(undated, reasons("CYCLE_COUNT")) == ["1"]
    assert pushed(undated, reasons("CYCLE_COUNT", thru_date=NOW)) == ["1"]


def test_a_reason_counts_from_its_first_moment_and_once() -> None:
    at_once = reasons("CYCLE_COUNT", "CYCLE_COUNT").with_columns(from_date=pl.lit(NOW))

    assert pushed(events(("1", "W1", -1)), at_once) == ["1"]


def test_a_variance_that_does_not_say_what_it_names_is_pushed() -> None:
    assert pushed(events(("1", "W1", -1, "VAR_MANUAL", "PI1", None))) == ["1"]


@pytest.mark.parametrize(
    ("table", "call"),
    [
        ("events", lambda: pushed(events().drop("origin"))),
        ("delta_reasons", lambda: pushed(events(), reasons().drop("thru_date"))),
        ("claimable", lambda: delta.unclaimed(tables.empty(delta.CLAIMABLE).drop("event_id"), claimed())),
    ],
)
def test_a_table_without_a_column_is_refused_by_name(table: str, call: Callable[[], object]) -> None:
    with pytest.raises(SystemFailed, match=rf"Table {table} lacks the column"):
        call()


def test_an_event_id_is_spelled_with_and_without_its_zeros() -> None:
    ids = pl.Series("event_id", ["20001/00003", "20002/4", "20003/12345", "7", "7"])
    spelled = ["20001/00003", "20001/3", "20002/00004", "20002/4", "20003/12345", "7"]

    assert sorted(delta.spellings(ids)) == spelled


def test_nothing_that_shopify_caused_is_pushed_back() -> None:
    batch = events(
        ("order's variance", "W1", -1, "VAR_MANUAL", "PI1", True),
        ("variance", "W1", -1, "VAR_MANUAL", "PI2", False),
        ("receipt", "W1", 2, "VAR_SHIP_RECV", None, True),
        ("echo", "W1", 3, "VAR_EXT_RESET", None, False, "R1"),
        ("another's reset", "W1", 3, "VAR_EXT_RESET", None, False, "R2"),
        ("till", "W1", -1, "SHOPIFY_POS_SALE"),
    )
    listed = reasons("VAR_MANUAL", "VAR_SHIP_RECV", "VAR_EXT_RESET", "SHOPIFY_POS_SALE")

    assert pushed(batch, listed) == ["variance", "receipt", "another's reset"]


def test_an_event_moves_its_own_location_and_the_aggregate() -> None:
    world = snapshot(product_facility=stock(("A", "W1", 7), ("A", "W2", 5)), **BOTH)

    assert net(world, events(("1", "W1", -3))) == {ONLINE: -3, FIRST: -3}
    assert net(world, events(("1", "W2", -3))) == {ONLINE: -3}


def test_an_event_stands_at_its_pairs_alone() -> None:
    world = snapshot(product_facility=stock(("A", "W1", 7)), **BOTH)
    pairs, _ = mapping.pairs(world, RULES)
    places = delta.concerned(events(("1", "W1", -1)), pairs, mapping.locations(world, aggregate_location=None))

    assert sorted(places.select("event_id", "location_id").rows()) == [("1", ONLINE), ("1", FIRST)]


def test_an_event_of_no_pair_changes_nothing_for_the_others() -> None:
    world = snapshot(
        product_facility=stock(("A", "W1", 7), ("A", "W2", 5)), **BOTH | {"shopify_shop_location": mapped(W1=FIRST)}
    )

    assert net(world, events(("1", "W1", -3), ("2", "W2", -2))) == {FIRST: -3}
    assert net(world, events(("2", "W2", -2))) == {}


def test_a_quantity_that_cannot_be_read_gives_no_number() -> None:
    quantities, own = stock(("A", "W1", 3)), BOTH | {"shopify_shop_location": mapped(W1=FIRST)}

    for column in ("minimum_stock", "last_inventory_count"):
        world = snapshot(product_facility=quantities.with_columns(pl.lit(nan).alias(column)), **own)
        assert isnan(net(world, events(("1", "W1", -3)))[FIRST])


def test_safety_stock_threshold_and_a_switched_off_facility_are_respected() -> None:
    safe = snapshot(product_facility=stock(("A", "W1", 3, 5)), **BOTH)
    off = snapshot(product_facility=stock(("A", "W1", 3, 0, "N")), **BOTH)
    outside = snapshot(product_facility=stock(("A", "W1", 3)), facility_group_member=group("W2"), **BOTH)
    threshold = snapshot(product_facility=stock(("A", "W1", 3), ("A", "CONFIG", 0, 2)), **BOTH)

    assert net(safe, events(("1", "W1", -4))) == {ONLINE: -2, FIRST: -2}
    assert net(off, events(("1", "W1", -4))) == {ONLINE: 0, FIRST: -4}
    assert net(outside, events(("1", "W1", -4))) == {ONLINE: None, FIRST: -4}
    assert net(threshold, events(("1", "W1", -4))) == {ONLINE: -4, FIRST: -4}


def test_a_pair_without_a_safety_stock_moves_by_all_units() -> None:
    quantities = stock(("A", "W1", 3)).with_columns(minimum_stock=pl.lit(None, dtype=tables.QUANTITY))
    world = snapshot(product_facility=quantities, **BOTH)

    assert net(world, events(("1", "W1", -4))) == {ONLINE: -4, FIRST: -4}


def test_the_error_of_a_sum_of_fractions_is_no_fraction() -> None:
    world = snapshot(product_facility=stock(("A", "W1", 1)), **BOTH)

    assert net(world, events(*((str(n), "W1", 0.1) for n in range(10)))) == {ONLINE: 1, FIRST: 1}


def test_what_a_reset_counted_at_one_location_is_still_pushed_at_the_other() -> None:
    world = snapshot(product_facility=stock(("A", "W1", 7), ("A", "W2", 5)), **BOTH)
    batch = events(("1", "W1", -3), ("2", "W1", 1), ("3", "W2", 2))

    assert net(world, batch, claimed(("1", ONLINE, "reset"))) == {ONLINE: 3, FIRST: -2}
    assert net(world, batch, claimed(("1", ONLINE, "reset"), ("2", ONLINE, "reset"))) == {ONLINE: 2, FIRST: -2}
    assert net(world, batch, claimed(("1", 0, "baseline"), ("2", FIRST, "sent"))) == {ONLINE: 3}
    assert net(world, batch, claimed(("1", ONLINE, "released"), ("1", FIRST, "quarantined"))) == {ONLINE: 0, FIRST: -2}


def test_an_event_that_concerns_no_pair_stands_at_no_location() -> None:
    world = snapshot(
        product_facility=stock(("A", "W1", 7)), shopify_shop_location=mapped(W2=FIRST), facility=BOTH["facility"]
    )
    pairs, _ = mapping.pairs(world, RULES)
    nowhere = delta.concerned(events(("1", "W1", -1)), pairs, mapping.locations(world, aggregate_location=None))

    assert nowhere.select("event_id", "location_id").rows() == [("1", delta.EVERY_LOCATION)]


def test_the_largest_event_gives_the_reason() -> None:
    world = snapshot(
        product_facility=stock(("A", "W1", 7)), shopify_shop_location=mapped(W1=FIRST), facility=BOTH["facility"]
    )
    pairs, _ = mapping.pairs(world, RULES)

    def reason(*values: tuple[Any, ...]) -> str:
        every = delta.concerned(events(*values), pairs, mapping.locations(world, aggregate_location=None))
        moved = delta.net_changes(every, every, pairs, world, lambda seen: mapping.targets(pairs, seen, RULES))
        return str(moved["shopify_reason"].item())

    assert reason(("1", "W1", 5, "VAR_SHIP_RECV"), ("2", "W1", -1)) == "received"
    assert reason(("1", "W1", 1, "VAR_SHIP_RECV"), ("2", "W1", -2, "VAR_DAMAGED", "PI1")) == "cycle_count_available"
    assert reason(("1", "W1", 1, "RTN_ITM_RCPT")) == "restock"
    assert reason(("1", "W1", -1, "POS_SALE")) == "correction"
    assert reason(("2", "W1", 1, "VAR_SHIP_RECV"), ("1", "W1", -1, "RTN_ITM_RCPT")) == "restock"
    assert reason(("1", "W1", None, "VAR_SHIP_RECV"), ("2", "W1", -1, "RTN_ITM_RCPT")) == "restock"


@settings(max_examples=60)
@given(
    before=st.tuples(st.integers(-5, 20), st.integers(-5, 20)),
    moves=st.lists(st.tuples(st.sampled_from(["W1", "W2"]), st.integers(-6, 6), st.booleans()), max_size=6),
    minimum=st.integers(0, 4),
)
def test_the_net_is_the_target_after_less_the_target_before(
    before: tuple[int, int], moves: list[tuple[str, int, bool]], minimum: int
) -> None:
    def world(first: int, second: int) -> tables.Snapshot:
        return snapshot(product_facility=stock(("A", "W1", first, minimum), ("A", "W2", second)), **BOTH)

    def target(seen: tables.Snapshot) -> dict[int, float]:
        pairs, _ = mapping.pairs(seen, RULES)
        return dict(mapping.targets(pairs, seen, RULES).select("location_id", "oms").iter_rows())

    moved = {facility: sum(units for at, units, _ in moves if at == facility) for facility in ("W1", "W2")}
    mine = {facility: sum(units for at, units, ours in moves if at == facility and ours) for facility in ("W1", "W2")}
    now = world(before[0] + moved["W1"], before[1] + moved["W2"])
    without = world(before[0] + moved["W1"] - mine["W1"], before[1] + moved["W2"] - mine["W2"])
    batch = events(*((str(n), at, units) for n, (at, units, ours) in enumerate(moves) if ours))

    after, was = target(now), target(without)
    facilities = {facility for facility, _, ours in moves if ours}
    places = ({ONLINE} if facilities else set()) | ({FIRST} if "W1" in facilities else set())
    assert net(now, batch) == {place: after[place] - was[place] for place in places}
