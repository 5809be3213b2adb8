"""Order lives in the replay against plain loops over one pair, and against the production ledger of units in flight."""

from dataclasses import dataclass, replace
from math import inf
from random import Random

import polars as pl
import pytest
from builders import ONLINE, booked, levels, snapshot, sold
from test_simulate import small
from test_simulate_lives import MIXED, NAMES, SEARCHES
from test_simulate_ticks import RULES, scheduled, world

from invsync import inflight, mapping, simulate
from invsync.simulate import engine, events, lives
from invsync.simulate.history import History
from invsync.simulate.measures import Replay, replays
from invsync.simulate.scenario import Lives, Scenario

Levels = tuple[int, ...]  # reorder point, order up to


@dataclass
class Line:
    """An order line as both systems know it."""

    at: float
    units: int
    life: str | None
    added: bool
    imported: bool = False
    back: int = 0
    released: int = 0

    @property
    def booked(self) -> int:
        return self.units - self.released if self.imported else 0

    @property
    def sold(self) -> int:
        return self.units - self.back


class Pair:
    """One pair kept by hand: its numbers, and what each rule counts from the facts of every order line."""

    def __init__(self, opening: int, levels: Levels, scenario: Scenario, heard: dict[int, float]) -> None:
        self.scenario, self.levels, self.heard, self.now = scenario, levels, heard, 0.0  # heard: webhooks by line
        self.count, self.queue, self.lines, self.orders = opening, 0, dict[int, Line](), list[int]()
        self.moved = self.ordered = self.arrived = 0
        self.put_back, self.changed, self.waiting = 0, False, False
        self.shown = self.target(0)

    def numbers(self) -> tuple[int, int, int, int]:
        return self.shown, self.count, self.queue, sum(line.sold - line.booked for line in self.lines.values())

    def left(self) -> int:
        return self.count - self.queue - self.numbers()[-1]

    def atp(self, count: int) -> int:
        return max(max(count - self.scenario.safety, 0) - self.queue, 0)

    def target(self, subtracted: int) -> int:
        free = self.atp(self.count) - subtracted
        return max(free - self.scenario.buffer, min(free, 0))

    # -- what happens

    def sale(self, number: int, units: int, life: str | None, added: bool) -> None:
        sold = min(units, max(self.shown, 0))
        self.shown -= sold
        self.lines[number] = Line(self.now, sold, life, added)

    def book(self, units: int) -> None:
        reserved = min(self.count, units)
        self.count, self.queue = self.count - reserved, self.queue + units - reserved

    def add(self, units: int) -> None:
        self.count += units
        served = min(self.count, self.queue)
        self.count, self.queue = self.count - served, self.queue - served

    def download(self, number: int) -> None:
        self.lines[number].imported = True
        self.book(self.lines[number].units)
        self.changed |= self.lines[number].units > 0

    def restock(self, number: int, units: int) -> None:
        line = self.lines[number]
        line.back = min(units, line.units)
        self.shown += line.back
        self.changed |= line.back > 0 and self.scenario.policy == "reset_in_flight"

    def release(self, number: int) -> None:
        line = self.lines[number]
        line.released = line.back
        self.add(line.back)
        self.changed |= line.back > 0

    def move(self, units: int) -> int:
        units = max(units, -max(self.left(), 0))
        self.add(units)
        self.moved, self.changed = self.moved + units, True
        return units

    def review(self) -> None:
        own = self.count - self.queue
        self.ordered = self.levels[1] - own if own < self.levels[0] else 0

    def arrive(self) -> None:
        self.arrived, units, self.ordered = self.ordered, self.ordered, 0
        if units:
            self.move(units)

    # -- what the rules see

    def off(self, line: Line) -> float | None:
        """Since when a line's units are not committed."""
        after = {"till": 0, "shipped_early": lives.SHIPPED_AFTER}
        return line.at + after[line.life] if not line.added and line.life in after else None

    def visible(self, number: int, line: Line) -> bool:
        heard = self.heard.get(number, inf) if self.scenario.policy == "realtime" else inf
        return self.now >= min(heard, line.at + self.scenario.search_lag)

    def by_header(self) -> int:
        return sum(
            line.sold
            for number, line in self.lines.items()
            if self.visible(number, line) and not line.imported and not line.added
        )

    def ledger(self) -> int:
        """Sold less booked, an order at a time, of the orders that are visible or committed."""
        units = 0
        for number, line in self.lines.items():
            off = self.off(line)
            if self.visible(number, line) or off is None or self.now < off:
                units += max(0, line.sold - line.booked)
        return units

    def fresh(self) -> bool:
        unseen = [
            self.off(line) for number, line in self.lines.items() if line.units and not self.visible(number, line)
        ]
        return any(off is not None and off <= self.now < off + self.scenario.settle for off in unseen)

    # -- who looks

    def look(self, subtracted: int, *, witness: bool) -> bool:
        """Write the target, or defer a raise: whether it was deferred."""
        new = self.target(subtracted)
        if witness and new > self.shown and self.fresh():
            return True
        raised, self.shown, self.moved = new > self.shown, new, 0
        beyond = max(max(new, 0) - max(self.left(), 0), 0)
        self.put_back += min(max(self.numbers()[-1], 0), beyond) if raised or not witness else 0
        return False

    def job(self) -> None:
        policy = self.scenario.policy
        if policy.startswith("deltas") and self.moved:
            self.shown += self.atp(self.count) - self.atp(self.count - self.moved)
            self.moved = 0
        elif policy in ("reset", "reset_by_header", "reset_in_flight") and self.changed:
            counted = {"reset": 0, "reset_by_header": self.by_header(), "reset_in_flight": self.ledger()}[policy]
            self.changed = self.look(counted, witness=policy == "reset_in_flight")

    def hook(self, number: int) -> None:
        due = number == engine.OWN or (number == engine.DELIVERY and self.arrived > 0)
        due |= number >= 0 and self.lines[number].units > 0
        if due or (number == engine.DEFERRED and self.waiting):
            self.waiting = self.look(self.ledger(), witness=True)

    def happen(self, kind: int, units: int, number: int, life: str | None, added: bool) -> None:
        acts = {
            engine.SALE: lambda: self.sale(number, units, life, added),
            engine.IMPORT: lambda: self.download(number),
            engine.RESTOCK: lambda: self.restock(number, units),
            engine.RELEASE: lambda: self.release(number),
            engine.MOVE: lambda: self.move(units),
            engine.HOOK: lambda: self.policy_hook(number),
        }
        if kind == engine.EDIT:
            self.shown += units
        elif kind in acts:
            acts[kind]()

    def policy_hook(self, number: int) -> None:
        if self.scenario.policy == "realtime":
            self.hook(number)

    def tick(self, kind: int) -> None:
        if kind == engine.JOB:
            self.job()
        elif kind == engine.HARD and self.scenario.policy == "deltas_and_hard_sync":
            self.look(self.ledger(), witness=True)
        elif kind == engine.REVIEW:
            self.review()
        elif kind == engine.ARRIVE:
            self.arrive()


