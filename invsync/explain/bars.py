"""A waterfall and a level's history in plain characters, as wide as the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from invsync.charts.labels import Reader
from invsync.explain.parts import OrderInFlight, SeenLevel, Step

ENGLISH = Reader()
NARROWEST, WIDEST = 8, 60  # characters of the longest bar
STOCK, TAKEN = "#", "-"


class Written(Protocol):
    """Writes a number as text; `signed` marks a gain."""

    def __call__(self, value: float | None, *, signed: bool = False) -> str:
        """Return the text."""


def number(value: float | None, *, signed: bool = False) -> str:
    """Return a number as the pages write it in English, with at most three decimals, or `none`."""
    return "none" if value is None else ENGLISH.number(value, signed=signed)


@dataclass(frozen=True)
class Row:
    """A line: its label, its number as text, and the two sums that its bar lies between."""

    label: str
    text: str
    start: float
    end: float


def waterfall(
    steps: Sequence[Step], target: float | None, available: float | None, *, width: int, past: bool = False
) -> Iterator[str]:
    """Yield one aligned line for each step, the target and what Shopify shows: label, units, bar."""
    rows = [Row(step.label, number(step.units, signed=True), step.after - step.units, step.after) for step in steps]
    totals = {
        "Should have shown" if past else "Should show": target,
        "Shopify showed" if past else "Shopify shows": available,
    }
    rows += [Row(label, number(units), 0.0, units or 0.0) for label, units in totals.items()]
    digits = max(len(row.text) for row in rows)
    label = max(12, min(max(len(row.label) for row in rows), width - digits - NARROWEST - 6))
    room = max(NARROWEST, min(WIDEST, width - label - digits - 6))
    low, high = (limit(limit(row.start, row.end) for row in rows) for limit in (min, max))
    scale = (room - 1) / (high - low) if high > low else 0.0  # the last column is for the shortest bars
    for place, row in enumerate(rows):
        if place == len(steps) and steps:
            yield "  " + "-" * (label + 2 + digits)
        bar = _bar(row.start - low, row.end - low, scale)
        yield f"  {_cut(row.label, label):<{label}}  {row.text:>{digits}}  {bar}".rstrip()


def levels(seen: Sequence[SeenLevel], orders: Sequence[OrderInFlight], *, width: int, most: int = 12) -> Iterator[str]:
    """Yield one line for each look of a run, with its number as a bar, and for each order between; newest first."""
    rows = [(one.at, Row(_did(one), number(one.left), 0.0, one.left)) for one in seen]
    rows += [
        (order.created_at, Row(f"order {order.name or order.order_id}", number(-order.units), 0.0, 0.0))
        for order in orders
        if order.created_at
    ]
    rows = sorted(rows, key=lambda row: row[0], reverse=True)[:most]
    digits, words = max(len(row.text) for _, row in rows), max(len(row.label) for _, row in rows)
    room = max(NARROWEST, min(WIDEST // 2, width - len("  2026-01-01 00:00") - digits - words - 6))
    high = max([0.0, *(row.end for _, row in rows)])
    for at, row in rows:
        bar = _bar(0.0, max(0.0, row.end), room / high if high else 0.0)
        yield f"  {at:%Y-%m-%d %H:%M}  {row.text:>{digits}}  {row.label:<{words}}  {bar}".rstrip()


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
