"""The explanation of one level, as values: its terms, the orders in flight, and what earlier runs did."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime


@dataclass(frozen=True)
class Facility:
    """What the OMS holds at one facility, in units; `counts` is None where every facility of the pair counts."""

    facility_id: str
    last_inventory_count: float | None
    minimum_stock: float | None
    computed_last_inventory_count: float | None
    allow_brokering: str | None
    last_updated_stamp: datetime | None
    counts: bool | None = None


@dataclass(frozen=True)
class OnlineTerms:
    """The terms of an aggregate's online ATP, in units; `closed` where the channel is switched off."""

    sellable: float
    threshold: float
    queue: float
    closed: bool


@dataclass(frozen=True)
class Stock:
    """The OMS quantity of a pair and its parts; a physical location has no online terms."""

    quantity: float | None
    facilities: tuple[Facility, ...]
    online: OnlineTerms | None = None


@dataclass(frozen=True)
class OrderInFlight:
    """Units of an order that are kept off sale; committed units of no visible order have no id, name or time."""

    order_id: int | None
    name: str | None
    created_at: datetime | None
    units: int
    reason: str


@dataclass(frozen=True)
class PastRun:
    """What one run decided about a pair and did: a row of its OUTCOMES, with the file and line (0-based) it was sent on."""

    run_id: str
    job: str
    status: str
    finished_at: str
    outcome: str
    reason: str | None
    message: str | None
    available: int | None
    delta: int | None
    target: float | None
    oms: float | None
    in_flight: int | None
    after: int | None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, repr=False)
class Explanation:
    """One level taken apart; numbers are units, and `repr` is the explanation in words.

    `target` is what Shopify should show, `available` what it shows, and `held` the reason for which a job would not
    send the `difference`. `locations` are all locations of the product, `history` the last runs, newest first.
    """

    shop: str
    sku: str | None
    product_id: str
    inventory_item_id: int
    location_id: int
    mode: str
    locations: tuple[int, ...]
    target: float | None
    available: int | None
    difference: int | None
    oms: Stock
    in_flight: tuple[OrderInFlight, ...]
    set_aside: int
    buffer: int
    held: str | None
    tracked: bool | None
    active: bool | None
    history: tuple[PastRun, ...]

    @property
    def moved_since(self) -> int | None:
        """Units by which Shopify's number differs from what the last run left; None where no run wrote it."""
        left = next((run.after for run in self.history if run.after is not None), None)
        return None if left is None or self.available is None else self.available - left

    @property
    def lines(self) -> list[str]:
        """The explanation in words, one line each."""
        return list(_lines(self))

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def to_dict(self) -> dict[str, object]:
        """The explanation as `invsync explain --json` prints it; stamps are datetimes."""
        return asdict(self) | {"oms": _stock(self.oms), "moved_since": self.moved_since}


def _stock(stock: Stock) -> dict[str, object]:
    facilities = [asdict(facility) for facility in stock.facilities]
    if stock.online is None:
        facilities = [{name: value for name, value in row.items() if name != "counts"} for row in facilities]
    terms = asdict(stock.online) if stock.online else {}
    return {"quantity": stock.quantity, **terms, "facilities": facilities}


def _lines(level: Explanation) -> Iterator[str]:
    shown = "nothing" if level.available is None else level.available
    yield (
        f"{level.sku} ({level.product_id}) at location {level.location_id}: Shopify shows {shown}, "
        f"it should show {_number(level.target)}."
    )
    yield f"  OMS quantity          {_number(level.oms.quantity)}"
    yield from map(_facility, level.oms.facilities)
    if online := level.oms.online:
        for name, units in [("threshold", online.threshold), ("queue", online.queue)]:
            if units:
                yield f"    less {name:<13}  {_number(units)}"
    yield f"  less in flight        {sum(order.units for order in level.in_flight)}"
    yield from map(_order, level.in_flight)
    if level.set_aside:
        yield f"  less set aside        {level.set_aside} (reserved by draft orders or other apps)"
    yield f"  less buffer           {level.buffer}"
    if level.held:
        yield f"  Nothing is sent: {level.held.replace('_', ' ')}."
    if level.moved_since:
        yield f"  Moved by {level.moved_since:+} since the last run."
    yield from map(_past, level.history)


def _facility(facility: Facility) -> str:
    aside = ", not counted" if facility.counts is False else ""
    return (
        f"    {facility.facility_id:<18}  {_number(facility.computed_last_inventory_count)}"
        f" ({_number(facility.last_inventory_count)} less safety stock {_number(facility.minimum_stock)}{aside})"
    )


def _order(order: OrderInFlight) -> str:
    if order.order_id is None:
        return f"    committed units       {order.units}, {order.reason}"
    return (
        f"    order {order.name or '':<12}  {order.units}, placed {order.created_at:%Y-%m-%d %H:%M} UTC: {order.reason}"
    )


def _past(run: PastRun) -> str:
    line = f", line {(run.line or 0) + 1} of {run.file}" if run.file else ""
    words = f": {run.message}" if run.message else f" ({run.reason})" if run.reason else ""
    change = f" {run.available} {run.delta:+}" if run.file and run.delta else ""
    when = run.finished_at[:16].replace("T", " ")
    return f"  {when}  {run.job} {run.run_id}{line}:{change} {run.outcome}{words}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
