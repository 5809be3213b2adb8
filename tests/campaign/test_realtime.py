"""Real time with its real processes: bad delivery, forged and many webhooks, seconds to the number, two schedulers."""

import asyncio
import json
import random
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from live import DOMAIN, ONLINE, PATIENCE, SECRET, TOKEN, Live, burden, live, memory, signature, stock, until
from test_replay import for_sale, in_the_oms, moved, of_products

from invsync import webhooks
from invsync.errors import LeaseHeld
from invsync.jobs import launch
from invsync.sandbox.admin.webhooks import DeliveryFaults, Webhooks
from invsync.sandbox.oms import Oms
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import LOCATION, World, sales

ITEMS = 500
A_SECOND, SECONDS, CONNECTIONS = 500, 60, 24
BAD_DELIVERY = DeliveryFaults(lost=0.3, doubled=0.2, latest=timedelta(minutes=40), shuffled=True)
REALTIME, RECENT = "realtime-sync", "upload-recent-changes"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    shop, oms = Shop(token=TOKEN, client_secret=SECRET), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    stock(shop, oms, ITEMS)
    with live(tmp_path, monkeypatch, shop, oms) as system:
        yield system


# -- a simulated day of bad delivery


class Day:
    """A day of real sales, orders 15 minutes late; webhooks lost, doubled, shuffled and late; another app that edits."""

    def __init__(self, world: World, system: Live) -> None:
        self.world, self.system, self.chance = world, system, random.Random(1)
        self.rows = of_products(sales(7))
        self.hooks = Webhooks(world.shop, DOMAIN, BAD_DELIVERY, clock=lambda: world.now)
        self.truth, self.seen = for_sale(world), world.start - timedelta(days=1)
        self.moved_at: dict[int, datetime] = {}
        self.written_at: dict[int, datetime] = {}
        self.echo_writes = self.put_back = self.runs = self.events = 0

    def step(self, at: datetime) -> None:
        """Let time pass, let what is delivered be delivered, and drain."""
        self.world.advance(at)
        self._note(at)
        self.hooks.send()
        self.run(REALTIME, at)

    def _note(self, at: datetime) -> None:
        sold, variances = (moved(self.rows, self.seen, at, variance=kind) for kind in (False, True))
        late = moved(self.rows, self.seen - self.world.lag, at - self.world.lag, variance=False)
        self.truth = {sku: left - sold.get(sku, 0) + variances.get(sku, 0) for sku, left in self.truth.items()}
        edited = self.chance.sample(sorted(self.world.items), 2)
        for sku in edited:
            item = self.world.items[sku]
            self.world.shop.set_level(item, LOCATION, (self.world.shop.available(item, LOCATION) or 0) + 5)
        for sku in {*sold, *variances, *late, *edited}:
            self.moved_at[self.world.items[sku]] = at
        for sku in {*variances, *late}:
            if self.chance.random() >= BAD_DELIVERY.lost:
                self.events += 1
                assert self.system.event(f"P{sku}", (sku, at)) == 200
        self.seen = at

    def run(self, job: str, at: datetime) -> None:
        """Run a job; a change of an item that nothing moved since its last change was caused by an echo."""
        before = len(self.world.shop.journal)
        given = {"shop": "demo", "config": str(self.system.config), "at": at.isoformat()}
        facts = launch.run(job, given, engine="inprocess")
        assert facts["exit_code"] == 0, (at, facts["messages"])
        self.runs += 1
        for change in self.world.shop.journal[before:]:
            item = change["inventory_item_id"]
            self.echo_writes += item in self.written_at and self.moved_at[item] <= self.written_at[item]
            self.written_at[item] = at
        self.put_back += (
            0
            if job == REALTIME
            else sum(max(0, units - self.truth[sku]) for sku, units in for_sale(self.world).items())
        )


