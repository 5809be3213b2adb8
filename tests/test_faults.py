"""Faults over runs: when one opens, closes, comes back or sleeps; and every number of the inbox counted in plain loops."""

import html
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from faultseries import CURRENCY, END, FAULTS, PLACES, READERS, leave_series
from runfolders import GONE, NOW, leave
from test_charts import outcomes
from test_report_index import CONFIG
from typer.testing import CliRunner

from invsync.charts import NONE, Reader
from invsync.cli import app
from invsync.errors import UsageError
from invsync.report.links import Links
from invsync.site import faults, index, snoozes
from invsync.site.listing import Fault, Listing
from invsync.vocabulary import advice, is_fault, remedy

RIGHT = {"outcome": "already_right", "delta": 0}
INACTIVE = {"outcome": "held", "reason": "inactive_level", "available": 1, "target": 4.0, "after": None}
PARTS = re.compile(r"<[^>]+>")


def after(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def runs(root: Path, *rows: dict[str, Any], together: bool, **options: Any) -> Listing:
    """The faults after one run for each of these rows, a quarter of an hour apart, built in one go or one by one."""
    for n, row in enumerate(rows):
        leave(root, outcomes(row), at=after(15 * n), status="partial", **options)
        if not together:
            index.build(root, {})
    return index.build(root, {}).listing


@pytest.mark.parametrize("together", [True, False])
def test_a_fault_is_open_since_the_first_run_of_its_unbroken_chain(tmp_path: Path, together: bool) -> None:
    (fault,) = runs(tmp_path, GONE, RIGHT, GONE, GONE, together=together).open
    assert (fault.since, fault.at, fault.runs) == (after(30), after(45), 2)


@pytest.mark.parametrize("together", [True, False])
def test_a_run_that_looks_again_closes_it_and_is_named(tmp_path: Path, together: bool) -> None:
    listed = runs(tmp_path, GONE, RIGHT, RIGHT, together=together)
    (fault,) = listed.mended
    assert listed.open == () and fault.mended_at == after(15)
    assert fault.mended_path == f"acme/upload-recent-changes/{after(15):%Y%m%dT%H%M%SZ}-0000"


@pytest.mark.parametrize("together", [True, False])
def test_another_fault_at_the_same_place_is_a_fault_of_its_own_and_nothing_was_mended(
    tmp_path: Path, together: bool
) -> None:
    listed = runs(tmp_path, GONE, INACTIVE, together=together)
    (fault,) = listed.open
    assert fault.what == "Held: not stocked at that location" and fault.since == after(15)
    assert listed.mended == ()


@pytest.mark.parametrize("together", [True, False])
def test_a_pair_that_no_run_looks_at_stays_open(tmp_path: Path, together: bool) -> None:
    other = RIGHT | {"inventory_item_id": 2, "product_id": "P2"}
    (fault,) = runs(tmp_path, GONE, other, other, together=together).open
    assert (fault.since, fault.runs) == (NOW, 1)


@pytest.mark.parametrize("together", [True, False])
def test_an_item_that_is_linked_anew_closes_the_fault_of_its_product(tmp_path: Path, together: bool) -> None:
    listed = runs(tmp_path, GONE, RIGHT | {"inventory_item_id": 2}, together=together)
    assert listed.open == () and len(listed.mended) == 1


@pytest.mark.parametrize("status", ["planned", "stopped"])
def test_a_rehearsal_or_a_guard_neither_opens_nor_closes_a_fault(tmp_path: Path, status: str) -> None:
    leave(tmp_path, outcomes(GONE), status="partial")
    held = {"outcome": "held", "reason": "guard"} if status == "stopped" else RIGHT
    leave(tmp_path, outcomes(held), at=after(15), status=status)
    new = GONE | {"inventory_item_id": 2, "product_id": "P2"}
    leave(tmp_path, outcomes(new if status == "planned" else held), at=after(30), status=status)
    (fault,) = index.build(tmp_path, {}).listing.open
    assert (fault.since, fault.runs) == (NOW, 1)


def test_one_product_at_two_places_is_two_faults_and_one_product(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(GONE, GONE | {"location_id": 11}), status="partial")
    listed = index.build(tmp_path, {}).listing
    assert len(listed.open) == 2 and listed.products == 1
    assert len({fault.id for fault in listed.open}) == 2


def test_what_is_wrong_now_does_not_depend_on_how_often_the_index_was_built(tmp_path: Path) -> None:
    leave_series(tmp_path / "whole", runs=60)
    whole = index.build(tmp_path / "whole", READERS, now=END).listing
    folders = sorted((tmp_path / "whole").glob("*/*/*/run.json"), key=lambda path: path.parent.name)
    for n, path in enumerate(folders):
        run = path.parent
        target = tmp_path / "parts" / run.relative_to(tmp_path / "whole")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(run)
        if n % 7 == 0:
            index.build(tmp_path / "parts", READERS, now=END)
    assert index.build(tmp_path / "parts", READERS, now=END).listing == whole
    assert whole.open and whole.mended


def test_a_closed_fault_is_remembered_for_fifteen_days(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(GONE), status="partial")
    leave(tmp_path, outcomes(RIGHT), at=after(15))
    index.build(tmp_path, {})
    leave(tmp_path, outcomes(RIGHT), at=after(15) + faults.KEEP)
    assert len(index.build(tmp_path, {}).listing.mended) == 1
    leave(tmp_path, outcomes(RIGHT), at=after(16) + faults.KEEP)
    assert index.build(tmp_path, {}).listing.mended == ()


# -- what to do


def test_advice_names_the_very_ids(tmp_path: Path) -> None:
    links = {"reason": "ambiguous_mapping", "message": "Product P1 is linked to items 502 and 502999."}
    leave(tmp_path, outcomes({"outcome": "held", **links}), status="partial")
    leave(tmp_path, outcomes(INACTIVE | {"location_id": 11}), at=after(15), status="partial")
    advices = {fault.what: fault.advice for fault in index.build(tmp_path, {}).listing.open}
    assert advices == {
        "Held: linked twice": "Product P1 is linked to items 502 and 502999: remove one of the links in HotWax.",
        "Held: not stocked at that location": "Stock item 1 at Utrecht (location 11) in Shopify, or let the shop "
        "activate levels.",
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_advice_without_an_id_falls_back_to_the_remedy(fault: dict[str, Any]) -> None:
    assert advice(fault["outcome"], fault.get("reason"), 1, {}) == remedy(fault["outcome"], fault.get("reason"), 1)


def test_the_command_and_the_link_lead_to_the_product(tmp_path: Path) -> None:
    frame = outcomes(GONE | {"sku": "A B"}).with_columns(title=pl.lit("Mug"), shopify_product_id=pl.lit(7))
    leave(tmp_path, frame, status="partial")
    admin = Links("https://admin.shopify.com/store/acme")
    (fault,) = index.build(tmp_path, {}, {"acme": admin}).listing.open
    assert fault.command == "invsync explain --shop acme --sku 'A B' --location 10"
    assert (fault.product, fault.link) == ("Mug", "https://admin.shopify.com/store/acme/products/7")


# -- snoozes


def snoozed(root: Path, fault: Fault, until: str = "2026-12-01") -> None:
    seen = fault.seen
    snoozes.save(root, {fault.id: snoozes.Snooze(until, "the supplier mends it", seen.fault, seen.since, seen.units)})


@pytest.mark.parametrize(("day", "asleep"), [(0, True), (8, True), (9, False)])
def test_a_snooze_ends_with_its_day(tmp_path: Path, day: int, asleep: bool) -> None:
    leave(tmp_path, outcomes(INACTIVE), status="partial")
    snoozed(tmp_path, index.build(tmp_path, {}).listing.open[0])
    listed = index.build(tmp_path, {}, now=NOW + timedelta(days=day)).listing
    assert (len(listed.snoozed), len(listed.open)) == ((1, 0) if asleep else (0, 1))


@pytest.mark.parametrize(
    ("then", "asleep"),
    [
        ([INACTIVE], True),
        ([INACTIVE | {"target": 3.0}], True),
        ([INACTIVE | {"target": 9.0}], False),
        ([RIGHT, INACTIVE], False),
    ],
)
def test_a_snoozed_fault_comes_back_when_it_grows_or_was_mended_between(
    tmp_path: Path, then: list[dict[str, Any]], asleep: bool
) -> None:
    leave(tmp_path, outcomes(INACTIVE), status="partial")
    snoozed(tmp_path, index.build(tmp_path, {}).listing.open[0])
    for n, row in enumerate(then, 1):
        leave(tmp_path, outcomes(row), at=after(15 * n), status="partial")
    assert bool(index.build(tmp_path, {}, now=NOW).listing.snoozed) == asleep


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"a": 1}', '{"a": {"until": "soon", "reason": ""}}', '{"a": {}}'])
def test_a_file_of_snoozes_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / snoozes.FILE).write_text(text)
    with pytest.raises(UsageError, match=r"snoozed\.json"):
        snoozes.load(tmp_path)


