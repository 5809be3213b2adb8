"""Upkeep: what a prune removes and what stays, wherever it is cut short, and what a check reports."""

import json
import random
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from invsync import upkeep
from invsync.cli import app
from invsync.config import settings
from invsync.errors import LeaseLost
from invsync.inbox import Heard, Inbox
from invsync.state import CLAIMS, File, State
from invsync.state.retention import Cutoffs, Retention, Shop
from invsync.upkeep import folders
from invsync.upkeep.shops import cutoffs, shops

NOW = datetime.now(UTC)
JOBS = ["push-deltas", "hard-sync"]
CONFIG = """
[state]
url = "sqlite:///{folder}/invsync.db"
keep_runs_days = 100
keep_claims_days = 100
[reports]
path = "{folder}/reports"
keep_days = 100
[shops.acme]
domain = "acme.myshopify.com"
token_env = "ACME_TOKEN"
keep_by = "deltas"
[shops.acme.oms]
shop_id = "ACME"
"""


def run_id(days: float) -> str:
    return f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-0000"


class Aged:
    """A state database and run folders of shop acme, with rows and folders of a given age in days."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "invsync.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        self.state = State(f"sqlite:///{folder}/invsync.db")
        self.state.shops.kept_as("acme", settings.load(self.config).shop("acme").identity)

    def path(self, days: float, job: str = "push-deltas") -> Path:
        return self.folder / "reports" / "acme" / job / run_id(days)

    def run(self, days: float, job: str = "push-deltas", *, status: str = "done", **facts: Any) -> str:
        """A run that ended so long ago, with its folder."""
        at, rest = NOW - timedelta(days=days), {"advances": True, "sent": True, "mapped": 4} | facts
        self.leave(days, job, status)
        self.state.runs.record(
            run_id(days),
            "acme",
            job,
            status=status,
            exit_code=0,
            folder=str(self.path(days, job)),
            thru=at,
            finished_at=at,
            rows_read=1,
            targets=1,
            **rest,
        )
        return run_id(days)

    def leave(self, days: float, job: str = "push-deltas", status: str = "done") -> Path:
        """Only the folder of a run that sent something, without its row."""
        path = self.path(days, job)
        path.mkdir(parents=True)
        (path / "run.json").write_text(json.dumps({"status": status, "counts": {"planned": 1}}))
        return path

    def claim(self, days: float, status: str = "sent", *, event: str = "E1", stamp: float | None = None) -> None:
        at = NOW - timedelta(days=days if stamp is None else stamp)
        row = [(event, 7, 1, status, run_id(days), at)]
        self.state.outbox.claim("acme", pl.DataFrame(row, schema=CLAIMS, orient="row"))

    def file(self, days: float, *, settled: bool, guarded: bool = True, job: str = "push-deltas") -> Path:
        """A file that was committed so long ago; the folder is there from a run, or made."""
        path = self.path(days, job) / "adjustments.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        with self.state.lease("acme", "L") as lease:
            self.state.outbox.commit(lease, run_id(days), [File(1, path, empty)], transport="direct", guarded=guarded)
        if settled:
            self.state.outbox.settle(run_id(days), 1, "answered")
        at = (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        self.sql("update outbox set committed_at = ? where run_id = ?", at, run_id(days))
        return path

    def webhook(self, days: float, *, covered: bool) -> None:
        inbox = Inbox(self.state.engine)
        inbox.add([Heard("acme", f"delivery {days} {covered}", "orders/create", order_id=1)])
        at = (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        self.sql(
            "update webhook set heard_at = ?, covered_by = ? where number = (select max(number) from webhook)",
            at,
            "R" if covered else None,
        )

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "invsync.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def claims(self) -> list[str]:
        return [event for (event,) in self.sql("select event_id from claim order by 1")]

    def runs(self) -> set[str]:
        return {one for (one,) in self.sql("select run_id from run")}

    def there(self) -> set[str]:
        return {path.name for path in (self.folder / "reports").glob("acme/*/*")}

    def set(self, key: str, days: int) -> None:
        text = self.config.read_text()
        self.config.write_text(
            "\n".join(f"{key} = {days}" if line.startswith(f"{key} =") else line for line in text.splitlines())
        )

    def prune(self) -> dict[str, int]:
        return upkeep.prune(self.config).removed["acme"]

    def check(self) -> dict[str, list[str]]:
        """Findings that are not ok, as `status: message` by name."""
        findings: dict[str, list[str]] = {}
        for one in upkeep.check(self.config):
            if one.status != "ok":
                message = re.sub(r" h \d+ min", " h", one.message)  # a slow test is no fault
                findings.setdefault(one.name, []).append(f"{one.status}: {message}")
        return findings


@pytest.fixture
def aged(tmp_path: Path) -> Aged:
    return Aged(tmp_path)


# -- claims


def test_a_claim_is_removed_when_its_run_is_old_and_its_event_is_before_every_window(aged: Aged) -> None:
    aged.run(0)
    aged.claim(101)
    aged.claim(99, event="E2")

    assert aged.prune()["claims"] == 1 and aged.claims() == ["E2"]


@pytest.mark.parametrize("status", ["quarantined", "released", "unknown"])
def test_an_open_claim_stays_and_so_does_what_a_run_reads_because_of_it(aged: Aged, status: str) -> None:
    aged.run(0)
    aged.claim(200, status, event="open")
    aged.claim(190, event="after it")
    aged.claim(202, event="before it, beyond the overlap")

    aged.prune()

    assert aged.claims() == ["after it", "open"]


def test_a_claim_of_a_file_that_is_not_settled_stays(aged: Aged) -> None:
    aged.run(0)
    aged.claim(101)
    aged.file(101, settled=False)

    assert aged.prune()["claims"] == 0 and aged.claims() == ["E1"]


@pytest.mark.parametrize(("mark", "stays"), [(150, True), (149, True), (148.9, False)])
def test_a_claim_in_the_window_of_the_next_delta_run_stays(aged: Aged, mark: float, stays: bool) -> None:
    aged.run(0, "hard-sync")
    aged.run(mark)
    aged.claim(150)

    aged.prune()

    assert aged.claims() == (["E1"] if stays else [])


def test_a_claim_of_an_event_that_was_stamped_anew_stays_until_the_stamp_is_old(aged: Aged) -> None:
    aged.run(0)
    aged.claim(200, stamp=50)

    assert aged.prune()["claims"] == 0


def test_an_old_event_that_was_claimed_lately_stays(aged: Aged) -> None:
    aged.run(0)
    aged.claim(50, stamp=200)

    assert aged.prune()["claims"] == 0


def test_claims_of_a_shop_that_deltas_never_kept_and_of_one_that_is_not_configured_stay(aged: Aged) -> None:
    aged.run(0, "hard-sync")
    aged.claim(200)
    aged.sql(
        "insert into claim select 'other', event_id, location_id, inventory_item_id, status, run_id, created_at from claim"
    )

    assert "claims" not in aged.prune() and aged.claims() == ["E1", "E1"]


def test_nothing_is_removed_where_all_is_kept_for_ever(aged: Aged) -> None:
    for key in ("keep_claims_days", "keep_runs_days", "keep_days"):
        aged.set(key, 0)
    for days in (3, 2000, 3000):
        aged.run(days)
        aged.file(days, settled=True)
    aged.claim(3000)

    assert sum(aged.prune().values()) == 0


# -- runs and files


def test_old_runs_are_removed_with_their_files_and_each_jobs_newest_stay(aged: Aged) -> None:
    for days in (300, 200, 150, 50):
        aged.run(days)
        aged.file(days, settled=True)
    aged.run(250, "hard-sync")
    aged.run(240, "hard-sync", status="stopped", advances=False, mapped=None, sent=False)

    assert aged.prune() == {"claims": 0, "files": 3, "runs": 4, "webhooks": 0, "folders": 3}
    assert aged.runs() == {run_id(50), run_id(250)} == aged.there() - {run_id(240)}
    assert aged.sql("select run_id from outbox") == [(run_id(50),)]


def test_a_run_whose_file_is_open_stays_with_its_folder(aged: Aged) -> None:
    aged.run(1)
    aged.run(300)
    aged.file(300, settled=False)
    aged.run(290)

    aged.prune()

    assert aged.runs() == {run_id(1), run_id(300)} == aged.there()
    assert [file.run_id for file in aged.state.outbox.pending("acme")] == [run_id(300)]


def test_a_run_with_unknown_claims_stays(aged: Aged) -> None:
    aged.run(1)
    aged.run(300)
    aged.claim(300, "unknown")

    aged.prune()

    assert aged.runs() == {run_id(1), run_id(300)} == aged.there()


def test_a_plan_that_may_still_be_applied_stays(aged: Aged) -> None:
    aged.run(1)
    aged.run(300, status="planned", advances=False, mapped=None, sent=False)
    aged.config.write_text(
        aged.config.read_text().replace("[shops.acme.oms]", "plan_max_age = 600000\n[shops.acme.oms]")
    )

    aged.prune()
    assert aged.runs() == {run_id(1), run_id(300)} == aged.there()
    aged.config.write_text(aged.config.read_text().replace("600000", "60"))
    aged.prune()
    assert aged.runs() == {run_id(1)} == aged.there()


@pytest.mark.parametrize("seed", range(20))
def test_a_prune_changes_no_answer_that_jobs_ask_of_earlier_runs(aged: Aged, seed: int) -> None:
    dice, runs = random.Random(seed), aged.state.runs
    for days in dice.sample(range(dice.choice([1, 101]), 400), 25):
        aged.run(
            days,
            dice.choice(JOBS),
            status=dice.choice(["done", "partial", "stopped", "failed", "planned"]),
            advances=dice.random() < 0.3,
            mapped=dice.choice([None, None, 4]),
            sent=dice.random() < 0.3,
        )

    def asked() -> list[object]:
        each = [
            ask("acme", job)
            for job in JOBS
            for ask in (runs.last_advance, runs.last_finished, runs.last_sent, runs.watermark)
        ]
        return [*each, runs.mapped("acme"), runs.newest("acme"), runs.last_advance("acme")]

    before = asked()
    removed = aged.prune()

    assert asked() == before and removed["runs"] > 0


# -- webhooks


def test_webhooks_covered_long_ago_are_removed_and_those_that_wait_stay(aged: Aged) -> None:
    for days in (8, 6):
        aged.webhook(days, covered=True)
    aged.webhook(800, covered=False)

    assert aged.prune()["webhooks"] == 1
    assert aged.sql("select delivery from webhook order by 1") == [("delivery 6 True",), ("delivery 800 False",)]


@pytest.mark.parametrize(("keep_days", "left"), [(7, 1), (30, 2), (0, 3)])
def test_the_inbox_removes_webhooks_by_the_same_setting(aged: Aged, keep_days: int, left: int) -> None:
    for days in (40, 8, 6):
        aged.webhook(days, covered=True)

    Inbox(aged.state.engine).cover("acme", [], "R", keep_days=keep_days)

    assert len(aged.sql("select 1 from webhook")) == left


# -- folders


def test_old_folders_are_removed_and_the_newest_of_each_job_stays(aged: Aged) -> None:
    aged.run(1)
    for days in (130, 120):
        aged.leave(days, "hard-sync")
    aged.leave(99)
    aged.leave(110)

    assert aged.prune()["folders"] == 2
    assert aged.there() == {run_id(1), run_id(120), run_id(99)}


def test_a_folder_newer_than_every_known_run_stays(aged: Aged) -> None:
    """It shows the delta job that the state was restored."""
    aged.run(300)
    aged.leave(150)
    aged.leave(140)

    assert aged.prune()["folders"] == 0 and len(aged.there()) == 3


def test_folders_stay_for_ever_by_default() -> None:
    assert settings.ReportSettings().keep_days == 0


# -- whatever happens


def test_a_shop_with_a_run_at_work_is_skipped(aged: Aged) -> None:
    aged.run(0)
    aged.claim(101)

    with aged.state.lease("acme", "at work"):
        done = CliRunner().invoke(app, ["state", "prune", "--config", str(aged.config)])

    assert (done.exit_code, aged.claims()) == (0, ["E1"])
    assert "acme: left for the next time. Run at work" in done.stdout
    assert aged.prune()["claims"] == 1


def test_a_prune_that_lost_its_lease_removes_nothing(aged: Aged) -> None:
    aged.run(0)
    aged.claim(101)
    shop = Shop("acme", "acme", timedelta(hours=24), timedelta(hours=1))
    with aged.state.lease("acme", "slow") as slow:
        aged.sql("delete from lease")
        with aged.state.lease("acme", "next"), pytest.raises(LeaseLost):
            Retention(aged.state.engine, NOW).prune(slow, shop, Cutoffs(NOW, NOW, NOW))

    assert aged.claims() == ["E1"]


def filled(aged: Aged) -> None:
    for days in (300, 250, 200, 1):
        aged.run(days)
        aged.file(days, settled=True)
        aged.claim(days, event=f"E{days}")
        aged.webhook(days, covered=True)


def test_a_dry_run_counts_and_removes_nothing(aged: Aged) -> None:
    filled(aged)
    before = (aged.folder / "invsync.db").read_bytes()

    would = upkeep.prune(aged.config, dry_run=True).removed["acme"]

    assert (aged.folder / "invsync.db").read_bytes() == before and len(aged.there()) == 4
    assert would == aged.prune() == {"claims": 3, "files": 3, "runs": 3, "webhooks": 3, "folders": 3}


@pytest.mark.parametrize("point", range(9))
def test_a_prune_that_is_killed_anywhere_is_finished_by_the_next(
    aged: Aged, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    filled(aged)
    left = point

    def step(real: Any) -> Any:
        def wrapped(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
            return real(*given)

        return wrapped

    with monkeypatch.context() as patched:
        patched.setattr(Retention, "_remove", step(Retention._remove))
        patched.setattr(Path, "rename", step(Path.rename))
        patched.setattr(folders.shutil, "rmtree", step(folders.shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            upkeep.prune(aged.config)
    assert aged.there() >= {run_id(1)} and "E1" in aged.claims()

    aged.prune()

    assert (aged.there(), aged.runs(), aged.claims()) == ({run_id(1)}, {run_id(1)}, ["E1"])


def test_the_database_file_shrinks_after_a_prune(aged: Aged) -> None:
    aged.run(0)
    rows = [(f"E{n}", 7, n, "sent", run_id(200), NOW - timedelta(days=200)) for n in range(5000)]
    aged.state.outbox.claim("acme", pl.DataFrame(rows, schema=CLAIMS, orient="row"))
    aged.state.close()
    before = (aged.folder / "invsync.db").stat().st_size

    pruned = upkeep.prune(aged.config)

    assert pruned.shrunk and (aged.folder / "invsync.db").stat().st_size < before / 4


def test_many_claims_are_removed_in_batches(aged: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invsync.state.retention.BATCH", 2)
    aged.run(0)
    for n in range(5):
        aged.claim(200, event=f"E{n}")

    assert aged.prune()["claims"] == 5


def test_what_was_removed_is_counted_by_shop_and_kind(aged: Aged) -> None:
    nothing = CliRunner().invoke(app, ["state", "prune", "--config", str(aged.config)]).stdout
    filled(aged)
    words = ["state", "prune", "--config", str(aged.config)]

    rehearsed, done = (CliRunner().invoke(app, [*words, *more]).stdout for more in (["--dry-run"], []))

    kinds = "3 claims, 3 files, 3 runs, 3 webhooks, 3 folders"
    assert (rehearsed, done) == (f"acme: would remove {kinds}.\n", f"acme: removed {kinds}.\n")
    assert nothing == "acme: removed nothing.\n"
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["removed"]["acme"]["claims"] == 0


# -- checked


def test_a_sound_state_has_no_faults(aged: Aged) -> None:
    aged.run(1)
    aged.claim(1)

    done = CliRunner().invoke(app, ["state", "check", "--config", str(aged.config)])

    assert (done.exit_code, aged.check()) == (0, {})
    assert f"sqlite {aged.folder}/invsync.db, revision" in done.stdout and "claim 1," in done.stdout
    assert "acme: 1 sent." in done.stdout and "would remove nothing of acme" in done.stdout


def test_the_check_counts_what_a_prune_would_remove(aged: Aged) -> None:
    filled(aged)

    (message,) = [one.message for one in upkeep.check(aged.config) if one.name == "prune"]

    assert message == "invsync state prune would remove 3 claims, 3 files, 3 runs, 3 webhooks, 3 folders of acme."


@pytest.mark.parametrize(
    ("days", "guarded", "gone", "words"),
    [
        (
            0.5,
            True,
            False,
            "warning: adjustments.jsonl of run {run} of acme is open for 12 h: it is on the disk, and the next run sends it again under the same keys.",
        ),
        (
            0.5,
            False,
            True,
            "warning: adjustments.jsonl of run {run} of acme is open for 12 h: it is gone from {folder} or was changed, and the next run sends it again from the database.",
        ),
        (
            0.5,
            True,
            True,
            "warning: adjustments.jsonl of run {run} of acme is open for 12 h: it is gone from {folder} or was changed, and the next run reads its pairs afresh.",
        ),
        (
            3,
            True,
            False,
            "fault: adjustments.jsonl of run {run} of acme is open for 3 days, too long to be sent again: the next run judges its pairs by what Shopify shows, so run a job of the shop now and see why none ran for 23 hours.",
        ),
    ],
)
def test_an_open_file_is_reported_with_what_the_next_run_can_do(
    aged: Aged, days: float, guarded: bool, gone: bool, words: str
) -> None:
    path = aged.file(days, settled=False, guarded=guarded)
    if gone:
        path.unlink()

    assert aged.check()["open"] == [words.format(run=run_id(days), folder=path.parent)]


def test_an_open_file_that_is_lost_is_a_fault(aged: Aged) -> None:
    path = aged.file(0.5, settled=False, guarded=False)
    path.unlink()
    aged.sql("update outbox set content = null")

    assert aged.check()["open"] == [
        f"fault: adjustments.jsonl of run {run_id(0.5)} of acme is open for 12 h and gone from {path.parent}, or was "
        "changed: put it back from a copy, else the next run judges its pairs by what Shopify shows."
    ]


def test_unknown_claims_and_a_shop_that_waits_for_a_hard_sync_are_faults(aged: Aged) -> None:
    aged.claim(1, "unknown")
    aged.claim(1, "quarantined", event="E2")
    aged.state.shops.require_hard_sync("acme", "the state was restored")

    done = CliRunner().invoke(app, ["state", "check", "--config", str(aged.config), "--json"])

    assert done.exit_code == 4
    faults = [one["message"] for one in json.loads(done.stdout)["checks"] if one["status"] == "fault"]
    assert faults == [
        "push-deltas of acme waits for a hard sync, for the state was restored: run hard-sync for it.",
        "acme: 1 unknown, of which nobody knows whether Shopify counted them: run hard-sync for acme, which settles them.",
    ]


def test_missing_and_unknown_folders_are_reported(aged: Aged) -> None:
    aged.run(2)
    aged.path(2).rename(aged.folder / "elsewhere")
    aged.run(1)
    aged.leave(1.5)
    aged.leave(0)

    assert aged.check() == {
        "gone": [
            f"warning: The folders of 1 runs are gone ({run_id(2)}): these runs can no longer be explained or undone; "
            "see who moves them."
        ],
        "unknown": [
            f"fault: The state of acme does not know 1 runs that sent something since ({run_id(0)}), so it was "
            "restored or newly made: run hard-sync for it.",
            f"warning: The state of acme does not know 1 run folders ({run_id(1.5)}): runs that were killed, or "
            "folders of another database.",
        ],
    }


def test_a_pruned_folder_is_not_missing(aged: Aged) -> None:
    filled(aged)
    aged.set("keep_days", 150)
    aged.prune()

    assert aged.check() == {}


def test_a_run_at_work_is_reported_and_its_file_is_no_fault(aged: Aged) -> None:
    aged.file(0.5, settled=False)
    with aged.state.lease("acme", run_id(0.5)):
        messages = [one.message for one in upkeep.check(aged.config) if one.name in ("lease", "open")]
        assert aged.check() == {}

    assert messages[0].endswith("is at work on acme.") and messages[1].endswith("and its run is at work.")


def test_a_lease_that_a_dead_run_left_is_reported(aged: Aged) -> None:
    aged.sql("insert into lease values ('acme', 'R1', 'elsewhere', 1, '2026-01-01T00:00:00Z')")

    assert aged.check()["lease"] == [
        "warning: Run R1 (process 1 on elsewhere) was at work on acme and is gone or silent: the next run takes over."
    ]


def test_a_damaged_database_is_a_fault(aged: Aged) -> None:
    for n in range(300):
        aged.claim(1, event=f"E{n}")
    aged.state.close()
    path = aged.folder / "invsync.db"
    (root,) = aged.sql("select rootpage from sqlite_master where name = 'claim_by_status'")[0]
    size = aged.sql("pragma page_size")[0][0]
    with path.open("r+b") as file:
        file.seek(root * size - 200)
        file.write(bytes(200))

    done = CliRunner().invoke(app, ["state", "check", "--config", str(aged.config)])

    assert (done.exit_code, "is damaged (" in done.stdout, "run hard-sync for each shop" in done.stdout) == (
        4,
        True,
        True,
    )


def test_shops_that_never_ran_are_left_out(aged: Aged) -> None:
    configured = settings.load(aged.config)
    with_more = configured.model_copy(
        update={
            "shops": {
                **configured.shops,
                "new": configured.shops["acme"].model_copy(update={"domain": "new.myshopify.com"}),
            }
        }
    )

    assert [shop.name for shop in shops(with_more, aged.state)] == ["acme"]
    assert cutoffs(configured, NOW).webhooks == NOW - timedelta(days=7)
