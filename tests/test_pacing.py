"""Pacing by Shopify's bucket: how many calls are open at once, and that a throttled change is sent once."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from rehearsal import DELTAS, HARD, RECENT, START, Rehearsal, of_shop

from invsync.config.settings import OmsSettings, ShopSettings
from invsync.jobs.delivery import Delivery
from invsync.sandbox.admin.costs import Bucket
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.shopify import Shopify
from invsync.shopify.pacing import AT_FIRST, MOST_AT_ONCE, Pacer

TEXT, PLACE = "mutation m { m }", 10
STANDARD, PLUS = (2_000.0, 100.0), (20_000.0, 1_000.0)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("invsync.shopify.pacing.time.monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def body(available: float, plan: tuple[float, float] = STANDARD, *, actual: float | None = 10) -> dict[str, Any]:
    status = {"maximumAvailable": plan[0], "restoreRate": plan[1], "currentlyAvailable": available}
    return {"extensions": {"cost": {"requestedQueryCost": 10, "actualQueryCost": actual, "throttleStatus": status}}}


def paced(clock: Clock, answer: dict[str, Any], *, seconds: float = 1.0, share: float = 1.0) -> Pacer:
    """A pacer that had this answer after so many seconds."""
    pacer = Pacer(clock.sleep, share)
    with pacer.call(TEXT) as call:
        call.learn(answer, seconds)
    return pacer


@pytest.mark.parametrize(
    ("calls", "available", "plan", "seconds", "expected"),
    [
        (5, 2_000, STANDARD, 1.0, 1.0),  # all at once
        (300, 2_000, STANDARD, 1.0, 10.0),  # 1,000 points are lacking
        (300, 20_000, PLUS, 1.0, 5.0),  # 64 at once
        (300, 0, STANDARD, 0.1, 30.0),
    ],
)
def test_how_long_calls_take_is_what_their_points_or_their_answers_take(
    clock: Clock, calls: int, available: float, plan: tuple[float, float], seconds: float, expected: float
) -> None:
    assert paced(clock, body(available, plan), seconds=seconds).seconds(TEXT, calls) == expected


@pytest.mark.parametrize(
    ("available", "plan", "seconds", "expected"),
    [
        (0, STANDARD, 1.0, 10),
        (0, STANDARD, 0.2, 2),
        (0, STANDARD, 0.0, 1),
        (300, STANDARD, 0.2, 30),
        (2_000, STANDARD, 1.0, MOST_AT_ONCE),
        (0, PLUS, 0.2, 20),
        (0, PLUS, 1.0, MOST_AT_ONCE),
    ],
)
def test_as_many_calls_are_open_as_the_bucket_holds_or_restores_during_one(
    clock: Clock, available: float, plan: tuple[float, float], seconds: float, expected: int
) -> None:
    assert paced(clock, body(available, plan), seconds=seconds).at_once(TEXT) == expected


def test_a_few_calls_are_open_until_the_bucket_is_known(clock: Clock) -> None:
    assert Pacer(clock.sleep).at_once(TEXT) == AT_FIRST


def test_calls_that_are_open_count_before_their_answers(clock: Clock) -> None:
    pacer = paced(clock, body(25))
    calls = [pacer.call(TEXT) for _ in range(4)]

    for call in calls:
        call.__enter__()

    assert clock.now == pytest.approx(0.15)


def test_an_older_answer_does_not_hide_what_open_calls_cost(clock: Clock) -> None:
    pacer = paced(clock, body(20))
    with pacer.call(TEXT) as first, pacer.call(TEXT):
        first.learn(body(20), 1.0)  # Shopify has not charged the second yet

        with pacer.call(TEXT):
            assert clock.now == pytest.approx(0.1)


def test_a_throttled_call_gives_its_points_back(clock: Clock) -> None:
    pacer = paced(clock, body(20))
    with pacer.call(TEXT), pacer.call(TEXT) as throttled:
        throttled.learn(body(500, actual=None), 0.1)

        assert pacer.at_once(TEXT) == 10
        with pacer.call(TEXT):
            assert clock.now == 0


@pytest.mark.parametrize(("share", "waited"), [(1.0, 0.0), (0.8, 3.1)])
def test_a_share_of_the_bucket_is_left_to_others(clock: Clock, share: float, waited: float) -> None:
    pacer = paced(clock, body(100), share=share)

    with pacer.call(TEXT):
        assert clock.now == pytest.approx(waited)


def test_a_bucket_of_no_known_size_has_no_share(clock: Clock) -> None:
    answer = body(50)
    del answer["extensions"]["cost"]["throttleStatus"]["maximumAvailable"]

    assert paced(clock, answer, seconds=0.1, share=0.8).at_once(TEXT) == 5


def test_a_share_that_no_bucket_has_is_refused() -> None:
    for share in (0, 1.01):
        with pytest.raises(ValidationError, match="api_share"):
            ShopSettings(domain="a.myshopify.com", token_env="T", oms=OmsSettings(shop_id="S"), api_share=share)


# -- the sandbox


def a_file(folder: Path, count: int) -> Path:
    """Lines of one change each, of the items 1, 2, …"""
    path = folder / "adjustments.jsonl"
    path.write_text("".join(json.dumps(a_line(item)) + "\n" for item in range(1, count + 1)))
    return path


def a_line(item: int) -> dict[str, Any]:
    change = {
        "inventoryItemId": f"gid://shopify/InventoryItem/{item}",
        "locationId": f"gid://shopify/Location/{PLACE}",
        "delta": 1,
        "changeFromQuantity": None,
    }
    return {"input": {"name": "available", "reason": "correction", "changes": [change]}, "idempotencyKey": f"k{item}"}


def a_shop(count: int, bucket: Bucket) -> Shop:
    shop = Shop(bucket=bucket)
    shop.add_location(PLACE, "Store")
    for item in range(1, count + 1):
        shop.add_item(item, f"S{item}")
        shop.set_level(item, PLACE, 5)
    return shop


def submitted(shop: Shop, path: Path, result: Path, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """The result lines, after one read as in every job."""
    oms = OmsSettings(shop_id="S")
    with serve(shop) as url:
        settings = ShopSettings(domain="acme.myshopify.com", endpoint=url, token_env="TOKEN", oms=oms)
        with Shopify.open(settings, secrets={"TOKEN": shop.token}, sleep=sleep) as shopify:
            shopify.locations()
            shopify.submit(path, result, transport="direct")
    return result.read_text().splitlines()


@pytest.mark.parametrize("fault", ["throttle", "throttle_429", "error_after", "cut_after", "concurrent"])
def test_of_many_calls_at_once_none_is_lost_or_applied_twice(tmp_path: Path, fault: str) -> None:
    shop = a_shop(60, Bucket(maximum=200, restore_rate=400))
    shop.faults.arm(fault, times=15, match="inventoryAdjustQuantities")

    answers = submitted(shop, a_file(tmp_path, 60), tmp_path / "result.jsonl", lambda s: time.sleep(min(s, 0.05)))

    assert sorted(json.loads(text)["__lineNumber"] for text in answers) == list(range(60))
    assert [shop.available(item, PLACE) for item in range(1, 61)] == [6] * 60


def test_another_program_that_empties_the_bucket_loses_and_repeats_nothing(tmp_path: Path) -> None:
    shop = a_shop(60, Bucket(maximum=300, restore_rate=400))
    over = threading.Event()

    def spend() -> None:
        while not over.wait(0.02):
            shop.bucket.available = min(shop.bucket.available, 15)

    other = threading.Thread(target=spend)
    other.start()
    try:
        answers = submitted(shop, a_file(tmp_path, 60), tmp_path / "result.jsonl")
    finally:
        over.set()
        other.join()

    assert len(answers) == 60
    assert [shop.available(item, PLACE) for item in range(1, 61)] == [6] * 60


def test_lines_leave_in_the_order_of_the_file(tmp_path: Path) -> None:
    keys: list[int] = []
    lock, most = threading.Lock(), [0, 0]

    def answer(request: httpx.Request) -> httpx.Response:
        call = json.loads(request.content)
        with lock:
            keys.append(int(call["variables"]["idempotencyKey"][1:]))
            most[0] += 1
            most[1] = max(most)
        time.sleep(0.01)
        with lock:
            most[0] -= 1
        done = {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": {"id": "g"}, "userErrors": []}}
        return httpx.Response(200, json={"data": done} | body(0))

    settings = ShopSettings(domain="acme.myshopify.com", token_env="TOKEN", oms=OmsSettings(shop_id="S"))
    transport = httpx.MockTransport(answer)
    with Shopify.open(settings, secrets={"TOKEN": "t"}, sleep=lambda _: None, transport_override=transport) as shopify:
        shopify.submit(a_file(tmp_path, 100), tmp_path / "result.jsonl", transport="direct")

    late = max(place - key for place, key in enumerate(keys, 1))
    assert sorted(keys) == list(range(1, 101)) and most[1] <= AT_FIRST and late <= AT_FIRST


@pytest.mark.parametrize("job", [RECENT, DELTAS])
def test_a_throttled_job_counts_each_change_once(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    write = Delivery.write
    monkeypatch.setattr("invsync.shopify.client.throttle_seconds", lambda response, body: 0.05)
    monkeypatch.setattr(Delivery, "write", lambda self, rows, size=1: write(self, rows, 1))
    if job == DELTAS:
        rehearsal.keep_by_deltas()
    of_shop(rehearsal.config, "api_share = 0.5")
    rehearsal.shop.bucket = Bucket(2_000, 2_000)  # half of it is back in half a second
    items, soon = range(1, 16), START + timedelta(minutes=30)
    for item in items:
        rehearsal.product(item, f"S{item}", oms=10, available=10)
    rehearsal.run(job=HARD)
    for item in items:
        rehearsal.oms.adjust(f"P{item}", "WH", item, soon, "CYCLE_COUNT", physical_inventory_id=f"PI{item}")
    rehearsal.shop.faults.arm("throttle", times=10, match="inventoryAdjustQuantities")

    facts = rehearsal.run(START + timedelta(hours=2), job)

    assert (facts["exit_code"], len(rehearsal.shop.journal)) == (0, len(items))
    assert rehearsal.available(*items) == [10 + item for item in items]
