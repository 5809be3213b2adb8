"""The replay against the production functions: every number of every pair after every event and tick."""

from dataclasses import replace
from datetime import datetime
from random import Random

import polars as pl
import pytest
from builders import LONG_AGO, ONLINE, RULES, levels, listed, rows, snapshot, sold, stock

from invsync import delta, equation, inflight, mapping, plan, simulate, tables
from invsync.simulate import engine
from invsync.simulate.history import LINES, MOVES, STOCK, History, Restock

CADENCE, DAYS = 110, 2


class Shop:
    """Both systems of a few pairs, kept by hand; every number that is written comes from the production functions."""

    def __init__(self, opening: list[int], *, safety: int, buffer: int) -> None:
        self.safety, self.buffer = safety, buffer
        self.count, self.queue = list(opening), [0] * len(opening)
        self.shown = [max(max(units - safety, 0) - buffer, 0) for units in opening]
        self.unseen: dict[int, tuple[int, int]] = {}  # order line: pair, units
        self.seen: set[int] = set()
        self.moved: list[list[int]] = [[] for _ in opening]
        self.touched: set[int] = set()
        self.sold: dict[int, int] = {}  # order line: units
        self.ordered, self.arrived = [0] * len(opening), [0] * len(opening)

    def numbers(self, pair: int) -> tuple[int, int, int, int]:
        return self.shown[pair], self.count[pair], self.queue[pair], self.in_flight(pair)

    def in_flight(self, pair: int) -> int:
        return sum(units for of, units in self.unseen.values() if of == pair)

    def left(self, pair: int) -> int:
        return self.count[pair] - self.queue[pair] - self.in_flight(pair)

    def sell(self, pair: int, units: int, line: int) -> None:
        sold = min(units, max(self.shown[pair], 0))
        self.shown[pair] -= sold
        self.unseen[line] = (pair, sold)
        self.sold[line] = sold

    def download(self, pair: int, line: int) -> None:
        units = self.unseen.pop(line)[1]
        reserved = min(units, self.count[pair])
        self.count[pair] -= reserved
        self.queue[pair] += units - reserved
        self.seen.add(line)
        self.touched |= {pair} if units else set()

    def move(self, pair: int, units: int) -> None:
        units = units if units > 0 else max(units, -max(self.left(pair), 0))
        self.count[pair] += units
        self.moved[pair].append(units)
        served = min(self.count[pair], self.queue[pair])
        self.count[pair] -= served
        self.queue[pair] -= served
        self.touched.add(pair)

    def review(self, levels: list[tuple[int, int]]) -> None:
        own = [count - queue for count, queue in zip(self.count, self.queue, strict=True)]
        self.ordered = [
            up_to - units if units < reorder else 0 for units, (reorder, up_to) in zip(own, levels, strict=True)
        ]

    def arrive(self) -> None:
        self.arrived, self.ordered = self.ordered, [0] * len(self.ordered)
        for pair, units in enumerate(self.arrived):
            if units:
                self.move(pair, units)

    def snapshot(self) -> tables.Snapshot:
        names = [f"P{pair}" for pair in range(len(self.count))]
        waiting = [(name, units) for name, units in zip(names, self.queue, strict=True) if units]
        made = [
            (f"P{pair}/{n}", f"P{pair}", "W1", LONG_AGO, units, "VAR_MANUAL")
            for pair, of in enumerate(self.moved)
            for n, units in enumerate(of)
        ]
        return snapshot(
            product_facility=stock(
                *((name, "W1", units, self.safety) for name, units in zip(names, self.count, strict=True))
            ),
            shopify_shop_product=listed(*((name, pair + 1) for pair, name in enumerate(names))),
            queue=rows(tables.QUEUE, *waiting),
            known_orders=rows(tables.KNOWN_ORDERS, *((line,) for line in self.seen)),
            events=rows(tables.EVENTS, *made),
        )

    def reset(self, pairs: set[int], *, subtracts: bool) -> None:
        seen = self.snapshot()
        mapped = mapping.pairs(seen, RULES)[0].filter(pl.col("inventory_item_id").is_in([pair + 1 for pair in pairs]))
        placed = sold(*((line, pair + 1, ONLINE, units) for line, (pair, units) in self.unseen.items()))
        flight = inflight.in_flight(
            placed, tables.empty(tables.BUFFERS), mapped, seen, counted=mapping.counted_facilities(seen, RULES)
        )
        shown = levels(*((pair + 1, ONLINE, units) for pair, units in enumerate(self.shown)))
        variances = equation.variances(
            mapping.targets(mapped, seen, RULES), shown, flight if subtracts else flight.clear(), buffer=self.buffer
        )
        decided = plan.decide(variances)
        assert decided.held.is_empty() and variances.height == len(pairs)
        for item, change in decided.adjustments.select("inventory_item_id", "delta").iter_rows():
            self.shown[item - 1] += change
        for pair in pairs:
            self.moved[pair] = []

    def push(self) -> None:
        seen = self.snapshot()
        mapped, _ = mapping.pairs(seen, RULES)
        pushed = delta.pushable(seen.events, tables.empty(tables.DELTA_REASONS), override=None, remotes=frozenset())
        free = delta.concerned(pushed, mapped, mapping.locations(seen, aggregate_location=None))
        net = delta.net_changes(free, free, mapped, seen, lambda at: mapping.targets(mapped, at, RULES))
        for item, change in net.select("inventory_item_id", "net").iter_rows():
            self.shown[item - 1] += int(change)
        self.moved = [[] for _ in self.moved]