# -- the command


def invoked(root: Path, *words: str) -> tuple[int, str]:
    config = root / "invsync.toml"
    config.write_text(CONFIG.format(root=root / "reports"))
    done = CliRunner().invoke(app, ["faults", *words, "--config", str(config)])
    return done.exit_code, done.output


def test_the_command_lists_snoozes_and_wakes(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    assert invoked(tmp_path) == (0, "Nothing needs you.\n")
    leave(root, outcomes(INACTIVE), status="partial")
    code, text = invoked(tmp_path)
    assert code == 4 and "acme: SKU-1 at Amsterdam" in text and "Stock item 1 at Amsterdam" in text
    (fault,) = json.loads(invoked(tmp_path, "--json")[1])["faults"]
    assert (fault["since"], fault["gap"], fault["snooze"]) == (NOW.isoformat(), -3.0, None)

    code, text = invoked(tmp_path, "snooze", fault["id"], "--until", "2999-01-01", "--reason", "the supplier mends it")
    assert code == 0 and "Snoozed until 2999-01-01: acme: SKU-1 at Amsterdam" in text
    assert invoked(tmp_path)[0] == 0 and "the supplier mends it" in invoked(tmp_path, "--all")[1]
    assert "the supplier mends it" in (root / "inbox.html").read_text()
    assert json.loads((root / snoozes.FILE).read_text())[fault["id"]]["reason"] == "the supplier mends it"

    assert invoked(tmp_path, "wake", fault["id"])[0] == 0 and invoked(tmp_path)[0] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["snooze", "nope", "--until", "2999-01-01", "--reason", "x"], "No open fault has the id 'nope'"),
        (["snooze", "nope", "--until", "2020-01-01", "--reason", "x"], "is over"),
        (["snooze", "nope", "--until", "2999-01-01", "--reason", " "], "say why"),
        (["wake", "nope"], "is not snoozed"),
    ],
)
def test_a_wrong_id_day_or_reason_is_a_usage_error(tmp_path: Path, words: list[str], message: str) -> None:
    code, text = invoked(tmp_path, *words)
    assert code == 2 and message in text


