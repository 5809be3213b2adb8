"""Each mapping and online ATP rule by one hand-computed table."""

from dataclasses import replace
from datetime import timedelta
from math import nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invsync import mapping, tables
from invsync.errors import UsageError
from tests.builders import (
    FIRST,
    GROUP,
    LONG_AGO,
    NOW,
    ONLINE,
    RULES,
    SECOND,
    facilities,
    group,
    in_store,
    listed,
    mapped,
    rows,
    snapshot,
    stock,
)

YESTERDAY = NOW - timedelta(days=1)


def split(seen: tables.Snapshot, **options: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    return mapping.pairs(seen, replace(RULES, **options))


def oms(seen: tables.Snapshot, **options: Any) -> dict[tuple[str, int], float | None]:
    rules = replace(RULES, **options)
    targets = mapping.targets(mapping.pairs(seen, rules)[0], seen, rules)
    return {(row["product_id"], row["location_id"]): row["oms"] for row in targets.iter_rows(named=True)}


def online(seen: tables.Snapshot, **options: Any) -> float | None:
    return oms(seen, **options)[("A", ONLINE)]


def reasons(seen: tables.Snapshot, **options: Any) -> dict[tuple[str, str | None], str]:
    held = split(seen, **options)[1]
    return {(row["product_id"], row["facility_id"]): row["reason"] for row in held.iter_rows(named=True)}


def test_online_atp_sums_facilities_each_after_its_safety_stock() -> None:
    """(10 - 4) + (7 - 0) + (3 < 5, so 0) = 13: safety stock never takes from another facility."""
    assert online(snapshot(product_facility=stock(("A", "W1", 10, 4), ("A", "W2", 7), ("A", "W3", 3, 5)))) == 13


def test_threshold_and_queue_are_taken_once() -> None:
    """100 + 20 - threshold 15 - queue (2 + 3) = 100."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 100), ("A", "W2", 20), ("A", "CONFIG", None, 15)),
        queue=rows(tables.QUEUE, ("A", 2.0), ("A", 3.0), ("B", 50.0)),
    )
    assert online(seen) == 100


def test_threshold_is_the_largest_of_the_groups_configuration_facilities() -> None:
    """10 - max(2, 3) = 7; a CONFIGURATION facility of another group does not speak."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "CONFIG", None, 2), ("A", "C2", None, 3), ("A", "C3", None, 9)),
        facility=facilities(*((n, "CONFIGURATION") for n in ("CONFIG", "C2", "C3")), ("W1",)),
        facility_group_member=group("W1", "CONFIG", "C2", ("C3", "OTHER")),
    )
    assert online(seen) == 7


@pytest.mark.parametrize(
    ("first", "second", "threshold", "atp"),
    [((2, "Y"), (3, "Y"), 3, 7), ((None, "Y"), (3, "Y"), 3, 7), ((2, "N"), (2, "Y"), 2, 0), ((2, "N"), (3, "Y"), 3, 7)],
    ids=["the larger one", "one without a number", "equal ones, one closed", "the smaller one closed"],
)
def test_one_of_two_configuration_facilities_rules(
    first: tuple[Any, ...], second: tuple[Any, ...], threshold: int, atp: int
) -> None:
    for left, right in ((first, second), (second, first)):
        seen = snapshot(
            product_facility=stock(("A", "W1", 10), ("A", "CONFIG", None, *left), ("A", "C2", None, *right)),
            facility=facilities(("CONFIG", "CONFIGURATION"), ("C2", "CONFIGURATION"), ("W1",)),
            facility_group_member=group("W1", "CONFIG", "C2"),
        )
        terms = mapping.online_atp(seen, mapping.members(seen, RULES))
        assert terms.select("threshold", "online_atp").rows() == [(threshold, atp)]


def test_online_atp_is_never_negative() -> None:
    assert online(snapshot(queue=rows(tables.QUEUE, ("A", 11.0)))) == 0