class InProduct(Pair):
    """A pair whose units in flight must be what the production ledger says of the same orders and levels."""

    def ledger(self) -> int:
        units, orders = super().ledger(), {number: self.orders[number] for number in self.lines}
        off = {n for n, line in self.lines.items() if (at := self.off(line)) is not None and at <= self.now}
        parts = {n: (0, line.sold) if n in off else (line.sold, 0) for n, line in self.lines.items()}
        seen = sold(*((orders[n], 1, ONLINE, *parts[n]) for n, line in self.lines.items() if self.visible(n, line)))
        level = levels((1, ONLINE, self.shown)).with_columns(committed=sum(part[0] for part in parts.values()))
        known = [(orders[n], line.booked) for n, line in self.lines.items() if line.imported]
        sums = {order: sum(units for of, units in known if of == order) for order, _ in known}
        snap = snapshot(**booked(*((order, "A", None, units) for order, units in sums.items())))
        where = mapping.pairs(snap, RULES)[0]
        counted = mapping.counted_facilities(snap, RULES)
        flight = inflight.in_flight(seen, inflight.unexplained(level, seen), where, snap, counted=counted)
        assert flight["units"].sum() == units, self.now
        return units


SCHEDULED = (engine.JOB, engine.HARD, engine.REVIEW, engine.ARRIVE)


