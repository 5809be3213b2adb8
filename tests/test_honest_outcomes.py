"""What a run says is what Shopify shows: user errors that pass, numbers that others write, and what fails after the sending."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rehearsal import DELTAS, HARD, ONLINE, RECENT, Rehearsal, open_rehearsal
from trouble import MINUTE, Kept, once

from invsync import charts, report, scrub
from invsync.inbox import LEVEL, Heard, Inbox
from invsync.jobs import launch
from invsync.jobs.delivery import Delivery
from invsync.jobs.run import Run
from invsync.sandbox.adjust import Adjust
from invsync.shopify import Shopify, retry
from invsync.state import State, database

REALTIME = "realtime-sync"
WAYS = [(RECENT, "direct"), (HARD, "bulk"), (REALTIME, "bulk"), (DELTAS, "direct"), (DELTAS, "bulk")]
Answer = dict[str, Any]


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setattr(retry, "backoff", lambda tries: 0.0)
    with open_rehearsal(tmp_path, monkeypatch) as built:
        yield built


class Jobs:
    """A shop that one job keeps by one transport; realtime-sync hears of each event by a webhook."""

    def __init__(self, rehearsal: Rehearsal, job: str, transport: str = "direct") -> None:
        self.job, self.transport, self.kept = job, transport, Kept(rehearsal, DELTAS if job == DELTAS else RECENT)
        self.shop = self.kept.shop

    def run(self, **given: Any) -> Answer:
        if self.job == REALTIME:
            heard = Heard("demo", self.kept.now.isoformat(), LEVEL, inventory_item_id=1, location_id=ONLINE)
            Inbox(State(f"sqlite:///{self.kept.database}").engine).add([heard])
        return self.kept.run(self.job, transport=self.transport, **given)


@pytest.fixture(params=WAYS, ids="-".join)
def jobs(request: pytest.FixtureRequest, rehearsal: Rehearsal) -> Jobs:
    return Jobs(rehearsal, *request.param)


# -- user errors


def answering(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Answer], Answer | None]) -> None:
    """Let Shopify's answer to an adjustment be this one, where it is not None; `fault` is given the input."""
    adjust = Adjust.inventoryAdjustQuantities

    def answered(self: Adjust, info: Any, input: Answer) -> Answer:
        return fault(input) or adjust(self, info, input)

    monkeypatch.setattr(Adjust, "inventoryAdjustQuantities", answered)


def unavailable(times: int) -> Callable[[Answer], Answer | None]:
    left = [times]

    def fault(_: Answer) -> Answer | None:
        left[0] -= 1
        fault = {"code": "SERVICE_UNAVAILABLE", "field": None, "message": "Service unavailable, try again."}
        return {"inventoryAdjustmentGroup": None, "userErrors": [fault]} if left[0] >= 0 else None

    return fault


