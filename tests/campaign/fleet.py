"""Many sandbox shops on one port each, with sales, stock events and sicknesses; each judges every change it is sent."""

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from invsync.sandbox.admin.records import JournalEntry
from invsync.sandbox.app import create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.shop import Shop

TOKEN_ENV, WRONG_ENV, SECRET_ENV = "INVSYNC_FLEET_TOKEN", "INVSYNC_FLEET_WRONG", "INVSYNC_FLEET_SECRET"
TOKEN, SECRET = "shpat_planted_0123456789abcdef", "planted-signing-secret-0123456789"
LOCATION, WAREHOUSE = 7, "WH"
HEALTHY, SLOW, FAILING, REFUSED = "healthy", "slow", "failing", "wrong credentials"
SLOW_SECONDS, HANGS_SECONDS = 20.0, 70.0  # before each answer of a slow shop; of one that never answers in time
IMPORT_SECONDS, CANCEL_SECONDS = (30, 90), (100, 130)  # until the OMS hears of it
READ_BEFORE = 600.0  # seconds for which a loss in the OMS may be unknown to a run that has read it already

CONFIG = """
[shops.{name}]
domain = "{name}.myshopify.com"
endpoint = "{endpoint}"
token_env = "{token}"
{webhooks}
[shops.{name}.schedule]
upload_recent_changes = "{recent}"
hard_sync = "{hard} 3 * * *"
[shops.{name}.oms]
kind = "database"
url = "sqlite:///{folder}/{name}.db"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
"""


class Journal(list[JournalEntry]):
    """The changes that a shop took; a raise above what is free counts as units put back on sale."""

    def __init__(self, of: "FleetShop") -> None:
        super().__init__()
        self._of = of

    def append(self, entry: JournalEntry) -> None:
        """Judge a change as it lands, under the shop's lock."""
        super().append(entry)
        free = self._of.free[entry["inventory_item_id"]] + self._of.lost_lately(entry["inventory_item_id"])
        self._of.put_back += max(0, entry["after"] - max(entry["before"], free))


@dataclass
class FleetShop:
    """One shop with its OMS; `free` are the units by item that are in the building and owed to nobody."""

    name: str
    kind: str
    shop: Shop
    oms: Oms
    app: ASGIApp
    free: dict[int, int]
    put_back: int = 0
    sick: bool = False
    asked: int = 0
    losses: list[tuple[float, int, int]] = field(default_factory=list)

    def lost_lately(self, item: int) -> int:
        """Units lost in the OMS that a run under way need not know of."""
        since = time.monotonic() - READ_BEFORE
        return sum(units for at, lost, units in self.losses if lost == item and at > since)

    def wrong(self) -> dict[int, tuple[int | None, int]]:
        """Items of which the shop does not show what is free: what it shows, and what is free."""
        shown = {item: self.shop.available(item, LOCATION) for item in self.free}
        return {item: (shown[item], units) for item, units in self.free.items() if shown[item] != units}


def built(folder: Path, name: str, kind: str, rng: random.Random) -> FleetShop:
    """A shop of 20 to 50 items, right on both sides."""
    shop, oms = Shop(name=name, token=TOKEN, client_secret=SECRET), Oms(f"sqlite:///{folder}/{name}.db").create()
    units = {item: rng.randint(50, 500) for item in range(1, rng.randint(21, 51))}
    shop.add_location(LOCATION, "Online")
    with oms.batch():
        oms.add_facility(WAREHOUSE, "Warehouse")
        oms.map_location("_NA_", LOCATION)
        rows = [(f"P{item}", f"S{item}", item, float(there)) for item, there in units.items()]
        oms.stock_up(rows, WAREHOUSE, datetime.now(UTC) - timedelta(days=1))
    for item, there in units.items():
        shop.add_item(item, f"S{item}")
        shop.set_level(item, LOCATION, there)
    one = FleetShop(name, kind, shop, oms, create_app(shop), units)
    shop.journal = Journal(one)
    return one


