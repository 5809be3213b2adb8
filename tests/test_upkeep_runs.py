"""Jobs after a prune or a lost folder count each event once."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import oldstate
import pytest
from rehearsal import DELTAS, HARD, RECENT, START, Rehearsal, open_rehearsal

from invsync import upkeep
from invsync.errors import UsageError
from invsync.state import State

HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        yield rehearsal


def by_deltas(kept: Rehearsal) -> None:
    kept.keep_by_deltas()
    kept.oms.add_delta_reason("VAR_DAMAGED")
    kept.product(1, "A", oms=20, available=20)
    kept.run(START + HOUR, DELTAS)


def damage(kept: Rehearsal, at: datetime, count: str) -> None:
    kept.oms.damage("P1", "WH", 1, at, count)


def in_years(monkeypatch: pytest.MonkeyPatch, days: int = 1000) -> None:
    """Move the state's clock on by so many days."""
    monkeypatch.setattr(State, "now", lambda self: datetime.now(UTC) + timedelta(days=days))


def test_old_deltas_are_pruned_and_each_event_stays_counted_once(
    kept: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_deltas(kept)
    for day in range(1, 7):
        damage(kept, START + day * 3 * DAY, f"PI{day}")
        kept.run(START + day * 3 * DAY + MINUTE, DELTAS)
    assert kept.available(1) == [14]
    in_years(monkeypatch)

    removed = upkeep.prune(kept.config).removed["demo"]
    damage(kept, START + 18 * DAY + 2 * MINUTE, "PI7")
    ended = [
        kept.run(START + 18 * DAY + minutes * MINUTE, job)["exit_code"]
        for minutes, job in ((5, DELTAS), (6, HARD), (7, DELTAS))
    ]

    assert removed["claims"] > 0 and kept.state("select count(*) from claim where status = 'sent'") == [(2,)]
    assert (ended, kept.available(1), len(kept.shop.journal)) == ([0, 0, 0], [13], 7)


def test_a_late_delta_run_after_a_prune_still_has_the_claims_of_its_window(
    kept: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_deltas(kept)
    damage(kept, START + HOUR + MINUTE, "PI1")
    kept.run(START + HOUR + 2 * MINUTE, DELTAS)
    in_years(monkeypatch)

    upkeep.prune(kept.config)
    kept.run(START + 30 * DAY, DELTAS)

    assert kept.available(1) == [19] and len(kept.shop.journal) == 1


def test_a_since_before_the_oldest_claim_is_refused(kept: Rehearsal) -> None:
    by_deltas(kept)

    with pytest.raises(UsageError, match=r"since is more than 400 days ago.*keep_claims_days"):
        kept.run(START + 401 * DAY, DELTAS, since=START.isoformat())

    assert kept.run(START + 399 * DAY, DELTAS, since=START.isoformat())["exit_code"] == 0


def test_recent_changes_go_on_from_their_watermark_after_a_prune(
    kept: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.product(1, "A", oms=20, available=18)
    for hours in range(1, 5):
        kept.run(START + hours * HOUR)
    in_years(monkeypatch)

    removed = upkeep.prune(kept.config).removed["demo"]
    facts = kept.run(START + 5 * HOUR)

    assert removed["runs"] == 2  # the newest, and the newest that sent
    assert facts["window"]["from"] is not None and facts["exit_code"] == 0


# -- a folder that vanished


def test_an_open_file_that_vanished_is_reported_judged_and_settled_by_a_hard_sync(kept: Rehearsal) -> None:
    oldstate.live(kept)
    oldstate.put(kept.config.parent)
    path = oldstate.open_file(kept.config.parent)
    oldstate.send(kept, path)
    shutil.rmtree(path.parent)

    deltas = kept.run(START + HOUR + 25 * MINUTE, DELTAS)
    hard = kept.run(START + HOUR + 30 * MINUTE, HARD)

    assert f"adjustments.jsonl of run {oldstate.OPEN_RUN} is gone or was changed" in deltas["messages"][0]
    assert deltas["exit_code"] == 4 and "run a hard sync, which settles them" in " ".join(deltas["messages"])
    assert hard["exit_code"] == 0 and kept.available(1, 2, 3, 4) == [17, 18, 17, 19]
    assert kept.run(START + HOUR + 35 * MINUTE, DELTAS)["exit_code"] == 0


def test_an_open_file_that_vanished_and_never_arrived_is_counted_once(kept: Rehearsal) -> None:
    oldstate.live(kept)
    oldstate.put(kept.config.parent, ago=timedelta(0))
    shutil.rmtree(oldstate.open_file(kept.config.parent).parent)

    kept.run(START + HOUR + 25 * MINUTE, DELTAS)
    kept.run(START + HOUR + 30 * MINUTE, HARD)

    assert kept.available(1, 2, 3, 4) == [17, 18, 17, 19]


@pytest.mark.parametrize("what", ["apply", "undo"])
def test_a_run_whose_folder_vanished_cannot_be_applied_or_undone(kept: Rehearsal, what: str) -> None:
    kept.product(1, "A", oms=20, available=18)
    facts = kept.run(dry_run=what == "apply")
    shutil.rmtree(kept.folder(facts))

    with pytest.raises(UsageError, match=f"The files of run {facts['run_id']} are gone from"):
        (kept.apply if what == "apply" else kept.undo)(facts)


def test_a_job_whose_earlier_folders_vanished_goes_on(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=20, available=18)
    kept.run()
    shutil.rmtree(kept.config.parent / "reports")
    kept.oms.set_stock("P1", "WH", 21, START + 2 * HOUR)

    assert kept.run(START + 3 * HOUR, RECENT)["exit_code"] == 0 and kept.available(1) == [21]
