"""The lab: causes against small tables by hand, both notebooks executed, and the exported page."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import papermill
import polars as pl
import pytest
from browsing import chromium, needs_chromium, opened
from builders import best_sellers
from rehearsal import ONLINE, START, open_rehearsal

from invsync import lab
from invsync.engine import inprocess
from invsync.errors import UsageError
from invsync.lab.page import page
from invsync.simulate.charts import POLICY_NAMES
from invsync.simulate.decision import Decision
from invsync.site import folders

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "reports" / "sample"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RESET, PUSH = "acme/hard-sync/1", "acme/push-deltas/2"


def look(path: str, minutes: int, *, oms: float, available: int | None, **facts: Any) -> dict[str, Any]:
    """A look at item 1 at location 7; without `facts` as a run leaves a pair that was right."""
    target = oms - facts.get("in_flight", 0) - facts.get("buffer", 0)
    return {
        "path": path,
        "shop": "acme",
        "at": NOON + timedelta(minutes=minutes),
        "inventory_item_id": 1,
        "location_id": 7,
        "oms": oms,
        "in_flight": facts.get("in_flight", 0),
        "target": target,
        "available": available,
        "delta": None if available is None else round(target - available),
        "after": facts.get("after", round(target)),
        "outcome": facts.get("outcome", "applied"),
        "reason": facts.get("reason"),
    }


def looked(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={name: folders.LOOKED.get(name, pl.String) for name in rows[0]})


def events(*moved: tuple[int, float]) -> pl.DataFrame:
    rows = [
        {"inventory_item_id": 1, "location_id": 7, "at": NOON + timedelta(minutes=at), "units": units}
        for at, units in moved
    ]
    return pl.DataFrame(rows, schema=lab.causes.OWN_EVENTS)


def units(apart: pl.DataFrame, minutes: int) -> dict[str, float]:
    """Units apart by cause at one look."""
    at = apart.filter(pl.col("at") == NOON + timedelta(minutes=minutes))
    return dict(at.select("cause", "units").iter_rows())


def test_orders_in_flight_and_the_buffer_set_the_numbers_apart_by_rule() -> None:
    rows = looked(look(RESET, 0, oms=10, available=6, in_flight=3, buffer=1))

    assert units(lab.by_cause(rows), 0) == {"in_flight": 3, "buffer": 1}


def test_oms_news_changes_in_shopify_and_edits_by_hand_are_distinguished() -> None:
    rows = looked(look(RESET, 0, oms=10, available=10), look(RESET, 60, oms=12, available=7))
    edits = events((40, -3.0)).with_columns(app=pl.lit(None, dtype=pl.String))

    assert units(lab.by_cause(rows), 60) == {"not_told_apart": 5}
    assert units(lab.by_cause(rows, events((30, 2.0))), 60) == {"news": 2, "changed_in_shopify": 3}
    assert units(lab.by_cause(rows, events((30, 2.0)), edits), 60) == {"news": 2, "manual_edit": 3}
    by_app = edits.with_columns(app=pl.lit("Another"))
    assert units(lab.by_cause(rows, events((30, 2.0)), by_app), 60) == {"news": 2, "another_app": 3}


def test_an_event_that_a_delta_run_did_not_push_is_a_lost_event() -> None:
    pushed = look(PUSH, 40, oms=12, available=10, outcome="already_right")
    rows = looked(look(RESET, 0, oms=10, available=10), pushed, look(RESET, 60, oms=12, available=10))

    assert units(lab.by_cause(rows, events((30, 2.0))), 60) == {"lost_event": 2}


def test_a_pair_that_the_previous_run_left_is_not_settled_and_an_unmapped_pair_is_counted() -> None:
    left = look(RESET, 0, oms=10, available=8, outcome="refused", after=8)
    rows = looked(left, look(RESET, 60, oms=10, available=8))
    unmapped = looked(look(RESET, 0, oms=10, available=None, outcome="held", reason="unmapped_product"))

    assert units(lab.by_cause(rows, events()), 60) == {"not_settled": 2}
    assert lab.by_cause(unmapped).select("cause", "pairs", "units").row(0) == ("unmapped", 1, 0.0)


def executed(name: str, folder: Path, **given: Any) -> Any:
    inprocess.register()
    return papermill.execute_notebook(
        ROOT / "notebooks" / name, folder / name, parameters=given, progress_bar=False, engine_name=inprocess.NAME
    )


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The oversell notebook on four days of the products that sell most."""
    folder = tmp_path_factory.mktemp("lab")
    return executed(
        "oversell_scenarios.ipynb",
        folder,
        sales=str(best_sellers(folder / "sales.parquet")),
        save=str(folder / "b.parquet"),
    )


