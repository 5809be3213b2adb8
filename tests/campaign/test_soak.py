"""Thousands of scheduled runs in one process: memory, files, threads and the state stay flat, or grow as documented."""

import gc
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from rehearsal import DELTAS, HARD, Rehearsal, of_shop, open_rehearsal

from invsync.state import State

RUNS = int(os.environ.get("INVSYNC_SOAK_RUNS", "5000"))
WARM = 200  # runs until caches are filled
SETTLED = ["lease", "fence", "shop", "order_ledger", "level_memory"]
GROWS = {"run": 1.0, "claim": 1.0, "outbox": 0.5, "webhook": 0.0}  # rows a run at most, until they are pruned


def resident() -> int:
    """Kilobytes of this process that are in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def rows(state: State, tables: list[str]) -> dict[str, int]:
    with state.engine.connect() as connection:
        return {name: connection.execute(sa.text(f"select count(*) from {name}")).scalar_one() for name in tables}


def test_thousands_of_runs_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        of_shop(rehearsal.config, 'keep_by = "deltas"')
        for item in range(1, 21):
            rehearsal.product(item, f"S{item}", oms=1000, available=1000)
        now = datetime.now(UTC) - timedelta(minutes=5 * RUNS)
        samples = [
            sample for number in range(RUNS) if (sample := one(rehearsal, number, now + timedelta(minutes=5) * number))
        ]
        state = State(f"sqlite:///{tmp_path}/invsync.db")
        ended = rows(state, [*SETTLED, *GROWS])
        state.close()
    warm, last = samples[0], samples[-1]
    for number, (memory, files, threads) in enumerate(samples):
        print(f"after {(number + 1) * WARM} runs: {memory / 1024:.0f} MB, {files} files, {threads} threads")
    print(f"state after {RUNS} runs: {ended}")
    assert last[0] <= warm[0] * 1.15 + 20 * 1024
    assert last[1] <= warm[1] + 5 and last[2] <= warm[2] + 2
    assert all(ended[name] <= 40 for name in SETTLED)
    assert all(ended[name] <= share * RUNS + 50 for name, share in GROWS.items())


def one(rehearsal: Rehearsal, number: int, at: datetime) -> tuple[int, int, int] | None:
    """The run of this number, every third after a count; what the process holds after each `WARM` runs."""
    if number % 3 == 0:
        product = f"P{number % 20 + 1}"
        rehearsal.oms.adjust(product, "WH", 1, at, "CYCLE_COUNT", physical_inventory_id=f"N{number}")
    facts = rehearsal.run(at, HARD if number % 50 == 49 else DELTAS)
    assert facts["exit_code"] == 0, facts["messages"]
    if (number + 1) % WARM:
        return None
    rehearsal.shop.requests.clear()  # the sandbox lives in this process too
    gc.collect()
    return resident(), handles(), threading.active_count()
