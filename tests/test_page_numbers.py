"""Every number on the page of a run, recomputed in plain loops from the files beside it."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from rehearsal import HARD, ONLINE, START, Rehearsal
from runfolders import outcomes

from invsync.report import find, remediation
from invsync.report import money as amounts
from invsync.vocabulary import OUTCOMES, outcome_words

Row = dict[str, Any]
MINUTE = timedelta(minutes=1)
SENT = ("applied", "superseded")
WRONG = ("refused", "unknown")


@pytest.fixture
def folder(rehearsal: Rehearsal) -> Path:
    """A hard sync that raises, lowers, keeps sold units off sale, and leaves pairs of three kinds to a person."""
    stock = [(1, 9, 5, "2.50"), (2, 3, 30, "12.00"), (3, 8, 8, "4.00"), (4, 7, 2, "100.00"), (5, 2, 6, "10.00")]
    for item, oms, available, price in [*stock, (6, 20, 20, "1.25"), (7, 2, 4, "3.00"), (8, 5, 4, "0.99")]:
        rehearsal.product(item, f"SKU-{item}", oms=oms, available=available, price=price)
    rehearsal.shop.set_level(5, ONLINE, 6, active=False)
    rehearsal.shop.refuse.add(4)
    del rehearsal.shop.items[7]
    now = START + 60 * MINUTE
    rehearsal.shop.place_order(1001, "#1001", now - 20 * MINUTE, [(6, 3), (3, 1)], ONLINE)
    rehearsal.shop.place_order(1002, "#1002", now - 5 * MINUTE, [(6, 2)], ONLINE)
    return rehearsal.folder(rehearsal.run(now, job=HARD))


@pytest.fixture
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def rows(folder: Path) -> list[Row]:
    return pl.read_parquet(folder / "outcomes.parquet").to_dicts()


def is_fault(row: Row) -> bool:
    """A pair that needs a person: refused or not known, or held for a reason that only a person can mend."""
    return row["outcome"] in WRONG or (row["outcome"] == "held" and row["reason"] in ("unknown_item", "inactive_level"))


def price(row: Row) -> float:
    return row["price"] or 0.0


def gap(row: Row) -> float | None:
    shown = row["available"] if row["after"] is None else row["after"]
    return None if shown is None or row["target"] is None else shown - row["target"]


def money(amount: float) -> str:
    """Pounds with three significant digits, and pence below ten."""
    near = float(f"{amount:.3g}")
    return f"£{near:.2f}" if 0 < near < 10 else f"£{near:,.0f}"


def tiles(page: str) -> dict[str, tuple[str, str]]:
    """The value and the note of each figure at the head of the page."""
    listed = re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)(?:<small>([^<]*)</small>)?</dd>", page.split("<main>")[0])
    return {name: (value, note) for name, value, note in listed}


def table(page: str) -> tuple[list[list[str]], list[list[Any]], Iterator[Row]]:
    """The kinds, the orders and the rows of the table of what changed."""
    (packed,) = re.findall(r'id="pairs">([^<]+)<', page)
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    columns = data["rows"]
    return (
        data["kinds"],
        data["orders"],
        (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)),
    )


def test_the_figures_are_sums_over_the_outcomes(page: str, rows: list[Row], folder: Path) -> None:
    right = raised = lowered = kept = faults = 0
    worth = dict.fromkeys(["raised", "lowered", "kept", "risk"], 0.0)
    for row in rows:
        right += row["outcome"] in ("already_right", *SENT)
        kept += row["in_flight"] or 0
        worth["kept"] += (row["in_flight"] or 0) * price(row)
        if row["outcome"] in SENT and row["delta"] > 0:
            raised, worth["raised"] = raised + row["delta"], worth["raised"] + row["delta"] * price(row)
        if row["outcome"] in SENT and row["delta"] < 0:
            lowered, worth["lowered"] = lowered - row["delta"], worth["lowered"] - row["delta"] * price(row)
        if is_fault(row):
            faults += 1
            worth["risk"] += abs(gap(row) or 0) * price(row)
    orders = {row["order_id"] for row in pl.read_parquet(folder / "in_flight.parquet").to_dicts()}

    assert min(right, raised, lowered, kept, faults, *worth.values()) > 0, "the run has some of each"
    assert tiles(page) == {
        "Pairs right": (str(right), f"of {len(rows)} looked at"),
        "Units raised": (str(raised), f"put on sale, worth {money(worth['raised'])}"),
        "Units lowered": (str(lowered), f"taken off sale, worth {money(worth['lowered'])}"),
        "Sold units kept off sale": (
            str(kept),
            f"in {len(orders)} orders HotWax had not booked, worth {money(worth['kept'])}",
        ),
        "Pairs that need a person": (str(faults), f"see the list below, {money(worth['risk'])} at risk"),
    }
    assert f"Shopify is right for {right} pairs, but {faults} pairs need a person." in page


def test_what_needs_you_counts_and_values_each_class(page: str, rows: list[Row]) -> None:
    classes: dict[str, tuple[int, float]] = {}
    over = under = 0.0
    unvalued = 0
    for row in filter(is_fault, rows):
        refused = f"Refused by Shopify: {row['message']}"
        words = refused if row["outcome"] == "refused" else outcome_words(row["outcome"], row["reason"])
        off = gap(row)
        pairs, risk = classes.get(words, (0, 0.0))
        classes[words] = pairs + 1, risk + abs(off or 0) * price(row)
        over += max(off or 0, 0) * price(row)
        under += max(-(off or 0), 0) * price(row)
        unvalued += off is None or row["price"] is None
    shown = re.findall(r'iv-count">(\d+) pairs?</strong> <span>(.*?)</span>(?: <span[^>]*>(\S+) at risk)?', page)

    assert len(classes) == 3
    assert {unescape(words): (int(pairs), risk) for pairs, words, risk in shown} == {
        words: (pairs, money(risk) if risk else "") for words, (pairs, risk) in classes.items()
    }
    assert f"At risk: {money(over + under)}." in page
    assert f"beyond what it should ({money(over)})" in page and f"and does not ({money(under)})" in page
    assert ("without a price or a target not counted" in page) == bool(unvalued)


def test_the_table_has_every_pair_with_its_numbers_orders_and_outcome(page: str, rows: list[Row], folder: Path) -> None:
    kinds, orders, listed = table(page)
    flights = pl.read_parquet(folder / "in_flight.parquet").to_dicts()
    changed = needs = 0
    by_item = {row["item"]: row for row in listed}
    for row in rows:
        shown = by_item[row["sku"]]
        for name in ("available", "oms", "in_flight", "set_aside", "buffer", "target", "delta", "after", "price"):
            assert shown[name] == row[name], (row["sku"], name)
        words, todo, group = kinds[shown["what"]]
        assert words == outcome_words(row["outcome"], row["reason"]) and bool(todo) == is_fault(row)
        moved = row["outcome"] in SENT and row["delta"] != 0
        assert group == ("needs" if is_fault(row) else "changed" if row["outcome"] in SENT else "")
        named = [orders[place][1] for place in shown["orders"] or []]
        assert named == [
            flight["name"] for flight in flights if flight["inventory_item_id"] == row["inventory_item_id"]
        ]
        changed, needs = changed + moved, needs + is_fault(row)

    groups = re.findall(r'value="(\w+)"><span>[^<]*<b>([\d,]+)</b>', page)
    assert groups == [("changed", str(changed)), ("needs", str(needs)), ("all", str(len(rows)))]
    assert f"{len(rows)} of {len(rows)} pairs can be looked up here" in page


def test_the_table_of_classes_counts_each_outcome(page: str, rows: list[Row]) -> None:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
    made = page.split("Pairs, each in one class</caption>")[1].split("</table>")[0]
    shown = dict(re.findall(r"<tr><td>([^<]+)</td><td class=\"n\">(\d+)</td>", made))

    assert {words: int(pairs) for words, pairs in shown.items() if pairs != "0"} == {
        OUTCOMES[name].words: pairs for name, pairs in counts.items()
    }


def test_the_files_have_the_sizes_and_lines_that_the_page_says(page: str, folder: Path) -> None:
    listed = re.findall(
        r'<td><a href="([^"]+)">.*?</td><td class="wide">.*?</td><td class="n">([^<]*)</td><td class="n">([\d,]+)</td>',
        page.split('id="files"')[1],
    )
    assert "outcomes.parquet" in [name for name, _, _ in listed]
    for name, lines, size in listed:
        read = (folder / name).read_bytes()
        if not name.endswith(("run.json", ".ipynb")):
            assert len(read) == int(size.replace(",", "")), name
        if name.endswith(".jsonl"):
            assert read.count(b"\n") == int(lines.replace(",", "")), name


@pytest.mark.parametrize("name", ["outcomes.parquet", "plan.parquet"])
def test_a_page_of_a_large_run_reads_no_more_than_it_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pick, kinds = Random(5), [("already_right", 0), ("already_right", 2), ("applied", 3), ("held", 0), ("refused", -2)]
    rows = []
    for n in range(400):
        outcome, delta = pick.choice([kinds[0]] * 8 + kinds)
        row = {"inventory_item_id": pick.randrange(10**6), "outcome": outcome, "delta": delta}
        rows.append(row | {"in_flight": pick.choice([0] * 9 + [4]), "sku": f"S{n}"})
    every = amounts.described(outcomes(*rows)).with_columns(price=pl.lit(2.5), currency=pl.lit("EUR"))
    if name == "plan.parquet":  # of a rehearsal, which has no outcomes
        held = pl.when(pl.col("outcome").is_in(["held", "refused"])).then(pl.lit("fractional"))
        every = every.with_columns(held=held).drop("outcome", "reason", "message", "after", "after_at")
    file = tmp_path / name
    every.write_parquet(file)
    monkeypatch.setattr(find, "MOST", 150)

    fewer, count = find.read(file)

    assert count == every.height and fewer.height < 350
    assert find.packed(fewer) == find.packed(every)
    assert find.totals(fewer, count) == find.totals(every, every.height)
    assert amounts.worth(amounts.priced(fewer)) == amounts.worth(amounts.priced(every))
    assert remediation.needs(amounts.priced(fewer)) == remediation.needs(amounts.priced(every))
