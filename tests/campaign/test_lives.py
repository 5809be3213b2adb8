"""Random order lives: whatever becomes of an order, no write of ours raises a number above what is physically free.

The oracle is plain arithmetic over what happened to each unit: what was counted, what left the building and what came
back, what is still owed to an order, what is set aside. It knows neither in flight nor booked.
"""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from campaign.test_worlds import in_no_time
from rehearsal import TOKEN, of_shop

from invsync import jobs
from invsync.jobs import start
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Order, Shop
from invsync.state import State

WORLDS = int(os.environ.get("INVSYNC_LIVES", "100"))
PARTS = 4
SEED = int(os.environ["INVSYNC_SEED"])
ONLINE, STORE = 7, 8
FACILITY = {ONLINE: "WH", STORE: "ST"}
ITEMS = (1, 2)
PAIRS = [(item, place) for item in ITEMS for place in (ONLINE, STORE)]
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEPS = 14


class Lives:
    """One shop, its OMS, and everything that may happen to their orders."""

    def __init__(self, folder: Path, shop: Shop, endpoint: str, empty: Path, seed: int) -> None:
        self.rng, self.shop, self.now = Random(seed), shop, START
        shop.__init__(token=TOKEN)  # type: ignore[misc]
        shop.clock = lambda: self.now
        shop.search_lag = timedelta(seconds=self.rng.choice([0, 0, 5, 45]))
        for name in ("oms.db", "invsync.db"):
            shutil.copyfile(empty / name, folder / name)
        self.oms = Oms(f"sqlite:///{folder}/oms.db")
        self.config = demo.configure(folder, endpoint)
        of_shop(self.config, "orders_again_after = 0", "overlap_minutes = 2")
        with self.config.open("a") as config:
            config.write("[shops.demo.guards]\nmax_changed_share = 1.0\nmax_zeroed_share = 1.0\n")
        self.counted = {(item, place): self.rng.randint(8, 20) for item, place in PAIRS}
        self.imported: dict[int, int] = {}  # units of each order that the OMS holds, by order
        self.reserved: set[int] = set()
        self.ended: set[int] = set()
        self.till_visible_at = START
        self.number, self.log = 1000, list[str]()
        self.build()
        self.sync("hard-sync")

    def build(self) -> None:
        with self.oms.batch():
            self.oms.add_facility("WH", "Warehouse")
            self.oms.add_facility("ST", "Store", type="RETAIL_STORE")
            self.oms.map_location("_NA_", ONLINE)
            self.oms.map_location("ST", STORE)
            for item in ITEMS:
                self.oms.add_product(f"P{item}", f"S{item}")
                self.oms.map_product(f"P{item}", item)
                for place, facility in FACILITY.items():
                    self.oms.set_stock(f"P{item}", facility, self.counted[item, place], START - timedelta(days=1))
        for place in FACILITY:
            self.shop.add_location(place, str(place))
        for item in ITEMS:
            self.shop.add_item(item, f"S{item}")
            for place in FACILITY:
                self.shop.set_level(item, place, self.free((item, place)))

    # -- the oracle

    def there(self, item: int, place: int) -> int:
        """Units in the building: counted, less what was shipped from it, and what came back to it."""
        units = self.counted[item, place]
        for order in self.shop.orders.values():
            for sent in order.fulfillments:
                if sent.location_id == place:
                    units -= sum(n for line, n in sent.lines if order.line(line).item_id == item)
            for back in order.refunds:
                if back.kind == "RETURN" and back.location_id == place:
                    units += sum(n for line, n in back.lines if order.line(line).item_id == item)
        return units

    def owed(self, item: int, place: int | None = None) -> int:
        """Units that open orders, at this place or anywhere, still have to be given."""
        return sum(
            line.remaining
            for order in self.shop.orders.values()
            if place in (None, order.location_id)
            for line in order.lines
            if line.item_id == item
        )

    def aside(self, item: int, place: int) -> int:
        level = self.shop.levels.get((item, place))
        return level.reserved if level else 0

    def free(self, pair: tuple[int, int]) -> int:
        """Units that may be sold at a pair: the store's own, or, online, those of both buildings."""
        item, place = pair
        places = [STORE] if place == STORE else [ONLINE, STORE]
        units = sum(self.there(item, at) - self.aside(item, at) for at in places)
        return units - self.owed(item, STORE if place == STORE else None)

    # -- the runs

    def sync(self, job: str) -> None:
        before = {pair: self.shop.available(*pair) or 0 for pair in PAIRS}
        run = jobs.open_run(
            job, shop="demo", config=str(self.config), dry_run=False, transport="direct", at=self.now.isoformat()
        )
        selection = run.select(run.settle())
        run.finish(run.send(run.decide(selection, run.read(selection))))
        self.log.append(job)
        for pair in PAIRS:
            shown, free = self.shop.available(*pair) or 0, self.free(pair)
            assert shown <= max(before[pair], free), f"{pair} shows {shown}, free are {free}: {'; '.join(self.log)}"

    # -- what may happen

    def step(self) -> None:
        self.now += timedelta(seconds=self.rng.choice([1, 10, 40, 90, 400]))
        name = self.rng.choice(MOVES)
        orders = sorted(self.shop.orders)
        order = self.shop.orders[self.rng.choice(orders)] if orders else None
        getattr(self, name)(order) if order or name in FREE else None

    def note(self, what: str, order: Order | None = None) -> None:
        self.log.append(f"{self.now:%H:%M:%S} {what}" + (f" #{order.order_id}" if order else ""))

    def place(self, _: Any) -> None:
        self.number += 1
        item, place, routed = self.rng.choice(ITEMS), self.rng.choice([ONLINE, STORE]), self.rng.random() < 0.8
        units = self.rng.randint(1, 4)
        self.shop.place_order(self.number, f"#{self.number}", self.now, [(item, units)], place, routed=routed)
        self.note(f"{units} of {item} sold at {place}{'' if routed else ', not routed'}", self.shop.orders[self.number])

    def till(self, _: Any) -> None:
        self.number += 1
        item, units = self.rng.choice(ITEMS), self.rng.randint(1, 3)
        self.shop.sell_at_till(self.number, f"#{self.number}", self.now, [(item, units)], STORE)
        self.note(f"{units} of {item} sold at the till", self.shop.orders[self.number])
        self.till_visible_at = self.now + self.shop.search_lag

    def route(self, order: Order) -> None:
        self.shop.route_order(order.order_id)
        self.note("routed", order)

    def ship(self, order: Order) -> None:
        line = order.lines[0]
        seen = (
            self.now >= self.till_visible_at
        )  # else a shipment that is visible at once explains the change in its stead
        if line.remaining and order.routed and seen:
            units = self.rng.randint(1, line.remaining)
            self.shop.fulfil_order(order.order_id, [(line.line_id, units)])
            self.note(f"{units} shipped", order)

    def add(self, order: Order) -> None:
        if not order.cancelled_at and not order.closed:
            units = self.rng.randint(1, 3)
            self.shop.edit_order(order.order_id, add=[(order.lines[0].item_id, units)])
            self.note(f"{units} added", order)

    def remove(self, order: Order) -> None:
        line, restock = order.lines[0], self.rng.random() < 0.5
        if line.remaining:
            self.shop.edit_order(order.order_id, remove=[(line.line_id, 1)], restock=restock)
            self.note(f"1 removed, restock {restock}", order)

    def refund(self, order: Order) -> None:
        line, kind = order.lines[0], self.rng.choice(["NO_RESTOCK", "CANCEL", "RETURN"])
        most = line.remaining if kind == "CANCEL" else self.kept(order) if kind == "RETURN" else line.current
        if most > 0:
            self.shop.refund(order.order_id, [(line.line_id, 1)], kind)
            self.note(f"1 refunded, {kind}", order)

    def kept(self, order: Order) -> int:
        """Units of the first line that were shipped and not refunded."""
        line = order.lines[0]
        sent = sum(n for one in order.fulfillments for number, n in one.lines if number == line.line_id)
        back = sum(
            n for one in order.refunds for number, n in one.lines if number == line.line_id and one.kind == "RETURN"
        )
        return min(sent - back, line.current - line.remaining)

    def cancel(self, order: Order) -> None:
        if not order.cancelled_at and not order.closed:
            restock = self.rng.random() < 0.7
            self.shop.cancel_order(order.order_id, restock=restock)
            self.note(f"cancelled on Shopify, restock {restock}", order)

    def draft(self, _: Any) -> None:
        item, place = self.rng.choice(PAIRS)
        self.shop.set_aside(item, place, 1)
        self.note(f"1 of {item} reserved at {place}")

    def import_(self, order: Order) -> None:
        """The OMS imports the order, whole, in part, or without its line, into the queue or at a facility."""
        if order.order_id not in self.imported:
            units = self.rng.randint(0, sum(line.quantity for line in order.lines))
            lines = [(f"P{order.lines[0].item_id}", units)] if units else []
            where = self.rng.choice(["_NA_", "_NA_", FACILITY[order.location_id]])
            self.oms.import_order(f"O{order.order_id}", order.order_id, lines, self.now, where, order.created_at)
            self.imported[order.order_id] = units
            self.note(f"{units} imported at {where}", order)

    def broker(self, order: Order) -> None:
        number = order.order_id
        if self.imported.get(number) and number not in self.reserved | self.ended:
            self.oms.reserve(f"O{number}", FACILITY[order.location_id], self.now)
            self.reserved.add(number)
            self.note("reserved in the OMS", order)

    def drop(self, order: Order) -> None:
        number = order.order_id
        if number in self.imported and number not in self.ended:
            (self.oms.release if number in self.reserved else self.oms.cancel_order)(f"O{number}", self.now)
            self.ended.add(number)
            self.note("cancelled in the OMS", order)

    def receive(self, _: Any) -> None:
        item, place = self.rng.choice(PAIRS)
        self.number += 1
        self.counted[item, place] += 1
        self.oms.receive(f"P{item}", FACILITY[place], 1, self.now, f"S{self.number}")
        self.note(f"1 of {item} received at {place}")

    def live(self) -> None:
        """A few hours of it."""
        for _ in range(STEPS):
            self.step()
        self.sync("upload-recent-changes")

    def recent(self, _: Any) -> None:
        self.sync("upload-recent-changes")

    def hard(self, _: Any) -> None:
        self.sync("hard-sync")


