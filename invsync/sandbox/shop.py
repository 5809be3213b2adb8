"""The state of a Shopify shop, in memory: what the GraphQL server reads and changes."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypedDict, Unpack
from uuid import uuid4

from invsync.sandbox.admin.costs import Bucket
from invsync.sandbox.admin.faults import Faults
from invsync.sandbox.admin.operations import Operation
from invsync.sandbox.admin.records import (
    Attempt,
    Event,
    Fulfillment,
    Item,
    JournalEntry,
    Level,
    Line,
    Order,
    Product,
    Refund,
    Request,
    Subscription,
)

__all__ = [
    "SCOPES",
    "Attempt",
    "Description",
    "Fulfillment",
    "Item",
    "Level",
    "Line",
    "Order",
    "Product",
    "Refund",
    "Shop",
    "Subscription",
]

SCOPES = (
    "read_inventory,write_inventory,read_locations,read_products,read_orders,read_merchant_managed_fulfillment_orders"
)
Lines = Iterable[tuple[int, int]]  # (item or line, units)


class Description(TypedDict, total=False):
    """What a merchant writes about an item: its product, the variant's title, and the price of a unit."""

    product: Product
    variant_title: str
    price: str


@dataclass
class Shop:
    """A shop with its items, locations, levels and orders; every method that changes it takes the lock.

    A change of an item in `refuse` is refused by name. One of an item in `spoil` fails its whole batch without a name.
    """

    name: str = "Sandbox"
    currency: str = "GBP"
    token: str = "shpat_sandbox"
    client_id: str = "sandbox"
    client_secret: str = "sandbox-secret"
    scopes: str = SCOPES
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    items: dict[int, Item] = field(default_factory=dict)
    locations: dict[int, str] = field(default_factory=dict)
    levels: dict[tuple[int, int], Level] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    journal: list[JournalEntry] = field(default_factory=list)
    refuse: set[int] = field(default_factory=set)
    spoil: set[int] = field(default_factory=set)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    remember_failures: bool = True
    faults: Faults = field(default_factory=Faults)
    bucket: Bucket = field(default_factory=Bucket)
    search_lag: timedelta = timedelta(0)  # by which the order search is behind
    bulk_lines_per_poll: int = 100_000
    uploads: dict[str, bytes | None] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    operations: dict[int, Operation] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    given_up: int = 0
    events: deque[Event] = field(default_factory=deque)
    random: Random = field(default_factory=lambda: Random(20260))
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def domain(self) -> str:
        """The shop's myshopify.com address."""
        return f"{self.name.lower()}.myshopify.com"

    def add_location(self, location_id: int, name: str) -> None:
        """Add an active location."""
        with self.lock:
            self.locations[location_id] = name

    def add_item(
        self,
        item_id: int,
        sku: str,
        tracked: bool = True,
        requires_components: bool = False,
        **described: Unpack[Description],
    ) -> None:
        """Add an inventory item with one variant; `requires_components` makes it a bundle."""
        with self.lock:
            self.items[item_id] = Item(item_id, sku, tracked, requires_components, **described)

    def set_level(self, item: int, location: int, available: int, active: bool = True) -> None:
        """Set the available units of an item at a location, without rules and without the journal.

        A new level has no time of change.
        """
        with self.lock:
            if (item, location) not in self.levels:
                self.levels[item, location] = Level(available, active, updated_at=self.clock())
            level = self.levels[item, location]
            level.active = active
            level.change(self.clock(), available=available - level.available)
            self.emit("INVENTORY_LEVELS_UPDATE", item, location)

    def emit(self, topic: str, *ids: int) -> None:
        """Record an event for the subscribers of its topic; without any it is dropped."""
        if any(one.topic == topic for one in self.subscriptions.values()):
            self.events.append(Event(topic, ids))

    def available(self, item: int, location: int) -> int | None:
        """Available units of an item at a location; None where it has no level."""
        level = self.levels.get((item, location))
        return level.available if level else None

    def place_order(
        self,
        order_id: int,
        name: str,
        created_at: datetime,
        lines: Lines,
        location: int,
        routed: bool = True,
    ) -> None:
        """Take an order of (item, units) lines: the units of tracked items move from available to committed.

        An order that is not routed has no fulfilment order yet; its units are committed at the location all the same.
        """
        with self.lock:
            rows = [
                Line(order_id * 1000 + number, item, units, units, units)
                for number, (item, units) in enumerate(lines, start=1)
            ]
            self.orders[order_id] = Order(order_id, name, created_at, created_at, location, rows, routed=routed)
            for row in rows:
                self._commit(row.item_id, location, row.quantity, created_at)
            self.emit("ORDERS_CREATE", order_id)

    def sell_at_till(self, order_id: int, name: str, at: datetime, lines: Lines, location: int) -> None:
        """Sell (item, units) lines at a till: available falls, nothing is committed, the order is closed at once."""
        with self.lock:
            rows = [Line(order_id * 1000 + n, item, units, units, 0) for n, (item, units) in enumerate(lines, start=1)]
            sold = [(row.line_id, row.quantity) for row in rows]
            self.orders[order_id] = Order(
                order_id,
                name,
                at,
                at,
                location,
                rows,
                "CLOSED",
                retail_location=location,
                fulfillments=[Fulfillment(order_id * 100 + 1, location, at, sold)],
            )
            for row in rows:
                self._move(row.item_id, location, at, available=-row.quantity)
            self.emit("ORDERS_CREATE", order_id)

    def route_order(self, order_id: int, location: int | None = None) -> None:
        """Give an order its fulfilment order, at its location or at another."""
        with self.lock:
            self.orders[order_id].routed = True
            self.orders[order_id].updated_at = self.clock()
            if location is not None:
                self.move_order(order_id, location)

    def edit_order(
        self,
        order_id: int,
        add: Lines = (),
        remove: Lines = (),
        restock: bool = True,
    ) -> None:
        """Add (item, units) to an order as new lines and take (line, units) off it.

        As at Shopify, no record says whether the units taken off were restocked.
        """
        with self.lock:
            order = self.orders[order_id]
            order.updated_at, order.edited = self.clock(), True
            for item, units in add:
                row = Line(order_id * 1000 + len(order.lines) + 1, item, units, units, units)
                order.lines.append(row)
                self._commit(item, order.location_id, units, order.updated_at)
            for line_id, units in remove:
                self._unship(order, line_id, units, restock=restock)
            order.settle()
            self.emit("ORDERS_EDITED", order_id)

    def refund(self, order_id: int, lines: Lines, kind: str = "NO_RESTOCK", location: int | None = None) -> None:
        """Refund (line, units); the kind is NO_RESTOCK, CANCEL or RETURN.

        CANCEL restocks units that were not shipped. RETURN restocks shipped units at `location`, or at the order's
        own. NO_RESTOCK refunds the units that were not shipped first.
        """
        with self.lock:
            order, rows = self.orders[order_id], list(lines)
            order.updated_at = self.clock()
            places = {"CANCEL": order.location_id, "RETURN": location or order.location_id}
            place = places.get(kind)
            self._record(order, rows, kind, place)
            for line_id, units in rows:
                line = order.line(line_id)
                if kind == "RETURN":
                    line.current -= units
                    self._move(line.item_id, place or order.location_id, order.updated_at, available=units)
                else:
                    unshipped = min(units, line.remaining)
                    self._unship(order, line_id, unshipped, restock=kind == "CANCEL")
                    line.current -= units - unshipped
            order.settle()
            self.emit("REFUNDS_CREATE", order_id)

    def cancel_order(self, order_id: int, restock: bool = True) -> None:
        """Cancel an order, with or without restocking its unfulfilled units; its current quantities become 0."""
        with self.lock:
            order = self.orders[order_id]
            order.cancelled_at = order.updated_at = self.clock()
            unfulfilled = [(line.line_id, line.remaining) for line in order.lines if line.remaining]
            if unfulfilled:
                place = order.location_id if restock else None
                self._record(order, unfulfilled, "CANCEL" if restock else "NO_RESTOCK", place)
            for line_id, units in unfulfilled:
                self._unship(order, line_id, units, restock=restock)
            for line in order.lines:
                line.current = line.remaining = 0
            order.fulfillment_status = "CLOSED"
            self.emit("ORDERS_CANCELLED", order_id)

    def _record(self, order: Order, lines: list[tuple[int, int]], kind: str, place: int | None) -> None:
        number = order.order_id * 100 + len(order.refunds) + 1
        order.refunds.append(Refund(number, order.updated_at, place, kind, lines))

    def _unship(self, order: Order, line_id: int, units: int, *, restock: bool) -> None:
        """Take units that were not shipped off a line, with or without restocking them."""
        line = order.line(line_id)
        line.current -= units
        line.remaining -= units
        back = {"available": units} if restock else {}
        self._move(line.item_id, order.location_id, order.updated_at, committed=-units, **back)

    def fulfil_order(self, order_id: int, lines: Lines | None = None) -> None:
        """Ship an order, or these (line, units) of it: committed falls, available stays."""
        with self.lock:
            order = self.orders[order_id]
            order.updated_at = self.clock()
            remaining = [(line.line_id, line.remaining) for line in order.lines if line.remaining]
            sent = remaining if lines is None else list(lines)
            for line_id, units in sent:
                line = order.line(line_id)
                if level := self._tracked(line.item_id, order.location_id):
                    level.change(order.updated_at, committed=-units)
                line.remaining -= units
            if sent:
                number = order_id * 100 + len(order.fulfillments) + 1
                order.fulfillments.append(Fulfillment(number, order.location_id, order.updated_at, sent))
            order.settle()

    def move_order(self, order_id: int, location: int) -> None:
        """Move an order's open fulfilment order to another location; the stock moves with it."""
        with self.lock:
            order = self.orders[order_id]
            order.updated_at = self.clock()
            for line in order.lines:
                self._commit(line.item_id, order.location_id, -line.remaining, order.updated_at)
                self._commit(line.item_id, location, line.remaining, order.updated_at)
            order.location_id = location

    def set_reserved(self, item: int, location: int, units: int) -> None:
        """Move units from available to reserved, as a draft order or another app does."""
        self.set_aside(item, location, units)

    def set_aside(self, item: int, location: int, units: int, name: str = "reserved") -> None:
        """Move units from available to reserved, damaged, quality_control or safety_stock; negative ones come back."""
        with self.lock:
            self._move(item, location, self.clock(), available=-units, **{name: units})

    def rotate_token(self) -> None:
        """Replace the token, as when it expires; the next client-credentials grant returns the new one."""
        with self.lock:
            self.token = f"shpat_{uuid4().hex}"

    def _commit(self, item: int, location: int, units: int, at: datetime) -> None:
        self._move(item, location, at, available=-units, committed=units)

    def _move(self, item: int, location: int, at: datetime, **units: int) -> None:
        if level := self._tracked(item, location):
            level.change(at, **units)
            self.emit("INVENTORY_LEVELS_UPDATE", item, location)

    def _tracked(self, item: int, location: int) -> Level | None:
        return self.levels.get((item, location)) if item in self.items and self.items[item].tracked else None
