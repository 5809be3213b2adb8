"""A run's page says what this run did: what never happened is not on it."""

import html
from datetime import timedelta
from typing import Any

import pytest
from rehearsal import HARD, ONLINE, START, Rehearsal, of_shop
from runfolders import leave
from test_charts import outcomes
from trouble import Kept

from invsync.runs import record
from invsync.site import folders

EQUATION = "target = HotWax sellable quantity"
UPLOADED = ("uploads the difference", "were read first, then its orders, then the OMS", "was read back", "was applied")


def page(rehearsal: Rehearsal, facts: dict[str, Any]) -> str:
    return html.unescape((rehearsal.folder(facts) / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def wrong(rehearsal: Rehearsal) -> Rehearsal:
    """Thirty products, of which Shopify shows two units too many."""
    for item in range(1, 31):
        rehearsal.product(item, f"S{item}", oms=10, available=12)
    of_shop(rehearsal.config, "guards = { max_changed_share = 1 }")
    return rehearsal


def test_a_stopped_runs_page_describes_no_upload_and_blames_no_pair(wrong: Rehearsal) -> None:
    wrong.config.write_text(wrong.config.read_text().replace("max_changed_share = 1", "max_changed_share = 0.1"))
    facts = wrong.run(START, HARD)
    made = page(wrong, facts)

    assert facts["status"] == "stopped" and facts["counts"]["held"] == 30 and facts["counts"]["needs_a_person"] == 0
    assert "Nothing for this pair alone" not in made and "No single pair: see why the run was stopped." in made
    assert [words for words in UPLOADED if words in made] == []
    assert "The run ended after it made its plan, before it sent anything." in made
    (row,) = folders.table(wrong.config.parent / "reports", folders.stamps(wrong.config.parent / "reports")).to_dicts()
    assert row["needs"] == 0


def test_a_failed_runs_page_describes_no_read_that_never_happened(
    wrong: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invsync.shopify.retry.backoff", lambda failed: 0.01)
    wrong.config.write_text(wrong.config.read_text().replace("endpoint = ", 'endpoint = "http://127.0.0.1:9" #'))
    facts = wrong.run(START, HARD)
    made = page(wrong, facts)

    assert facts["status"] == "failed"
    assert [words for words in UPLOADED if words in made] == []
    assert "The run ended before it made a plan: nothing was sent." in made
    assert "every pair, whenever it was touched" not in made


def test_a_stopped_run_of_an_earlier_version_does_not_count_what_its_guard_held(tmp_path: Any) -> None:
    held = {"outcome": "held", "reason": "guard", "delta": 2}
    folder = leave(tmp_path, outcomes(held, held), status="stopped", counts={"selected": 2, "held": 2, "planned": 2})

    (row,) = folders.table(tmp_path, folders.stamps(tmp_path)).to_dicts()
    assert row["needs"] is None and record.read(folder) is not None


def test_the_pages_of_undo_and_apply_describe_what_they_did(wrong: Rehearsal) -> None:
    first = wrong.run(START, HARD, dry_run=False)
    planned = wrong.undo(first)
    applied = wrong.apply(planned)
    undone, sent = page(wrong, planned), page(wrong, applied)

    assert wrong.available(1, at=ONLINE) == [12]
    assert EQUATION in page(wrong, first) and EQUATION not in undone and EQUATION not in sent
    assert f"target = what Shopify shows now \N{MINUS SIGN} what run {first['run_id']} added" in undone
    assert f"Run {first['run_id']} can be undone: 30 pairs would be changed back; nothing was sent." in undone
    assert "was read back" not in undone and "This run was a rehearsal: nothing was sent." in undone
    assert f"The plan of run {planned['run_id']} is sent as it was reviewed, byte by byte" in sent
    assert "the right number" not in sent and "What was written was read back." in sent


def test_a_stale_plan_is_stopped_by_no_guard(wrong: Rehearsal) -> None:
    planned = wrong.run(START, HARD, dry_run=True)
    wrong.run(START + timedelta(minutes=5), HARD, dry_run=False)
    facts = wrong.apply(planned)
    made = page(wrong, facts)

    assert facts["status"] == "stopped" and "The run was stopped before anything was sent." in made
    assert "A guard stopped the run" not in made and "raise that limit" not in made


def test_a_rehearsals_page_says_that_nothing_was_sent(wrong: Rehearsal) -> None:
    made = page(wrong, wrong.run(START, HARD, dry_run=True))

    assert EQUATION in made and "was read back" not in made and "was applied" not in made


@pytest.mark.parametrize(("moment", "sent"), [("at its first answer", True), ("before its commit", False)])
def test_a_killed_runs_page_says_whether_something_may_have_been_sent(
    rehearsal: Rehearsal, moment: str, sent: bool
) -> None:
    """At its first answer Shopify has taken the change, and the machine stops before the answer is on its disk."""
    kept = Kept(rehearsal)
    kept.counted(3)
    kept.killed(moment)
    landed = kept.available
    kept.run()
    made = html.unescape((kept.folders()[-2] / "report.html").read_text(encoding="utf-8"))

    assert kept.available == 13 and landed == (13 if sent else 10)
    assert "The run was killed before its end" in made
    assert ("Some changes may have reached Shopify before it failed." in made) is sent
    assert ("The run failed after it began to send" in made) is sent
    assert ("Nothing was sent." in made or "before it sent anything" in made) is not sent
