"""The state of a Shopify shop, in memory: what the GraphQL server reads and changes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from invsync.sandbox.costs import Bucket
from invsync.sandbox.faults import Faults

if TYPE_CHECKING:
    from invsync.sandbox.bulk import Operation

SCOPES = (
    "read_inventory,write_inventory,read_locations,read_products,read_orders,read_merchant_managed_fulfillment_orders"
)


@dataclass
class Item:
    """An inventory item; one whose variant requires components is a bundle."""

    item_id: int
    sku: str
    tracked: bool = True
    requires_components: bool = False


@dataclass
class Level:
    """Stock of one item at one location, in units; an inactive level keeps its quantities.

    `changed_at` holds when each quantity last changed, by its name.
    """

    available: int
    active: bool
    committed: int = 0
    updated_at: datetime | None = None
    changed_at: dict[str, datetime] = field(default_factory=dict)

    def change(self, at: datetime, *, available: int = 0, committed: int = 0) -> None:
        """Add units to the quantities; on hand is their sum."""
        self.available += available
        self.committed += committed
        self.updated_at = at
        units = {"available": available, "committed": committed, "on_hand": available + committed}
        self.changed_at |= {name: at for name, moved in units.items() if moved}


@dataclass
class Line:
    """One line of an order: units ordered, and units left after cancellations and removals."""

    line_id: int
    item_id: int
    quantity: int
    current: int
    remaining: int


@dataclass
class Order:
    """An order with one fulfilment order at one location."""

    order_id: int
    name: str
    created_at: datetime
    updated_at: datetime
    location_id: int
    lines: list[Line]
    fulfillment_status: str = "OPEN"
    cancelled_at: datetime | None = None


@dataclass
class Subscription:
    """A webhook subscription: the events of a topic go to an address, with these fields or with all."""

    number: int
    topic: str
    uri: str
    created_at: datetime
    fields: list[str] = field(default_factory=list)


@dataclass
class Attempt:
    """What an idempotency key is remembered by: when, for which input, with what answer."""

    at: datetime
    fingerprint: str
    payload: dict[str, Any] | None


@dataclass
class Shop:
    """A shop with its items, locations, levels and orders; every method takes the lock.

    An item in `refuse` is refused by name; one in `spoil` makes its whole batch fail without a name.
    """

    name: str = "Sandbox"
    token: str = "shpat_sandbox"
    client_id: str = "sandbox"
    client_secret: str = "sandbox-secret"
    scopes: str = SCOPES
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    items: dict[int, Item] = field(default_factory=dict)
    locations: dict[int, str] = field(default_factory=dict)
    levels: dict[tuple[int, int], Level] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)
    refuse: set[int] = field(default_factory=set)
    spoil: set[int] = field(default_factory=set)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    remember_failures: bool = True
    faults: Faults = field(default_factory=Faults)
    bucket: Bucket = field(default_factory=Bucket)
    bulk_lines_per_poll: int = 100_000
    uploads: dict[str, bytes | None] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    operations: dict[int, Operation] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    given_up: int = 0
    events: deque[tuple[str, tuple[Any, ...]]] = field(default_factory=deque)
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

    def add_item(self, item_id: int, sku: str, tracked: bool = True, requires_components: bool = False) -> None:
        """Add an inventory item with one variant; `requires_components` makes it a bundle."""
        with self.lock:
            self.items[item_id] = Item(item_id, sku, tracked, requires_components)

    def set_level(self, item: int, location: int, available: int, active: bool = True) -> None:
        """Set the available units of an item at a location, past every rule and the journal."""
        with self.lock:
            level = self.levels.setdefault((item, location), Level(0, active))
            level.active = active
            level.change(self.clock(), available=available - level.available)
            self.tell("INVENTORY_LEVELS_UPDATE", item, location)

    def tell(self, topic: str, *ids: int) -> None:
        """Note an event for those who subscribed to its topic."""
        if any(one.topic == topic for one in self.subscriptions.values()):
            self.events.append((topic, ids))

    def available(self, item: int, location: int) -> int | None:
        """Available units of an item at a location; None where it has no level."""
        level = self.levels.get((item, location))
        return level.available if level else None

    def place_order(
        self, order_id: int, name: str, created_at: datetime, lines: Iterable[tuple[int, int]], location: int
    ) -> None:
        """Take an order of (item, units) lines: available falls by the units where the item is tracked."""
        with self.lock:
            rows = [
                Line(order_id * 1000 + number, item, units, units, units)
                for number, (item, units) in enumerate(lines, start=1)
            ]
            self.orders[order_id] = Order(order_id, name, created_at, created_at, location, rows)
            for row in rows:
                self._commit(row.item_id, location, row.quantity, created_at)
            self.tell("ORDERS_CREATE", order_id)

    def cancel_order(self, order_id: int) -> None:
        """Cancel an order and restock what was not yet fulfilled; its current quantities become 0."""
        with self.lock:
            order = self.orders[order_id]
            order.cancelled_at = order.updated_at = self.clock()
            order.fulfillment_status = "CLOSED"
            for line in order.lines:
                self._commit(line.item_id, order.location_id, -line.remaining, order.updated_at)
                line.current = line.remaining = 0
            self.tell("ORDERS_CANCELLED", order_id)

    def fulfil_order(self, order_id: int) -> None:
        """Ship an order whole: committed units leave the location, available stays."""
        with self.lock:
            order = self.orders[order_id]
            order.updated_at, order.fulfillment_status = self.clock(), "CLOSED"
            for line in order.lines:
                level = self.levels.get((line.item_id, order.location_id))
                if level:
                    level.change(order.updated_at, committed=-line.remaining)
                line.remaining = 0

    def move_order(self, order_id: int, location: int) -> None:
        """Move an order's open fulfilment order to another location; the stock moves with it."""
        with self.lock:
            order = self.orders[order_id]
            order.updated_at = self.clock()
            for line in order.lines:
                self._commit(line.item_id, order.location_id, -line.remaining, order.updated_at)
                self._commit(line.item_id, location, line.remaining, order.updated_at)
            order.location_id = location

    def rotate_token(self) -> None:
        """Make the token invalid, as expiry does; the next client-credentials grant gives a new one."""
        with self.lock:
            self.token = f"shpat_{uuid4().hex}"

    def _commit(self, item: int, location: int, units: int, at: datetime) -> None:
        level = self.levels.get((item, location))
        if level and item in self.items and self.items[item].tracked:
            level.change(at, available=-units, committed=units)
            self.tell("INVENTORY_LEVELS_UPDATE", item, location)