def life(history: History, scenario: Scenario) -> list[str | None]:
    """The life of each line placed."""
    placed = events.orders(history, scenario)[0]
    return lives.life(placed["order"], scenario.lives, events._rng(scenario, events.LIVES)).to_list()


def check(history: History, replayed: Replay, lived: list[str | None], kind_of_pair: type[Pair] = Pair) -> None:
    """Every number of every pair after every event, against plain loops; `lived` is the life of each line placed."""
    ticks = [(at, kind, 0, 0, -1) for at, kind, *_ in scheduled(history, replayed.scenario, replayed.days * 1440)]
    pairs = replayed.ledger.partition_by("pair", maintain_order=True)
    for pair, (opening, *rule) in zip(pairs, history.stock.select("opening", "reorder", "up_to").rows(), strict=True):
        hooks = pair.filter(pl.col("kind") == engine.HOOK, pl.col("line") >= 0).group_by("line").agg(pl.col("at").min())
        one = kind_of_pair(opening, tuple(rule), replayed.scenario, dict(hooks.iter_rows()))
        one.orders = replayed.lines["order"].to_list()
        rows = pair.select("at", "kind", "units", "line", "shown", "count", "queue", "in_flight").rows()
        happened = [(at, kind, 1, units, line, *numbers) for at, kind, units, line, *numbers in rows]
        for at, kind, is_row, units, line, *numbers in sorted([*ticks, *happened], key=lambda event: event[:3]):
            one.now = at
            if not is_row:
                one.tick(kind)
                continue
            added = line >= len(lived)
            if kind not in SCHEDULED:
                one.happen(kind, units, line, None if line < 0 or added else lived[line], added)
            assert one.numbers() == tuple(numbers), (at, kind, line)
        assert one.put_back == pair["put_back"].sum()


def busy(seed: int) -> tuple[History, Scenario]:
    """Three hours in which two scarce items are ordered and counted all the time, and the knobs of a scenario."""
    rng = Random(seed)
    at = sorted(rng.randrange(10, 200) for _ in range(70))
    lines = [
        (float(t), order, pair, rng.randint(1, 4))
        for order, t in enumerate(at)
        for pair in rng.sample(range(2), rng.randint(1, 2))
    ]
    moves = sorted((float(rng.randrange(10, 240)), rng.randrange(2), rng.choice([-3, -1, 2, 5])) for _ in range(90))
    scenario = Scenario(
        lag=simulate.lognormal(rng.choice([4, 20]), parts=5),
        cadence=rng.choice([1.0, 3.0, 7.0]),
        seed=seed,
        loss=rng.choice([0.0, 0.3]),
        delivery=rng.choice([0.0, 1.0, 3.0]),
        buffer=rng.choice([0, 0, 2]),
        safety=rng.choice([0, 0, 3]),
        pos_share=rng.choice([0.0, 0.2]),
        edits=rng.choice([0, 20]),
    )
    return small(lines, moves, [rng.randint(5, 60), 40]), scenario


@pytest.mark.parametrize("search_lag", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("name", [*NAMES, "mixed", "plain"])
def test_every_life_under_every_policy_equals_plain_loops(
    name: str, search_lag: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lives.RESTOCKED_AFTER, "returned", 60)
    shares = {"mixed": MIXED, "plain": {}}.get(name, {name: 0.7})
    for seed in range(4):
        history, scenario = busy(seed) if seed else world(seed)
        scenario = replace(scenario, lives=Lives(**shares), search_lag=search_lag, settle=(4.0, 1.0)[seed % 2])
        lived = life(history, scenario)
        for replayed in replays(history, [replace(scenario, policy=policy) for policy in simulate.POLICIES]):
            check(history, replayed, lived)
            if replayed.scenario.policy not in SEARCHES and search_lag <= scenario.settle:
                assert replayed.sums()["put_back"] == 0


@pytest.mark.parametrize("policy", ["reset_in_flight", "realtime"])
def test_units_in_flight_equal_those_of_the_production_ledger(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lives.RESTOCKED_AFTER, "returned", 60)
    history, scenario = busy(3)
    scenario = replace(scenario, policy=policy, cadence=7.0, lives=Lives(**MIXED), search_lag=4.0, settle=1.0)
    check(history, simulate.replay(history, scenario), life(history, scenario), InProduct)
