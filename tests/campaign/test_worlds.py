"""Random worlds: whatever happens between the jobs, and wherever they crash, no sold unit goes back on sale.

A world has a warehouse and a store; Shopify sells both from one aggregate location and the store from its own. The
model beside it is plain arithmetic: what was counted, what was sold, what the OMS has heard of.
"""

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from rehearsal import TOKEN, of_shop

import invsync
from invsync import jobs
from invsync.config.settings import ShopSettings
from invsync.errors import InvsyncError
from invsync.jobs import start
from invsync.jobs.parameters import Parameters
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.shopify import Shopify
from invsync.state import Lease, State

WORLDS = int(os.environ.get("INVSYNC_WORLDS", "2000"))
PARTS = 4
SEED = int(os.environ["INVSYNC_SEED"])
ONLINE, STORE = 7, 8
FACILITIES = {"WH": [ONLINE], "ST": [ONLINE, STORE]}
ITEMS = (1, 2)
PAIRS = [(item, place) for item in ITEMS for place in (ONLINE, STORE)]
TRACED = tuple(str(Path(invsync.__file__).parent / name) for name in ("jobs", "state", "bulkfile.py", "shopify"))
FAULTS = ["error_before", "error_after", "cut_before", "cut_after", "throttle", "throttle_429", "concurrent"]
BULK_FAULTS = ["bulk_stuck", "bulk_partial", "garbage_line"]
Pair = tuple[int, int]


class Killed(BaseException):
    """The process is gone at this statement."""


@dataclass
class Order:
    """An order on Shopify, as far as the OMS has heard of it."""

    number: int
    item: int
    units: int
    place: int
    known: bool = False
    cancelled: bool = False
    dropped: bool = False
    reserved: str | None = None


@dataclass
class Read:
    """What a hard sync saw of a pair: its target, and the units counted so far."""

    target: int
    counted: int


@dataclass
class Model:
    """The two systems as arithmetic."""

    stock: dict[tuple[str, int], int]
    orders: list[Order] = field(default_factory=list)
    counted: dict[Pair, int] = field(default_factory=lambda: dict.fromkeys(PAIRS, 0))

    def target(self, pair: Pair) -> int:
        """OMS - in flight."""
        item, place = pair
        mine = [order for order in self.orders if order.item == item]
        if place == STORE:
            here = (o for o in mine if o.place == STORE and not o.cancelled and o.reserved != "ST")
            return max(self.stock["ST", item], 0) - sum(order.units for order in here)
        waiting = sum(o.units for o in mine if o.known and not o.dropped and o.reserved is None)
        unknown = sum(o.units for o in mine if not o.known and not o.cancelled)
        sellable = sum(max(self.stock[facility, item], 0) for facility in FACILITIES)
        return max(sellable - waiting, 0) - unknown


def until_killed(work: Callable[[], None], statements: int) -> bool:
    """Do the work, killed before this many statements of the package have run (0: never); whether it was."""
    left = statements

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise Killed
        return local

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(TRACED) else None

    if statements:
        sys.settrace(entered)
    try:
        work()
    except Killed:
        return True
    finally:
        sys.settrace(None)
    return False