def test_a_day_of_bad_delivery_ends_right_and_no_echo_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, oms = Shop(token=TOKEN, client_secret=SECRET), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    world = World(shop, oms, of_products(sales(7)))
    shop.clock = lambda: datetime.now(UTC)  # what we change is stamped in our own time, as Shopify does
    with live(tmp_path, monkeypatch, shop, oms) as system:
        system.receive()
        webhooks.register(system.config, "demo")
        day, at = Day(world, system), world.start + timedelta(hours=7)
        while at < world.start + timedelta(hours=19):
            at += timedelta(minutes=15)
            day.step(at)
        day.run("hard-sync", at)
        at += timedelta(hours=2)
        world.advance(at)
        day._note(at)
        for _ in range(3):
            day.hooks.send()
            day.run(REALTIME, at)
        day.run("hard-sync", at)
        writes, waiting = len(shop.journal), system.inbox.count("demo")
        day.hooks.send()
        day.run(REALTIME, at)
        right = for_sale(world) == day.truth == in_the_oms(world)

    print(
        f"{day.runs} runs, {day.hooks.sent} deliveries heard, {day.hooks.lost} lost, {day.events} OMS events, {writes} changes, "
        f"{day.echo_writes} by echoes, {day.put_back} units put back, right at the end: {right}",
        flush=True,
    )
    assert day.hooks.lost > 100 and day.hooks.sent > 300 and writes > 50
    assert right and (day.echo_writes, day.put_back, waiting) == (0, 0, 0)
    assert len(shop.journal) == writes


# -- many, and forged


def request(body: bytes, number: int, secret: str = SECRET, topic: str = "inventory_levels/update") -> bytes:
    """The bytes of one delivery on a connection that is kept."""
    head = (
        f"POST /webhooks/shopify HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: {topic}\r\nX-Shopify-Shop-Domain: {DOMAIN}\r\n"
        f"X-Shopify-Webhook-Id: delivery-{number}\r\nX-Shopify-Hmac-Sha256: {signature(body, secret)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def level(number: int) -> bytes:
    stamp = (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
    payload = {
        "inventory_item_id": 1 + number % ITEMS,
        "location_id": ONLINE,
        "available": number % 90,
        "updated_at": stamp,
    }
    return json.dumps(payload).encode()


async def deliver(port: int, rate: int, seconds: int) -> tuple[list[float], list[bytes]]:
    """Deliver at a steady rate over a few connections: how long each answer took from its due time, and its status."""
    began, took, statuses = time.perf_counter() + 0.5, list[float](), list[bytes]()

    async def one(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, rate * seconds, CONNECTIONS):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(request(level(number), number))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.I)[1]))  # type: ignore[index]
            took.append(time.perf_counter() - due)
            statuses.append(head[9:12])
        writer.close()

    await asyncio.gather(*(one(first) for first in range(CONNECTIONS)))
    return took, statuses


def test_five_hundred_deliveries_a_second_for_a_minute(system: Live) -> None:
    busy = burden()  # on a machine that others use too, as much less is asked as they take
    rate, receiver = int(A_SECOND / busy), system.receive()
    asyncio.run(deliver(system.port, rate, 5))
    system.inbox.cover("demo", system.inbox.waiting("demo")["number"], "warm")
    with system.state.engine.begin() as connection:
        connection.exec_driver_sql("delete from webhook")
    before = memory(receiver)

    took, statuses = asyncio.run(deliver(system.port, rate, SECONDS))

    grown, p50, p99 = memory(receiver) / before, *(sorted(took)[int(len(took) * share)] for share in (0.5, 0.99))
    print(
        f"{len(took)} deliveries at {rate}/s: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, worst {max(took) * 1e3:.0f} ms; "
        f"memory {before} kB x {grown:.2f}; burden {busy:.1f}",
        flush=True,
    )
    assert set(statuses) == {b"200"}
    assert system.inbox.count("demo") == len(took) == rate * SECONDS
    assert grown < 1.2
    assert p99 < 0.1 * busy


