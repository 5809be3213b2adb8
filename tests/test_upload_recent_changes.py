"""The job end to end: a real HTTP shop and a real SQLite OMS, the documented stories by name."""

import gc
import json
import re
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from rehearsal import ONLINE, RECENT, START, STORE, TOKEN, Rehearsal

from invsync import errors
from invsync.jobs.start import new_run_id
from invsync.sandbox import demo
from invsync.shopify import retry
from invsync.shopify.retry import Patience, Unanswered
from invsync.state import File, State

JOB = RECENT


def changes(folder: Path) -> list[dict[str, Any]]:
    return [change for line in (folder / "adjustments.jsonl").open() for change in json.loads(line)["input"]["changes"]]


@pytest.mark.parametrize("transport", ["direct", "bulk"])
def test_the_documentations_products_a_to_e(rehearsal: Rehearsal, transport: str) -> None:
    for item, (sku, oms, available) in enumerate(
        [("A", 95, 100), ("B", 50, 50), ("C", 30, 25), ("D", 8, 8), ("E", 0, 0)], 1
    ):
        rehearsal.product(item, sku, oms=oms, available=available)

    facts = rehearsal.run(transport=transport)

    assert facts["exit_code"] == 0 and facts["transport"] == transport
    assert rehearsal.available(1, 2, 3, 4, 5) == [95, 50, 30, 8, 0]
    assert sorted(change["delta"] for change in changes(rehearsal.folder(facts))) == [-5, 5]
    assert {entry["inventory_item_id"] for entry in rehearsal.shop.journal} == {1, 3}
    assert facts["counts"]["applied"] == 2 and facts["counts"]["already_right"] == 3
    assert facts["units"] == {"raised": 5, "lowered": 5}


def test_units_of_an_order_not_downloaded_yet_stay_off_sale(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=5)
    rehearsal.shop.place_order(1001, "#1001", START, [(1, 4)], ONLINE)

    facts = rehearsal.run()

    assert rehearsal.available(1) == [1] and rehearsal.shop.journal == []
    assert facts["in_flight"] == {"orders": 1, "units": 4, "pairs": 1}


def test_what_a_store_sold_leaves_the_online_number_before_the_oms_hears_of_it(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=5, available=8)
    rehearsal.oms.set_stock("P1", "ST", 3, START)
    rehearsal.shop.set_level(1, STORE, 3)
    rehearsal.run(START + timedelta(hours=1))
    rehearsal.shop.place_order(1001, "#1001", START + timedelta(hours=2), [(1, 2)], STORE)

    facts = rehearsal.run(START + timedelta(hours=2, minutes=5))

    assert rehearsal.available(1) == [6] and rehearsal.available(1, at=STORE) == [1]
    assert facts["counts"]["selected"] == 2 and facts["counts"]["applied"] == 1


@pytest.mark.parametrize("imported", [True, False], ids=["an import that broke", "no import at all yet"])
def test_units_sold_since_the_order_import_broke_stay_off_sale_after_the_look_back_too(
    rehearsal: Rehearsal, imported: bool
) -> None:
    """What is open, or what the OMS has missed since its newest order, is subtracted beyond the 14 days of the look-back."""
    rehearsal.product(1, "A", oms=9, available=9)
    if imported:
        rehearsal.oms.import_order("O1", 1000, [("P1", 1)], START)
        rehearsal.shop.place_order(1000, "#1000", START, [(1, 1)], ONLINE)
    rehearsal.shop.place_order(1001, "#1001", START + timedelta(days=1), [(1, 2)], ONLINE)
    rehearsal.shop.place_order(1002, "#1002", START + timedelta(days=19), [(1, 3)], ONLINE)

    facts = rehearsal.run(START + timedelta(days=20))

    assert facts["in_flight"]["units"] == 5 and facts["counts"]["applied"] == 0
    assert rehearsal.available(1) == [3 if imported else 4]


