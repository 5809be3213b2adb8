"""The hard sync end to end: every drift heals, no sold unit goes back on sale, guards stop a broken feed."""

import json
from datetime import timedelta

import papermill
import pytest
import sqlalchemy as sa
from rehearsal import HARD, ONLINE, START, STORE, Rehearsal, inputs

from invsync.engine import inprocess
from invsync.jobs import launch
from invsync.sandbox.oms_tables import METADATA
from invsync.site import index

HOUR = timedelta(hours=1)


def test_every_drift_heals_and_units_in_flight_stay_off_sale(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=5)
    rehearsal.product(2, "B", oms=10, available=13)
    rehearsal.shop.place_order(1001, "#1001", START, [(1, 4)], ONLINE)
    rehearsal.shop.set_level(1, ONLINE, 4)

    facts = rehearsal.run(job=HARD)

    assert facts["exit_code"] == 0 and facts["window"] is None
    assert rehearsal.available(1, 2) == [1, 10]


def test_groups_choose_the_physical_locations_that_are_published(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=5, available=0)
    rehearsal.oms.set_stock("P1", "ST", 3, START)
    rehearsal.shop.set_level(1, STORE, 0)

    rehearsal.run(job=HARD, exclude_groups="FAC_GRP")
    assert rehearsal.available(1, at=STORE) == [0] and rehearsal.available(1) == [8]
    rehearsal.run(job=HARD, include_groups="OTHER")
    assert rehearsal.available(1, at=STORE) == [0]
    rehearsal.run(job=HARD, include_groups="FAC_GRP")
    assert rehearsal.available(1, at=STORE) == [3]


def test_half_of_the_feed_missing_sends_nothing_and_reports_the_numbers(rehearsal: Rehearsal) -> None:
    for item in range(1, 41):
        rehearsal.product(item, f"S{item}", oms=10, available=10)
    rehearsal.run(job=HARD)
    stock = METADATA.tables["product_facility"]
    with rehearsal.oms.batch() as connection:
        connection.execute(sa.delete(stock).where(stock.c.product_id > "P3"))
    rehearsal.oms.set_stock("P1", "WH", 4, START + HOUR)

    facts = rehearsal.run(START + 2 * HOUR, HARD)

    assert facts["exit_code"] == 3 and facts["status"] == "stopped" and rehearsal.shop.journal == []
    assert "min_rows_share" in facts["messages"][-1] and "0.8" in facts["messages"][-1]
    counts = facts["counts"]
    assert counts["applied"] + counts["already_right"] + counts["held"] == counts["selected"] <= counts["read"]
    assert {"adjustments.jsonl", "result.jsonl", "outcomes.parquet", "plan.parquet", "report.html"} <= {
        path.name for path in rehearsal.folder(facts).iterdir()
    }


def test_a_share_going_to_zero_stops_the_run(rehearsal: Rehearsal) -> None:
    for item in range(1, 41):
        rehearsal.product(item, f"S{item}", oms=0 if item <= 25 else 10, available=10)

    facts = rehearsal.run(job=HARD)

    assert facts["exit_code"] == 3 and "max_zeroed_share" in facts["messages"][-1] and rehearsal.shop.journal == []