@pytest.mark.parametrize(
    ("quantities", "queue", "debt"),
    [
        ([("A", "W1", 10)], 13.0, -3),
        ([("A", "W1", 10), ("A", "CONFIG", None, 4)], 7.0, -1),
        ([("A", "W1", 10, 8)], 3.0, -1),
        ([("A", "W1", 5), ("A", "W2", -6)], 0.0, -1),
        ([("A", "W1", 10)], 10.0, None),
        ([("A", "W1", 10)], 9.5, None),
    ],
    ids=["queue", "threshold", "safety stock", "negative total", "nothing left", "half a unit left"],
)
def test_a_debt_is_what_the_terms_come_to_below_zero(
    quantities: list[tuple[Any, ...]], queue: float, debt: float | None
) -> None:
    seen = snapshot(product_facility=stock(*quantities), queue=rows(tables.QUEUE, ("A", queue)))
    pairs, _ = split(seen)
    assert mapping.targets(pairs, seen, RULES)["debt"].to_list() == [debt]


def test_a_physical_location_has_no_debt() -> None:
    seen = snapshot(product_facility=stock(("A", "W1", -3)), shopify_shop_location=mapped(W1=FIRST))
    assert mapping.targets(split(seen)[0], seen, RULES)["debt"].to_list() == [None]


def test_online_atp_comes_with_its_terms() -> None:
    """A: (10 - 4) + 7 - threshold 2 - queue 1 = 10; the channel of B is closed; a quantity of C cannot be read."""
    quantities = stock(
        ("A", "W1", 10, 4), ("A", "W2", 7), ("A", "CONFIG", None, 2), ("B", "W1", 3), ("B", "CONFIG", None, 0, "N")
    )
    seen = snapshot(
        product_facility=pl.concat([quantities, stock(("C", "W1", 5)).with_columns(last_inventory_count=nan)]),
        queue=rows(tables.QUEUE, ("A", 1.0)),
    )
    terms = mapping.online_atp(seen, mapping.members(seen, RULES)).sort("product_id")

    columns = ["product_id", "location_id", "sellable", "total", "threshold", "closed", "queue", "debt", "online_atp"]
    assert terms.select(columns).rows()[:2] == [
        ("A", ONLINE, 13, 17, 2, False, 1, None, 10),
        ("B", ONLINE, 3, 3, 0, True, 0, None, 0),
    ]
    assert terms["online_atp"].is_nan().to_list() == [False, False, True]


def test_each_aggregate_location_has_its_own_terms() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 1), ("A", "W2", 2), ("A", "W3", 4)),
        shopify_shop_location=mapped(W1=ONLINE, W2=ONLINE, W3=FIRST, W4=FIRST),
    )
    terms = mapping.online_atp(seen, mapping.members(seen, RULES))
    assert sorted(terms.select("location_id", "closed", "online_atp").rows()) == [(ONLINE, False, 3), (FIRST, False, 4)]


def test_a_product_with_a_threshold_and_no_stock_has_no_terms() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 1), ("B", "CONFIG", None, 2)),
        shopify_shop_location=mapped(W1=ONLINE, W2=ONLINE),
    )
    assert mapping.online_atp(seen, mapping.members(seen, RULES))["product_id"].to_list() == ["A"]


@pytest.mark.parametrize(("facility", "readable"), [(None, False), ("W1", True)])
def test_a_value_that_cannot_be_read_everywhere_makes_every_target_of_the_product_unreadable(
    facility: str | None, readable: bool
) -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 10)),
        shopify_shop_location=mapped(NA=ONLINE, W1=FIRST),
        unreadable=rows(tables.UNREADABLE, ("A", facility), (None, None)),
    )
    pairs, _ = split(snapshot(product_facility=seen.product_facility, shopify_shop_location=seen.shopify_shop_location))
    assert (~mapping.targets(pairs, seen, RULES)["oms"].is_nan()).to_list() == [readable] * 2


def test_brokering_off_removes_the_facility() -> None:
    seen = snapshot(product_facility=stock(("A", "W1", 10, 0, "N"), ("A", "W2", 7, 0, "Y"), ("A", "W3", 1)))
    assert online(seen) == 8


def test_brokering_off_at_configuration_closes_the_channel() -> None:
    assert online(snapshot(product_facility=stock(("A", "W1", 10), ("A", "CONFIG", None, 0, "N")))) == 0


def test_a_negative_group_total_is_zero_although_a_facility_has_stock() -> None:
    """5 + (-6) = -1 < 0, so 0, though the sellable sum is 5."""
    assert online(snapshot(product_facility=stock(("A", "W1", 5), ("A", "W2", -6)))) == 0