FREE = {"place", "till", "draft", "receive", "recent", "hard"}
MOVES = [
    "place",
    "place",
    "place",
    "till",
    "route",
    "ship",
    "ship",
    "add",
    "remove",
    "refund",
    "cancel",
    "draft",
    "import_",
    "import_",
    "broker",
    "drop",
    "receive",
    "recent",
    "recent",
    "recent",
    "hard",
]


@pytest.mark.parametrize("part", range(PARTS))
def test_no_write_raises_a_number_above_what_is_free(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    monkeypatch.setattr(start, "_shopify", in_no_time)
    Oms(f"sqlite:///{tmp_path}/oms.db").create().close()
    State(f"sqlite:///{tmp_path}/invsync.db").close()
    shop = Shop(token=TOKEN)
    with serve(shop) as endpoint:
        for world in range(WORLDS // PARTS):
            seed = SEED + part * 1_000_000 + world
            folder = tmp_path / str(world)
            folder.mkdir()
            lives = Lives(folder, shop, endpoint, tmp_path, seed)
            try:
                lives.live()
            except AssertionError as error:
                raise AssertionError(f"world {seed}: {error}") from None
            finally:
                lives.oms.close()
            shutil.rmtree(folder)
    print(f"{WORLDS // PARTS} worlds of order lives; repeat part {part} with INVSYNC_SEED={SEED}")
