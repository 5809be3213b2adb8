"""The public API: few names, read-only, without a lease, and light to import."""

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from rehearsal import HARD, ONLINE, START, Rehearsal

import invsync
from invsync.errors import SystemFailed, UsageError
from invsync.state import State

KEY = {"inventory_item_id": [1, 2, 3], "location_id": [7, 7, 7]}
OMS = pl.DataFrame(KEY | {"oms": [10, 4, 0]})
SHOPIFY = pl.DataFrame(KEY | {"available": [8, 9, 0]})


def test_these_names_are_public_and_no_others() -> None:
    assert invsync.__all__ == ["Diff", "Explanation", "Shop", "__version__", "diff", "open"]
    assert all(hasattr(invsync, name) for name in invsync.__all__) and dir(invsync) == sorted(invsync.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'close'"):
        invsync.close  # noqa: B018


def test_the_package_is_typed_and_light_to_import() -> None:
    script = "import sys, invsync; print(sorted({'polars', 'altair', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert (Path(invsync.__file__ or "").parent / "py.typed").exists()


def test_two_frames_of_anyones_are_compared() -> None:
    diff = invsync.diff(
        OMS, SHOPIFY, in_flight=pl.DataFrame({"inventory_item_id": 1, "location_id": 7, "units": [2, 1]})
    )

    rows = {row["inventory_item_id"]: (row["target"], row["delta"]) for row in diff.frame.iter_rows(named=True)}
    assert rows == {1: (7, -1), 2: (4, -5), 3: (0, 0)}
    assert diff.changes["inventory_item_id"].to_list() == [2, 1] and diff.held.is_empty()
    assert repr(diff) == "3 pairs: 2 would change (0 units raised, 6 lowered), 0 held, 3 units in flight."
    assert "<table" in diff._repr_html_()


def test_a_buffer_hides_units_and_what_cannot_be_sent_is_held() -> None:
    shopify = SHOPIFY.with_columns(tracked=pl.Series([True, False, True]))
    diff = invsync.diff(OMS, shopify, buffer=1)

    assert dict(diff.frame.select("inventory_item_id", "target").iter_rows()) == {1: 9, 2: 3, 3: 0}
    assert diff.held.select("inventory_item_id", "held", "words").rows() == [(2, "untracked", "not tracked in Shopify")]


@pytest.mark.parametrize(
    ("oms", "message"),
    [
        (OMS.drop("oms"), r"Table oms_frame lacks the column\(s\) oms"),
        (OMS.with_columns(oms=pl.lit("ten")), "Table oms_frame holds a value of the wrong type"),
        (pl.concat([OMS, OMS]), "Item 1 at location 7 stands twice"),
    ],
    ids=["a column", "a type", "a key"],
)
def test_a_frame_that_is_none_is_refused_by_name(oms: pl.DataFrame, message: str) -> None:
    with pytest.raises(SystemFailed, match=message):
        invsync.diff(oms, SHOPIFY)


@pytest.fixture
def shop(rehearsal: Rehearsal) -> Rehearsal:
    """10 units of one product in the OMS, of which Shopify shows 12; an order of 3 is not in the OMS yet."""
    rehearsal.product(1, "A", oms=10, available=12)
    rehearsal.shop.place_order(1001, "#1001", datetime.now(UTC), [(1, 3)], ONLINE)
    return rehearsal


def test_a_shop_is_read_as_a_hard_sync_would_and_stays_as_it_is(shop: Rehearsal) -> None:
    before = len(shop.shop.journal)
    diff = invsync.open("demo", config=shop.config).diff()

    (row,) = diff.frame.to_dicts()
    assert (row["oms"], row["in_flight"], row["target"], row["available"]) == (10, 3, 7, 9)
    assert diff.in_flight["name"].to_list() == ["#1001"]
    assert len(shop.shop.journal) == before and not list((shop.config.parent / "reports").glob("*/*/*"))


def test_a_shop_is_read_while_a_run_holds_it(shop: Rehearsal) -> None:
    with (
        closing(State(f"sqlite:///{shop.config.parent}/invsync.db")) as state,
        state.lease("demo", "20260301T120000Z-0"),
    ):
        assert invsync.open("demo", config=shop.config).diff().frame.height == 1


def test_a_number_is_explained_and_runs_are_listed(shop: Rehearsal) -> None:
    shop.run(START, HARD)
    opened = invsync.open(config=shop.config)

    explanation = opened.explain("A")
    assert explanation.target == 7 and "order #1001" in repr(explanation)
    assert opened.runs(days=10_000)["job"].to_list() == ["hard-sync"]


def test_the_configuration_is_looked_for_upward_and_its_paths_go_from_its_folder(
    shop: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = shop.config.parent / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    assert invsync.open("demo").config == shop.config
    assert invsync.open("demo").diff().frame.height == 1


def test_a_configuration_or_a_shop_that_is_not_there_is_named(shop: Rehearsal, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Shop 'acme' is not in the configuration"):
        invsync.open("acme", config=shop.config)
    with pytest.raises(UsageError, match="does not exist"):
        invsync.open("acme", config=tmp_path / "none.toml")
    with pytest.raises(UsageError, match="lag is 'soon'"):
        invsync.open("demo", config=shop.config).replay(lag="soon")
