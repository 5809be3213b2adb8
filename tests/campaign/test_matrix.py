"""The crash matrix: each job, each of its steps, each thing that can go wrong there; every cell right in the end."""

import signal
import subprocess
import sys
from typing import Any

import pytest
from campaign.cells import JOBS, Cell
from rehearsal import DELTAS, HARD
from tripwire import Tripwire

STEPS = {
    "levels read": "query levels",
    "orders read": "query orders",
    "adjustment": "mutation adjust",
    "staged upload": "/_upload",
    "upload asked for": "stagedUploadsCreate",
    "bulk start": "bulkOperationRunMutation(",
    "bulk watched": "query bulkOperation",
    "result fetched": "/_results/",
}
WRONG = ["error_before", "error_after", "cut_before", "cut_after", "throttle", "throttle_429", "garbage"]
BULK = ["bulk_stuck", "bulk_partial", "garbage_line"]


def judge(cell: Cell, fault: str, step: str, first: dict[str, Any]) -> None:
    """Run the job again, as the schedule would, and tell the cell's line of the table."""
    last = first
    if first["exit_code"]:
        cell.shop.faults.clear()
        last = cell.run()
    seen = first["messages"][-1] if first["messages"] else first["status"]
    print(f"| {cell.job} | {step} | {fault} | {first['exit_code']} {seen} | {last['exit_code']} |")
    assert last["exit_code"] == 0, last["messages"]
    assert cell.wrong() == []


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", STEPS)
def test_one_fault_on_the_way(cells: Any, job: str, step: str) -> None:
    for fault in WRONG:
        cell = cells(job)
        cell.shop.faults.arm(fault, match=STEPS[step])
        facts = cell.run(transport="direct" if step == "adjustment" else "bulk")
        judge(cell, fault, step, facts)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("fault", BULK)
def test_a_bulk_operation_that_goes_wrong(cells: Any, job: str, fault: str) -> None:
    cell = cells(job)
    cell.shop.faults.arm(fault)
    judge(cell, fault, "bulk operation", cell.run())


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["cut_before", "cut_after"])
def test_shopify_stays_away(cells: Any, job: str, step: str, fault: str) -> None:
    cell = cells(job)
    cell.shop.faults.arm(fault, times=1_000_000, match=STEPS[step])
    judge(cell, f"{fault}, for good", step, cell.run(transport="direct" if step == "adjustment" else "bulk"))


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
def test_a_file_that_is_too_old_to_be_sent_again(cells: Any, job: str, applied: bool) -> None:
    """Its keys are forgotten, so a replay would count twice: what Shopify shows decides, or a hard sync."""
    cell = cells(job)
    cell.shop.faults.arm("cut_after" if applied else "cut_before", times=1_000_000, match="mutation adjust")
    first = cell.run(transport="direct")
    cell.shop.faults.clear()
    cell.age(25)

    last = cell.run()
    messages = last["messages"]
    healed = cell.run(HARD) if JOBS[job] == "deltas" else last

    print(f"| {job} | expired key, {'applied' if applied else 'not applied'} | {first['exit_code']} | {messages} |")
    assert any("not sent again" in message for message in messages)
    assert cell.wrong() == [] and healed["exit_code"] == 0
    if job == DELTAS and applied:
        assert any("run a hard sync" in message for message in messages)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("step", ["levels read", "adjustment", "upload asked for", "bulk start", "bulk watched"])
def test_killed_at_a_request(cells: Any, job: str, step: str) -> None:
    cell = cells(job)
    victim: list[subprocess.Popen[bytes]] = []
    cell.shop.requests = Tripwire(lambda row, _: STEPS[step] in row["query"], lambda: victim[0].kill())
    transport = "direct" if step == "adjustment" else "bulk"
    command = [
        sys.executable,
        "-m",
        "invsync.cli",
        "run",
        job,
        "--shop",
        "demo",
        "--config",
        str(cell.config),
        "--engine",
        "inprocess",
        "--transport",
        transport,
    ]
    victim.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert victim[0].wait(300) == -signal.SIGKILL
    cell.shop.requests = []

    facts = cell.run()

    print(f"| {job} | {step} | kill -9 | {facts['messages'][-1:]} | {facts['exit_code']} |")
    assert facts["exit_code"] == 0 and cell.wrong() == []
