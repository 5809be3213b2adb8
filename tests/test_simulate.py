"""Hand-computed small worlds, plain loops over real sales, and published numbers."""

import math
import os
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from graphql import parse

from invsync import simulate
from invsync.errors import UsageError
from invsync.sandbox.admin.costs import requested_cost
from invsync.sandbox.world import sales
from invsync.shopify.orders import document
from invsync.simulate import costs, engine, events, ledger
from invsync.simulate.history import LINES, MOVES, NEVER, STOCK, History

WHOLE = Path(os.environ.get("INVSYNC_SALES", "../shared/data/online_retail.parquet"))
needs_the_whole = pytest.mark.skipif(not WHOLE.exists(), reason="nine months of sales: set INVSYNC_SALES to the file")
DAY = 1440
OPERATIONS = Path(simulate.__file__).parents[1] / "shopify" / "operations"


def small(
    lines: list[tuple[float, int, int, int]], moves: list[tuple[float, int, int]], opening: list[int], days: int = 1
) -> History:
    """A history from (at, order, pair, units), (at, pair, units) and opening units, without refills."""
    stock = [(f"S{pair}", units, NEVER, units) for pair, units in enumerate(opening)]
    return History(
        pl.DataFrame(lines, schema=LINES, orient="row"),
        pl.DataFrame(moves, schema=MOVES, orient="row"),
        pl.DataFrame(stock, schema=STOCK, orient="row"),
        datetime(2026, 3, 2),
        days,
        None,
    )


def totals(history: History, policy: str, **knobs: Any) -> dict[str, float]:
    return simulate.replay(history, simulate.Scenario(policy, **knobs)).totals()


def story() -> History:
    """The documentation's Product A: 5 in stock, 4 sold and not downloaded, 1 damaged; then more customers come."""
    return small([(10, 0, 0, 4), (40, 1, 0, 3), (50, 2, 0, 3)], [(12, 0, -1)], [5])


@pytest.mark.parametrize(
    ("policy", "oversold"),
    [
        ("reset", 4),
        ("deltas", 0),
        ("reset_by_header", 0),
        ("reset_in_flight", 0),
        ("deltas_and_hard_sync", 0),
        ("realtime", 0),
        ("none", 1),
    ],
)
def test_the_oversell_story_of_the_documentation(policy: str, oversold: int) -> None:
    measures = totals(story(), policy, lag=(120.0,))

    assert measures["oversold"] == oversold
    assert measures["put_back"] == (4 if policy == "reset" else 0)
    assert measures["orders_touched"] == {4: 2, 1: 1, 0: 0}[oversold]


def test_customers_take_what_is_shown_and_lost_sales_have_their_cause() -> None:
    measures = totals(small([(10, 0, 0, 4), (20, 1, 0, 4)], [], [6]), "deltas", buffer=1)

    assert [measures[name] for name in ("requested", "sold", "lost_to_hidden", "lost_to_empty")] == [8, 5, 1, 2]


def test_hidden_and_beyond_are_means_over_time() -> None:
    variances = small([], [(0, 0, 6), (720, 0, -12)], [10], days=2)
    punctual = totals(variances, "deltas", cadence=720, lag=(0,))

    assert punctual["hidden"] == pytest.approx(0) and punctual["beyond"] == pytest.approx(0)
    late = totals(small([], [(1, 0, 6), (721, 0, -12)], [10], days=2), "deltas", cadence=720)
    assert late["hidden"] == pytest.approx(6 * 719 / 4320) and late["beyond"] == pytest.approx(12 * 719 / 4320)


def test_a_late_order_is_put_back_at_each_reset_that_shows_it() -> None:
    measures = totals(small([(1, 0, 0, 2), (2, 1, 0, 3)], [(5, 0, 1), (20, 0, 1)], [10]), "reset", lag=(40.0,))

    assert measures["put_back"] == 5 + 5
    assert measures["writes"] == 3  # 10 - 5 -> 11, 11 -> 12, 12 -> 7


