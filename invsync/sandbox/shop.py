"""The state of a Shopify shop, in memory: what the GraphQL server reads and changes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from invsync.sandbox.admin.costs import Bucket
from invsync.sandbox.admin.faults import Faults

if TYPE_CHECKING:
    from invsync.sandbox.admin.bulk import Operation

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
    reserved: int = 0
    damaged: int = 0
    quality_control: int = 0
    safety_stock: int = 0
    updated_at: datetime | None = None
    changed_at: dict[str, datetime] = field(default_factory=dict)

    def change(self, at: datetime, **units: int) -> None:
        """Add units to the quantities of these names; on hand is the sum of all."""
        for name, moved in units.items():
            setattr(self, name, getattr(self, name) + moved)
        self.updated_at = at
        changed = units | {"on_hand": sum(units.values())}
        self.changed_at |= {name: at for name, moved in changed.items() if moved}

    @property
    def on_hand(self) -> int:
        """The units that are physically there, as Shopify counts them."""
        aside = self.reserved + self.damaged + self.quality_control + self.safety_stock
        return self.available + self.committed + aside


@dataclass
class Line:
    """One line of an order: units ordered, units left after refunds and edits, units left to ship."""

    line_id: int
    item_id: int
    quantity: int
    current: int
    remaining: int


@dataclass
class Fulfillment:
    """Units that were shipped from a location, as (line, units)."""

    number: int
    location_id: int
    created_at: datetime
    lines: list[tuple[int, int]]
    status: str = "SUCCESS"


@dataclass
class Refund:
    """Units of lines that were refunded, as (line, units); the kind says whether and how they were restocked."""

    number: int
    created_at: datetime
    location_id: int | None
    kind: str
    lines: list[tuple[int, int]]


@dataclass
class Order:
    """An order with one fulfilment order at one location, or with none where it is not routed yet.

    `history` holds every `updated_at` it ever had: the order search may be behind.
    """

    order_id: int
    name: str
    created_at: datetime
    updated_at: datetime
    location_id: int
    lines: list[Line]
    fulfillment_status: str = "OPEN"
    cancelled_at: datetime | None = None
    routed: bool = True
    edited: bool = False
    held: bool = False
    retail_location: int | None = None
    fulfillments: list[Fulfillment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    history: list[datetime] = field(init=False, repr=False, compare=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "updated_at":
            self.__dict__.setdefault("history", []).append(value)
        super().__setattr__(name, value)

    @property
    def closed(self) -> bool:
        """Whether nothing is left to ship."""
        return not any(line.remaining for line in self.lines)

    @property
    def shipped(self) -> str:
        """How much was shipped, in the words of the order search: unshipped, partial or shipped."""
        return ("shipped" if self.closed else "partial") if self.fulfillments else "unshipped"

    def updated_by(self, seen: datetime) -> datetime:
        """The last update up to a moment."""
        return next((at for at in reversed(self.history) if at <= seen), self.created_at)

    def settle(self) -> None:
        """Set the status of the fulfilment order by what was shipped and what is left."""
        self.fulfillment_status = "CLOSED" if self.closed else "IN_PROGRESS" if self.fulfillments else "OPEN"

    def line(self, line_id: int) -> Line:
        """The line of this id."""
        return next(line for line in self.lines if line.line_id == line_id)


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
    search_lag: timedelta = timedelta(0)  # by which the order search is behind
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
        """Set the available units of an item at a location, past every rule and the journal.

        A level that is new has been so for long: it tells no change.
        """
        with self.lock:
            if (item, location) not in self.levels:
                self.levels[item, location] = Level(available, active, updated_at=self.clock())
            level = self.levels[item, location]
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
        self,
        order_id: int,
        name: str,
        created_at: datetime,
        lines: Iterable[tuple[int, int]],
        location: int,
        routed: bool = True,
    ) -> None:
        """Take an order of (item, units) lines: available falls by the units where the item is tracked.

        One that is not routed has no fulfilment order yet; its units are committed at the location all the same.
        """
        with self.lock:
            rows = [
                Line(order_id * 1000 + number, item, units, units, units)
                for number, (item, units) in enumerate(lines, start=1)
            ]
            self.orders[order_id] = Order(order_id, name, created_at, created_at, location, rows, routed=routed)
            for row in rows:
                self._commit(row.item_id, location, row.quantity, created_at)
            self.tell("ORDERS_CREATE", order_id)

    def sell_at_till(
        self, order_id: int, name: str, at: datetime, lines: Iterable[tuple[int, int]], location: int
    ) -> None:
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
            self.tell("ORDERS_CREATE", order_id)

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
        add: Iterable[tuple[int, int]] = (),
        remove: Iterable[tuple[int, int]] = (),
        restock: bool = True,
    ) -> None:
        """Add (item, units) lines to an order and take (line, units) off it; no record says whether they came back."""
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
            self.tell("ORDERS_EDITED", order_id)

    def refund(
        self, order_id: int, lines: Iterable[tuple[int, int]], kind: str = "NO_RESTOCK", location: int | None = None
    ) -> None:
        """Refund (line, units): NO_RESTOCK, CANCEL (units not shipped come back) or RETURN (shipped ones do).

        A RETURN comes back at `location`, or where the order is. NO_RESTOCK takes units that were not shipped first.
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
            self.tell("REFUNDS_CREATE", order_id)

    def cancel_order(self, order_id: int, restock: bool = True) -> None:
        """Cancel an order and restock what was not yet fulfilled, or not; its current quantities become 0."""
        with self.lock:
            order = self.orders[order_id]
            order.cancelled_at = order.updated_at = self.clock()
            open_ = [(line.line_id, line.remaining) for line in order.lines if line.remaining]
            if open_:
                place = order.location_id if restock else None
                self._record(order, open_, "CANCEL" if restock else "NO_RESTOCK", place)
            for line_id, units in open_:
                self._unship(order, line_id, units, restock=restock)
            for line in order.lines:
                line.current = line.remaining = 0
            order.fulfillment_status = "CLOSED"
            self.tell("ORDERS_CANCELLED", order_id)

    def _record(self, order: Order, lines: list[tuple[int, int]], kind: str, place: int | None) -> None:
        number = order.order_id * 100 + len(order.refunds) + 1
        order.refunds.append(Refund(number, order.updated_at, place, kind, lines))

    def _unship(self, order: Order, line_id: int, units: int, *, restock: bool) -> None:
        """Take units that were not shipped off a line; they come back to available, or are gone."""
        line = order.line(line_id)
        line.current -= units
        line.remaining -= units
        back = {"available": units} if restock else {}
        self._move(line.item_id, order.location_id, order.updated_at, committed=-units, **back)

    def fulfil_order(self, order_id: int, lines: Iterable[tuple[int, int]] | None = None) -> None:
        """Ship an order, or these (line, units) of it: committed units leave the location, available stays."""
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
        """Make the token invalid, as expiry does; the next client-credentials grant gives a new one."""
        with self.lock:
            self.token = f"shpat_{uuid4().hex}"

    def _commit(self, item: int, location: int, units: int, at: datetime) -> None:
        self._move(item, location, at, available=-units, committed=units)

    def _move(self, item: int, location: int, at: datetime, **units: int) -> None:
        if level := self._tracked(item, location):
            level.change(at, **units)
            self.tell("INVENTORY_LEVELS_UPDATE", item, location)

    def _tracked(self, item: int, location: int) -> Level | None:
        return self.levels.get((item, location)) if item in self.items and self.items[item].tracked else None