def test_the_command_lists_one_shop(tmp_path: Path) -> None:
    leave(tmp_path / "reports", outcomes(GONE), shop="birch", status="partial")
    assert invoked(tmp_path, "--shop", "acme") == (0, "Nothing needs you.\n")
    assert invoked(tmp_path, "--shop", "birch")[0] == 4


# -- the page, counted in plain loops


def walked(root: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The open faults and those mended within 15 days, from the files of the runs alone."""
    begun = []
    for path in root.glob("*/*/*/run.json"):
        record = json.loads(path.read_text())
        begun.append((record["started_at"], str(path.parent.relative_to(root)), record["status"]))
    running: dict[Any, dict[str, Any]] = {}
    mended = []
    titles: dict[Any, str] = {}
    for started, path, status in sorted(begun):
        at = datetime.fromisoformat(started)
        rows = pl.read_parquet(root / path / "outcomes.parquet").with_columns(faulty=is_fault()).to_dicts()
        shop = path.split("/")[0]
        seen: dict[Any, dict[str, Any]] = {}
        places = set()
        for one in rows:
            if one["title"]:
                name = one["title"] + (f", {one['variant_title']}" if one["variant_title"] else "")
                titles[shop, one["inventory_item_id"]] = name
            if one["reason"] == "guard" or status == "planned":
                continue
            place = (shop, one["product_id"], one["location_id"])
            places.add(place)
            if one["faulty"]:
                seen[(*place, one["outcome"], one["reason"])] = one
        for key in list(running):
            if key[:3] in places and key not in seen:
                gone = running.pop(key)
                if not any(other[:3] == key[:3] for other in seen):
                    mended.append(gone | {"mended_at": at, "mended_path": path})
        for key, one in seen.items():
            before = running.get(key, {"since": at, "runs": 0, "since_path": path, "price": None})
            price = one["price"] if one["price"] is not None else before["price"]
            update = {"runs": before["runs"] + 1, "at": at, "path": path, "row": one, "price": price, "shop": shop}
            running[key] = before | update
    newest = max(datetime.fromisoformat(started) for started, _, _ in begun)
    recent = [one for one in mended if newest - one["mended_at"] <= timedelta(days=15)]
    for one in [*running.values(), *recent]:
        one["title"] = titles.get((one["shop"], one["row"]["inventory_item_id"]))
    return list(running.values()), recent


def gap(one: dict[str, Any]) -> float | None:
    shown = one["row"]["after"] if one["row"]["after"] is not None else one["row"]["available"]
    return None if shown is None or one["row"]["target"] is None else shown - one["row"]["target"]


def expected(one: dict[str, Any], reader: Reader) -> list[str]:
    """The words of a row of the page, but for the advice."""
    row, units = one["row"], gap(one)
    names = [one["title"], f"{row['sku']} · {PLACES[row['location_id']]}"]
    if not one["title"]:
        names = [row["sku"], PLACES[row["location_id"]]]
    times = f"{one['runs']} run{'' if one['runs'] == 1 else 's'}"
    known = units is not None and one["price"] is not None
    amount = reader.money(abs(units or 0) * one["price"], CURRENCY[one["shop"]]) if known else NONE
    side = (
        "not known"
        if units is None
        else "none"
        if not units
        else f"{abs(units):g} too {'many' if units > 0 else 'few'}"
    )
    return [*names, one["shop"], reader.day(one["since"]), f"{times}, last", reader.moment(one["at"]), amount, side]


def rows_of(text: str, place: str) -> list[list[str]]:
    """The texts of each row of a section's table."""
    section = re.search(rf'<section aria-labelledby="{place}">(.*?)</section>', text, re.DOTALL)
    assert section
    rows = re.findall(r'<tr role="row"[^>]*>\s*(<td.*?)</tr>', section[1], re.DOTALL)
    without = [re.sub(r'<td role="cell" class="todo">.*?</td>', "", row, flags=re.DOTALL) for row in rows]
    return [[part.strip(" ·") for part in PARTS.split(html.unescape(row)) if part.strip(" ·\n")] for row in without]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_number_of_the_inbox_equals_a_count_in_plain_loops(tmp_path: Path, seed: int) -> None:
    leave_series(tmp_path, seed=seed)
    index.build(tmp_path, READERS, now=END)
    text = (tmp_path / "inbox.html").read_text(encoding="utf-8")
    running, mended = walked(tmp_path)
    assert len(running) > 3 and len(mended) > 3

    wanted = [expected(one, READERS[one["shop"]]) for one in running]
    assert sorted(rows_of(text, "open")) == sorted(wanted)
    closed = [
        [
            *expected(one, READERS[one["shop"]])[:3],
            one["mended_path"].split("/")[2],
            READERS[one["shop"]].moment(one["mended_at"]),
        ]
        for one in mended
    ]
    assert sorted(rows_of(text, "mended")) == sorted(closed)[:100]

    sums: dict[tuple[str, bool], float] = {}
    unvalued = 0
    for one in running:
        units = gap(one)
        if units is None or one["price"] is None:
            unvalued += 1
            continue
        key = CURRENCY[one["shop"]], units > 0
        sums[key] = sums.get(key, 0.0) + abs(units) * one["price"]
    words = html.unescape(PARTS.sub(" ", text))
    products = {(one["shop"], one["row"]["product_id"]) for one in running}
    assert f"{len(products)} products need you" in words
    for (currency, up), amount in sums.items():
        shown = Reader().money(amount, currency)
        assert shown in words, (currency, up)
    plural = "fault without" if unvalued == 1 else "faults without"
    assert (f"{unvalued} {plural} a price" in words) == bool(unvalued)
