"""The streamed plan and its outcomes against the plain path, row by row."""

from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from invsync import plan, tables, verify
from invsync.jobs.outcomes import Outcomes
from invsync.jobs.planfile import PlanFile
from invsync.jobs.values import Decision, Selection, Sent, Settled
from invsync.ledger.reading import Reading
from invsync.runs import record
from invsync.runs.record import Record
from invsync.tables import KEY
from invsync.vocabulary import ALREADY_RIGHT, HELD, PLANNED

ROWS = 3_000


def row(item: int, dice: Random) -> dict[str, Any]:
    """A pair as a shop may show it: mostly right, else wrong, held, unreadable or without a level."""
    shown, target = dice.choice([0, 3, None]), dice.choice([0.0, 3.0, 3.0, 3.0, 2.5, float("nan"), None])
    known = shown is not None and target in (0.0, 3.0)
    return {
        "inventory_item_id": item,
        "location_id": 7,
        "product_id": f"P{item}",
        "sku": f"S{item}",
        "mode": "physical",
        "oms": target,
        "available": shown,
        "is_active": dice.choice([True, True, True, False, None]),
        "tracked": dice.choice([True, True, True, False, None]),
        "requires_components": False,
        "target": target,
        "delta": int(target - shown) if known else None,
        "held": dice.choice([None, None, None, "deferred"]),
    }


@pytest.fixture
def variances() -> pl.DataFrame:
    dice = Random(18)
    return pl.DataFrame([row(item, dice) for item in range(ROWS)], schema=tables.VARIANCES)


@pytest.fixture
def products() -> pl.DataFrame:
    items = pl.DataFrame({"inventory_item_id": range(0, ROWS, 2)}).with_columns(
        title=pl.format("T{}", "inventory_item_id")
    )
    return tables.completed(items, tables.PRODUCTS)


def same(ours: pl.DataFrame, plain: pl.DataFrame) -> None:
    """The same rows with the same columns, in whatever order."""
    assert_frame_equal(ours.sort(KEY), plain.sort(KEY))


@pytest.mark.parametrize("activate", [False, True])
def test_the_streamed_plan_is_the_plain_one(
    variances: pl.DataFrame, products: pl.DataFrame, tmp_path: Path, *, activate: bool
) -> None:
    decided = plan.decide(variances, activate=activate)
    streamed = PlanFile.write(variances.lazy(), tmp_path / "plan.parquet", activate=activate, products=products)

    assert_frame_equal(streamed.adjustments, decided.adjustments)
    assert_frame_equal(streamed.held, decided.held)
    same(streamed.already_right().collect(), decided.already_right)
    assert min(streamed.adjustments.height, streamed.held.height, streamed.right) > 50
    every = pl.concat([decided.adjustments, decided.already_right, decided.held])
    same(pl.read_parquet(tmp_path / "plan.parquet"), tables.with_products(every, products))


def test_the_counts_of_a_streamed_plan_are_those_of_its_rows(variances: pl.DataFrame, tmp_path: Path) -> None:
    streamed = PlanFile.write(variances.lazy(), tmp_path / "plan.parquet")

    assert (streamed.pairs, streamed.targets) == (ROWS, variances["oms"].count())
    assert streamed.selling == variances.filter(pl.col("available") > 0).height
    assert streamed.right == plan.decide(variances).already_right.height


def test_a_plan_is_read_as_it_was_written(variances: pl.DataFrame, products: pl.DataFrame, tmp_path: Path) -> None:
    written = PlanFile.write(variances.lazy(), tmp_path / "plan.parquet", products=products)
    read = PlanFile.read(tmp_path / "plan.parquet")

    assert_frame_equal(read.adjustments, written.adjustments)
    assert_frame_equal(read.held, written.held)
    assert (read.pairs, read.targets, read.selling) == (written.pairs, written.targets, written.selling)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.parquet"]


def test_the_streamed_outcomes_are_the_plain_ones(
    variances: pl.DataFrame, products: pl.DataFrame, tmp_path: Path
) -> None:
    streamed = PlanFile.write(variances.lazy(), tmp_path / "plan.parquet")
    unmapped = tables.completed(pl.DataFrame({"sku": ["X"], "reason": ["not_listed"]}), tables.MAPPING_HELD)
    pairs = variances.select(list(tables.PAIRS))
    selection = Selection(Settled(), pairs, unmapped, read=ROWS, mapped=ROWS, rows=ROWS)
    decision = Decision(selection, Reading(), streamed)
    sent = verify.outcome(streamed.adjustments, PLANNED)
    outcomes = Outcomes.of(decision, sent, products)
    outcomes.write(tmp_path / "outcomes.parquet")

    plain = tables.with_products(every_outcome(plan.decide(variances), sent, unmapped), products)
    same(pl.read_parquet(tmp_path / "outcomes.parquet"), plain)
    assert_frame_equal(Sent(decision, outcomes.every(), Reading(), Record()).outcomes, plain)
    assert outcomes.counts() == record.counts(plain) and outcomes.targets == plain["oms"].count()
    assert record.units(outcomes.rest) == record.units(plain)


def every_outcome(decided: plan.Plan, sent: pl.DataFrame, unmapped: pl.DataFrame) -> pl.DataFrame:
    """OUTCOMES of a plan in frames."""
    held = verify.outcome(decided.held, HELD, reason=pl.col("held"))
    right = verify.outcome(decided.already_right, ALREADY_RIGHT)
    rest = unmapped.with_columns(outcome=pl.lit(HELD)).drop("facility_id")
    rest = pl.concat([tables.empty(tables.OUTCOMES), rest], how="diagonal")
    return pl.concat([sent, right, held, rest]).sort("target", *KEY, nulls_last=True)
