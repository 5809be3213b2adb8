"""A week of real sales in which orders live: edits, till sales, early shipments, refunds, cancellations, a slow search."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from campaign.test_replay import LAGS, moments, of_products
from rehearsal import HARD, RECENT, TOKEN, of_shop

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Order, Shop
from invsync.sandbox.world import FIRST_ORDER, LOCATION, WAREHOUSE, Sale, World, sales

MINUTE, SEARCH_LAG = timedelta(minutes=1), timedelta(seconds=60)
# shares of the invoices, in percent; the rest is placed, imported and waits in the queue
SHARES = {"till": 10, "edited": 5, "shipped early": 5, "returned": 3, "cancelled": 3, "refunded": 2}


class Lively(World):
    """Sales whose orders live; the OMS hears of everything, late."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.later: list[tuple[datetime, int, Any]] = []
        self.numbers, self.lives, self.counted = count(), Counter[str](), Counter[int]()
        super().__init__(*given, **named)
        self.shop.search_lag = SEARCH_LAG
        self.counted.update({item: level.available for (item, _), level in self.shop.levels.items()})

    def life(self, invoice: str) -> str:
        number = int(invoice) * 37 % 100
        for name, share in SHARES.items():
            if number < share:
                return name
            number -= share
        return "plain"

    def after(self, wait: timedelta, act: Any) -> None:
        heappush(self.later, (self.now + wait, next(self.numbers), act))

    def advance(self, to: datetime) -> None:
        """A minute at a time, so that what is due happens when it is due."""
        while self.now < to:
            super().advance(min(self.now + MINUTE, to))
            while self.later and self.later[0][0] <= self.now:
                heappop(self.later)[2]()

    def _happen(self, sale: Sale) -> None:
        if sale.variance:
            super()._happen(sale)
            self.counted.update({item: units for item, _, units in sale.lines})
            return
        number, life = FIRST_ORDER + int(sale.invoice), self.life(sale.invoice)
        lines = [(item, units) for item, _, units in sale.lines]
        self.lives[life] += 1
        sell = self.shop.sell_at_till if life == "till" else self.shop.place_order
        sell(number, f"#{sale.invoice}", sale.at, lines, LOCATION)
        self._late.append(sale)
        oms, first = f"OM{sale.invoice}", number * 1000 + 1
        if life in ("shipped early", "returned", "refunded"):
            self.after(2 * MINUTE, lambda: self.shop.fulfil_order(number))
        if life == "edited":
            self.after(20 * MINUTE, lambda: self.shop.edit_order(number, add=[(lines[0][0], 1)]))
            self.after(self.lag + 80 * MINUTE, lambda: self._add_unit(oms, sale.lines[0][1]))
        if life == "returned":
            self.after(30 * MINUTE, lambda: self.shop.refund(number, [(first, 1)], "RETURN"))
            self.after(
                self.lag + 90 * MINUTE, lambda: self.oms.take_back(sale.lines[0][1], WAREHOUSE, 1, self.now, oms)
            )
        if life == "refunded":
            self.after(30 * MINUTE, lambda: self.shop.refund(number, [(first, 1)]))
        if life == "cancelled":
            self.after(40 * MINUTE, lambda: self.shop.cancel_order(number))
            self.after(self.lag + 70 * MINUTE, lambda: self.oms.cancel_order(oms, self.now))

    def _import(self, sale: Sale) -> None:
        super()._import(sale)
        if self.life(sale.invoice) in ("till", "shipped early", "returned", "refunded"):
            self.after(5 * MINUTE, lambda: self.oms.reserve(f"OM{sale.invoice}", WAREHOUSE, self.now))

    def _add_unit(self, oms: str, product: str) -> None:
        """The OMS learns of the unit that was added."""
        row = {
            "order_id": oms,
            "order_item_seq_id": "90000",
            "product_id": product,
            "quantity": 1,
            "cancel_quantity": 0,
            "status_id": "ITEM_APPROVED",
            "ship_group_seq_id": "00001",
        }
        self.oms._add("order_item", self.now, row)

    def free(self) -> dict[int, int]:
        """Units by item that are in the building and owed to nobody."""
        units = Counter(self.counted)
        for order in self.shop.orders.values():
            for line in order.lines:
                units[line.item_id] -= line.remaining
            units.subtract(_moved(order))
        return dict(units)


def _moved(order: Order) -> Counter[int]:
    """Units by item that left the building and did not come back."""
    item, units = {line.line_id: line.item_id for line in order.lines}, Counter[int]()
    for sent in order.fulfillments:
        for line, moved in sent.lines:
            units[item[line]] += moved
    for back in order.refunds:
        for line, moved in back.lines if back.kind == "RETURN" else ():
            units[item[line]] -= moved
    return units


@dataclass
class ByHeader:
    """A shop kept as before units were counted: an order whose header is known is known whole."""

    shown: dict[int, int]
    put_back: int = 0
    last: dict[int, int] = field(default_factory=dict)

    def run(self, world: Lively, free: dict[int, int], available: dict[int, int], imported: set[int]) -> None:
        """Follow what Shopify did since the last run, then reset as the rule says."""
        unknown = Counter[int]()
        for order in world.shop.orders.values():
            if order.order_id not in imported and order.created_at <= world.now - SEARCH_LAG:
                unknown.update({line.item_id: line.current for line in order.lines})
        for item, units in quantities(world).items():
            was = self.shown[item] + available[item] - self.last.get(item, available[item])
            new = units - unknown[item]
            self.put_back += max(0, new - max(was, free[item]))
            self.shown[item] = new