def test_a_pair_whose_webhooks_are_lost_is_never_looked_at() -> None:
    history = small([(500, 0, 0, 1)], [(10, 0, -2)], [5])
    heard, lost = (simulate.replay(history, simulate.Scenario("realtime", loss=loss)) for loss in (0.0, 1.0))

    assert heard.ledger.filter("looked").select("at", "shown").rows() == [(11.0, 3), (501.0, 2)]
    assert not lost.ledger["looked"].any()
    assert lost.by_day()["drift"].to_list() == [2, 2]


def test_a_peak_adds_orders_within_half_an_hour_of_the_real_ones() -> None:
    history = small([(600.0, order, 0, 1) for order in range(400)], [], [10_000])
    requested = [totals(history, "none", peak=peak)["requested"] for peak in (0.5, 1.0, 1.5, 3.0)]

    assert requested[1] == 400 and requested[3] == 1200
    assert 150 < requested[0] < 250 and 550 < requested[2] < 650
    at = events.drawn(history, simulate.Scenario(peak=3.0), {"none"}).lines["at"]
    assert at.is_between(570, 630).all() and at.n_unique() > 30


def test_stores_take_their_share_from_the_same_stock() -> None:
    history = small([(float(order), order, 0, 1) for order in range(1000)], [], [1000])
    shop, shelf = (
        simulate.replay(history, simulate.Scenario("none", pos_share=share)).pairs() for share in (0.0, 0.25)
    )

    assert shop["requested"].item() == 1000 and shop["removed"].item() == 0
    assert 200 < shelf["removed"].item() < 300
    assert shelf["requested"].item() == 1000 - shelf["removed"].item() - shelf["lost_to_empty"].item()


def test_a_replay_is_repeatable_and_a_knob_changes_no_other_draws() -> None:
    history = simulate.history(*simulate.retail(sales()))
    base = simulate.Scenario("reset", pos_share=0.3, peak=1.2, edits=3, seed=7)
    for policy in ("reset", "realtime"):
        once, again = (simulate.replay(history, replace(base, policy=policy, loss=0.3)).ledger for _ in range(2))
        assert once.equals(again)
    other = events.drawn(history, replace(base, lag=simulate.lognormal(60), cadence=5), {"reset"}).lines

    assert other.equals(events.drawn(history, base, {"reset"}).lines)
    assert not other.equals(events.drawn(history, replace(base, seed=8), {"reset"}).lines)


def test_scenarios_replayed_together_equal_those_replayed_alone() -> None:
    history = simulate.history(*simulate.retail(sales())).between(0, 4)
    scenarios = [
        simulate.Scenario(policy, buffer=buffer, safety=safety, pos_share=0.2)
        for policy in simulate.POLICIES
        for buffer, safety in ((0, 0), (3, 2))
    ]
    together = simulate.grid(history, scenarios)

    assert together["policy"].to_list() == [scenario.policy for scenario in scenarios]
    for row, scenario in zip(together.to_dicts(), scenarios, strict=True):
        alone = simulate.replay(history, scenario).sums()
        assert {name: row[name] for name in alone} == pytest.approx(alone)


def test_a_table_of_buffers_replaces_the_single_buffer() -> None:
    history = small([], [], [10, 10, 10])
    table = pl.DataFrame({"sku": ["S1", "S2"], "units": [4, 40]})
    shown = simulate.replay(history, simulate.Scenario("none", buffer=1), buffers=table).ledger

    assert shown.filter(pl.col("kind") == engine.OPEN)["shown"].to_list() == [10, 6, 0]
    with pytest.raises(UsageError, match="names a SKU twice"):
        simulate.replay(history, simulate.Scenario(), buffers=pl.concat([table, table]))


def test_a_replay_of_one_sku_equals_its_part_of_the_whole() -> None:
    history = simulate.history(*simulate.retail(sales()))
    scenario = simulate.Scenario("reset", lag=simulate.lognormal(30))
    whole = simulate.replay(history, scenario).pairs()
    sku = whole.sort("put_back")["sku"][-1]
    alone = simulate.replay(history.only(sku), scenario).pairs()

    assert alone.drop("hidden", "beyond").equals(whole.filter(pl.col("sku") == sku).drop("hidden", "beyond"))
    with pytest.raises(UsageError, match="'no such' is not in this history"):
        history.only("no such")