def test_bad_deliveries_are_refused_and_leave_no_trace_of_the_secret(system: Live) -> None:
    receiver = system.receive()
    url, good = f"{system.address}/webhooks/shopify", level(1)
    head = {
        "X-Shopify-Topic": "inventory_levels/update",
        "X-Shopify-Shop-Domain": DOMAIN,
        "X-Shopify-Webhook-Id": "one",
        "X-Shopify-Hmac-Sha256": signature(good),
    }
    large, broken = b" " * (2 << 20), b'{"inventory_item_id": '
    sent = [
        system.http.post(url, content=body, headers=head | changed).status_code
        for body, changed in [
            (good, {"X-Shopify-Hmac-Sha256": signature(good, "guess")}),
            (level(2), {}),
            (good, {"X-Shopify-Shop-Domain": "other.myshopify.com"}),
            (large, {"X-Shopify-Hmac-Sha256": signature(large)}),
            (broken, {"X-Shopify-Hmac-Sha256": signature(broken)}),
        ]
    ]
    refused = system.inbox.count("demo")
    first, again, replayed = (
        system.http.post(url, content=good, headers=head | {"X-Shopify-Webhook-Id": one}).json()["status"]
        for one in ("one", "one", "two")
    )
    system.end()

    assert (sent, refused) == ([401, 401, 401, 413, 400], 0)
    assert (first, again, replayed) == ("accepted", "duplicate", "duplicate")
    files = [path for path in system.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert "Traceback" not in system.log(receiver)


# -- seconds to the number


def test_an_oms_event_reaches_shopify_within_seconds(system: Live) -> None:
    busy = burden()
    system.receive()
    webhooks.register(system.config, "demo")
    scheduler = system.schedule("--only-realtime") if system.event("P500", "first") == 200 else None
    took = []
    with Webhooks(system.shop, DOMAIN).sending():
        for item in range(1, 41):
            system.oms.set_stock(f"P{item}", "WH", 40 + item % 7, datetime.now(UTC))
            began = time.perf_counter()
            system.event(f"P{item}", item)
            until(lambda item=item: system.shop.available(item, ONLINE) == 40 + item % 7)  # type: ignore[misc]
            took.append(time.perf_counter() - began)
            time.sleep(random.Random(item).random())
        until(lambda: system.inbox.count("demo") == 0)

    p50, p95 = (sorted(took)[int(len(took) * share)] for share in (0.5, 0.95))
    print(
        f"from an OMS event to Shopify's number: p50 {p50:.2f} s, p95 {p95:.2f} s, worst {max(took):.2f} s; burden {busy:.1f}",
        flush=True,
    )
    assert scheduler is not None and len(system.shop.journal) == 40
    assert p95 < 5 * busy


# -- schedulers


def runs(system: Live, job: str) -> list[str]:
    return [row["run_id"] for row in system.state.runs.every("demo") if row["job"] == job]


def test_of_two_schedulers_one_works_and_the_other_leaves(system: Live) -> None:
    first = system.schedule()
    second = system.start("schedule", "run")

    assert second.wait(PATIENCE * burden()) == LeaseHeld.exit_code
    assert "holds shop demo scheduler" in system.log(second)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE * burden()) == 0
    assert len(runs(system, RECENT)) <= 2 and system.state.holder("demo") is None


def test_a_scheduler_that_was_killed_misses_nothing(system: Live) -> None:
    system.receive()
    first = system.schedule()
    until(lambda: runs(system, RECENT) and runs(system, "hard-sync"))
    system.oms.set_stock("P1", "WH", 41, datetime.now(UTC))
    with system.shop.lock:  # the run cannot be answered, so it is killed in the middle
        system.event("P1", 1)
        until(lambda: system.state.holder("demo"))
        first.kill()
        first.wait()
    system.oms.set_stock("P2", "WH", 42, datetime.now(UTC) - timedelta(seconds=2))  # nobody tells of it
    system.event("P3", 3)
    system.oms.set_stock("P3", "WH", 43, datetime.now(UTC))
    with system.state.engine.begin() as connection:  # as if the scheduler had been away for an hour
        connection.exec_driver_sql("update run set finished_at = '2026-01-01T00:00:00.000000Z'")

    system.schedule()

    until(lambda: [system.shop.available(item, ONLINE) for item in (1, 2, 3)] == [41, 42, 43])
    changes = sorted((one["inventory_item_id"], one["before"], one["after"]) for one in system.shop.journal)
    assert changes == [(1, 100, 41), (2, 100, 42), (3, 100, 43)]
