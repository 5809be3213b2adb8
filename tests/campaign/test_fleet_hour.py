"""A fleet of shops under one scheduler on PostgreSQL, with sales, sick shops, and processes and a server that die.

`INVSYNC_FLEET_SHOPS` and `INVSYNC_FLEET_MINUTES` say how many and how long; `INVSYNC_FLEET_EVERY` is the minutes
between the runs of a shop. With `INVSYNC_FLEET_CALM`, shops fall sick, but nothing is killed or restarted. The first
quarter has no fault, so that healthy shops can be compared with themselves.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from campaign.fleet import (
    FAILING,
    HEALTHY,
    REFUSED,
    SECRET,
    SECRET_ENV,
    SLOW,
    TOKEN,
    TOKEN_ENV,
    WRONG_ENV,
    FleetShop,
    Trade,
    built,
    configured,
    hosted,
    kind_of,
)
from campaign.fleetwatch import Watch, lateness, spread, starts, workers
from campaign.live import free_port
from campaign.servers import restarting_postgresql

from invsync import webhooks
from invsync.config import settings
from invsync.sandbox.admin.webhooks import Webhooks
from invsync.schedule.table import entries
from invsync.state import State
from invsync.vocabulary import RECENT

SHOPS = int(os.environ.get("INVSYNC_FLEET_SHOPS", "10"))
MINUTES = float(os.environ.get("INVSYNC_FLEET_MINUTES", "3"))
EVERY = int(os.environ.get("INVSYNC_FLEET_EVERY", "1" if SHOPS <= 20 else "5"))
CALM = bool(os.environ.get("INVSYNC_FLEET_CALM"))
SALE_SECONDS = 90.0  # between the acts of a shop
FAULTS = [  # at which share of the time: a fault
    (0.30, "worker killed"),
    (0.38, "scheduler killed"),
    (0.46, "database restarted"),
    (0.54, "worker killed"),
    (0.62, "scheduler killed"),
    (0.70, "database restarted"),
    (0.78, "worker killed"),
    (0.86, "scheduler killed"),
]
SICK_FROM, SICK_UNTIL = 0.25, 0.95


@dataclass
class Fleet:
    """The shops, their configuration and state, and the scheduler that keeps them, with each fault and its recovery."""

    folder: Path
    shops: list[FleetShop]
    config: Path
    state: State
    restart: Callable[[], None]
    watch: Watch = field(default_factory=Watch)
    scheduler: subprocess.Popen[bytes] | None = None
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)
    faults: list[tuple[datetime, str, float]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def process(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "invsync.cli", *arguments, "--config", str(self.config)]
        self.logs.append(self.folder / f"process-{len(self.logs)}.log")
        with self.logs[-1].open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def schedule(self) -> None:
        self.scheduler = self.process("schedule", "run")
        self.watch.pid = self.scheduler.pid

    def fault(self, kind: str) -> None:
        """Let something break, and note how long it took until runs ended well again."""
        assert self.scheduler is not None and self.scheduler.poll() is None, self.logs[-1].read_text()[-2000:]
        at = datetime.now(UTC)
        if kind == "worker killed":
            os.kill(workers(self.scheduler.pid)[0], signal.SIGKILL)
        elif kind == "scheduler killed":
            self.scheduler.kill()
            self.scheduler.wait()
            time.sleep(2)
            self.schedule()
        else:
            self.restart()
        self.faults.append((at, kind, self._recovered(at)))
        print(f"{at:%H:%M:%S} {kind}: a run that began later ended well after {self.faults[-1][2]:.1f} s", flush=True)

    def _recovered(self, at: datetime) -> float:
        """Seconds from this moment until a run that began after it has ended well."""
        query = "SELECT count(*) FROM run WHERE run_id > :since AND status IN ('done', 'partial')"
        for _ in range(1200):
            try:
                with self.state.engine.connect() as connection:
                    since = {"since": f"{at:%Y%m%dT%H%M%SZ}"}
                    if connection.execute(sa.text(query), since).scalar_one():
                        break
            except Exception:  # the server is on its way up
                pass
            time.sleep(0.25)
        return (datetime.now(UTC) - at).total_seconds()

    def runs(self) -> list[sa.RowMapping]:
        query = sa.text("SELECT shop, job, run_id, status FROM run ORDER BY run_id")
        with self.state.engine.connect() as connection:
            return list(connection.execute(query).mappings())

    def lines(self) -> list[dict[str, object]]:
        """What the schedulers reported."""
        texts = [line for log in self.logs for line in log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in texts if line.endswith("}")]

    def cut_short(self) -> int:
        """How many runs left a folder that a later run had to close, or nobody yet."""
        known = {row["run_id"] for row in self.runs()}
        return sum(folder.name not in known for folder in (self.folder / "reports").glob("*/*/*-????"))

    def end(self) -> None:
        for process in [self.scheduler, *self.others]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in [self.scheduler, *self.others]:
            if process is not None:
                process.wait(300)


@contextmanager
def fleet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    for name, value in ((TOKEN_ENV, TOKEN), (SECRET_ENV, SECRET), (WRONG_ENV, "shpat_wrong_0123456789abcdef")):
        monkeypatch.setenv(name, value)
    rng = random.Random(int(os.environ["INVSYNC_SEED"]))
    shops = [built(folder, f"s{number:03}", kind_of(number, SHOPS), rng) for number in range(SHOPS)]
    with ExitStack() as stack:
        url, restart = stack.enter_context(restarting_postgresql())
        addresses = stack.enter_context(hosted(shops))
        heard = {shops[0].name: free_port(), shops[-1].name: free_port()}
        config = folder / "invsync.toml"
        head = f'[state]\nurl = "{url}"\n[reports]\npath = "{folder}/reports"\n'
        parts = [
            configured(one, number, folder, addresses[one.name], heard.get(one.name), EVERY)
            for number, one in enumerate(shops)
        ]
        config.write_text(head + "".join(parts))
        state = State(url)
        made = Fleet(folder, shops, config, state, restart)
        stack.callback(state.close)
        stack.callback(made.end)
        for name, port in heard.items():
            made.others.append(made.process("webhooks", "serve", "--shop", name, "--port", str(port)))
            webhooks.register(config, name)
            one = next(one for one in shops if one.name == name)
            stack.enter_context(Webhooks(one.shop, one.shop.domain, pause=1.0).sending())
        yield made


def test_a_fleet_loses_nothing_and_sick_shops_delay_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fleet(tmp_path, monkeypatch) as made, made.watch.watching():
        made.schedule()
        warm(made)
        began = datetime.now(UTC)
        print(f"\n{began:%H:%M:%S} every shop has run: the time begins", flush=True)
        with Trade(made.shops, SALE_SECONDS).going() as trade:
            sick_at = broken(made, began)
        ended = datetime.now(UTC)
        quiet(made)
        table(made, trade, began, sick_at, ended)
        judge(made)


def warm(made: Fleet) -> None:
    """Wait until every shop that can run has run."""
    able = {one.name for one in made.shops if one.kind != REFUSED}
    for _ in range(3600):
        if able <= {row["shop"] for row in made.runs() if row["job"] == RECENT}:
            return
        assert made.scheduler is not None and made.scheduler.poll() is None, made.logs[-1].read_text()[-3000:]
        time.sleep(1)
    pytest.fail("Not every shop has run within an hour.")


def broken(made: Fleet, began: datetime) -> datetime:
    """Let the time pass, with its faults; when the sick shops fell sick."""
    span = timedelta(minutes=MINUTES)
    wait_until(began + SICK_FROM * span)
    for one in made.shops:
        one.sick = one.kind in (SLOW, FAILING)
    sick_at = datetime.now(UTC)
    for share, kind in [] if CALM else FAULTS:
        wait_until(began + share * span)
        made.fault(kind)
    wait_until(began + SICK_UNTIL * span)
    for one in made.shops:
        one.sick = False
    wait_until(began + span)
    return sick_at


def wait_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def quiet(made: Fleet) -> None:
    """Wait until every shop has run once more after the last change has settled."""
    time.sleep(75)  # for which a change that no order explains is fresh
    settled = datetime.now(UTC)
    able = [one.name for one in made.shops if one.kind != REFUSED]
    deadline = time.monotonic() + 120 * EVERY + 600
    while time.monotonic() < deadline:
        done = {
            row["shop"]
            for row in made.runs()
            if row["status"] == "done" and row["run_id"] > f"{settled:%Y%m%dT%H%M%SZ}"
        }
        if done.issuperset(able):
            return
        time.sleep(2)


def table(made: Fleet, trade: Trade, began: datetime, sick_at: datetime, ended: datetime) -> None:
    """Print what there was, and what it cost."""
    runs, pairs, minutes = made.runs(), sum(len(one.free) for one in made.shops), (ended - began).total_seconds() / 60
    print(f"\n{len(made.shops)} shops, {pairs} pairs, {minutes:.0f} minutes, a run every {EVERY} minutes")
    print(f"sales and events: {trade.counts}; changes: {sum(len(one.shop.journal) for one in made.shops)}")
    print(f"runs: {count(runs, 'status')}, by job {count(runs, 'job')}, cut short {made.cut_short()}")
    print(f"reported without a run: {count([line for line in made.lines() if 'run_id' not in line], 'status')}")
    print(f"{'seconds late':<36} {'starts':>7} {'p50':>7} {'p95':>7} {'max':>7}")
    for kind in (HEALTHY, SLOW, FAILING, REFUSED):
        for phase, since, until in (("before", began, sick_at), ("with", sick_at, ended)):
            for where, late in late_by_kills(made, kind, since, until).items():
                print(f"{kind:<18} {phase:<6} {where:<11} {len(late):>7} {spread(late)}")
    watch, seconds = made.watch, sum(made.watch.seconds.values())
    print(f"memory: {watch.most_bytes / 2**20:.0f} MiB at most, in {watch.most_processes} processes at most")
    print(
        f"CPU: {seconds:.0f} s, {seconds / max(1, len(runs)):.2f} s a run; schedulers {sum(watch.of_parent.values()):.0f} s"
    )
    print(f"load of the machine: {os.getloadavg()[2]:.1f} on {os.cpu_count()} cores", flush=True)


def count(rows: Sequence[Mapping[str, object]], name: str) -> dict[object, int]:
    """How many rows have each value."""
    return dict(Counter(row.get(name) for row in rows))


def late_by_kills(made: Fleet, kind: str, since: datetime, until: datetime) -> dict[str, list[float]]:
    """Seconds late of a kind of shop in this span, apart from starts for which the scheduler was down or starting."""
    kills = [at for at, fault, _ in made.faults if fault == "scheduler killed"]
    seconds: dict[str, list[float]] = {"": [], "at a kill": []}
    for entry in entries(settings.load(made.config)):
        one = next(one for one in made.shops if one.name == entry.shop)
        if one.kind == kind and entry.job == RECENT:
            for due, late in lateness(entry, starts(made.folder / "reports", entry.shop, RECENT), since, until):
                down = any(due - timedelta(minutes=2) <= at <= due + timedelta(seconds=late) for at in kills)
                seconds["at a kill" if down else ""].append(late)
    return {where: every for where, every in seconds.items() if every}


def judge(made: Fleet) -> None:
    put_back = {one.name: one.put_back for one in made.shops if one.put_back}
    wrong = {one.name: (one.kind, one.wrong()) for one in made.shops if one.kind != REFUSED and one.wrong()}
    pairs = sum(len(one.free) for one in made.shops if one.kind != REFUSED)
    off = sum(len(rows) for _, rows in wrong.values())
    print(f"units put back: {sum(put_back.values())}; pairs right at the end: {pairs - off} of {pairs}")
    assert not put_back
    assert not wrong