@pytest.mark.parametrize("policy", simulate.POLICIES)
def test_units_sold_and_left_add_up_to_the_units_stocked(policy: str) -> None:
    scenario = simulate.Scenario(policy, pos_share=0.2, edits=9)
    pairs = simulate.replay(simulate.history(*simulate.retail(sales())), scenario).pairs()

    assert pairs["received"].sum() > 0 and pairs["removed"].sum() > 0
    assert (pairs["sold"] + pairs["left"]).equals(pairs["stocked"] + pairs["received"] - pairs["removed"])


def test_a_unit_from_nowhere_stops_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    run = engine.run

    def leaking(*given: Any) -> engine.Log:
        log = run(*given)
        log.amount[np.flatnonzero(log.amount.sum(axis=1))[0]] += 1
        return log

    monkeypatch.setattr(engine, "run", leaking)
    with pytest.raises(AssertionError, match="units were made or lost"):
        simulate.replay(story(), simulate.Scenario())


def unlimited(whole: pl.DataFrame) -> tuple[History, pl.DataFrame]:
    """The sales alone, with stock for all of them, and their lines."""
    placed, moved = simulate.retail(whole)
    return simulate.history(placed, moved.clear(), rule=None), placed


def put_back(placed: pl.DataFrame, lag: int, cadence: int) -> int:
    """The units that a reset of each SKU whose OMS stock changed puts back on sale, counted in a plain loop."""
    first = placed["at"].min()
    midnight = first.replace(hour=0, minute=0)
    sold = defaultdict(list)
    for sku, at, units in placed.select("sku", "at", "units").iter_rows():
        sold[sku].append((int((at - midnight).total_seconds() // 60), units))
    units = 0
    for of in sold.values():
        resets = {-(-(at + lag) // cadence) * cadence for at, _ in of}
        units += sum(n for reset in resets for at, n in of if at <= reset < at + lag)
    return units


@pytest.mark.parametrize(("lag", "cadence"), [(5, 5), (15, 15), (60, 15)])
def test_units_put_back_equal_those_of_a_plain_loop(lag: int, cadence: int) -> None:
    history, placed = unlimited(sales())

    measures = totals(history, "reset", lag=(float(lag),), cadence=float(cadence))
    assert measures["put_back"] == put_back(placed, lag, cadence) > 0
    assert measures["oversold"] == measures["lost_to_hidden"] == measures["lost_to_empty"] == 0
    assert totals(history, "reset_in_flight", lag=(float(lag),), cadence=float(cadence))["put_back"] == 0


@needs_the_whole
def test_units_put_back_over_nine_months_equal_those_of_a_plain_loop() -> None:
    history, placed = unlimited(pl.read_parquet(WHOLE))

    measures = totals(history, "reset")
    print(f"{placed.height:,} sale lines, {measures['put_back']:,} units put back at a lag and a reset of 15 minutes")
    assert measures["put_back"] == put_back(placed, 15, 15) == 182_875


class Stream:
    """The random numbers of Law & Kelton's book: a multiplicative generator modulo 2^31 - 1, its first stream."""

    def __init__(self) -> None:
        self.state = 1_973_272_912

    def next(self) -> float:
        self.state = self.state * 630_360_016 % (2**31 - 1)
        return (self.state >> 7 | 1) / 2**24


MONTHS, FIRST = 120, 60  # the book's run, and its opening stock
Demand = list[tuple[float, int]]
Waits = list[float]


def one_run(rng: Stream, reorder: int, up_to: int) -> tuple[float, Demand, Waits]:
    """The book's inventory system in a plain loop: its cost a month, the demands, and each review's delivery lag."""
    stock, ordered, cost, last = FIRST, 0, 0.0, 0.0
    demands: Demand = []
    waits: Waits = []
    arrival, demand, review = math.inf, -0.1 * math.log(rng.next()), 0.0
    while (at := min(arrival, demand, MONTHS, review)) < MONTHS:
        cost += (at - last) * (max(stock, 0) + 5 * max(-stock, 0))
        last = at
        if at == arrival:
            stock, arrival = stock + ordered, math.inf
        elif at == demand:
            drawn = rng.next()
            demands.append((at, 1 + sum(drawn >= share for share in (0.167, 0.5, 0.833))))
            stock -= demands[-1][1]
            demand = at - 0.1 * math.log(rng.next())
        else:
            waits.append(0.5 + rng.next() / 2 if stock < reorder else 0.5)
            if stock < reorder:
                ordered, arrival = up_to - stock, at + waits[-1]
                cost += 32 + 3 * ordered
            review = at + 1
    return (cost + (MONTHS - last) * (max(stock, 0) + 5 * max(-stock, 0))) / MONTHS, demands, waits


def replayed(demands: Demand, waits: Waits, reorder: int, up_to: int) -> float:
    """The same run in the replay's engine, in months instead of minutes: a shop that takes and imports every order."""
    sold = pl.DataFrame({"at": [at for at, _ in demands], "units": [units for _, units in demands]})
    sold = sold.with_columns(pair=0, line=pl.int_range(pl.len()))
    reviews = pl.DataFrame({"pair": 0, "at": range(MONTHS)})
    arrivals = reviews.with_columns(at=pl.col("at") + pl.Series(waits)).filter(pl.col("at") < MONTHS)
    opens = pl.DataFrame({"pair": [0], "at": [0.0]})
    parts = [
        (engine.OPEN, opens),
        (engine.SALE, sold),
        (engine.IMPORT, sold.drop("units")),
        (engine.REVIEW, reviews),
        (engine.ARRIVE, arrivals),
    ]
    made = events._ranked(pl.concat([events._events(kind, rows) for kind, rows in parts]), len(demands))
    one = {"opening": FIRST, "reorder": reorder, "up_to": up_to, "safety": 0, "buffer": -(10**6)}
    numbers = {name: pl.Series([units], dtype=pl.Int32).to_numpy()[:, None] for name, units in one.items()}
    off = pl.Series([False]).to_numpy()
    variants = engine.Variants(off, off, off, off, off, off, numbers.pop("safety"), numbers.pop("buffer"))
    log = engine.run(made, engine.Levels(**numbers), variants)
    timeline = ledger.Timeline.of(events.Drawn(made, sold, 1))
    timed = timeline.rows.with_columns(left=pl.Series(ledger.ledger_columns(timeline, log, variants, 0)["left"]))
    spent = pl.min_horizontal("until", MONTHS) - pl.col("at")
    held = timed.select(((pl.col("left").clip(0) + 5 * (-pl.col("left")).clip(0)) * spent).sum()).item()
    at_review = timed.filter(pl.col("kind") == engine.REVIEW, pl.col("left") < reorder)
    return (held + at_review.select((32 + 3 * (up_to - pl.col("left"))).sum()).item()) / MONTHS


def test_law_and_keltons_inventory_costs_to_the_printed_digits() -> None:
    rng, monthly = Stream(), {}
    for reorder, up_to in [(20, 40), (20, 60), (20, 80), (20, 100), (40, 60), (40, 80), (40, 100), (60, 80), (60, 100)]:
        cost, demands, waits = one_run(rng, reorder, up_to)
        monthly[reorder, up_to] = round(cost, 2), round(replayed(demands, waits, reorder, up_to), 2)

    published = {(20, 40): 126.61, (20, 60): 122.74, (40, 60): 126.37}
    assert {policy: monthly[policy] for policy in published} == {
        policy: (cost, cost) for policy, cost in published.items()
    }
    assert all(plain == ours for plain, ours in monthly.values())


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("policy", "resets"),
        ("lag", ()),
        ("lag", (5.0, -1.0)),
        ("cadence", 0),
        ("loss", 1.1),
        ("pos_share", -0.1),
        ("peak", -1),
        ("delivery", -1),
        ("buffer", -1),
        ("safety", -1),
        ("edits", -1),
        ("cadence", math.nan),
    ],
)
def test_a_knob_out_of_its_range_is_refused_by_name(knob: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"Knob {knob} is .*: it must be"):
        simulate.Scenario(**{knob: value})


def test_a_restock_rule_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="before the next review"):
        simulate.Restock(lead_days=7)


def test_a_history_without_orders_is_refused() -> None:
    with pytest.raises(UsageError, match="no order lines"):
        simulate.history(*(frame.clear() for frame in simulate.retail(sales())))


def test_a_lognormal_lag_has_the_given_mean_and_a_long_tail() -> None:
    lags = simulate.lognormal(30.0)

    assert sum(lags) / len(lags) == pytest.approx(30) and max(lags) > 150 > 10 > min(lags)
    assert simulate.lognormal(0) == (0.0,) and simulate.lognormal(15, spread=0) == (15.0,)


@pytest.mark.parametrize("number", [1, 2, 60, 250])
def test_reads_and_writes_cost_what_shopify_charges(number: int) -> None:
    document = parse((OPERATIONS / "levels.graphql").read_text())
    lists = pl.select(costs._lists(pl.lit(number), costs.BATCH)).item()
    variables = {"ids": ["gid"] * number}
    written = parse((OPERATIONS / "adjust_quantities.graphql").read_text())

    for products, points in (False, costs.LEVEL_POINTS), (True, costs.LEVEL_POINTS + costs.PRODUCT_POINTS):
        assert math.ceil(points * lists) == requested_cost(document, variables | {"products": products})
    assert requested_cost(written, {}) == costs.WRITE_POINTS


def test_a_page_of_orders_costs_what_shopify_charges() -> None:
    query = parse(document("orders"))
    page = costs.ORDER_POINTS * math.log2(costs.ORDERS_A_PAGE)

    assert page == pytest.approx(requested_cost(query, {"first": costs.ORDERS_A_PAGE}), rel=0.02)


def test_runs_that_change_nothing_cost_too() -> None:
    measures = totals(small([(1, 0, 0, 1)], [(5, 0, -1)], [10, 10]), "reset_in_flight", cadence=720, lag=(30.0,))

    assert measures["runs"] == 4
    assert measures["calls"] == 4 + 1 + 2  # a page of orders each; levels once; a line, and its levels read back
    assert measures["points"] == 4 * costs.ORDER_POINTS + 4 + 5 + 10 + 4


def test_each_day_has_the_numbers_at_its_end() -> None:
    replay = simulate.replay(small([(1430, 0, 0, 3)], [(1450, 0, -1)], [10], days=2), simulate.Scenario("deltas"))

    assert replay.by_day().to_dicts()[:2] == [
        {
            "day": datetime(2026, 3, 2).date(),
            "drift": 0,
            "in_flight": 3,
            "hidden": 0,
            "beyond": 0,
            "oversold": 0,
            "writes": 0,
        },
        {
            "day": datetime(2026, 3, 3).date(),
            "drift": 0,
            "in_flight": 0,
            "hidden": 0,
            "beyond": 0,
            "oversold": 0,
            "writes": 1,
        },
    ]


def test_every_measure_is_a_number_and_is_defined() -> None:
    measures = totals(story(), "reset")

    assert measures.keys() == simulate.MEASURES.keys()
    assert all(isinstance(measure, int | float) and math.isfinite(measure) for measure in measures.values())
    assert all(words.endswith(".") for words in simulate.MEASURES.values())


def test_days_of_a_history_keep_its_stock_and_lose_no_line() -> None:
    whole = simulate.history(*simulate.retail(sales()))
    parts = [whole.between(first, last) for first, last in ((0, 5), (5, 14))]

    assert sum(part.lines.height for part in parts) == whole.lines.height
    assert all(part.lines["at"].is_between(0, part.days * DAY, closed="left").all() for part in parts)
    assert parts[1].start == datetime(2011, 5, 14) and parts[1].stock.equals(whole.stock)
