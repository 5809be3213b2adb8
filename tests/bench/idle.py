"""The scheduler with 50 shops and nothing to do for 20 seconds, beside one that counts each shop's inbox.

The CPU includes the heartbeats of the shops' leases.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from apscheduler.triggers.interval import IntervalTrigger

from invsync.config import settings
from invsync.inbox import Inbox
from invsync.jobs.start import new_run_id
from invsync.schedule import embedded
from invsync.schedule.embedded import DRAIN_SECONDS, ShopRunner
from invsync.schedule.workers import Workers
from invsync.state import State
from tests.bench.measure import Target

SHOPS, SECONDS = 50, 20.0
TARGETS = [
    Target("one poll, percent of a core", lambda m: 100 * m["one poll"].cpu / m["one poll"].wall, at_most=1),
]


def prepare(folder: Path, scale: float) -> None:
    """The configuration, and for how long to wait."""
    part = '[shops.s{n}]\ndomain = "s{n}.myshopify.com"\ntoken_env = "T"\n[shops.s{n}.oms]\nshop_id = "S"\n'
    parts = [part.format(n=n) for n in range(max(2, int(SHOPS * scale)))]
    (folder / "invsync.toml").write_text(f'[state]\nurl = "sqlite:///{folder}/state.db"\n' + "".join(parts))
    (folder / "seconds").write_text(str(max(1.0, SECONDS * scale)))


def idle(folder: Path, *, each: bool) -> Callable[[], str]:
    """A scheduler of only the real-time sync, as `invsync schedule run` starts it."""
    config = folder / "invsync.toml"
    state, stop, leases = State(settings.load(config).state.url), threading.Event(), ExitStack()
    inbox = Inbox(state.engine)
    inbox.open()
    shops = list(settings.load(config).shops)
    for shop in shops:
        leases.enter_context(state.lease(f"{shop} scheduler", new_run_id()))
    workers = Workers(os.cpu_count() or 1)
    runners = {shop: ShopRunner(shop, str(config), "inprocess", workers, inbox, stop, print) for shop in shops}
    scheduler = embedded._scheduler(runners, [], state, inbox)
    if each:
        for shop in shops:
            scheduler.add_job(inbox.count, IntervalTrigger(seconds=DRAIN_SECONDS), [shop], executor=shop)
    scheduler.start()
    time.sleep(1)

    def run() -> str:
        time.sleep(float((folder / "seconds").read_text()))
        waiting = inbox.shops_waiting()
        scheduler.shutdown()
        leases.close()
        return str(len(waiting))

    return run


VARIANTS: dict[str, Callable[[Path], Callable[[], str]]] = {
    "one poll": lambda folder: idle(folder, each=False),
    "a count for each shop": lambda folder: idle(folder, each=True),
}


def digest(made: str) -> str:
    """How many shops waited."""
    return made
