"""A million: stock events netted and pushed, and a hard sync of as many pairs; the time by step, and whose it is."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import volume
from rehearsal import TOKEN, of_shop

from invsync.jobs import launch
from invsync.oms.sql.reader import Reader
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Level, Shop
from invsync.shopify import bulk
from invsync.shopify.client import Client

PLACES, ORDERS, MOST = volume.FACILITIES, 1_000, 0.15
Units = Callable[[int], int]


def counted(pair: int) -> int:
    """What the OMS counts at a pair."""
    return 4 + pair % 50


def ordered(pair: int) -> int:
    """What an order that the OMS has not downloaded took there."""
    return 1 if pair % 100 == 7 and pair < 100 * ORDERS else 0


def three_too_many(pair: int) -> int:
    """Shopify before the hard sync: one pair in twenty shows three units too many."""
    return counted(pair) + 3 * (pair % 20 == 0)


def four_too_few(pair: int) -> int:
    """Shopify before the events: one pair in five gains four units by them, the others gain and lose two each time."""
    return counted(pair) - 4 * (pair % 5 == 0)


def item(pair: int) -> int:
    return int(f"4{pair // PLACES}")


def keep_shop(pipe: Any, pairs: int, shown: Units) -> None:
    """A shop in a process of its own; it tells its address, and at the end how many pairs are wrong."""
    shop = Shop(token=TOKEN)
    for place in range(PLACES):
        shop.add_location(place + 1, f"Location {place + 1}")
    for pair in range(pairs):
        if pair % PLACES == 0:
            shop.add_item(item(pair), f"SKU{pair // PLACES}")
        shop.levels[item(pair), pair % PLACES + 1] = Level(shown(pair), active=True, updated_at=volume.END)
    for pair in filter(ordered, range(pairs)):
        shop.place_order(pair, f"#{pair}", volume.END, [(item(pair), 1)], pair % PLACES + 1)
    with serve(shop) as endpoint:
        pipe.send(endpoint)
        pipe.recv()
    wrong = sum(shop.available(item(p), p % PLACES + 1) != counted(p) - ordered(p) for p in range(pairs))
    pipe.send((wrong, len(shop.journal)))


@contextmanager
def a_shop(pairs: int, shown: Units) -> Iterator[tuple[str, Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=keep_shop, args=(theirs, pairs, shown), daemon=True)
    process.start()
    yield ours.recv(), ours
    process.join()


@dataclass
class Waits:
    """The seconds spent in calls that wait for a system, by its name; a call inside a call counts once."""

    seconds: dict[str, float] = field(default_factory=dict)
    inside: bool = False

    def on(self, owner: Any, name: str, system: str) -> None:
        """Count the time in this function from now on."""
        call = getattr(owner, name)

        def waiting(*given: Any, **named: Any) -> Any:
            if self.inside:
                return call(*given, **named)
            self.inside, began = True, time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self.inside = False
                self.seconds[system] = self.seconds.get(system, 0.0) + time.perf_counter() - began

        setattr(owner, name, waiting)


def peak() -> int:
    """The most memory that this process has held, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def measured(job: str, config: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run the job in this process; what it counted, its seconds by step and by system, its peak memory above the start."""
    os.environ[demo.TOKEN_ENV] = TOKEN
    waits, before, began = Waits(), peak(), time.perf_counter()
    for owner, name in ((Client, "answer"), (bulk, "wait"), (bulk, "fetch"), (bulk, "store")):
        waits.on(owner, name, "Shopify")
    waits.on(Reader, "rows", "OMS")
    facts = launch.run(job, {"shop": "demo", "config": config, **given}, engine="inprocess")
    whole = time.perf_counter() - began
    folder = Path(config).parent / "reports" / "demo" / job / facts["run_id"]
    return {
        "facts": facts,
        "steps": steps(folder),
        "whole": whole,
        "MB": peak() - before,
        "waits": waits.seconds,
        "own": 1 - (waits.seconds["Shopify"] + waits.seconds["OMS"]) / whole,
    }


def steps(folder: Path) -> dict[str, float]:
    """The seconds under each heading of the run's notebook."""
    durations: dict[str, float] = {}
    heading = ""
    for cell in json.loads((folder / "report.ipynb").read_text())["cells"]:
        text = "".join(cell["source"])
        heading = text.splitlines()[0].lstrip("# ") if text.startswith("#") else heading
        durations[heading] = durations.get(heading, 0.0) + (
            cell["metadata"].get("papermill", {}).get("duration") or 0.0
        )
    return {name: round(seconds, 1) for name, seconds in durations.items() if seconds >= 0.05}


def configure(folder: Path, endpoint: str, keep_by: str) -> str:
    path = of_shop(demo.configure(folder, endpoint), f'keep_by = "{keep_by}"')
    with path.open("a") as config:
        config.write("[shops.demo.guards]\nmax_changed_share = 1.0\nmax_units = 1000000\n")
    return str(path)


def in_a_process(job: str, config: str, given: dict[str, Any]) -> dict[str, Any]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        result = alone.submit(measured, job, config, given).result()
    print(
        f"{job}: {result['whole']:.0f} s, of them {result['waits']} s waiting; own share {result['own']:.1%}; "
        f"peak {result['MB']} MB above the start; steps {result['steps']}",
        flush=True,
    )
    return result


def test_a_hard_sync_of_a_million_pairs(tmp_path: Path) -> None:
    pairs = 1_000_000
    volume.fill(f"sqlite:///{tmp_path}/oms.db", products=pairs // PLACES, events=1_000, orders=10_000, one_to_one=True)
    with a_shop(pairs, three_too_many) as (endpoint, shop):
        done = in_a_process("hard-sync", configure(tmp_path, endpoint, "resets"), {"at": volume.END.isoformat()})
        shop.send("end")
        wrong, changes = shop.recv()

    assert done["facts"]["exit_code"] == 0 and done["facts"]["counts"]["applied"] == 50_000 == changes
    assert wrong == 0 and done["own"] < MOST


def test_a_million_stock_events_are_netted_and_pushed(tmp_path: Path) -> None:
    pairs, url = 250_000, f"sqlite:///{tmp_path}/oms.db"
    by_two = "CASE WHEN n % 5 = 0 THEN 1 WHEN (n / 250000) % 2 = 0 THEN 2 ELSE -2 END"
    volume.fill(
        url,
        products=pairs // PLACES,
        events=4 * pairs,
        orders=10_000,
        one_to_one=True,
        diff=by_two,
        reason="'VAR_SHIP_RECV'",
    )
    Oms(url).add_delta_reason("VAR_SHIP_RECV")
    given = {"at": volume.END.isoformat(), "since": (volume.END - timedelta(days=volume.DAYS + 1)).isoformat()}
    with a_shop(pairs, four_too_few) as (endpoint, shop):
        done = in_a_process("push-deltas", configure(tmp_path, endpoint, "deltas"), given)
        shop.send("end")
        wrong, changes = shop.recv()

    assert done["facts"]["exit_code"] == 0 and done["facts"]["counts"]["applied"] == 50_000 == changes
    assert wrong == 0