def quantities(world: Lively) -> dict[int, int]:
    """What the OMS sells by item: its count less its queue."""
    stock, item, group = (
        METADATA.tables[name].c for name in ("product_facility", "order_item", "order_item_ship_group")
    )
    waits = sa.select(item.product_id, sa.func.sum(item.quantity)).where(
        item.status_id == "ITEM_APPROVED", item.order_id == group.order_id, group.facility_id == "_NA_"
    )
    with world.oms.batch() as connection:
        queue = dict(connection.execute(waits.group_by(item.product_id)).fetchall())
        counted = connection.execute(sa.select(stock.product_id, stock.last_inventory_count)).fetchall()
    return {world.items[p.removeprefix("P")]: int(n) - int(queue.get(p, 0)) for p, n in counted}


@dataclass
class Waits:
    """The raises that were deferred, for how long each pair waited, and the unit-hours that were hidden meanwhile."""

    raises: int = 0
    minutes: list[float] = field(default_factory=list)
    unit_hours: float = 0.0
    _since: dict[int, datetime] = field(default_factory=dict)
    _hidden: dict[int, int] = field(default_factory=dict)
    _last: datetime | None = None

    def run(self, at: datetime, outcomes: Path) -> None:
        """Follow one run by its outcomes; a wait ends in the first run that does not defer the pair again."""
        rows = pl.read_parquet(outcomes).filter(pl.col("reason").is_in(["deferred", "deferred_for_an_hour"]))
        if self._last is not None:
            self.unit_hours += sum(self._hidden.values()) * (at - self._last) / timedelta(hours=1)
        self._last, self._hidden = (
            at,
            dict(rows.select("inventory_item_id", pl.col("delta").cast(pl.Int64)).iter_rows()),
        )
        self.raises += rows.height
        for item in self._hidden:
            self._since.setdefault(item, at)
        for item in set(self._since) - set(self._hidden):
            self.minutes.append((at - self._since.pop(item)) / MINUTE)

    def __str__(self) -> str:
        longest = f"{max(self.minutes):.0f}" if self.minutes else "0"
        median = f"{sorted(self.minutes)[len(self.minutes) // 2]:.0f}" if self.minutes else "0"
        return (
            f"{self.raises} raises deferred, pairs waited {median} minutes (median), {longest} at most, "
            f"{self.unit_hours:.1f} unit-hours hidden meanwhile"
        )


def to_the_second(rows: pl.DataFrame) -> pl.DataFrame:
    """The sales, which are stamped to the minute, spread over it by their invoice; none in the very moment of a run."""
    second = pl.col("invoice").cast(pl.Int64) * 7 % 59
    second = second + (second >= 30).cast(pl.Int64)
    return rows.with_columns(pl.col("invoiced_at") + pl.duration(seconds=second)).sort(
        "invoiced_at", maintain_order=True
    )


def week(folder: Path, lag: int, search_lag: timedelta = SEARCH_LAG) -> str:
    """Seven days with this lag of the import and of the search; a unit that is put back ends it."""
    began, rows = time.monotonic(), to_the_second(of_products(sales(7)))
    os.environ[demo.TOKEN_ENV] = TOKEN
    world = Lively(Shop(token=TOKEN), Oms(f"sqlite:///{folder}/oms.db").create(), rows, lag)
    world.shop.search_lag = search_lag

    def shown() -> dict[int, int]:
        return {item: level.available for (item, _), level in world.shop.levels.items()}

    before, runs, waits = ByHeader(shown()), 0, Waits()
    before.last = shown()
    with serve(world.shop) as endpoint:
        settle = f"orders_settle_seconds = {max(60, 2 * search_lag.seconds)}"  # longer than the search is behind
        config = str(of_shop(demo.configure(folder, endpoint), "orders_again_after = 0", settle))
        for at, closing in moments(rows, lag + 120):
            world.advance(at)
            free, now = world.free(), shown()
            late = {FIRST_ORDER + int(sale.invoice) for sale in world._late}
            before.run(world, free, now, set(world.shop.orders) - late)
            for job in [RECENT, HARD] if closing else [RECENT]:
                was = shown()
                facts = launch.run(job, {"shop": "demo", "config": config, "at": at.isoformat()}, engine="inprocess")
                assert facts["exit_code"] == 0, facts
                raised = {i: n - max(was[i], free[i]) for i, n in shown().items() if n > max(was[i], free[i])}
                assert not raised, f"{at} lag {lag}: {raised}"
                runs += 1
                waits.run(at, folder / "reports" / "demo" / job / facts["run_id"] / "outcomes.parquet")
            before.last = shown()
    free = world.free()
    drift = sum(abs(units - free[item]) for item, units in shown().items())
    world.oms.close()
    assert drift == 0 and before.put_back > 0
    return (
        f"orders {lag:>2} minutes late, search {search_lag.seconds:>3} s: {runs} runs, {sum(world.lives.values())} "
        f"orders {dict(world.lives)}, 0 units put back, drift 0, {waits}; by header {before.put_back} units are put "
        f"back; {time.monotonic() - began:.0f} s"
    )


def played(folder: Path, lags: Sequence[int], searches: Sequence[timedelta]) -> None:
    """Play the weeks side by side, one a core, and print what each came to."""
    folders = [folder / str(number) for number in range(len(lags))]
    for one in folders:
        one.mkdir()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for line in pool.map(week, folders, lags, searches):
            print(line, flush=True)


def test_a_week_of_order_lives_puts_no_sold_unit_back_on_sale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")  # for the processes, one a core
    played(tmp_path, LAGS, [SEARCH_LAG] * len(LAGS))


def test_what_the_witness_costs_while_the_search_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    played(tmp_path, [15] * 4, [timedelta(seconds=seconds) for seconds in (0, 5, 30, 120)])