def kind_of(number: int, shops: int) -> str:
    """One shop with wrong credentials; of every forty one is slow, two at least, and of every twenty one fails."""
    if number == 1:
        return REFUSED
    if number % min(40, shops // 2) == 2:
        return SLOW
    return FAILING if number % 20 == 3 else HEALTHY


def configured(one: FleetShop, number: int, folder: Path, endpoint: str, port: int | None, every: int) -> str:
    """The shop's part of the configuration: a run every so many minutes, and webhooks where it has a port for them."""
    hears = f'webhook_secret_env = "{SECRET_ENV}"\nwebhook_url = "http://127.0.0.1:{port}"' if port else ""
    first = number % every
    return CONFIG.format(
        name=one.name,
        endpoint=endpoint,
        token=WRONG_ENV if one.kind == REFUSED else TOKEN_ENV,
        webhooks=hears,
        recent=f"{first}-59/{every} * * * *" if every > 1 else "* * * * *",
        hard=number % 60,
        folder=folder,
    )


@contextmanager
def hosted(shops: list[FleetShop]) -> Iterator[dict[str, str]]:
    """Serve every shop on a port of its own, in one thread; the address of each by its name."""
    listeners = [socket.socket() for _ in shops]
    for listener in listeners:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
    by_port = {listener.getsockname()[1]: shop for listener, shop in zip(listeners, shops, strict=True)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(by_port[scope["server"][1]], scope, receive, send)

    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", ws="none", access_log=False, date_header=False, backlog=64
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield {shop.name: f"http://127.0.0.1:{port}" for port, shop in by_port.items()}
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


async def _answer(one: FleetShop, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the shop's sickness lets it."""
    one.asked += 1
    if one.sick and one.kind == SLOW:
        await asyncio.sleep(SLOW_SECONDS)
    if one.sick and one.kind == FAILING:
        chance = random.random()
        if chance < 0.15:
            await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
            return
        if chance < 0.3:
            one.shop.faults.arm("throttle_429")
        elif chance < 0.32:
            await asyncio.sleep(HANGS_SECONDS)
    await one.app(scope, receive, send)


class Trade:
    """Sales, cancellations and stock events of all shops, at random moments, until it is stopped."""

    def __init__(self, shops: list[FleetShop], every: float) -> None:
        self.shops, self.every, self.rng = shops, every, random.Random(int(os.environ["INVSYNC_SEED"]))
        self.counts = dict.fromkeys(["orders", "till sales", "cancellations", "stock events"], 0)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number, self._order, self._stop = 5_000_000_000, count(), threading.Event()
        self.error: BaseException | None = None

    @contextmanager
    def going(self) -> Iterator["Trade"]:
        """Trade while the block lasts; afterwards nothing is sold, and all that is late is imported."""
        thread = threading.Thread(target=self._go, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            while self._later:
                self._book()
                time.sleep(0.1)
        if self.error:
            raise self.error

    def _go(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                for _ in range(self._due(began)):
                    self._act(self.rng.choice(self.shops))
                self._book()
                self._stop.wait(max(0.0, 0.25 - (time.monotonic() - began)))
        except BaseException as error:
            self.error = error

    def _due(self, now: float) -> int:
        """How many acts are due in a quarter of a second: each shop has one every `every` seconds on average."""
        mean = 0.25 * len(self.shops) / self.every
        return int(mean) + (self.rng.random() < mean % 1)

    def _act(self, one: FleetShop) -> None:
        kind = self.rng.choices(list(self.counts), [70, 10, 5, 15])[0]
        self.counts[kind] += 1
        if kind == "stock events":
            self._stock_event(one)
        elif kind == "cancellations":
            self._cancel(one)
        else:
            self._sell(one, at_till=kind == "till sales")

    def _sell(self, one: FleetShop, *, at_till: bool) -> None:
        self._number += 1
        items = self.rng.sample(sorted(one.free), self.rng.randint(1, 3))
        lines = [(item, self.rng.randint(1, 2)) for item in items if one.free[item] > 10]
        if not lines:
            return
        sell = one.shop.sell_at_till if at_till else one.shop.place_order
        with one.shop.lock:
            sell(self._number, f"#{self._number}", datetime.now(UTC), lines, LOCATION)
            for item, units in lines:
                one.free[item] -= units
        number = self._number
        self._later_on(IMPORT_SECONDS, lambda: self._import(one, number, lines, at_till=at_till))

    def _import(self, one: FleetShop, number: int, lines: list[tuple[int, int]], *, at_till: bool) -> None:
        """Let the OMS download an order; what was sold at a till is reserved at once."""
        order, now = f"OM{number}", datetime.now(UTC)
        one.oms.import_order(order, number, [(f"P{item}", float(units)) for item, units in lines], now)
        if at_till:
            one.oms.reserve(order, WAREHOUSE, now)

    def _cancel(self, one: FleetShop) -> None:
        """Cancel an order that waits; the OMS learns of it later."""
        waiting = [o for o in one.shop.orders.values() if o.cancelled_at is None and o.fulfillment_status != "CLOSED"]
        if not waiting:
            return
        order = self.rng.choice(waiting)
        with one.shop.lock:
            units = [(line.item_id, line.remaining) for line in order.lines]
            one.shop.cancel_order(order.order_id)
            for item, restocked in units:
                one.free[item] += restocked
        cancel = partial(one.oms.cancel_order, f"OM{order.order_id}")
        self._later_on(CANCEL_SECONDS, lambda: cancel(datetime.now(UTC)))

    def _stock_event(self, one: FleetShop) -> None:
        self._number += 1
        item, units = self.rng.choice(sorted(one.free)), self.rng.choice([-2, -1, 3, 5, 8])
        with one.shop.lock:
            one.free[item] += units
            if units < 0:
                one.losses.append((time.monotonic(), item, -units))
        reason, name = ("VAR_FOUND" if units > 0 else "VAR_DAMAGED"), f"N{self._number}"
        one.oms.adjust(f"P{item}", WAREHOUSE, units, datetime.now(UTC), reason, physical_inventory_id=name)

    def _later_on(self, seconds: tuple[int, int], act: Callable[[], None]) -> None:
        heappush(self._later, (time.monotonic() + self.rng.uniform(*seconds), next(self._order), act))

    def _book(self) -> None:
        """Let the OMS hear of what is due."""
        while self._later and self._later[0][0] <= time.monotonic():
            heappop(self._later)[2]()
