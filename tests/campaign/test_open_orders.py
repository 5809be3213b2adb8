"""A first run in a shop with thousands of open orders, many of them older than the look-back."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from rehearsal import HARD, ONLINE, RECENT, START, open_rehearsal

ORDERS, PRODUCTS, DAY = 5_000, 500, timedelta(days=1)


@pytest.mark.parametrize("shown", [True, False], ids=["every order is shown", "orders of the last 60 days are shown"])
def test_a_first_run_with_5000_open_orders_lowers_no_pair(
    shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of them is 15 to 90 days old; the OMS has booked them all, in its queue or by a reservation."""
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        shop, oms = rehearsal.shop, rehearsal.oms
        shop.clock = lambda: START
        with oms.batch():
            oms.stock_up([(f"P{n}", f"S{n}", n, 100.0) for n in range(1, PRODUCTS + 1)], "WH", START - 100 * DAY)
            for number in range(ORDERS):
                age = timedelta(days=15 + number % 75) if number % 3 == 0 else timedelta(minutes=20 + number)
                product, at = number % PRODUCTS + 1, START - age
                if product not in shop.items:
                    shop.add_item(product, f"S{product}")
                    shop.set_level(product, ONLINE, 100)
                shop.place_order(10_000 + number, f"#{number}", at, [(product, 1)], ONLINE)
                oms.import_order(f"O{number}", 10_000 + number, [(f"P{product}", 1)], at)
                if number % 2:
                    oms.reserve(f"O{number}", "WH", at)
                if not shown and age > 60 * DAY:
                    del shop.orders[10_000 + number]
        for job in (HARD, RECENT):
            shop.requests.clear()
            started = time.monotonic()
            facts = rehearsal.run(START, job)
            print(
                f"{job}: {time.monotonic() - started:.1f} s, {len(shop.requests)} calls, {facts['counts']['read']} pairs"
            )
            assert facts["exit_code"] == 0 and facts["counts"]["read"] == PRODUCTS, facts["messages"]
            assert facts["units"] == {"raised": 0, "lowered": 0} and facts["in_flight"]["units"] == 0
        assert any("does not show us" in message for message in facts["messages"]) != shown