def test_virtual_facilities_do_not_count() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "PARK", 99), ("A", "V", 99)),
        facility=facilities(("W1",), ("PARK", "PRE_ORDER", "VIRTUAL_FACILITY"), ("V", "VIRTUAL_FACILITY")),
        facility_group_member=group("W1", "PARK", "V"),
        product_store_facility=in_store("W1", "PARK", "V"),
    )
    assert online(seen) == 10


def test_two_effective_memberships_count_once() -> None:
    seen = snapshot(
        facility_group_member=group("W1", ("W1", GROUP, YESTERDAY)),
        product_store_facility=in_store("W1", ("W1", YESTERDAY)),
    )
    assert online(seen) == 10


@pytest.mark.parametrize(
    "membership",
    [
        {"facility_group_member": group(("W1", GROUP, LONG_AGO, YESTERDAY))},
        {"facility_group_member": group(("W1", GROUP, LONG_AGO, NOW))},
        {"facility_group_member": group(("W1", GROUP, NOW + timedelta(hours=1)))},
        {"facility_group_member": group(("W1", GROUP, LONG_AGO, None, "PICK_GROUP"))},
        {"product_store_facility": in_store(("W1", LONG_AGO, YESTERDAY))},
        {"product_store_facility": in_store()},
    ],
)
def test_a_product_of_a_former_member_is_zero(membership: dict[str, pl.DataFrame]) -> None:
    assert online(snapshot(**membership)) == 0


def test_a_product_of_no_member_has_no_target() -> None:
    """Its only row is at a facility that never was in the group: no row is not zero."""
    assert online(snapshot(facility_group_member=group("W2"))) is None


def test_null_quantities_add_nothing() -> None:
    assert online(snapshot(product_facility=stock(("A", "W1", 10), ("A", "W2", None)))) == 10


def test_a_physical_location_is_its_own_sellable_quantity() -> None:
    """Flags and memberships do not matter there; a null is no target; no row is no pair."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 10, 4, "N"), ("A", "W2", None)),
        shopify_shop_location=mapped(W1=FIRST, W2=SECOND, W3=903),
        facility_group_member=group(),
    )
    assert oms(seen, group=None) == {("A", FIRST): 6, ("A", SECOND): None}


def test_several_facilities_at_one_location_are_summed_whatever_the_group() -> None:
    """W1 + W2 = 17, W3 is not named; the group's threshold 2 and the queue 3 come off: 12."""
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "W2", 7), ("A", "W3", 50), ("A", "CONFIG", None, 2)),
        shopify_shop_location=mapped(W1=ONLINE, W2=ONLINE),
        facility_group_member=group("W3", "CONFIG"),
        queue=rows(tables.QUEUE, ("A", 3.0)),
    )
    assert online(seen) == 12
    assert split(seen)[0]["mode"].to_list() == ["aggregate"]


def test_aggregate_location_and_physical_location_side_by_side() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "W2", 7)),
        shopify_shop_location=mapped(NA=ONLINE, W1=FIRST),
    )
    assert oms(seen) == {("A", ONLINE): 17, ("A", FIRST): 10}
    assert reasons(seen) == {}


def test_configured_aggregate_location_settles_a_double_naming() -> None:
    seen = snapshot(shopify_shop_location=mapped(NA=ONLINE, W1=ONLINE))
    assert set(reasons(seen).values()) == {"ambiguous_mapping"}
    assert oms(seen, aggregate_location=ONLINE) == {("A", ONLINE): 10}


def test_configured_aggregate_location_needs_no_facility() -> None:
    seen = snapshot(shopify_shop_location=mapped(W1=FIRST))
    assert oms(seen, aggregate_location=ONLINE) == {("A", ONLINE): 10, ("A", FIRST): 10}


def test_aggregate_without_group_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="facility_group_id"):
        split(snapshot(), group=None)


@pytest.mark.parametrize(
    ("shop_product", "reason"),
    [
        (listed(("A", 1), ("A", 2)), "ambiguous_mapping"),
        (listed(("A", 1), ("B", 1)), "ambiguous_mapping"),
        (listed(("A", "x1")), "malformed"),
        (listed(("A", 10**19)), "malformed"),
        (listed(("A", None)), "unmapped_product"),
        (listed(("B", 1)), "unmapped_product"),
    ],
)
def test_a_product_that_cannot_be_placed_is_held(shop_product: pl.DataFrame, reason: str) -> None:
    seen = snapshot(shopify_shop_product=shop_product)
    assert split(seen)[0].is_empty()
    assert reasons(seen)[("A", "W1")] == reason


