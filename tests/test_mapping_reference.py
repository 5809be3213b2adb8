"""Mapping, online ATP and the difference, against the same rules applied row by row in plain Python."""

import random
from functools import cached_property
from itertools import product as cross
from math import floor, isnan, nan
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from invsync import equation, mapping, tables
from tests.builders import GROUP, LONG_AGO, NOW, STORE, facilities, group, in_store, levels, listed, rows, snapshot

Row = dict[str, Any]
PRODUCTS = [f"P{n}" for n in range(7)]
PLACES = ["W1", "W2", "W3", "W4", "CONFIG", "C2", "_NA_", "PARK", "LOST"]
KINDS = [
    ("W1",),
    ("W2",),
    ("W3",),
    ("W4",),
    ("CONFIG", "CONFIGURATION"),
    ("C2", "CONFIGURATION"),
    ("_NA_", "NA", "VIRTUAL_FACILITY"),
    ("PARK", "PARKING", "VIRTUAL_FACILITY"),
]


def world(pick: random.Random) -> tables.Snapshot:
    """A random OMS with every kind of fault."""

    def some(rows: list[Any]) -> list[Any]:
        return pick.sample(rows, pick.randint(0, len(rows)))

    def units() -> float | None:
        return pick.choice([None, nan if pick.random() < 0.2 else 1.0, -3.0, 5.0, 2.5, 10.0, 7.0])

    stock = [
        (p, f, units(), units(), units(), pick.choice([None, *"YYYYYYNNN", "maybe"]), NOW)
        for p, f in some(list(cross(PRODUCTS, PLACES)))
    ]
    inside = [
        pick.choice([f, f, (f, GROUP, LONG_AGO, LONG_AGO), (f, "OTHER"), (f, GROUP, LONG_AGO, None, "PICK")])
        for f in some(PLACES)
    ]
    texts = [None, "", "bad", "900", "901", "902", "903", "904"]
    named = [("SHOP", f, pick.choice(texts)) for f in some(PLACES) + some(PLACES)[: pick.choice([0, 0, 2])]]
    items = [(p, 100 + n) for n, p in enumerate(some(PRODUCTS))]
    items += [(pick.choice([*PRODUCTS, "Q"]), pick.choice([None, "bad", 101, 120])) for _ in range(pick.choice([0, 2]))]
    return snapshot(
        product_facility=rows(tables.PRODUCT_FACILITY, *stock),
        facility=facilities(*(kind for kind in KINDS if pick.random() < 0.95)),
        facility_group_member=group(*inside),
        product_store_facility=in_store(*some(PLACES)),
        shopify_shop_location=rows(tables.SHOPIFY_SHOP_LOCATION, *named),
        shopify_shop_product=listed(*items),
        product=rows(tables.PRODUCT, *((p, f"SKU-{p}") for p in some(PRODUCTS))),
        queue=rows(tables.QUEUE, *((p, 2.0) for p in some(PRODUCTS))),
    )


def is_now(row: Row) -> bool:
    """The row is effective at NOW."""
    begun = row["from_date"] is None or row["from_date"] <= NOW
    return begun and (row["thru_date"] is None or row["thru_date"] > NOW)


def digits(text: str) -> int | None:
    return int(text) if text.isdigit() else None