def world(seed: int) -> tuple[History, simulate.Scenario]:
    """A small random history with scarce stock, and the knobs of a scenario."""
    rng = Random(seed)
    at = sorted(rng.randrange(0, DAYS * 1440 - 200) for _ in range(20))
    lines = [
        (float(t), order, pair, rng.randint(1, 5))
        for order, t in enumerate(at)
        for pair in rng.sample(range(3), rng.randint(1, 2))
    ]
    moves = [
        (float(rng.randrange(0, DAYS * 1440)), rng.randrange(3), rng.choice([-4, -2, -1, 3, 8])) for _ in range(10)
    ]
    levels_ = [(f"S{pair}", rng.randint(0, 12), 4, 9) for pair in range(3)]
    rule = Restock(review_days=1, lead_days=0.3) if rng.random() < 0.5 else None
    history = History(
        pl.DataFrame(lines, schema=LINES, orient="row"),
        pl.DataFrame(sorted(moves), schema=MOVES, orient="row"),
        pl.DataFrame(levels_, schema=STOCK, orient="row"),
        datetime(2026, 3, 2),
        DAYS,
        rule,
    )
    scenario = simulate.Scenario(
        lag=simulate.lognormal(rng.choice([5, 40, 150]), parts=5),
        cadence=CADENCE,
        loss=rng.choice([0.0, 0.4]),
        buffer=rng.choice([0, 0, 2]),
        safety=rng.choice([0, 0, 3]),
        pos_share=rng.choice([0.0, 0.3]),
        edits=rng.choice([0, 4]),
        peak=rng.choice([1.0, 1.5]),
        seed=seed,
    )
    return history, scenario


Event = tuple[float, int, int, int, int]  # at, kind, pair (-1: every), units, line


def scheduled(history: History, scenario: simulate.Scenario, until: float) -> list[Event]:
    """Every tick of every schedule, also those at which the replay has nothing to do."""
    ticks = [(n * scenario.cadence, engine.JOB) for n in range(1, int(until // scenario.cadence) + 1)]
    ticks += [(day * 1440.0 + 180, engine.HARD) for day in range(int(until // 1440))]
    if history.rule is not None:
        reviews = [day * 1440.0 + 360 for day in range(1, history.days)]
        ticks += [(at, engine.REVIEW) for at in reviews]
        ticks += [(at + history.rule.lead_days * 1440, engine.ARRIVE) for at in reviews]
    return [(at, kind, -1, 0, -1) for at, kind in ticks]


def happen(shop: Shop, event: Event, policy: str, levels: list[tuple[int, int]]) -> None:
    """One event of one pair, or one tick of them all, in the shop kept by hand."""
    _, kind, pair, units, line = event
    if kind == engine.SALE:
        shop.sell(pair, units, line)
    elif kind == engine.IMPORT:
        shop.download(pair, line)
    elif kind == engine.MOVE:
        shop.move(pair, units)
    elif kind == engine.EDIT:
        shop.shown[pair] += units
    elif kind == engine.HOOK and (line == engine.OWN or (shop.sold[line] if line >= 0 else shop.arrived[pair])):
        shop.reset({pair}, subtracts=True)
    elif pair < 0 and kind == engine.REVIEW:
        shop.review(levels)
    elif pair < 0 and kind == engine.ARRIVE:
        shop.arrive()
    elif pair < 0:
        tick(shop, kind, policy)


def tick(shop: Shop, kind: int, policy: str) -> None:
    if kind == engine.HARD and policy == "deltas_and_hard_sync":
        shop.reset(set(range(len(shop.count))), subtracts=True)
    elif kind == engine.JOB and policy.startswith("deltas") and any(shop.moved):
        shop.push()
    elif kind == engine.JOB and policy.startswith("reset") and shop.touched:
        shop.reset(shop.touched, subtracts=policy != "reset")
        shop.touched = set()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", simulate.POLICIES)
def test_every_number_equals_that_of_the_production_functions(policy: str, seed: int) -> None:
    history, scenario = world(seed)
    replay = simulate.replay(history, replace(scenario, policy=policy))
    opening, levels = history.stock["opening"].to_list(), history.stock.select("reorder", "up_to").rows()
    shop = Shop(opening, safety=scenario.safety, buffer=scenario.buffer)
    replayed = replay.ledger.select(
        "at", "kind", "pair", "units", "line", "shown", "count", "queue", "in_flight"
    ).rows()
    ticks = [(*event, None) for event in scheduled(history, scenario, replay.days * 1440)]
    stood: dict[int, tuple[int, ...]] = {}
    for *event, numbers in sorted([*((*row[:5], row[5:]) for row in replayed), *ticks], key=lambda one: one[:3]):
        happen(shop, tuple(event), policy, levels)
        if numbers is not None:
            assert shop.numbers(event[2]) == numbers, event
            stood[event[2]] = numbers
    assert stood == {pair: shop.numbers(pair) for pair in range(len(opening))}
    assert replay.totals()["sold"] == sum(shop.sold.values())