def test_the_same_item_listed_twice_for_one_product_is_no_fault() -> None:
    assert online(snapshot(shopify_shop_product=listed(("A", 1), ("A", 1)))) == 10


def test_locations_that_are_no_ids_or_unknown_are_held() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 1), ("A", "W2", 1), ("A", "W3", 1)),
        shopify_shop_location=mapped(W1="gid", W3=FIRST),
        facility_group_member=group(),
    )
    assert reasons(seen) == {("A", "W1"): "malformed", ("A", "W2"): "unmapped_location"}


def test_an_unreadable_quantity_holds_every_pair_it_enters() -> None:
    seen = snapshot(
        product_facility=stock(("A", "W1", 10), ("A", "W2", 7)).with_columns(
            computed_last_inventory_count=pl.Series([nan, 7.0])
        ),
        shopify_shop_location=mapped(NA=ONLINE, W1=FIRST, W2=SECOND),
    )
    assert oms(seen) == {("A", SECOND): 7}
    assert reasons(seen) == {("A", "W1"): "malformed", ("A", None): "malformed"}


FACILITIES = ["W1", "W2", "W3", "CONFIG", "_NA_"]
ITEMS = st.sampled_from([None, "1", "2", "bad"])
PLACES = st.sampled_from([None, "", "bad", str(ONLINE), str(FIRST)])


@settings(max_examples=150, deadline=None)
@given(
    cells=st.sets(st.tuples(st.sampled_from("ABC"), st.sampled_from(FACILITIES)), min_size=1),
    items=st.lists(st.tuples(st.sampled_from("ABC"), ITEMS), max_size=4),
    places=st.dictionaries(st.sampled_from(FACILITIES), PLACES),
    inside=st.sets(st.sampled_from(FACILITIES)),
    configured=st.sampled_from([None, ONLINE]),
)
def test_every_row_ends_in_exactly_one_class(cells: Any, items: Any, places: Any, inside: Any, configured: Any) -> None:
    """A product_facility row is held once by name, or it feeds at least one pair that is sent."""
    seen = snapshot(
        product_facility=stock(*((p, f, 1) for p, f in sorted(cells))),
        shopify_shop_product=listed(*items),
        shopify_shop_location=rows(tables.SHOPIFY_SHOP_LOCATION, *(("SHOP", f, place) for f, place in places.items())),
        facility_group_member=group(*sorted(inside)),
    )
    good, held = split(seen, aggregate_location=configured)
    assert not good.select("product_id", "location_id").is_duplicated().any()
    named = held.drop_nulls("facility_id").select("product_id", "facility_id").rows()
    assert len(named) == len(set(named)) and set(named) <= cells
    sent = set(good["product_id"])
    assert all(product in sent for product, _ in cells - set(named))
    assert not set(good.select("product_id", "location_id").rows()) & set(
        held.filter(pl.col("facility_id").is_null()).select("product_id", "location_id").rows()
    )


@pytest.mark.parametrize(
    ("shop_product", "message"),
    [
        (listed(("A", 502), ("A", 502999)), "Product A is linked to items 502 and 502999."),
        (listed(("A", 502), ("B", 502)), "Item 502 is linked to products A and B."),
        (
            listed(("A", 1), ("A", 2), ("B", 1)),
            "Item 1 is linked to products A and B. Product A is linked to items 1 and 2.",
        ),
        (listed(("A", "x1")), None),
    ],
)
def test_a_row_that_is_linked_twice_names_the_ids(shop_product: pl.DataFrame, message: str | None) -> None:
    held = split(snapshot(shopify_shop_product=shop_product))[1]
    assert set(held.filter(pl.col("product_id") == "A")["message"]) == {message}


def test_a_facility_that_is_linked_twice_names_its_locations() -> None:
    held = split(snapshot(shopify_shop_location=mapped(NA=ONLINE, W1=ONLINE)))[1]
    assert set(held["message"]) == {f"Location {ONLINE} is linked to facilities W1 and _NA_."}