class Plain:
    """The rules of mapping and online ATP over one snapshot, a row at a time."""

    def __init__(self, seen: tables.Snapshot, configured: int | None) -> None:
        self.configured = configured
        self.stock = seen.product_facility.to_dicts()
        self.kinds = {row["facility_id"]: row for row in seen.facility.to_dicts()}
        self.inside = [row for row in seen.facility_group_member.to_dicts() if row["facility_group_id"] == GROUP]
        self.in_store = {row["facility_id"] for row in seen.product_store_facility.to_dicts() if is_now(row)}
        self.named = {
            (row["facility_id"], digits(row["shopify_location_id"]))
            for row in seen.shopify_shop_location.to_dicts()
            if row["shopify_location_id"]
        }
        self.listed = {
            (row["product_id"], digits(row["shopify_inventory_item_id"]))
            for row in seen.shopify_shop_product.to_dicts()
            if row["shopify_inventory_item_id"]
        }
        self.skus = dict(seen.product.rows())
        self.queue = dict(seen.queue.rows())

    @cached_property
    def forms(self) -> dict[str | None, tuple[int | None, str]]:
        """The location and form of each facility that names one."""
        forms: dict[str | None, tuple[int | None, str]] = {}
        for facility in {facility for facility, _ in self.named}:
            places = [place for name, place in self.named if name == facility]
            others = {name for name, place in self.named if place == places[0]}
            forms[facility] = (
                min(places, key=lambda place: -1 if place is None else place),
                self.form(facility, places, others),
            )
        if self.configured and self.configured not in {place for place, _ in forms.values()}:
            forms[None] = (self.configured, "group")
        return forms

    def form(self, facility: str, places: list[int | None], others: set[str]) -> str:
        """How a facility names its location, together with the others that name the same."""
        online = facility == "_NA_"
        if len(places) > 1:
            return "ambiguous"
        if places[0] is None:
            return "malformed"
        if places[0] == self.configured:
            return "group"
        if "_NA_" in others and len(others) > 1:
            return "ambiguous"
        if online:
            return "unused" if self.configured else "group"
        return "set" if len(others) > 1 else "physical"

    @cached_property
    def members(self) -> dict[int, dict[str, tuple[bool, bool, bool]]]:
        """At each aggregate location the facilities: ever a member, counted now, ruling."""
        return {
            place: self.members_of(place, form)
            for place, form in self.forms.values()
            if place and form in ("group", "set")
        }

    def members_of(self, place: int, form: str) -> dict[str, tuple[bool, bool, bool]]:
        own = {name for name, (at, how) in self.forms.items() if name and at == place and how == "set"}
        grouped = {row["facility_id"] for row in self.inside}
        members = {}
        for name in own | grouped:
            memberships = [row for row in self.inside if row["facility_id"] == name and is_now(row)]
            channel = any(row["facility_group_type_id"] == "CHANNEL_FAC_GROUP" for row in memberships)
            kind = self.kinds.get(name)
            virtual = kind is None or "VIRTUAL_FACILITY" in (kind["facility_type_id"], kind["parent_type_id"])
            member = name in own or (form == "group" and channel)
            rules = bool(memberships) and kind is not None and kind["facility_type_id"] == "CONFIGURATION"
            ever = name in own or form == "group"
            members[name] = (ever, member and name in self.in_store and not virtual, rules)
        return members

    def item(self, product: str) -> tuple[int | None, str | None] | None:
        """The inventory item of a product and what is wrong with it; None where it has none."""
        items = [item for name, item in self.listed if name == product]
        if not items:
            return None
        known = [item for item in items if item is not None]
        shared = any(len({name for name, other in self.listed if other == item}) > 1 for item in known)
        fault = "malformed" if len(known) < len(items) else "ambiguous_mapping" if len(items) > 1 or shared else None
        return min(known, default=None), fault

    @cached_property
    def unreadable(self) -> set[tuple[str, int]]:
        """The aggregate pairs that an unreadable quantity enters."""
        pairs = set()
        for row, (place, members) in cross(self.stock, self.members.items()):
            _, counts, rules = members.get(row["facility_id"], (False, False, False))
            unclear = row["allow_brokering"] not in (None, "Y", "N")
            broken = is_nan(row["last_inventory_count"]) or is_nan(row["computed_last_inventory_count"])
            counted = counts and row["allow_brokering"] != "N" and (broken or unclear)
            if counted or (rules and (is_nan(row["minimum_stock"]) or unclear)):
                pairs.add((row["product_id"], place))
        return pairs

    def verdict(self, row: Row) -> tuple[int | None, str | None]:
        """The location of a product_facility row and why it feeds no pair."""
        place, form = self.forms.get(row["facility_id"], (None, "unused"))
        online = min(
            (
                at
                for at, names in self.members.items()
                if row["facility_id"] in names or (place == at and form in ("group", "set"))
            ),
            default=None,
        )
        where = online if place is None else place
        item = self.item(row["product_id"])
        broken = form == "physical" and is_nan(row["computed_last_inventory_count"])
        cases = [
            (item is None, "unmapped_product"),
            (form == "malformed", "malformed"),
            (form == "unused" and online is None, "unmapped_location"),
            (form == "ambiguous", "ambiguous_mapping"),
            (item is not None and item[1] is not None, item and item[1]),
            (broken or (row["product_id"], where) in self.unreadable, "malformed"),
        ]
        return where, next((word for holds, word in cases if holds), None)

    def split(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """PAIRS and MAPPING_HELD as rows."""
        good, held = [], []
        for row in self.stock:
            product, (where, reason) = row["product_id"], self.verdict(row)
            item, _ = self.item(product) or (None, None)
            if reason:
                held.append((product, row["facility_id"], item, where, self.skus.get(product), reason))
            elif self.forms.get(row["facility_id"], (None, ""))[1] == "physical":
                good.append((item, where, product, self.skus.get(product), "physical"))
        for product, place in cross({row["product_id"] for row in self.stock}, self.members):
            if item := self.item(product):
                reason = item[1] or ("malformed" if (product, place) in self.unreadable else None)
                if reason:
                    held.append((product, None, item[0], place, self.skus.get(product), reason))
                else:
                    good.append((item[0], place, product, self.skus.get(product), "aggregate"))
        return good, held

    def oms(self, product: str, place: int, mode: str) -> float | None:
        """What the OMS wants at a pair."""
        mine = [row for row in self.stock if row["product_id"] == product]
        if mode == "physical":
            here = [row for row in mine if self.forms.get(row["facility_id"]) == (place, "physical")]
            return here[0]["computed_last_inventory_count"] if here else None
        at = [
            (row, *self.members[place][row["facility_id"]]) for row in mine if row["facility_id"] in self.members[place]
        ]
        if not any(ever for _, ever, _, _ in at):
            return None
        counted = [row for row, _, counts, _ in at if counts and row["allow_brokering"] != "N"]
        rules = [
            (row["minimum_stock"] is not None, row["minimum_stock"] or 0.0, row["allow_brokering"] == "N")
            for row, _, _, ruling in at
            if ruling
        ]
        _, threshold, closed = max(rules, default=(False, 0.0, False))
        if closed or sum(row["last_inventory_count"] or 0 for row in counted) < 0:
            return 0.0
        sellable = sum(row["computed_last_inventory_count"] or 0 for row in counted)
        return float(max(0.0, sellable - threshold - self.queue.get(product, 0.0)))


def is_nan(number: float | None) -> bool:
    return number is not None and isnan(number)


@pytest.mark.parametrize("seed", range(60))
def test_pairs_targets_and_variances_equal_the_rules_row_by_row(seed: int) -> None:
    pick = random.Random(seed)
    seen, configured = world(pick), pick.choice([None, None, 900, 905])
    rules = mapping.Rules(configured, GROUP, STORE, NOW)
    plain = Plain(seen, configured)

    pairs, held = mapping.pairs(seen, rules)
    good, rest = plain.split()
    assert sorted(pairs.rows()) == sorted(good)
    assert sorted(held.drop("message").rows(), key=repr) == sorted(rest, key=repr)

    shuffled = pairs.sample(fraction=1, shuffle=True, seed=seed)
    targets = mapping.targets(shuffled, seen, rules)
    wanted = {row[:2]: plain.oms(row[2], row[1], row[4]) for row in good}
    assert {row[:2]: row[5] for row in targets.rows()} == wanted and targets.height == pairs.height

    shown = {key: pick.choice([None, 0, 3, 40]) for key in wanted if pick.random() < 0.8}
    sold = [(*key, pick.randint(1, 3)) for key in wanted for _ in range(pick.choice([0, 0, 1, 2]))]
    shelf = levels(*((*key, available) for key, available in shown.items()), (999, 900, 1))
    flight = rows(tables.IN_FLIGHT, *((9, "#9", NOW, *row) for row in sold))
    variances = equation.variances(targets, shelf.sample(fraction=1, shuffle=True, seed=seed), flight, buffer=2)
    for row in variances.iter_rows(named=True):
        key = (row["inventory_item_id"], row["location_id"])
        free = None if wanted[key] is None else wanted[key] - sum(units for *pair, units in sold if tuple(pair) == key)
        target = None if free is None else max(free - 2, min(free, 0.0))
        if target is not None and shown.get(key) is not None and floor(target) <= shown[key]:
            target = floor(target)
        delta = None if target is None or shown.get(key) is None else round(target - shown[key])
        assert (row["available"], row["target"], row["delta"]) == (shown.get(key), target, delta)


def test_pairs_in_any_order_are_matched_exactly() -> None:
    """Two rows swapped in a million, or ids as large as an integer goes: sortedness is looked at, never believed."""
    keys = pl.DataFrame(
        {"inventory_item_id": pl.int_range(2000, eager=True) // 4, "location_id": [7, 8, 2**62, 9] * 500}
    )
    keys = keys.with_columns(inventory_item_id=2**63 - 1 - pl.col("inventory_item_id")).sort(
        "inventory_item_id", "location_id"
    )
    right = keys.with_columns(units=pl.int_range(pl.len()))
    swapped = pl.concat([right[:700], right[701], right[700], right[702:]])

    for left, known in [
        (keys, right),
        (keys.reverse(), swapped),
        (keys, right.sample(fraction=1, shuffle=True, seed=1)),
    ]:
        assert_frame_equal(mapping.matched(left, known).collect(), right)


def test_a_pair_that_is_not_there_is_null_and_a_stranger_adds_nothing() -> None:
    left = pl.DataFrame({"inventory_item_id": [1, 1, 3], "location_id": [7, 8, 7]})
    right = pl.DataFrame({"inventory_item_id": [1, 2, 3], "location_id": [8, 7, 6], "units": [4, 5, 6]})

    assert mapping.matched(left, right, right.clear().rename({"units": "more"})).collect().rows() == [
        (1, 7, None, None),
        (1, 8, 4, None),
        (3, 7, None, None),
    ]