def test_an_error_that_passes_is_asked_again(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.kept.counted(-6)
    answering(monkeypatch, unavailable(1))

    facts = jobs.run()

    assert (facts["exit_code"], jobs.kept.available, jobs.kept.changes()) == (0, 4, [-6])


def test_an_error_that_stays_is_unknown_until_it_passes(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.kept.counted(-6)
    with monkeypatch.context() as patch:
        answering(patch, unavailable(1000))
        facts = [jobs.run(), jobs.run()]
    assert [one["exit_code"] for one in facts] == [4, 4] and facts[0]["counts"]["unknown"] == 1

    codes = [jobs.run()["exit_code"] for _ in range(2)]

    assert (codes, jobs.kept.available, jobs.kept.changes()) == ([0, 0], 4, [-6])


def without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shopify's stale errors do not name the row of the change."""
    adjust = Adjust.inventoryAdjustQuantities

    def answered(self: Adjust, info: Any, input: Answer) -> Answer:
        answer = adjust(self, info, input)
        for fault in answer["userErrors"]:
            fault["field"] = ["input"] if fault["code"] == "CHANGE_FROM_QUANTITY_STALE" else fault["field"]
        return answer

    monkeypatch.setattr(Adjust, "inventoryAdjustQuantities", answered)


@pytest.mark.parametrize(
    ("job", "transport", "others"),
    [
        (RECENT, "direct", 0),
        (RECENT, "direct", 1),
        (RECENT, "bulk", 6),
        (HARD, "bulk", 0),
        (HARD, "direct", 6),
    ],
)
def test_a_stale_error_that_names_no_row_finds_its_row(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, job: str, transport: str, others: int
) -> None:
    kept = Kept(rehearsal, RECENT)
    for item in range(2, 2 + others):
        rehearsal.product(item, f"S{item}", oms=10, available=10)
        kept.counted(-1, f"P{item}")
    kept.counted(-6)
    without_rows(monkeypatch)
    once(monkeypatch, Shopify, "submit", lambda: kept.shop.place_order(1001, "#1001", kept.now, [(1, 1)], ONLINE))

    facts = kept.run(job, transport=transport)

    assert (facts["exit_code"], rehearsal.available(*range(1, 2 + others))) == (0, [3, *[9] * others])
    assert len(kept.changes()) == 1 + others


@pytest.mark.parametrize(
    ("job", "transport"), [(RECENT, "direct"), (HARD, "bulk"), (DELTAS, "direct"), (DELTAS, "bulk")]
)
def test_a_line_whose_first_try_failed_is_sent_under_a_new_key(rehearsal: Rehearsal, job: str, transport: str) -> None:
    """The run was killed with the answer that its line failed; Shopify refuses the key, the fault itself is gone."""
    kept = Kept(rehearsal, DELTAS if job == DELTAS else RECENT)
    kept.counted(-6)
    kept.shop.spoil.add(1)
    kept.killed("after its answers", job, transport=transport)
    kept.shop.spoil.clear()

    codes = [kept.run(job, transport=transport)["exit_code"] for _ in range(2)]

    assert (codes, kept.available, kept.changes()) == ([0, 0], 4, [-6])


def test_a_key_that_was_used_up_is_replaced_within_the_run(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.kept.counted(-6)
    fault, left = (
        {"code": "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "field": None, "message": "Retry with a new key."},
        [1],
    )
    answering(
        monkeypatch,
        lambda _: {"inventoryAdjustmentGroup": None, "userErrors": [fault]} if left and left.pop() else None,
    )

    facts = jobs.run()

    assert (facts["exit_code"], jobs.kept.available, jobs.kept.changes()) == (0, 4, [-6])


@pytest.mark.parametrize(("job", "transport"), [(RECENT, "bulk"), (DELTAS, "direct")])
def test_a_line_that_fails_for_good_is_refused_and_the_rest_lands(
    rehearsal: Rehearsal, job: str, transport: str
) -> None:
    kept = Kept(rehearsal, DELTAS if job == DELTAS else RECENT)
    rehearsal.product(2, "B", oms=10, available=10)
    kept.counted(-6)
    kept.counted(-1, "P2")
    kept.shop.spoil.add(1)

    facts = kept.run(job, transport=transport)

    assert (facts["exit_code"], facts["counts"]["refused"], rehearsal.available(1, 2)) == (4, 1, [10, 9])
    kept.shop.spoil.clear()
    assert [kept.run(HARD)["exit_code"], kept.run(job)["exit_code"], kept.available] == [0, 0, 4]


def test_lines_that_a_file_which_is_gone_carried_on_for_are_unknown(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A's line has no answer; B and C stand on one that is refused, and are halved in a second file, where C lands."""
    rehearsal.oms.add_delta_reason("VAR_SHIP_RECV")
    for item in (2, 3):
        rehearsal.product(item, f"S{item}", oms=10, available=10)
    kept = Kept(rehearsal)
    kept.counted(20)
    for item in (2, 3):
        kept.counted(5, f"P{item}", reason="VAR_SHIP_RECV")
    kept.shop.spoil.add(2)
    with monkeypatch.context() as patch:
        down = unavailable(1000)
        answering(patch, lambda input: down(input) if '/1"' in json.dumps(input["changes"][0]) else None)
        facts = kept.run()
    assert (facts["exit_code"], rehearsal.available(1, 2, 3)) == (4, [10, 10, 15])

    for path in rehearsal.folder(facts).glob("adjustments-*.jsonl"):
        path.unlink()
    kept.shop.spoil.clear()
    codes = [kept.run()["exit_code"], kept.run()["exit_code"], kept.run(HARD)["exit_code"], kept.run()["exit_code"]]

    assert (codes, rehearsal.available(1, 2, 3)) == ([4, 4, 0, 0], [30, 15, 15])


# -- numbers that others write


def foreign(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, units: int, *, always: bool = False) -> None:
    """Another system writes its number right after our write."""
    write = lambda: jobs.shop.set_level(1, ONLINE, units)  # noqa: E731
    once(monkeypatch, Shopify, "submit", write, after=True, always=always)


def test_a_number_that_another_system_writes_over_ours_is_set_right(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.kept.counted(-6)
    foreign(jobs, monkeypatch, 50)

    first, second = jobs.run(), jobs.run()

    assert first["exit_code"] == (4 if jobs.job == DELTAS else 0)
    assert (second["exit_code"], jobs.kept.available, jobs.run()["exit_code"]) == (0, 4, 0)


def test_a_lower_number_that_another_system_writes_is_raised_by_a_later_run(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a sale that no order shows yet."""
    jobs.kept.counted(-6)
    foreign(jobs, monkeypatch, 1)

    jobs.run()
    jobs.run()

    assert (jobs.run()["exit_code"], jobs.kept.available) == (0, 4)


def test_a_system_that_always_overwrites_our_number_is_reported(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.kept.counted(-6)
    foreign(jobs, monkeypatch, 50, always=True)

    facts = jobs.run()

    rows = jobs.kept.rehearsal.outcomes(facts).select("outcome", "reason").rows()
    assert (facts["exit_code"], rows) == (4, [("held", "overwritten")])


def test_an_order_right_after_the_write_is_no_fault(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.kept.counted(-6)
    order = lambda: jobs.shop.place_order(1001, "#1001", jobs.kept.now, [(1, 3)], ONLINE)  # noqa: E731
    once(monkeypatch, Shopify, "submit", order, after=True)

    facts = jobs.run()

    assert (facts["exit_code"], facts["counts"]["superseded"], jobs.kept.available) == (0, 1, 1)
    assert [jobs.run()["exit_code"], jobs.kept.available, jobs.kept.changes()] == [0, 1, [-6]]


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("job", [RECENT, DELTAS])
def test_an_order_of_before_does_not_explain_a_number_of_after(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, job: str, applied: bool
) -> None:
    jobs = Jobs(rehearsal, job)
    jobs.kept.counted(-6)
    jobs.shop.place_order(1001, "#1001", jobs.kept.now, [(1, 1)], ONLINE)
    planned = jobs.run(dry_run=True) if applied else None
    jobs.kept.now += MINUTE
    foreign(jobs, monkeypatch, 50, always=True)

    facts = rehearsal.apply(planned) if planned else jobs.run()

    assert (facts["exit_code"], rehearsal.outcomes(facts)["reason"].to_list()) == (4, ["overwritten"])


@pytest.mark.parametrize("job", [RECENT, HARD, DELTAS])
def test_a_number_that_is_written_over_an_applied_plan_is_set_right_by_the_next_run(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    jobs = Jobs(rehearsal, job)
    jobs.kept.counted(-6)
    planned = jobs.run(dry_run=True)
    foreign(jobs, monkeypatch, 50)

    applied = rehearsal.apply(planned)

    assert jobs.kept.sql("select event_id from claim where status = 'released'") == []
    assert (applied["exit_code"], jobs.run()["exit_code"], jobs.kept.available) == (4, 0, 4)


def test_a_pair_that_is_reset_for_the_delta_job_is_looked_at_until_it_is_right(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overwritten by a lower number, and then changed a moment before each of two runs: the raise waits for the third."""
    jobs = Jobs(rehearsal, DELTAS)
    jobs.kept.counted(-6)
    foreign(jobs, monkeypatch, 2)
    assert jobs.run()["exit_code"] == 4

    for units in (3, 1):
        jobs.kept.now += 5 * MINUTE
        jobs.shop.set_level(1, ONLINE, units)
        jobs.kept.now -= 5 * MINUTE
        assert jobs.run()["counts"]["held"] == 1
    assert (jobs.run()["exit_code"], jobs.kept.available, jobs.run()["counts"]["selected"]) == (0, 4, 0)


# -- what fails after the sending


def failing(*args: object, **options: object) -> None:
    raise ZeroDivisionError("a fault of ours")


def full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def written(kept: Kept, facts: Answer) -> Answer:
    """What run.json says."""
    run: Answer = json.loads((kept.rehearsal.folder(facts) / "run.json").read_text())
    return run


@pytest.mark.parametrize(("where", "name"), [(charts, "variances_by_product"), (report, "held_rows"), (Run, "finish")])
def test_what_was_sent_stands_though_the_notebook_fails_after_it(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    kept = Kept(rehearsal)
    kept.counted(-6)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing)
        facts = kept.run()

    run = written(kept, facts)
    assert (run["exit_code"], run["status"], run["counts"]["applied"]) == (0, "done", 1)
    assert "The report is incomplete" in run["messages"][-1]
    assert (kept.run()["exit_code"], kept.changes()) == (0, [-6])


@pytest.mark.parametrize("how", ["not drawn", "not written"])
def test_what_was_sent_stands_though_the_page_fails(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    kept = Kept(rehearsal)
    kept.counted(-6)
    if how == "not drawn":
        monkeypatch.setattr(report, "render", failing)
    else:
        monkeypatch.setattr(scrub, "scrubbed", lambda text: full() if text.startswith("<!DOCTYPE") else text)

    facts = kept.run()

    run = written(kept, facts)
    assert (facts["exit_code"], run["exit_code"], run["counts"]["applied"]) == (0, 0, 1)
    page = kept.rehearsal.folder(facts) / "report.html"
    said = page.read_text() if how == "not drawn" else run["messages"][-1]
    assert f"report could {'not be drawn' if how == 'not drawn' else 'not be written'}" in said


@pytest.mark.parametrize("seam", [(Delivery, "deliver", True), (Run, "_conclude", False)])
@pytest.mark.parametrize("job", [RECENT, DELTAS])
def test_what_was_sent_stands_though_the_state_cannot_be_written(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, job: str, seam: tuple[Any, str, bool]
) -> None:
    """Another program locks the database: the run fails, its counts are right, and the next run puts all in order."""
    kept = Kept(rehearsal, job)
    kept.counted(-6)
    place, name, after = seam
    with closing(sqlite3.connect(kept.database)) as other, monkeypatch.context() as patch:
        patch.setattr(database, "WAIT_SECONDS", 0.1)
        once(patch, place, name, lambda: other.execute("begin exclusive"), after=after)
        facts = kept.run()
    kept.sql("delete from lease")

    assert (facts["exit_code"], written(kept, facts)["counts"]["applied"]) == (5, 1)
    assert "is locked by another program" in facts["messages"][-1]
    codes = [kept.run()["exit_code"], kept.run(HARD)["exit_code"]]
    assert (codes, kept.available, kept.changes()) == ([0, 0], 4, [-6])


def test_a_sku_that_begins_with_a_line_separator_is_sent_and_reported_from_a_kernel(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "\u2028724812-22", oms=10, available=1)
    rehearsal.product(2, "B", oms=20, available=2)

    facts = launch.run(RECENT, {"shop": "demo", "config": str(rehearsal.config)}, engine="kernel")

    assert (facts["exit_code"], facts["counts"]["applied"], rehearsal.available(1, 2)) == (0, 2, [10, 20])
    assert (rehearsal.folder(facts) / "report.html").exists()
