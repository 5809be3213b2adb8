"""Two scenarios side by side, next week's risk, opening stock, filters, and warnings about doubtful answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rehearsal import ONLINE, START, open_rehearsal
from test_simulate import small

from invsync import lab, simulate
from invsync.errors import UsageError
from invsync.lab.data import cadence
from invsync.sandbox.world import sales
from invsync.simulate import compared, study
from invsync.simulate.charts import STARTS
from invsync.simulate.scenario import LOSS

CLASSIC = simulate.Scenario("reset", lag=simulate.lognormal(60), pos_share=0.2)
OWN = replace(CLASSIC, policy="reset_in_flight")


@pytest.fixture(scope="module")
def real() -> simulate.History:
    return simulate.history(*simulate.retail(sales()))


def test_a_comparison_is_the_replays_seed_by_seed(real: simulate.History) -> None:
    prices = real.stock.select("sku", price=pl.lit(2.0))
    rows = compared.ab(real, CLASSIC, OWN, seeds=4, prices=prices).rows_by_key("measure", named=True, unique=True)
    one, two = (
        np.array([simulate.replay(real, replace(knobs, seed=seed)).totals()["oversold"] for seed in range(4)])
        for knobs in (CLASSIC, OWN)
    )

    row = rows["oversold"]
    assert (row["a"], row["b"], row["d"]) == (one.mean(), two.mean(), (two - one).mean())
    assert (row["d_low"], row["d_high"]) == tuple(np.quantile(two - one, [0.1, 0.9]))
    assert rows["oversold_worth"]["a"] == pytest.approx(2 * row["a"]) and rows["put_back"]["b"] == 0


def test_the_title_of_a_comparison_is_its_finding(real: simulate.History) -> None:
    rows = compared.ab(real, CLASSIC, OWN, seeds=3)
    made = str(lab.ab_table(rows, CLASSIC, OWN))

    assert "Reset, in flight subtracted oversells" in made and "fewer than Reset, the classic way" in made
    assert "oversold_worth" not in set(rows["measure"]), "no price, no money"


def test_next_week_is_drawn_from_the_stock_that_is_left() -> None:
    """12 units, 5 asked for in each of two weeks: 2 are left, so 3 are not there in a week like those."""
    day = 1440
    history = small([(2 * day, 0, 0, 5), (9 * day, 1, 0, 5)], [], [12], days=14)
    history = replace(history, stock=pl.concat([history.stock]))
    (row,) = compared.next_week(
        history, simulate.Scenario("reset_in_flight"), prices=pl.DataFrame({"sku": ["S0"], "price": [4.0]})
    ).to_dicts()

    assert (row["left"], row["sold"], row["short"], row["oversold"], row["worth"]) == (2, 5, 3, 0, 12)


def test_less_than_a_week_draws_no_week_and_says_so() -> None:
    history = small([(1, 0, 0, 1)], [], [5])
    weeks = compared.next_week(history, OWN)

    assert weeks.is_empty()
    assert "A history of 1 day is less than a week" in str(lab.next_week_table(weeks, lab.catalogue(), history))


def test_lost_webhooks_have_one_default() -> None:
    assert simulate.Scenario().loss == lab.scenario().loss == STARTS["loss"] == LOSS
    assert LOSS in {one.loss for one in study.scenarios(OWN) if one.policy == "realtime"}


@pytest.mark.parametrize(("cron", "minutes"), [("*/15 * * * *", 15), ("*/5 8-19 * * *", 10), ("0 3 * * *", 1440)])
def test_the_cadence_is_that_of_the_schedule(cron: str, minutes: float) -> None:
    assert cadence(cron) == pytest.approx(minutes, rel=0.01)


def test_filters_leave_their_products_and_refuse_what_nobody_tells(real: simulate.History) -> None:
    first, second, *_ = real.stock["sku"]
    named = {
        "sku": [first, second],
        "vendor": ["Acme", "Birch"],
        "category": ["Mugs", None],
        "location": ["Rotterdam"] * 2,
    }
    products = pl.DataFrame(named).with_columns(product_type=pl.lit(None, dtype=pl.String), location_id=7)
    left = lab.among(real, products, vendor="acme")

    assert left.stock["sku"].to_list() == [first] and left.lines["pair"].unique().to_list() == [0]
    assert left.lines["units"].sum() == real.only(first).lines["units"].sum()
    assert lab.among(real, products, category="mug").stock["sku"].to_list() == [first]
    assert lab.among(real, products, location="ROTTERDAM") is real
    assert lab.among(real, products) is real
    with pytest.raises(UsageError, match="leave vendor empty"):
        lab.among(real, lab.catalogue(), vendor="acme")


def test_titles_and_prices_of_bundled_sales(real: simulate.History) -> None:
    products = lab.catalogue()

    assert products.filter(sku="85123A")["title"].to_list() == ["WHITE HANGING HEART T-LIGHT HOLDER"]
    assert lab.currency(products) == "GBP" and products["price"].min() > 0  # type: ignore[operator]


def test_tables_are_exported_as_csv(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": [1]})

    assert "give a folder" in lab.export("", one=rows)
    assert "1 tables were written" in lab.export(str(tmp_path / "csv"), one=rows)
    assert (tmp_path / "csv" / "one.csv").read_text() == "a\n1\n"


def test_a_shops_schedule_stock_and_titles_are_its_own_and_a_lag_of_0_is_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_rehearsal(tmp_path, monkeypatch) as own:
        own.config.write_text(
            own.config.read_text() + '[shops.demo.schedule]\nupload_recent_changes = "*/20 * * * *"\n'
        )
        own.product(1, "A", oms=50, available=50)
        sold = datetime.now(UTC) - timedelta(days=2)
        own.shop.place_order(1001, "#1001", sold, [(1, 4)], ONLINE)
        own.run(START)  # which sees 4 units in flight
        own.oms.import_order("O1", 1001, [("P1", 4)], sold, sold_at=sold)
        source = {"shop": "demo", "config": str(own.config)}
        history, scenario = lab.history(**source), lab.scenario(**source)
        doubts = lab.doubts(history, scenario, **source)
        products = lab.catalogue(**source)

    assert (scenario.policy, scenario.cadence, scenario.mean_lag) == ("reset_in_flight", 20, 0)
    assert history.stock["opening"].to_list() == [50] and history.rule is None
    assert "days: the answers may be luck" in doubts[0]
    assert "The measured order lag is 0 minutes, but runs of demo saw up to 4 units in flight" in doubts[1]
    assert products.select("sku", "location").rows() == [("A", "Online")]
