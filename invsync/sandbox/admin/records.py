"""What a shop keeps: items, stock levels, orders and what became of them, subscriptions, and what it was sent."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from invsync.sandbox.admin.search import Node, Variables


@dataclass(frozen=True)
class Product:
    """A product with what its merchant wrote about it; an empty category or image address is none."""

    product_id: int
    title: str
    vendor: str
    product_type: str = ""
    category: str = ""
    image_url: str = ""


@dataclass
class Item:
    """An inventory item with its variant, the price of a unit, and its product; without one its SKU is its title.

    One whose variant requires components is a bundle.
    """

    item_id: int
    sku: str
    tracked: bool = True
    requires_components: bool = False
    product: Product | None = None
    variant_title: str = "Default Title"
    price: str = "0.00"


@dataclass
class Level:
    """Stock of one item at one location, in units; an inactive level keeps its quantities.

    `changed_at` is the time of the last change of each quantity, by its name.
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
    """A shipment of (line, units) from a location."""

    number: int
    location_id: int
    created_at: datetime
    lines: list[tuple[int, int]]
    status: str = "SUCCESS"


@dataclass
class Refund:
    """A refund of (line, units); the kind says whether and how they were restocked."""

    number: int
    created_at: datetime
    location_id: int | None
    kind: str
    lines: list[tuple[int, int]]


@dataclass
class Order:
    """An order with one fulfilment order at one location, or with none while it is not routed.

    `history` holds every `updated_at` that the order had: the order search may be behind.
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

    def __setattr__(self, name: str, value: object) -> None:
        if name == "updated_at":
            self.__dict__.setdefault("history", []).append(value)
        super().__setattr__(name, value)

    @property
    def closed(self) -> bool:
        """Whether nothing is left to ship."""
        return not any(line.remaining for line in self.lines)

    @property
    def shipped(self) -> str:
        """How much was shipped, in the terms of the order search: unshipped, partial or shipped."""
        return ("shipped" if self.closed else "partial") if self.fulfillments else "unshipped"

    def updated_by(self, seen: datetime) -> datetime:
        """The last update up to a time."""
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
    """What the shop remembers of an idempotency key: the time, the input and the payload, None if it failed."""

    at: datetime
    fingerprint: str
    payload: Node | None


class JournalEntry(TypedDict):
    """One applied change of an inventory level, in units."""

    key: str | None
    reference: str | None
    inventory_item_id: int
    location_id: int
    delta: int
    before: int
    after: int
    time: datetime


class Request(TypedDict):
    """A GraphQL request that the shop executed."""

    query: str
    variables: Variables


@dataclass(frozen=True)
class Event:
    """An event for the subscribers of a topic, with the ids of the object that its payload needs."""

    topic: str
    ids: tuple[int, ...]
