"""One number taken apart: the OMS's parts, the orders in flight by name, and what earlier runs did."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rehearsal import HARD, ONLINE, START, STORE, Rehearsal

from invsync.errors import UsageError
from invsync.explain import OnlineTerms, explain


def test_a_number_is_taken_apart(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=17)
    rehearsal.oms.set_stock("P1", "ST", 5, START, minimum_stock=2)
    rehearsal.oms.import_order("O1", 900, [("P1", 3)], START)
    rehearsal.shop.place_order(1001, "#1001", datetime.now(UTC) - timedelta(minutes=5), [(1, 4)], ONLINE)
    run = rehearsal.run(datetime.now(UTC), HARD)
    rehearsal.shop.set_level(1, ONLINE, 15)

    level = explain("demo", "A", str(rehearsal.config))

    assert level.target == 20 + 3 - 3 - 4 and level.available == 15 and level.locations == (ONLINE, STORE)
    assert level.oms.quantity == 20 and level.oms.online == OnlineTerms(23, 0, 3, closed=False)
    assert [(order.name, order.units) for order in level.in_flight] == [("#1001", 4)] and level.buffer == 0
    last = level.history[0]
    assert (last.run_id, last.file, last.line, last.outcome) == (
        run["run_id"],
        "adjustments.jsonl",
        0,
        "applied",
    )
    assert level.moved_since == -1
    text = repr(level)
    assert "#1001" in text and "line 1 of adjustments.jsonl" in text and "safety stock 2" in text


def test_the_store_has_its_own_number(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=25)
    rehearsal.oms.set_stock("P1", "ST", 5, START)
    rehearsal.shop.set_level(1, STORE, 5)

    level = explain("demo", "P1", str(rehearsal.config), location=STORE)

    assert (level.mode, level.target, level.history, level.moved_since) == ("physical", 5, (), None)
    assert level.oms.online is None


def test_the_json_has_the_terms_beside_the_quantity(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=17)
    rehearsal.oms.set_stock("P1", "ST", 5, START)
    rehearsal.run(datetime.now(UTC), HARD)

    online = explain("demo", "A", str(rehearsal.config)).to_dict()
    store = explain("demo", "A", str(rehearsal.config), location=STORE).to_dict()

    assert " ".join(online) == (
        "shop sku product_id inventory_item_id location_id mode locations target available difference oms in_flight "
        "set_aside buffer held tracked active history at title location_name shopify_product_id shopify_variant_id "
        "levels orders last_look moved_since steps"
    )
    facility = (
        "facility_id last_inventory_count minimum_stock computed_last_inventory_count allow_brokering "
        "last_updated_stamp"
    )
    assert terms(online) == (
        "quantity sellable threshold queue closed facilities",
        f"{facility} counts facility_name",
    )
    assert terms(store) == ("quantity facilities", f"{facility} facility_name")
    assert " ".join(online["history"][0]) == (
        "run_id job status finished_at outcome reason message available delta target oms in_flight after file line"
    )


def terms(level: dict[str, Any]) -> tuple[str, str]:
    """The names of an explanation's `oms`, and of its first facility."""
    return " ".join(level["oms"]), " ".join(level["oms"]["facilities"][0])


def test_an_unknown_sku_and_an_unmapped_product_are_named(rehearsal: Rehearsal) -> None:
    rehearsal.oms.add_product("PX", "X")
    rehearsal.oms.set_stock("PX", "WH", 5, START)

    with pytest.raises(UsageError, match="no product whose SKU or id is 'B'"):
        explain("demo", "B", str(rehearsal.config))
    with pytest.raises(UsageError, match="unmapped_product"):
        explain("demo", "X", str(rehearsal.config))
