"""The week of a shop: each figure against rows that a reader can add up."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from runfolders import GONE, leave
from test_charts import outcomes
from test_report_index import CONFIG
from typer.testing import CliRunner

from invsync import tables
from invsync.charts import Reader
from invsync.cli import app
from invsync.errors import UsageError
from invsync.site import history, index, week, week_page

SUNDAY = date(2026, 11, 22)
MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
RIGHT = {"outcome": "already_right", "delta": 0}
READERS = {"acme": Reader("en-GB", "Europe/Amsterdam")}


def of(root: Path, prices: week.Prices | None = None, *, ending: date = SUNDAY, zone: str = "UTC") -> week.Week:
    kept = history.load(root / "_site" / "state")
    history.extend(kept, root)
    return week.week(kept, "acme", ending, prices or week.shopify_prices(kept, "acme"), zone=zone)


def item(name: str, **values: object) -> dict[str, object]:
    return {"sku": name, "product_id": name, "inventory_item_id": sum(name.encode()), **values}


def page(root: Path, **options: Path) -> str:
    return html.unescape(week_page.write(root, "acme", READERS, ending=SUNDAY, **options).read_text(encoding="utf-8"))


def test_accuracy_is_the_share_of_pairs_right_before_any_change(tmp_path: Path) -> None:
    held = {"outcome": "held", "reason": "untracked", "delta": None}
    leave(tmp_path, outcomes(RIGHT, RIGHT, RIGHT, {"delta": 2}, held), at=MONDAY)
    assert of(tmp_path).accuracy == 0.75


def test_the_week_lists_the_orders_in_flight_of_its_last_hard_sync_with_their_reasons(tmp_path: Path) -> None:
    def fault(folder: Path, name: str, reason: str) -> None:
        row = {"name": name, "order_id": 1, "units": 3, "reason": reason, "location_id": 7, "created_at": MONDAY}
        pl.DataFrame([row], schema=tables.IN_FLIGHT).write_parquet(folder / "in_flight.parquet")

    fault(leave(tmp_path, outcomes(RIGHT), at=MONDAY, job="hard-sync"), "#1001", "edited after import")
    fault(leave(tmp_path, outcomes(RIGHT), at=MONDAY + timedelta(hours=1)), "#1002", "not imported")

    text = page(tmp_path)

    assert "#1001" in text and "edited after import" in text and "#1002" not in text


def test_accuracy_is_measured_on_hard_syncs_where_there_are_any(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"delta": 2}), at=MONDAY)
    leave(tmp_path, outcomes(RIGHT, {"delta": 2}), at=MONDAY, job="hard-sync")
    assert of(tmp_path).accuracy == 0.5 and "1 hard sync of every mapped pair" in page(tmp_path)


def test_units_in_flight_count_once_and_have_a_price(tmp_path: Path) -> None:
    for n, units in enumerate([3, 3, 4]):
        leave(tmp_path, outcomes(item("A", in_flight=units) | RIGHT), at=MONDAY + timedelta(minutes=15 * n))
    leave(tmp_path, outcomes(item("B", in_flight=4) | RIGHT), at=MONDAY + timedelta(hours=2))
    prices = week.Prices(pl.DataFrame({"item": ["A"], "price": [2.5]}), "EUR")
    now = of(tmp_path, prices)
    assert now.kept_off == 8 and now.worth(now.protected()) == (10.0, 0.5)


def test_units_in_flight_of_an_item_that_keeps_stock_would_have_oversold_none(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(item("A", in_flight=5, target=3) | RIGHT), at=MONDAY)
    leave(tmp_path, outcomes(item("A", in_flight=0, target=3) | RIGHT), at=MONDAY + timedelta(minutes=15))

    assert of(tmp_path).kept_off == 5 and of(tmp_path).at_most == 0
    text = page(tmp_path)
    assert "Sold units kept off sale" in text and "would have oversold none: no stock ran out" in text
    assert "avoided" not in text


@pytest.mark.parametrize(
    ("looks", "most"),
    [
        ([(3, 0)], 3),  # nothing left, and 3 in flight
        ([(3, 2), (5, 0)], 5),  # the stock ran out between two looks
        ([(3, 2), (0, 0)], 3),  # it ran out, and the OMS has booked all by then
        ([(3, 0), (3, 0), (4, 0)], 4),  # a unit is counted once
        ([(3, 0), (2, 0), (4, 0)], 5),  # one was booked, two came
        ([(3, 0), (0, 5), (2, 5)], 3),  # stock came back
        ([(3, 2), (3, 1), (0, 1)], 0),
    ],
)
def test_at_most_the_units_in_flight_of_items_that_ran_out_would_have_oversold(
    tmp_path: Path, looks: list[tuple[int, int]], most: int
) -> None:
    for n, (units, target) in enumerate(looks):
        rows = outcomes(item("A", in_flight=units, target=target) | RIGHT)
        leave(tmp_path, rows, at=MONDAY + timedelta(minutes=15 * n))
    week_ = of(tmp_path)
    was, had_sold_out, counted = 0, False, 0
    for units, target in looks:
        if target <= 0:
            counted += max(units - was, 0) + (0 if had_sold_out else was)
        was, had_sold_out = units, target <= 0

    assert week_.at_most == most == counted


def test_units_at_risk_are_the_same_run_by_run_and_have_a_price(tmp_path: Path) -> None:
    for n, units in enumerate([3, 4]):
        leave(tmp_path, outcomes(item("A", in_flight=units, target=0) | RIGHT), at=MONDAY + timedelta(minutes=n))
        of(tmp_path)  # which keeps the history
        kept = history.load(tmp_path / "_site" / "state")
        history.extend(kept, tmp_path)
        kept.save()
    prices = tmp_path / "prices.csv"
    prices.write_text("sku,price,currency\nA,2.50,EUR\n")

    assert of(tmp_path).at_most == 4
    assert "would have oversold 0 to 4 units (up to €10)" in page(tmp_path, prices=prices)


def test_titles_and_money_come_from_shopify_and_every_figure_adds_up(tmp_path: Path) -> None:
    def sold(name: str, price: float, **values: object) -> dict[str, object]:
        return item(name, title=f"{name.lower()} of oak", price=price, currency="GBP", **values)

    runs = [
        [sold("A", 2.5, delta=-4, in_flight=2), sold("B", 10, delta=3), sold("C", 99, **RIGHT)],
        [
            sold("A", 3.0, in_flight=5, **RIGHT),
            sold("B", 10, delta=-1),
            sold("D", 7, target=6, available=2, after=None, **GONE),
        ],
    ]
    for n, rows in enumerate(runs):
        leave(tmp_path, described(rows), at=MONDAY + timedelta(hours=n), status="partial")
    price, last, right_before, judged, lowered, kept_off, was = {}, {}, 0, 0, {}, {}, {}
    for rows in runs:
        for row in rows:
            name = str(row["sku"])
            price[name], outcome = row["price"], row.get("outcome", "applied")
            last[name] = outcome
            if outcome != "held":
                judged, right_before = judged + 1, right_before + (outcome == "already_right")
            if outcome == "applied":
                lowered[name] = lowered.get(name, 0) + max(-row["delta"], 0)
            kept_off[name] = kept_off.get(name, 0) + max(row.get("in_flight", 0) - was.get(name, 0), 0)
            was[name] = row.get("in_flight", 0)
    ended = [outcome for outcome in last.values() if outcome != "held"]
    right = sum(outcome != "refused" for outcome in ended) / len(ended)

    text = page(tmp_path)
    figures = {name: (value, note) for name, value, note in FIGURE.findall(text.split("<main>")[0])}

    assert figures["Right after the last look"] == (share(right), f"{share(right_before / judged)} before each run")
    assert figures["Taken off sale, units"][0] == str(sum(lowered.values()))
    assert f"£{sum(units * price[name] for name, units in lowered.items()):.0f} at unit prices" in text
    assert figures["Sold units kept off sale"][0] == str(sum(kept_off.values()))
    assert f"£{sum(units * price[name] for name, units in kept_off.items()):.0f} at unit prices" in text
    assert "a of oak<small>A</small>" in text and "d of oak at " in text
    assert f"£{(6 - 2) * 7} at risk" in figures["Open faults, pairs"][1] and "At risk: £28." in text


def described(rows: list[dict[str, object]]) -> pl.DataFrame:
    """OUTCOMES_FILE of these rows."""
    added = [{name: row.pop(name) for name in ("title", "price", "currency")} for row in map(dict, rows)]
    frame = outcomes(*({key: row[key] for key in row if key not in added[0]} for row in rows))
    columns = {name: pl.Series([each[name] for each in added], dtype=tables.PRODUCTS[name]) for name in added[0]}
    return frame.with_columns(**columns)


FIGURE = re.compile(r"<dt>([^<]+)</dt><dd>([^<]+)(?:<small>([^<]*)</small>)?</dd>")


def share(value: float) -> str:
    return f"{float(f'{100 * value:.3g}'):g}\N{NO-BREAK SPACE}%"


def test_a_week_of_deltas_alone_does_not_know_what_would_have_been_oversold(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(item("A") | RIGHT), at=MONDAY, job="push-deltas")

    assert of(tmp_path).at_most is None and "how many would have been oversold is not known" in page(tmp_path)


def test_a_week_is_seven_days_of_the_shops_zone(tmp_path: Path) -> None:
    first = datetime(2026, 11, 15, 23, 30, tzinfo=UTC)
    for at in (first, first + timedelta(days=7), first - timedelta(hours=1)):
        leave(tmp_path, outcomes(item(f"{at}", delta=1)), at=at)
    assert of(tmp_path, zone="Europe/Amsterdam").made == 1 and of(tmp_path, zone="UTC").made == 1
    days = of(tmp_path, zone="Europe/Amsterdam").days("Europe/Amsterdam")
    assert days["raised"].to_list() == [1, 0, 0, 0, 0, 0, 0] and days["day"][0] == date(2026, 11, 16)


def test_the_worst_places_come_first(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(item("A", delta=5), item("B", delta=-9), item("A", delta=-1, location_id=11)), at=MONDAY)
    assert of(tmp_path).worst("item").select("item", "raised", "lowered", "times").rows() == [
        ("B", 0, 9, 1),
        ("A", 5, 1, 2),
    ]


def test_an_open_fault_has_its_age_and_a_mended_one_is_gone(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(item("A") | GONE, item("B") | GONE), at=MONDAY, status="partial")
    leave(tmp_path, outcomes(item("B")), at=MONDAY + timedelta(days=3))
    index.build(tmp_path, READERS)
    faults = week.open_faults(history.load(tmp_path / "_site" / "state"), "acme", MONDAY + timedelta(days=2))
    assert faults.select("item", "age").rows() == [("A", 2.0)]


def test_the_page_is_in_the_language_of_the_shop_and_defines_its_terms(tmp_path: Path) -> None:
    for week_ago in (0, 7):
        at = MONDAY - timedelta(days=week_ago)
        leave(tmp_path, outcomes(item("A", delta=-1200 - week_ago), item("B", in_flight=2) | RIGHT), at=at)
    prices = tmp_path / "prices.csv"
    prices.write_text("sku,price,currency\nA,2.50,EUR\nB,10,EUR\n")
    text = page(tmp_path, prices=prices)
    assert (
        "right for 50\N{NO-BREAK SPACE}% of the pairs before each run, and for 100\N{NO-BREAK SPACE}% after; nothing is left open."
        in text
    )
    assert "1,200" in text and "€3,000 at unit prices" in text
    assert re.search(
        'Taken off sale, units</td><td class="n">1,200</td><td class="n">1,207</td><td class="n">\N{MINUS SIGN}7<', text
    )
    assert "the share that Shopify showed right before the run changed anything" in text


def test_the_page_is_one_file_without_scripts_or_links(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}), at=MONDAY)
    text = page(tmp_path)
    assert "<script" not in text and "href=" not in text and "script-src 'none'" in text
    assert len(text) < 300_000 and "No run was made in the week before." in text


def test_a_week_without_a_run_says_so(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}), at=MONDAY + timedelta(days=20))
    text = page(tmp_path)
    assert "No run looked at Shopify in this week." in text and "Nothing is known of this week" in text
    assert "was right whenever a run looked" not in text and "is right, or is left aside" not in text


@pytest.mark.parametrize(("age", "ends"), [(0, 0), (1, 1), (30, 1)])
def test_the_week_ends_yesterday_or_on_a_shops_first_day(tmp_path: Path, age: int, ends: int) -> None:
    now = datetime.now(UTC)
    leave(tmp_path, outcomes({}), at=now - timedelta(days=age))
    written = week_page.write(tmp_path, "acme", {"acme": Reader("en-GB", "UTC")})
    assert written.stem in {str(moment.date() - timedelta(days=ends)) for moment in (now, datetime.now(UTC))}


def test_the_index_leads_to_the_newest_week(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}), at=MONDAY)
    page(tmp_path)
    assert 'href="acme/weekly/2026-11-22.html"' in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sku,price\nA,1\n",
        "sku,price,currency\nA,x,EUR\n",
        "sku,price,currency\nA,1,EUR\nB,1,USD\n",
        "sku,price,currency\nA,-1,EUR\n",
        "sku,price,currency\nA,1,EUR\nA,2,EUR\n",
        "sku;price;currency\nA;1,50;EUR\n",
    ],
)
def test_prices_that_cannot_be_used_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"prices\.csv"):
        week.read_prices(path)


def test_the_command_writes_it_and_refuses_an_unknown_shop(tmp_path: Path) -> None:
    config = tmp_path / "invsync.toml"
    config.write_text(CONFIG.format(root=tmp_path / "reports"))
    leave(tmp_path / "reports", outcomes({}), at=MONDAY)
    words = ["reports", "week", "--config", str(config), "--ending", "2026-11-22", "--shop"]
    done = CliRunner().invoke(app, [*words, "acme"])
    assert done.exit_code == 0 and Path(done.stdout.split("Week: ")[1].strip()).exists()
    assert CliRunner().invoke(app, [*words, "birch"]).exit_code == 2