class World(RuleBasedStateMachine):
    """One shop, kept by resets or by deltas, through a random day."""

    keep_by = "resets"
    shop: Shop
    endpoint: str
    empty: Path
    units = st.integers(1, 4)
    items = st.sampled_from(ITEMS)
    facilities = st.sampled_from(sorted(FACILITIES))
    crash = st.one_of(st.just(0), st.integers(1, 900))

    @initialize(stock=st.lists(st.integers(30, 60), min_size=4, max_size=4))
    def open(self, stock: list[int]) -> None:
        self.stop = ExitStack()
        folder = Path(self.stop.enter_context(tempfile.TemporaryDirectory()))
        self.now = datetime.now(UTC) - timedelta(hours=10)
        self.shop.__init__(token=os.environ[demo.TOKEN_ENV])  # type: ignore[misc]
        self.shop.clock = lambda: self.now
        for name in ("oms.db", "invsync.db"):
            shutil.copyfile(self.empty / name, folder / name)
        self.oms = Oms(f"sqlite:///{folder}/oms.db")
        places = [(facility, item) for facility in FACILITIES for item in ITEMS]
        self.model = Model(dict(zip(places, stock, strict=True)))
        self.build()
        self.config = of_shop(demo.configure(folder, self.endpoint), f'keep_by = "{self.keep_by}"')
        with self.config.open("a") as config:
            config.write("[shops.demo.guards]\nmax_changed_share = 1.0\nmax_zeroed_share = 1.0\n")
        self.expected = {pair: self.model.target(pair) for pair in PAIRS}
        self.reads: dict[str, dict[Pair, Read]] = {}
        self.open_files = False
        self.number, self.seen = 0, 0
        self.reading: str | None = None
        self.run(self.main, 0)

    def build(self) -> None:
        with self.oms.batch():
            self.oms.add_facility("WH", "Warehouse")
            self.oms.add_facility("ST", "Store", type="RETAIL_STORE")
            self.oms.map_location("_NA_", ONLINE)
            self.oms.map_location("ST", STORE)
            self.oms.add_delta_reason("VAR_DAMAGED", "VAR_SHIP_RECV")
            for item in ITEMS:
                self.oms.add_product(f"P{item}", f"S{item}")
                self.oms.map_product(f"P{item}", item)
                for facility in FACILITIES:
                    self.oms.set_stock(f"P{item}", facility, self.model.stock[facility, item], self.now)
        for place in (ONLINE, STORE):
            self.shop.add_location(place, str(place))
        for item in ITEMS:
            self.shop.add_item(item, f"S{item}")
        for pair in PAIRS:
            self.shop.set_level(*pair, self.model.target(pair))

    def teardown(self) -> None:
        if hasattr(self, "main_ran"):
            self.at_the_end()
        if hasattr(self, "stop"):
            self.oms.close()
            self.stop.close()

    @property
    def main(self) -> str:
        return "push-deltas" if self.keep_by == "deltas" else "upload-recent-changes"

    def later(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def next(self) -> int:
        self.number += 1
        return self.number

    def shows(self, pair: Pair) -> int:
        available = self.shop.available(*pair)
        assert available is not None
        return available

    # -- what happens

    @rule(item=items, units=units, place=st.sampled_from([ONLINE, STORE]))
    def order(self, item: int, units: int, place: int) -> None:
        if self.shows((item, place)) < units:
            return
        order = Order(self.next(), item, units, place)
        self.shop.place_order(1000 + order.number, f"#{order.number}", self.later(), [(item, units)], place)
        self.model.orders.append(order)
        self.expected[item, place] -= units

    def pick(self, choice: int, fits: Callable[[Order], bool]) -> Order | None:
        orders = [order for order in self.model.orders if fits(order)]
        return orders[choice % len(orders)] if orders else None

    @rule(choice=st.integers(0, 99))
    def cancel(self, choice: int) -> None:
        if order := self.pick(choice, lambda o: not o.cancelled):
            self.later()
            self.shop.cancel_order(1000 + order.number)
            order.cancelled = True
            self.expected[order.item, order.place] += order.units

    @rule(choice=st.integers(0, 99))
    def import_an_order(self, choice: int) -> None:
        if order := self.pick(choice, lambda o: not o.known):
            self.oms.import_order(
                f"O{order.number}", 1000 + order.number, [(f"P{order.item}", order.units)], self.later()
            )
            order.known = True

    @rule(choice=st.integers(0, 99), facility=facilities)
    def broker(self, choice: int, facility: str) -> None:
        if order := self.pick(choice, lambda o: o.known and not o.dropped and o.reserved is None):
            self.oms.reserve(f"O{order.number}", facility, self.later())
            order.reserved = facility
            self.model.stock[facility, order.item] -= order.units

    @rule(choice=st.integers(0, 99))
    def hear_of_a_cancellation(self, choice: int) -> None:
        if order := self.pick(choice, lambda o: o.known and o.cancelled and not o.dropped):
            if order.reserved:
                self.oms.release(f"O{order.number}", self.later())
                self.model.stock[order.reserved, order.item] += order.units
                order.reserved = None
            self.oms.cancel_order(f"O{order.number}", self.later())
            order.dropped = True

    @rule(
        item=items, facility=facilities, units=units, kind=st.sampled_from(["POS_SALE", "VAR_DAMAGED", "CYCLE_COUNT"])
    )
    def count_less(self, item: int, facility: str, units: int, kind: str) -> None:
        if self.model.stock[facility, item] >= 10:
            self.event(item, facility, -units, kind)

    @rule(item=items, facility=facilities, units=units, late=st.booleans())
    def receive(self, item: int, facility: str, units: int, late: bool) -> None:
        self.event(item, facility, units, "VAR_SHIP_RECV", late=late)

    def event(self, item: int, facility: str, units: int, reason: str, *, late: bool = False) -> None:
        at = self.later() - timedelta(minutes=20 if late else 0)
        count = f"PI{self.next()}" if reason in {"VAR_DAMAGED", "CYCLE_COUNT"} else None
        self.oms.adjust(f"P{item}", facility, units, at, reason, physical_inventory_id=count)
        if late:  # the row itself is stamped when it is written
            self.oms._set("product_facility", {"product_id": f"P{item}", "facility_id": facility}, {}, self.now)
        self.model.stock[facility, item] += units
        for place in FACILITIES[facility]:
            self.expected[item, place] += units
            self.model.counted[item, place] += units

    @rule(item=items, facility=facilities, units=units)
    def lose_what_is_not_on_the_list(self, item: int, facility: str, units: int) -> None:
        if self.model.stock[facility, item] >= 10:
            self.oms.adjust(
                f"P{item}", facility, -units, self.later(), "VAR_LOST", physical_inventory_id=f"PI{self.next()}"
            )
            self.model.stock[facility, item] -= units

    @rule(pair=st.sampled_from(PAIRS), units=st.integers(0, 60))
    def edit_by_hand(self, pair: Pair, units: int) -> None:
        self.later()
        self.expected[pair] += units - self.shows(pair)
        self.shop.set_level(*pair, units)

    # -- the jobs

    @rule(statements=crash, fault=st.sampled_from([None, None, *FAULTS]), bulk=st.booleans())
    def keep(self, statements: int, fault: str | None, bulk: bool) -> None:
        self.run(self.main, statements, fault, bulk)

    @rule(statements=crash, fault=st.sampled_from([None, *FAULTS, *BULK_FAULTS]), bulk=st.booleans())
    def hard_sync(self, statements: int, fault: str | None, bulk: bool) -> None:
        self.run("hard-sync", statements, fault, bulk)

    def run(self, job: str, statements: int, fault: str | None = None, bulk: bool = False) -> bool:
        """Run a job; whether it ended well."""
        self.later()
        self.main_ran, self.reading = True, None
        if fault:
            self.shop.faults.arm(fault, match="inventoryAdjustQuantities" if fault in FAULTS else "")
        before = {pair: self.shows(pair) for pair in PAIRS}
        was_open, results = self.open_files, []
        try:
            killed = failed = until_killed(lambda: results.append(self.work(job, bulk)), statements)
        except InvsyncError:
            killed, failed = False, True
        if killed:
            self.forget_the_holder()
        self.shop.faults.clear()
        self.judge(job, before, failed, was_open, results)
        self.open_files = failed
        return not failed

    def work(self, job: str, bulk: bool) -> Any:
        """What the job's notebook does."""
        transport = "bulk" if bulk else "direct"
        run = jobs.open_run(
            job, shop="demo", config=str(self.config), dry_run=False, transport=transport, at=self.now.isoformat()
        )
        if job == "hard-sync":
            self.reading = run.context.run_id
            self.reads[self.reading] = {pair: Read(self.model.target(pair), self.model.counted[pair]) for pair in PAIRS}
        try:
            selection = run.select(run.settle())
            sent = run.send(run.decide(selection, run.read(selection)))
            run.finish(sent)
        except InvsyncError:
            run.resources.close()
            raise
        return sent.outcomes

    def forget_the_holder(self) -> None:
        """A killed process holds no lease; this one lives on only to tell the tale."""
        with closing(sqlite3.connect(self.config.parent / "invsync.db")) as state, state:
            if state.execute("select 1 from sqlite_master where name = 'lease'").fetchone():
                state.execute("delete from lease")

    def judge(self, job: str, before: dict[Pair, int], failed: bool, was_open: bool, results: list[Any]) -> None:
        for entry in self.shop.journal[self.seen :]:
            run_id = entry["reference"].rsplit("/", 1)[1]
            if read := self.reads.get(run_id, {}).get((entry["inventory_item_id"], entry["location_id"])):
                pair = entry["inventory_item_id"], entry["location_id"]
                self.expected[pair] = read.target + self.model.counted[pair] - read.counted
        self.seen = len(self.shop.journal)
        if failed and self.reading:
            self.right_already(self.reading)
        if self.keep_by == "resets" and not (failed and was_open):
            for pair, units in before.items():
                assert self.shows(pair) <= max(units, self.model.target(pair)), (
                    f"{job} put units of {pair} back on sale"
                )
        if failed:
            return
        if job == "hard-sync":
            self.expected = {pair: self.model.target(pair) for pair in PAIRS}
            assert {pair: self.shows(pair) for pair in PAIRS} == self.expected, results
        elif self.keep_by == "deltas":
            assert {pair: self.shows(pair) for pair in PAIRS} == self.expected, results
        else:
            for item, place in results[0].select("inventory_item_id", "location_id").iter_rows():
                assert self.shows((item, place)) == self.model.target((item, place)), results

    def right_already(self, run_id: str) -> None:
        """Events of pairs that were right already are counted once a killed sync has committed its claims."""
        with closing(sqlite3.connect(self.config.parent / "invsync.db")) as state:
            query = "select inventory_item_id, location_id from claim where run_id = ? and status = 'reset'"
            covered = state.execute(query, [run_id]).fetchall()
        for pair in covered:
            if self.shows(pair) == self.reads[run_id][pair].target:
                self.expected[pair] = self.shows(pair)

    def at_the_end(self) -> None:
        """Whatever was left open heals in the next run, and Shopify = OMS - in flight everywhere."""
        assert self.run(self.main, 0)
        assert self.run("hard-sync", 0)
        assert {pair: self.shows(pair) for pair in PAIRS} == {pair: self.model.target(pair) for pair in PAIRS}


class KeptByDeltas(World):
    keep_by = "deltas"


@pytest.mark.parametrize("part", range(PARTS))
def test_random_worlds(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = [World, KeptByDeltas][part % 2]
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    monkeypatch.setattr(start, "_shopify", in_no_time)
    Oms(f"sqlite:///{tmp_path}/oms.db").create().close()
    State(f"sqlite:///{tmp_path}/invsync.db").close()
    print(f"{WORLDS // PARTS} worlds kept by {world.keep_by}; repeat part {part} with INVSYNC_SEED={SEED}")
    world.empty, world.shop = tmp_path, Shop(token="")
    many = settings(
        max_examples=WORLDS // PARTS,
        stateful_step_count=12,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    with serve(world.shop) as world.endpoint:
        run_state_machine_as_test(seed(SEED + part)(world), settings=many)


CERTIFICATES = httpx.create_ssl_context()


def in_no_time(shop: ShopSettings, given: Parameters, lease: Lease) -> Shopify:
    """Shopify as a run opens it, whose waits cost no time."""
    return Shopify.open(
        shop,
        secrets={demo.TOKEN_ENV: os.environ[demo.TOKEN_ENV]},
        sleep=lambda seconds: None,
        read_only=given.dry_run,
        before_write=lease.check,
        transport_override=httpx.HTTPTransport(verify=CERTIFICATES),
    )