def test_a_reviewed_plan_is_applied_byte_by_byte(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=9)
    rehearsal.product(2, "B", oms=7, available=9)
    planned = rehearsal.run(job=HARD, dry_run=True)
    assert planned["status"] == "planned" and rehearsal.available(1, 2) == [9, 9]
    rehearsal.shop.set_level(2, ONLINE, 8)

    facts = rehearsal.apply(planned)

    assert facts["applies"] == planned["run_id"] and facts["job"] == HARD
    assert rehearsal.available(1, 2) == [5, 8]  # what moved meanwhile is held, never planned again
    assert facts["exit_code"] == 4 and facts["counts"]["held"] == 1
    files = [rehearsal.folder(one) / "adjustments.jsonl" for one in (planned, facts)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("why", ["changed", "overtaken", "old"])
def test_a_stale_plan_is_refused(rehearsal: Rehearsal, why: str) -> None:
    rehearsal.product(1, "A", oms=5, available=9)
    planned = rehearsal.run(job=HARD, dry_run=True)
    file = rehearsal.folder(planned) / "adjustments.jsonl"
    if why == "changed":
        file.write_text(file.read_text().replace(":-4", ":-3"))
    elif why == "overtaken":
        rehearsal.run(job=HARD)
        rehearsal.shop.set_level(1, ONLINE, 9)
    else:
        given = rehearsal.folder(planned) / "run.json"
        given.write_text(given.read_text().replace(planned["finished_at"], START.isoformat()))
    sent = len(rehearsal.shop.journal)

    facts = rehearsal.apply(planned)

    assert facts["exit_code"] == 3 and "stale" in facts["messages"][-1]
    assert len(rehearsal.shop.journal) == sent


def test_a_run_is_undone_by_a_plan_of_its_inverse(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=9)
    rehearsal.product(2, "B", oms=7, available=7)
    done = rehearsal.run(job=HARD)
    rehearsal.shop.place_order(1001, "#1001", START, [(1, 1)], ONLINE)

    planned = rehearsal.undo(done)
    assert planned["undoes"] == done["run_id"] and planned["status"] == "planned" and rehearsal.available(1) == [4]
    facts = rehearsal.apply(planned)

    assert facts["exit_code"] == 0 and rehearsal.available(1, 2) == [8, 7]
    assert [change["delta"] for line in inputs(rehearsal.folder(facts)) for change in line["changes"]] == [4]


def test_an_inactive_level_is_activated_only_where_the_shop_says_so(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=3)
    rehearsal.product(2, "B", oms=0, available=0)
    rehearsal.shop.set_level(1, ONLINE, 3, active=False)
    rehearsal.shop.set_level(2, ONLINE, 0, active=False)

    held = rehearsal.run(job=HARD)
    assert held["exit_code"] == 4 and held["counts"]["held"] == 2 and rehearsal.available(1) == [3]

    text = rehearsal.config.read_text()
    rehearsal.config.write_text(text.replace("[shops.demo.oms]", "activate_levels = true\n[shops.demo.oms]"))
    facts = rehearsal.run(job=HARD)

    assert facts["exit_code"] == 0 and facts["counts"]["applied"] == 1 and rehearsal.available(1) == [5]
    assert rehearsal.shop.levels[1, ONLINE].active and not rehearsal.shop.levels[2, ONLINE].active


def test_a_buffer_table_stands_above_the_one_number(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=9, available=9)
    rehearsal.product(2, "B", oms=9, available=9)
    table = rehearsal.config.parent / "buffers.csv"
    table.write_text(f"inventory_item_id,location_id,units\n1,{ONLINE},4\n")
    with rehearsal.config.open("a") as file:
        file.write(f'[shops.demo.buffer]\nunits = 1\ntable = "{table}"\n')

    rehearsal.run(job=HARD)

    assert rehearsal.available(1, 2) == [5, 8]


def test_papermill_alone_does_the_same_job_as_safely(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=5, available=9)
    given = {"shop": "demo", "config": str(rehearsal.config), "dry_run": False}
    notebook, out = launch.jobs()[HARD], rehearsal.config.parent / "out.ipynb"

    papermill.execute_notebook(notebook, out, parameters=given, engine_name=inprocess.NAME, progress_bar=False)
    with pytest.raises(papermill.PapermillExecutionError, match="Parameter dry_run must be bool, not 'false'"):
        papermill.execute_notebook(
            notebook, out, parameters=given | {"dry_run": "false"}, engine_name=inprocess.NAME, progress_bar=False
        )

    (folder,) = (rehearsal.config.parent / "reports" / "demo" / HARD).iterdir()
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "done" and rehearsal.available(1) == [5] and rehearsal.state("select * from lease") == []
    assert "all 1 pair" in (folder / "report.html").read_text()


def test_a_product_that_is_linked_twice_is_an_inbox_fault_with_its_ids_until_one_link_is_removed(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.product(1, "A", oms=5, available=2)
    links = METADATA.tables["shopify_shop_product"]
    with rehearsal.oms.batch() as connection:
        (row,) = connection.execute(sa.select(links)).mappings().all()
        connection.execute(
            sa.insert(links).values({**row, "shopify_product_id": "9", "shopify_inventory_item_id": "99"})
        )
    first = rehearsal.run(job=HARD)

    reports = rehearsal.folder(first).parents[2]
    (fault,) = index.build(reports, {}).listing.open
    assert fault.advice == "Product P1 is linked to items 1 and 99: remove one of the links in HotWax."

    with rehearsal.oms.batch() as connection:
        connection.execute(sa.delete(links).where(links.c.shopify_inventory_item_id == "99"))
    second = rehearsal.run(START + 2 * HOUR, HARD)

    listed = index.build(reports, {}).listing
    (mended,) = listed.mended
    assert listed.open == () and rehearsal.available(1) == [5]
    assert mended.mended_path == f"{second['shop']}/{HARD}/{second['run_id']}"