def test_an_event_of_125959_that_becomes_visible_at_130001_is_sent_by_the_1315_run(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=5)
    rehearsal.run(START + timedelta(hours=1))

    rehearsal.oms.adjust("P1", "WH", -2, START + timedelta(minutes=59, seconds=59), "VAR_DAMAGED")
    facts = rehearsal.run(START + timedelta(hours=1, minutes=15))

    assert facts["counts"]["applied"] == 1 and rehearsal.available(1) == [3]


def test_a_refused_row_is_named_with_shopifys_words_and_the_rest_lands(rehearsal: Rehearsal) -> None:
    for item in range(1, 601):
        rehearsal.product(item, f"S{item}", oms=10, available=7)
    with rehearsal.config.open("a") as file:
        file.write("[shops.demo.guards]\nmax_changed_share = 1.0\n")
    rehearsal.shop.refuse |= {5, 250, 251}

    facts = rehearsal.run()

    assert facts["exit_code"] == 4 and facts["counts"]["refused"] == 3 and facts["counts"]["applied"] == 597
    assert rehearsal.available(1, 5, 600) == [10, 7, 10]
    assert "S250" in (rehearsal.folder(facts) / "report.html").read_text()


def test_a_truncated_oms_feed_sends_nothing(rehearsal: Rehearsal) -> None:
    for item in range(1, 41):
        rehearsal.product(item, f"S{item}", oms=10, available=10)
    rehearsal.run()
    for item in range(1, 41):
        rehearsal.oms.adjust(f"P{item}", "WH", -10, START + timedelta(hours=1, minutes=5), "VAR_LOST")

    facts = rehearsal.run(START + timedelta(hours=1, minutes=15))

    assert facts["exit_code"] == 3 and facts["status"] == "stopped" and rehearsal.shop.journal == []
    assert "max_zeroed_share is 1 against the limit 0.05" in facts["messages"][-1]


def test_run_ids_sort_by_time_within_a_second_too() -> None:
    ids = [(sleep(0.0005), new_run_id())[1] for _ in range(50)]

    assert ids == sorted(set(ids)) and all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", one) for one in ids)


def shells() -> int:
    gc.collect()
    return sum(type(one) is InteractiveShell for one in gc.get_objects())


def test_runs_in_this_process_leave_no_more_and_more_behind(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=95, available=100)
    rehearsal.run()
    before = shells()
    for hours in (2, 3, 4):
        rehearsal.run(START + timedelta(hours=hours))

    assert shells() <= before


def test_a_dry_run_writes_the_plan_and_nothing_else(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=95, available=100)

    facts = rehearsal.run(dry_run=True)

    assert facts["status"] == "planned" and rehearsal.available(1) == [100]
    assert [change["delta"] for change in changes(rehearsal.folder(facts))] == [-5]
    assert not (rehearsal.folder(facts) / "outcomes.parquet").exists()
    assert facts["units"] == {"raised": 0, "lowered": 5}  # what would be sent


def test_a_report_calls_locations_what_shopify_calls_them(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=95, available=100)
    rehearsal.shop.add_location(12, "Another")

    facts = rehearsal.run()

    page = (rehearsal.folder(facts) / "report.html").read_text()
    assert facts["locations"] == {str(ONLINE): "Online"}
    assert "most at Online: 0 too few, 5 too many" in page and f"Location {ONLINE}" not in page


def test_a_report_without_location_names_shows_their_numbers(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "backoff", lambda tries: 0)
    rehearsal.product(1, "A", oms=95, available=100)
    rehearsal.shop.faults.arm("error_before", 99, "query locations(")

    facts = rehearsal.run()

    assert facts["status"] == "done" and facts["locations"] == {}
    assert f"most at Location {ONLINE}" in (rehearsal.folder(facts) / "report.html").read_text()


