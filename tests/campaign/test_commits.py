"""A run killed at each commit of its state, on SQLite and PostgreSQL: the next one takes over, each change lands once."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from campaign.cells import JOBS, Cell
from campaign.servers import postgresql

from invsync.state import State
from invsync.state.schema import META, VERSION

MOST, NUMBERS = 60, count()
VICTIM = """
import os, signal, sys, threading
import sqlalchemy as sa
from invsync.jobs import launch
from invsync.state import database, lease

lease.STOP_SECONDS = 0  # ask before each request, as a run does that was paused for long
job, config, last, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
opened, commits = database.opened, [0]
alone = threading.RLock()  # SQLite: a thread that stands still within a transaction would lock the others out

def counted(connection):
    commits[0] += 1
    if commits[0] == last and how == "killed":
        os._exit(9)
    if commits[0] == last and how == "paused before":
        os.kill(os.getpid(), signal.SIGSTOP)

def entered(*_):
    alone.acquire()

def left(*_):
    if commits[0] == last and how == "paused after":
        commits[0] += MOST
        os.kill(os.getpid(), signal.SIGSTOP)
    alone.release()

def watched(url):
    engine = opened(url)
    sa.event.listen(engine, "commit", counted)
    sa.event.listen(engine, "checkout", entered)
    sa.event.listen(engine, "checkin", left)
    return engine

MOST = 1000

database.opened = watched
facts = launch.run(job, {"shop": "demo", "config": config, "transport": "direct"}, engine="inprocess")
print(facts["exit_code"], facts["messages"][-1:])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def moved(request: pytest.FixtureRequest, templates: dict[str, Path]) -> Callable[[Cell], None]:
    """Take a cell's state to the database that is meant."""
    if request.param == "sqlite":
        return lambda cell: None
    url = request.getfixturevalue("server")
    return lambda cell: on_postgresql(cell, url, f"state_{next(NUMBERS)}")


def on_postgresql(cell: Cell, url: str, name: str) -> None:
    """Move a cell's state to a database of this name."""
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    own = f"{url.rpartition('/')[0]}/{name}"
    source = State(f"sqlite:///{cell.config.parent}/invsync.db")
    copy_state(source, State(own))
    cell.config.write_text(cell.config.read_text().replace(str(source.engine.url), own))


def copy_state(source: State, target: State) -> None:
    """Every row of every table."""
    with source.engine.connect() as old, target.engine.begin() as new:
        for table in META.sorted_tables:
            rows = [dict(row) for row in old.execute(sa.select(table)).mappings()] if table is not VERSION else []
            if rows:
                new.execute(sa.insert(table), rows)
    source.close()
    target.close()


def victim(cell: Cell, job: str, last: int, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", VICTIM, job, str(cell.config), str(last), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_each_commit(
    cells: Callable[[str], Cell],
    moved: Callable[[Cell], None],
    job: str,
    request: pytest.FixtureRequest,
) -> None:
    survived = 0
    for last in range(1, MOST):
        cell = cells(job)
        moved(cell)
        process = victim(cell, job, last, "killed")
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == 9, errors[-2000:]
        facts = cell.run(transport="direct")
        assert facts["exit_code"] == 0 and cell.wrong() == [], (last, facts["messages"], cell.wrong()[:3])
        survived += 1
    print(
        f"| {request.node.callspec.id} | killed at each of {survived} commits | the next run exits 0, each change once |"
    )
    assert 8 <= survived < MOST


def stopped(process: subprocess.Popen[str]) -> bool:
    """Whether the process stands still; it may have ended instead."""
    while process.poll() is None:
        if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.02)
    return False


def silence(cell: Cell) -> None:
    """Let the heartbeat be older than a lease lasts."""
    url = tomllib.loads(cell.config.read_text())["state"]["url"]
    state = State(url)
    with state.engine.begin() as connection:
        connection.execute(sa.text("update lease set heartbeat = '2026-01-01T00:00:00Z'"))
    state.close()


@pytest.mark.parametrize("job", JOBS)
def test_paused_after_each_commit_until_another_run_took_over(
    cells: Callable[[str], Cell],
    moved: Callable[[Cell], None],
    job: str,
    request: pytest.FixtureRequest,
) -> None:
    lost = taken = 0
    for last in range(1, MOST):
        cell = cells(job)
        moved(cell)
        process = victim(cell, job, last, "paused after")
        if not stopped(process):
            assert process.returncode == 0, process.communicate()[1][-2000:]
            break
        silence(cell)
        facts = cell.run(transport="direct")
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=120)
        lost, taken = lost + ("took over shop demo" in output), taken + 1
        assert facts["exit_code"] == 0 and cell.wrong() == [], (last, output, facts["messages"], cell.wrong()[:3])
    print(
        f"| {request.node.callspec.id} | paused after each of {taken} commits | the run that took over exits 0, each "
        f"change once; {lost} of the paused ones say that they lost the shop |"
    )
    assert 8 <= taken < MOST and lost >= 2


def test_a_process_that_stands_still_within_a_transaction_blocks_postgresql_only_until_its_time_is_up(
    cells: Callable[[str], Cell],
    server: str,
    templates: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = cells("push-deltas")
    on_postgresql(cell, server, "paused_within")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    early = VICTIM.replace("opened, commits", "database.IDLE_SECONDS = 2\nopened, commits")
    process = subprocess.Popen(
        [sys.executable, "-c", early, "push-deltas", str(cell.config), "4", "paused before"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert stopped(process)
    time.sleep(3)
    silence(cell)

    facts = cell.run(transport="direct")
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)

    assert facts["exit_code"] == 0 and cell.wrong() == []
