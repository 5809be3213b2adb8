"""The steps from the stock of the facilities to the target; they add up to it exactly as the equation does."""

from collections.abc import Iterator
from math import isfinite

from invsync.explain.parts import OrderInFlight, Step, Stock

MOST_ORDERS = 10  # that have a step of their own
Part = tuple[str, float]


def steps(
    stock: Stock, in_flight: tuple[OrderInFlight, ...], *, set_aside: int, buffer: int, target: float | None
) -> tuple[Step, ...]:
    """Return the steps whose units sum to the target; none where the quantity or the target is not known."""
    if stock.quantity is None or target is None or not isfinite(stock.quantity + target):
        return ()
    free = stock.quantity - sum(order.units for order in in_flight) - set_aside
    parts = [
        *_stock(stock, stock.quantity),
        *_orders(in_flight),
        ("Set aside by drafts or other apps", -set_aside),
        ("Buffer", -min(buffer, max(free, 0.0))),
    ]
    left = target - sum(units for _, units in parts)
    parts.append(("Part of a unit, left out" if abs(left) < 1 else "Oversold already, still owed", left))
    return tuple(_summed([(label, round(units, 6)) for label, units in parts]))


def _summed(parts: list[Part]) -> Iterator[Step]:
    """The parts that move the sum, or the first where none does."""
    after = 0.0
    for label, units in [part for part in parts if part[1]] or parts[:1]:
        after = round(after + units, 6)
        yield Step(label, units, after)


def _stock(stock: Stock, quantity: float) -> Iterator[Part]:
    """The facilities that count, and the terms that make their sum the OMS's quantity."""
    counted = [facility for facility in stock.facilities if facility.counts is not False]
    parts = [(facility.label, facility.computed_last_inventory_count or 0.0) for facility in counted]
    if stock.online:
        parts += [("Threshold", -stock.online.threshold), ("Brokering queue", -stock.online.queue)]
    yield from parts
    rest = quantity - sum(units for _, units in parts)
    yield (_rest(stock, rest) if parts else "Stock in HotWax"), rest


def _rest(stock: Stock, rest: float) -> str:
    """Why the quantity is not the sum of its terms."""
    if stock.online and stock.online.closed:
        return "Channel closed: none sold online"
    return "Not below zero" if rest > 0 else "Below zero on hand: none sold online"


def _orders(in_flight: tuple[OrderInFlight, ...]) -> Iterator[Part]:
    """The first orders by name, and all others as one."""
    own = in_flight if len(in_flight) <= MOST_ORDERS else in_flight[: MOST_ORDERS - 1]
    for order in own:
        yield ("Committed, order not seen" if order.order_id is None else f"Order {order.name or ''}"), -order.units
    more = in_flight[len(own) :]
    yield f"{len(more)} more orders", -sum(order.units for order in more)