@pytest.mark.parametrize(
    "given", [{"dry_rum": True}, {"dry_run": "false"}, {"transport": "pigeon"}, {"at": "yesterday"}]
)
def test_a_wrong_parameter_is_refused_before_anything_is_called(rehearsal: Rehearsal, given: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError):
        rehearsal.run(**given)

    assert not (rehearsal.config.parent / "reports").exists()


@pytest.mark.parametrize("fault", ["error_before", "error_after", "cut_before", "cut_after", "throttle"])
def test_a_fault_on_the_way_is_healed_and_nothing_is_applied_twice(rehearsal: Rehearsal, fault: str) -> None:
    rehearsal.product(1, "A", oms=95, available=100)
    rehearsal.shop.faults.arm(fault, times=1, match="inventoryAdjustQuantities")

    facts = rehearsal.run()

    assert facts["exit_code"] == 0 and rehearsal.available(1) == [95]
    assert len(rehearsal.shop.journal) == 1


def test_a_wrong_token_fails_with_one_sentence_and_leaves_a_folder(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal.product(1, "A", oms=95, available=100)
    monkeypatch.setenv(demo.TOKEN_ENV, "shpat_wrong_fedcba9876543210")

    facts = rehearsal.run()

    assert facts["exit_code"] == 5 and (rehearsal.folder(facts) / "report.html").exists()
    leaking = [path for path in rehearsal.folder(facts).iterdir() if b"shpat_wrong" in path.read_bytes()]
    assert leaking == []


def test_no_file_of_the_run_folder_holds_a_planted_token(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=95, available=100)

    folder = rehearsal.folder(rehearsal.run())

    assert [path for path in folder.iterdir() if TOKEN.encode() in path.read_bytes()] == []
    assert {path.name for path in folder.iterdir()} >= {
        "report.ipynb",
        "report.html",
        "adjustments.jsonl",
        "mutation.graphql",
        "result.jsonl",
        "plan.parquet",
        "outcomes.parquet",
        "run.json",
    }


def test_an_open_file_that_was_changed_is_not_sent_again_and_the_run_says_so(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=95, available=100)
    file = rehearsal.config.parent / "adjustments.jsonl"
    file.write_text("{}\n")
    state = State(f"sqlite:///{rehearsal.config.parent}/invsync.db")
    with state.lease("demo", "earlier") as lease:
        state.outbox.commit(lease, "earlier", [File(1, file, "0" * 64)], transport="direct")

    facts = rehearsal.run()

    assert "adjustments.jsonl of run earlier is gone or was changed" in facts["messages"][0]
    assert rehearsal.available(1) == [95] and len(rehearsal.shop.journal) == 1


def test_what_changed_while_a_plan_was_reviewed_is_seen_by_the_next_run(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=9, available=9)
    rehearsal.product(2, "B", oms=9, available=9)
    rehearsal.run(START + timedelta(hours=1))
    rehearsal.oms.set_stock("P1", "WH", 5, START + timedelta(hours=2))
    planned = rehearsal.run(START + timedelta(hours=2, minutes=1), dry_run=True)
    rehearsal.oms.set_stock("P2", "WH", 6, START + timedelta(hours=2, minutes=2))

    rehearsal.apply(planned)
    assert rehearsal.available(1, 2) == [5, 9]
    facts = rehearsal.run(START + timedelta(hours=3))

    assert rehearsal.available(1, 2) == [5, 6]
    assert facts["messages"] == []  # nothing was left open


def test_a_shop_that_gives_no_answer_is_reported_in_one_sentence(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal.product(1, "A", oms=9, available=9)
    monkeypatch.setattr(Patience, "after_cut", no_patience)
    rehearsal.shop.faults.arm("cut_before", match="query levels")

    facts = rehearsal.run()

    assert facts["exit_code"] == 5 and facts["messages"] == ["Shopify gave no answer: run again later."]


def no_patience(self: Patience, kind: str) -> None:
    raise Unanswered("Shopify gave no answer: run again later.")
