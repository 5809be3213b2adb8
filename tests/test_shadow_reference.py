"""What shadow mode makes of looks, beside the same in plain loops over drawn levels, orders and looks."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import floor
from random import Random
from typing import Any

import polars as pl
import pytest

from invsync import shadow, tables
from invsync.tables import KEY
from invsync.vocabulary import DEFERRED, DEFERRED_FOR_AN_HOUR, FRACTIONAL

Row = dict[str, Any]
START, HOUR = datetime(2026, 3, 2, 12, tzinfo=UTC), timedelta(hours=1)
PAIRS = [(item, place) for item in (1, 2, 3) for place in (901, 902)]
MANY = 60


def drawn(random: Random, at: datetime) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of VARIANCES, LEVELS and SOLD of one look, with what is seldom: unknown numbers, holds, half units."""
    variances, levels, sold = [], [], []
    for item, place in PAIRS:
        pair = {"inventory_item_id": item, "location_id": place}
        available = random.choice([None, *range(-3, 9)])
        names = {"product_id": f"P{item}", "sku": f"SKU{item}", "mode": "physical"}
        oms = random.choice([None, 4.5, *map(float, range(9))])
        held = random.choice([None, None, None, DEFERRED, DEFERRED_FOR_AN_HOUR, FRACTIONAL])
        units = {"in_flight": random.randint(0, 4), "set_aside": random.choice([0, 0, 1]), "buffer": 2}
        variances.append(pair | names | units | {"oms": oms, "available": available, "held": held})
        if random.random() < 0.9:
            others = {name: random.choice([None, 0, 1, 5]) for name in shadow.ON_HAND[1:]}
            levels.append(pair | others | {"available": available})
    for order in range(1, 7):
        for item, place in random.sample(PAIRS, 2):
            created = START + random.choice([0, 0.5, 1, 1.5, 2]) * HOUR
            units = {"open": random.randint(0, 3), "shipped": random.randint(-1, 3), "removed": 0}
            where = {"inventory_item_id": item, "location_id": random.choice([place, place, None])}
            if created <= at and not any(row["order_id"] == order and row | where == row for row in sold):
                sold.append({"order_id": order, "created_at": created, "updated_at": at - HOUR} | where | units)
    for row in sold:
        row["updated_at"] = at - random.choice([0, 0.5, 1, 1.5]) * HOUR
    return variances, levels, sold


def right(row: Row) -> float | None:
    """What may be sold at a pair, without its buffer."""
    if row["oms"] is None or row["held"] == FRACTIONAL:
        return None
    free = float(row["oms"] - row["in_flight"] - row["set_aside"])
    low = row["available"] is not None and floor(free) <= row["available"]
    return float(floor(free)) if low else free


def looked_at(variances: list[Row], levels: list[Row], sold: list[Row], before: list[Row], at: datetime) -> list[Row]:
    """The rows of KEPT, in plain loops."""
    looked = before[0]["at"] if before else None
    hands = {key(row): sum(row[name] or 0 for name in shadow.ON_HAND) for row in levels}
    last = {key(row): row for row in before}
    made = []
    for row in variances:
        pair, own, mine = key(row), last.get(key(row), {}), [each for each in sold if key(each) == key(row)]
        earlier = {each["order_id"]: each["shipped"] for each in own.get("shipments") or []}
        shipped = sold_since = 0
        for each in mine:
            if looked and (each["order_id"] in earlier or each["updated_at"] >= looked):
                shipped += each["shipped"] - earlier.get(each["order_id"], 0)
            if looked and each["created_at"] >= looked:
                sold_since += each["open"] + each["shipped"]
        may, hand, was = right(row), hands.get(pair), own.get("on_hand")
        off = None if may is None or row["available"] is None else floor(row["available"] - may)
        written = None if hand is None or was is None else hand - was + shipped
        in_flight = max(row["in_flight"], own["in_flight"] + sold_since) if own else row["in_flight"]
        put_back = 0 if off is None else min(max(written or 0, 0), max(off, 0), in_flight)
        same = off is not None and own.get("off") is not None and sign(off) == sign(own["off"])
        since = ((own.get("wrong_since") if same else None) or at) if off else None
        over = own.get("wrong_since") is not None and not same
        shipments = [{"order_id": each["order_id"], "shipped": each["shipped"]} for each in mine if each["shipped"]]
        made.append(
            {name: row[name] for name in (*KEY, "product_id", "sku", "available", "in_flight")}
            | {"at": at, "on_hand": hand, "right": may, "off": off, "written": written, "put_back": put_back}
            | {"wrong_since": since, "ended": own["wrong_since"] if over else None}
            | {"ended_off": own["off"] if over else None, "shipments": by_order(shipments)}
        )
    return made


