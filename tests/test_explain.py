"""One number taken apart: the OMS's parts, the orders in flight by name, and what earlier runs did."""

from datetime import UTC, datetime, timedelta

import pytest
from rehearsal import HARD, ONLINE, START, STORE, Rehearsal

from invsync.errors import UsageError
from invsync.explain.level import explain, lines


def test_a_number_is_taken_apart(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=17)
    rehearsal.oms.set_stock("P1", "ST", 5, START, minimum_stock=2)
    rehearsal.oms.import_order("O1", 900, [("P1", 3)], START)
    rehearsal.shop.place_order(1001, "#1001", datetime.now(UTC) - timedelta(minutes=5), [(1, 4)], ONLINE)
    run = rehearsal.run(datetime.now(UTC), HARD)
    rehearsal.shop.set_level(1, ONLINE, 15)

    facts = explain("demo", "A", str(rehearsal.config))

    assert facts["target"] == 20 + 3 - 3 - 4 and facts["available"] == 15 and facts["locations"] == [ONLINE, STORE]
    assert facts["oms"]["quantity"] == 20 and facts["oms"]["queue"] == 3 and facts["oms"]["sellable"] == 23
    assert [(o["name"], o["units"]) for o in facts["in_flight"]] == [("#1001", 4)] and facts["buffer"] == 0
    last = facts["history"][0]
    assert (last["run_id"], last["file"], last["line"], last["outcome"]) == (
        run["run_id"],
        "adjustments.jsonl",
        0,
        "applied",
    )
    assert facts["moved_since"] == -1
    text = "\n".join(lines(facts))
    assert "#1001" in text and "line 1 of adjustments.jsonl" in text and "safety stock 2" in text


def test_the_store_has_its_own_number(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=25)
    rehearsal.oms.set_stock("P1", "ST", 5, START)
    rehearsal.shop.set_level(1, STORE, 5)

    facts = explain("demo", "P1", str(rehearsal.config), location=STORE)

    assert (
        facts["mode"] == "physical" and facts["target"] == 5 and facts["history"] == [] and facts["moved_since"] is None
    )


def test_an_unknown_sku_and_an_unmapped_product_are_named(rehearsal: Rehearsal) -> None:
    rehearsal.oms.add_product("PX", "X")
    rehearsal.oms.set_stock("PX", "WH", 5, START)

    with pytest.raises(UsageError, match="no product whose SKU or id is 'B'"):
        explain("demo", "B", str(rehearsal.config))
    with pytest.raises(UsageError, match="unmapped_product"):
        explain("demo", "X", str(rehearsal.config))
