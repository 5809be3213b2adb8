"""A waterfall and a level's history in plain characters, as wide as the terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from invsync.explain.parts import OrderInFlight, SeenLevel, Step

MINUS = "\N{MINUS SIGN}"
NARROWEST, WIDEST = 8, 60  # characters of the longest bar
STOCK, TAKEN = "#", "-"


class Written(Protocol):
    """Writes a number as text; `signed` marks a gain."""

    def __call__(self, value: float | None, *, signed: bool = False) -> str:
        """Return the text."""


def number(value: float | None, *, signed: bool = False) -> str:
    """Return a number as the pages write it in English, with at most three decimals, or `none`."""
    if value is None:
        return "none"
    digits = f"{abs(value):,.3f}".rstrip("0").rstrip(".")
    return f"{MINUS if value < 0 and digits != '0' else '+' if signed and value > 0 else ''}{digits}"


def waterfall(
    steps: Sequence[Step], target: float | None, available: float | None, *, width: int, past: bool = False
) -> Iterator[str]:
    """Yield one aligned line for each step, the target and what Shopify shows: label, units, bar."""
    rows = [(step.label, number(step.units, signed=True), step.after - step.units, step.after) for step in steps]
    totals = {
        "Should have shown" if past else "Should show": target,
        "Shopify showed" if past else "Shopify shows": available,
    }
    rows += [(label, number(units), 0.0, units or 0.0) for label, units in totals.items()]
    label, digits = (max(len(row[place]) for row in rows) for place in (0, 1))
    label = max(12, min(label, width - digits - NARROWEST - 6))
    room = max(NARROWEST, min(WIDEST, width - label - digits - 6))
    low, high = min(min(row[2:]) for row in rows), max(max(row[2:]) for row in rows)
    scale = room / (high - low) if high > low else 0.0
    for place, (name, text, start, end) in enumerate(rows):
        if place == len(steps) and steps:
            yield "  " + "-" * (label + 2 + digits)
        bar = _bar(start - low, end - low, scale)
        yield f"  {_cut(name, label):<{label}}  {text:>{digits}}  {bar}".rstrip()


def levels(seen: Sequence[SeenLevel], orders: Sequence[OrderInFlight], *, width: int, most: int = 12) -> Iterator[str]:
    """Yield one line for each look of a run, with its number as a bar, and for each order between; newest first."""
    rows: list[tuple[datetime, str, int | None, str]] = [
        (one.at, number(one.left), one.left, _did(one)) for one in seen
    ]
    placed = [order for order in orders if order.created_at]
    rows += [
        (order.created_at, number(-order.units), None, f"order {order.name or order.order_id}")
        for order in placed
        if order.created_at
    ]
    rows = sorted(rows, key=lambda row: row[0], reverse=True)[:most]
    digits, words = (max(len(row[place]) for row in rows) for place in (1, 3))
    room = max(NARROWEST, min(WIDEST // 2, width - 2 - 16 - 2 - digits - 2 - words - 2))
    high = max([0, *(row[2] for row in rows if row[2] is not None)])
    for at, text, units, name in rows:
        bar = _bar(0, max(0, units or 0), room / high if high else 0.0)
        yield f"  {at:%Y-%m-%d %H:%M}  {text:>{digits}}  {name:<{words}}  {bar}".rstrip()


def _did(seen: SeenLevel) -> str:
    """The job, and what its look changed."""
    change = seen.left - seen.available
    return f"{seen.job} {number(change, signed=True)}" if change else seen.job


def _bar(start: float, end: float, scale: float) -> str:
    """The bar between two sums, above 0; at least one character wide where they differ."""
    first, last = sorted((round(start * scale), round(end * scale)))
    filled = max(last - first, int(start != end))
    return " " * first + (STOCK if end >= start else TAKEN) * filled


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