def output_text(notebook: Any) -> str:
    return "\n".join(
        "".join(output.get("text", "")) + str(output.get("data", {}).get("text/html", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


def test_the_oversell_notebook_replays_a_file_of_sales_and_saves_no_buffers_of_four_days(scenarios: Any) -> None:
    text = output_text(scenarios)

    assert [name for name in POLICY_NAMES.values() if name not in text] == []
    assert "What each life costs" in text and "A unit added after the import" in text
    assert "4 days of history are too few to choose a buffer" in text and "Nothing was saved" in text
    assert not Path(scenarios.metadata.papermill.parameters.save).exists() and "beat" not in text
    assert "oversells" in text and "less than a week" in text and "the answers may be luck of these days" in text


def test_the_history_notebook_reads_the_sample_runs(tmp_path: Path) -> None:
    text = output_text(executed("run_history.ipynb", tmp_path, reports=str(SAMPLE)))
    runs, looked = lab.runs.history(reports=str(SAMPLE))

    assert f"{runs.height:,} runs looked at {looked.height:,} pairs." in text and runs.height > 10
    assert "Apart, by cause, over all runs" in text


def test_wrong_parameters_and_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_text("no table")
    for wrong, name in (
        (lambda: lab.history(days="7"), "days"),
        (lambda: lab.history(sales=str(tmp_path / "s.parquet")), "s.parquet"),
        (lambda: lab.scenario(pos_share="much"), "pos_share"),
        (lambda: lab.runs.history(reports=str(tmp_path)), str(tmp_path)),
        (lambda: lab.runs.edits(str(tmp_path / "none.csv")), "none.csv"),
    ):
        with pytest.raises(UsageError, match=name):
            wrong()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_of_the_page_are_interactive_without_a_network(scenarios: Any, tmp_path: Path, scheme: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(scenarios), encoding="utf-8")
    with chromium() as browser, opened(browser, file, scheme=scheme) as visit:
        visit.page.wait_for_selector("figure[data-live] .vega-bind select")
        live = visit.page.locator("figure[data-live]")
        before = [live.nth(n).locator("svg").first.inner_html() for n in range(live.count())]
        for n in range(live.count()):
            knob = live.nth(n).locator(".vega-bind select").first
            knob.select_option(index=(knob.evaluate("one => one.selectedIndex") + 1) % knob.locator("option").count())
        visit.page.wait_for_timeout(300)
        after = [live.nth(n).locator("svg").first.inner_html() for n in range(live.count())]

        assert live.count() >= 3 and all(one != other for one, other in zip(before, after, strict=True))
        assert [address for address in visit.asked if not address.startswith(("file:", "blob:", "data:"))] == []
        assert visit.complaints == [] and visit.faults() == [] and visit.sideways() <= 0


def test_a_shops_own_orders_lags_and_runs_are_read_from_its_oms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_rehearsal(tmp_path, monkeypatch) as own:
        own.product(1, "A", oms=50, available=50)
        own.run(START)
        for number, minutes in ((1, 10), (2, 20), (3, 30)):
            sold = START + timedelta(hours=number)
            own.shop.place_order(1000 + number, f"#{number}", sold, [(1, 2)], ONLINE)
            heard = sold + timedelta(minutes=minutes)
            own.oms.import_order(f"O{number}", 1000 + number, [("P1", 2)], heard, sold_at=sold)
        own.oms.damage("P1", "WH", 3, datetime.now(UTC), "PI1")
        own.run(datetime.now(UTC) + timedelta(minutes=1))
        source: dict[str, Any] = {"shop": "demo", "config": str(own.config)}

        history, scenario = lab.history(**source), lab.scenario(**source)
        table = pl.DataFrame({"sku": ["A"], "units": [4]})
        decided = Decision("It pays.", table, table.clear(), table.clear())
        saved = lab.buffer_table(decided, str(tmp_path / "b.parquet"), **source)
        many, seen = lab.runs.history(reports=str(own.config.parent / "reports"), shop="demo")
        apart = lab.by_cause(seen, lab.runs.events(seen, **source).rows)

    assert history.lines["units"].to_list() == [2, 2, 2] and history.moves["units"].to_list() == [-3]
    assert (min(scenario.lag), scenario.mean_lag, max(scenario.lag)) == (10.0, 20.0, 30.0) and scenario.pos_share == 0.0
    assert "1 buffers" in saved and pl.read_parquet(tmp_path / "b.parquet")["units"].to_list() == [4]
    assert many.height == 2 and dict(apart.group_by("cause").agg(pl.col("units").sum()).iter_rows())["news"] == 3


def test_events_of_another_time_than_the_runs_blame_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OMS's stamps are of months ago, as in a replay of old sales: its own loss is nobody's edit by hand."""
    with open_rehearsal(tmp_path, monkeypatch) as own:
        own.product(1, "A", oms=50, available=50)
        own.run(START)
        own.oms.damage("P1", "WH", 3, START + timedelta(minutes=5), "PI1")
        own.run(START + timedelta(minutes=30))
        _, seen = lab.runs.history(reports=str(own.config.parent / "reports"), shop="demo")
        events_ = lab.runs.events(seen, shop="demo", config=str(own.config))
        apart = lab.by_cause(seen, events_.rows)

    assert events_.rows is None and "it cannot be told whether the OMS, a person or another app" in events_.sentence
    causes = set(apart["cause"])
    assert "not_told_apart" in causes and not causes & {"changed_in_shopify", "manual_edit", "another_app"}


def test_runs_are_those_of_the_nearest_configuration_else_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab.runs.kept() == SAMPLE
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "invsync.toml").write_text('[reports]\npath = "kept"\n')
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert lab.runs.kept() == tmp_path / "demo" / "kept"