def key(row: Row) -> tuple[int, int | None]:
    return row["inventory_item_id"], row["location_id"]


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def by_order(shipments: list[Row] | None) -> list[Row]:
    return sorted(shipments or [], key=lambda row: int(row["order_id"]))


def looks_of(seed: int) -> tuple[pl.DataFrame, list[Row]]:
    """The KEPT rows of four looks, by the package and by loops; every other look may lack a pair."""
    random, frames, lists = Random(seed), [], []
    before, plain = tables.empty(shadow.KEPT), []
    for n in range(4):
        at = START + n * HOUR
        variances, levels, sold = drawn(random, at)
        if random.random() < 0.3:
            variances.pop(random.randrange(len(variances)))
        given = [
            pl.DataFrame(rows, schema=schema)
            for rows, schema in zip(
                (variances, levels, sold), (tables.VARIANCES, tables.LEVELS, tables.SOLD), strict=True
            )
        ]
        before = shadow.look(given[0], given[1], given[2], before, at=at)
        plain = looked_at(variances, levels, sold, plain, at)
        frames.append(before)
        lists += plain
    return pl.concat(frames), lists


@pytest.mark.parametrize("seed", range(MANY))
def test_a_look_says_what_plain_loops_say(seed: int) -> None:
    frame, plain = looks_of(seed)
    rows = [row | {"shipments": by_order(row["shipments"])} for row in frame.to_dicts()]

    assert sorted(rows, key=by_time) == sorted(plain, key=by_time)


def by_time(row: Row) -> tuple[datetime, int, int]:
    return row["at"], row["inventory_item_id"], row["location_id"]


def levels_of(rows: list[Row], since: datetime, thru: datetime) -> list[Row]:
    """The rows of BY_LEVEL in plain loops."""
    noted = defaultdict(list)
    for row in sorted(rows, key=by_time):
        if row["at"] >= since and (row["put_back"] or row["wrong_since"] or row["ended"]):
            noted[key(row)].append(row)
    made = []
    for pair, own in noted.items():
        last, ended = own[-1], [row for row in own if row["ended"]]
        is_open = last["wrong_since"] is not None and last["at"] == thru
        lasted = sum((row["at"] - max(row["ended"], since) for row in ended), timedelta(0))
        lasted += thru - max(last["wrong_since"], since) if is_open else timedelta(0)
        made.append(
            {"inventory_item_id": pair[0], "location_id": pair[1], "product_id": last["product_id"], "sku": last["sku"]}
            | {"put_back": sum(row["put_back"] for row in own), "times": sum(row["put_back"] > 0 for row in own)}
            | {"episodes": len(ended) + is_open, "hours": lasted / HOUR, "off": last["off"] if is_open else 0}
            | {"is_wrong": is_open}
        )
    return sorted(made, key=lambda row: (-row["put_back"], -row["hours"], *key(row)))


@pytest.mark.parametrize("since", [START, START + 0.5 * HOUR, START + HOUR, START + 3 * HOUR])
@pytest.mark.parametrize("seed", range(0, MANY, 5))
def test_the_levels_of_looks_are_those_of_plain_loops(seed: int, since: datetime) -> None:
    frame, plain = looks_of(seed)
    thru = START + 3 * HOUR
    levels, rows = (
        shadow.by_level(frame.sample(fraction=1, shuffle=True, seed=seed), since=since, thru=thru),
        levels_of(plain, since, thru),
    )

    assert levels.to_dicts() == rows
    assert shadow.totals(levels) == shadow.Totals(
        put_back=sum(row["put_back"] for row in rows),
        times=sum(row["times"] for row in rows),
        levels_wrong=sum(row["episodes"] > 0 for row in rows),
        wrong_now=sum(row["is_wrong"] for row in rows),
        hours=pytest.approx(sum(row["hours"] for row in rows)),
        longest=max((row["hours"] for row in rows), default=0.0),
    )


@pytest.mark.parametrize("seed", range(0, MANY, 10))
def test_the_events_of_earlier_looks_are_enough(seed: int) -> None:
    frame, _ = looks_of(seed)
    thru = START + 3 * HOUR
    kept = frame.filter(shadow.is_event() | (pl.col("at") == thru))

    said = [shadow.by_level(rows, since=START, thru=thru) for rows in (frame, kept)]
    same = ["put_back", "times", "episodes", "hours", "off", "is_wrong"]

    assert (
        said[1]
        .select(*KEY, *same)
        .equals(said[0].filter(pl.col("put_back") + pl.col("episodes") > 0).select(*KEY, *same))
    )


def test_without_a_wrong_level_every_total_is_zero() -> None:
    nothing = shadow.by_level(tables.empty(shadow.KEPT), since=START, thru=START)

    assert shadow.totals(nothing) == shadow.Totals(0, 0, 0, 0, 0.0, 0.0)
