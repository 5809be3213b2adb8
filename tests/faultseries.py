"""A made-up series of runs of two shops whose faults come, change and go, for the inbox."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from runfolders import leave
from test_charts import outcomes

from invsync import tables
from invsync.charts import Reader

END = datetime(2026, 11, 23, 13, 15, tzinfo=UTC)
READERS = {"acme": Reader("en-GB", "Europe/London"), "birch": Reader("de", "Europe/Berlin")}
CURRENCY = {"acme": "GBP", "birch": "EUR"}
PLACES = {10: "Amsterdam", 11: "Utrecht"}
TITLES = ["Linen shirt", "Wool scarf", "Enamel mug", "Oak tray", "Canvas bag", "Rain jacket", "Desk lamp", "Tea towel"]
FAULTS: list[dict[str, Any]] = [
    {"outcome": "held", "reason": "inactive_level"},
    {"outcome": "held", "reason": "unknown_item"},
    {"outcome": "held", "reason": "fractional", "oms": 2.5},
    {"outcome": "held", "reason": "contested"},
    {"outcome": "refused", "reason": "INVALID_INVENTORY_ITEM", "message": "The item could not be found."},
    {"outcome": "unknown"},
]


def row(shop: str, n: int, dice: random.Random) -> dict[str, Any]:
    """One pair as a run read it: mostly right, its fault drawn anew each time."""
    item, place = 500 + n, 10 + n % 2
    available, target = dice.randrange(9), dice.randrange(1, 9)
    one = {
        "inventory_item_id": item,
        "sku": f"{TITLES[n % 8][:3].upper()}-{n:03d}",
        "product_id": f"P{n}",
        "location_id": place,
        "available": available,
        "target": float(target),
        "oms": float(target),
        "in_flight": 0,
        "delta": 0,
        "outcome": "already_right",
        "after": None,
    }
    if n % 5 == 0 and dice.random() < 0.75:
        fault = FAULTS[(n // 5) % len(FAULTS)] if dice.random() < 0.9 else dice.choice(FAULTS)
        return one | {"delta": target - available} | fault
    if n == 7 and dice.random() < 0.8:  # linked twice: nothing was read of it
        nothing = dict.fromkeys(["available", "target", "oms", "in_flight", "delta"])
        links = f"Product P7 is linked to items {item} and 502999."
        return one | nothing | {"outcome": "held", "reason": "ambiguous_mapping", "message": links}
    if dice.random() < 0.1:
        return one | {"outcome": "held", "reason": "guard", "delta": 1}
    if dice.random() < 0.2:
        return one | {
            "outcome": "applied",
            "delta": target - available,
            "after": target,
            "in_flight": dice.randrange(4),
        }
    return one


def run(shop: str, numbers: list[int], dice: random.Random) -> pl.DataFrame:
    """OUTCOMES_FILE of these pairs; some items have no title or price, as in a run that did not read them."""
    frame = outcomes(*(row(shop, n, dice) for n in numbers)) if numbers else outcomes({}).clear()
    known = [n % 8 != 3 and dice.random() < 0.9 for n in numbers]
    return frame.with_columns(
        title=pl.Series([TITLES[n % 8] if known[i] else None for i, n in enumerate(numbers)], dtype=pl.String),
        variant_title=pl.Series(["Blue" if n % 3 == 0 else None for n in numbers], dtype=pl.String),
        price=pl.Series([4.5 + n if known[i] else None for i, n in enumerate(numbers)], dtype=pl.Float64),
        currency=pl.Series([CURRENCY[shop] if known[i] else None for i, _ in enumerate(numbers)], dtype=pl.String),
        shopify_product_id=pl.Series([9000 + n for n in numbers], dtype=pl.Int64),
    ).pipe(tables.completed, tables.OUTCOMES_FILE)


def leave_series(root: Path, *, seed: int = 1, runs: int = 120, pairs: int = 40) -> None:
    """Runs of both shops every four hours until END: a hard sync each night, rehearsals and stopped runs between."""
    dice = random.Random(seed)
    for n in range(runs):
        shop, at = ["acme", "birch"][n % 2], END - timedelta(hours=4 * ((runs - 1 - n) // 2))
        every = n % 12 < 2
        numbers = list(range(pairs)) if every else sorted(dice.sample(range(pairs), 8))
        status = "planned" if dice.random() < 0.08 else "stopped" if dice.random() < 0.05 else "done"
        frame = run(shop, numbers, dice)
        if status == "done" and frame["outcome"].is_in(["held", "refused", "unknown"]).any():
            status = "partial"
        leave(root, frame, shop=shop, job="hard-sync" if every else "upload-recent-changes", at=at, status=status)
