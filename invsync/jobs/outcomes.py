"""What became of every selected pair: those that were right already stay in the plan's file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from invsync import tables, verify
from invsync.jobs.planfile import FAST, PlanFile
from invsync.jobs.values import Decision, R, S
from invsync.runs import record
from invsync.tables import KEY
from invsync.vocabulary import ALREADY_RIGHT, HELD


@dataclass(frozen=True)
class Outcomes:
    """OUTCOMES of a run: `rest` are those of all pairs but the ones of the `plan` that are right already."""

    plan: PlanFile
    rest: pl.DataFrame
    products: pl.DataFrame

    @classmethod
    def of(cls, decision: Decision[S, R], sent: pl.DataFrame, products: pl.DataFrame) -> Self:
        """The outcomes of a plan, given OUTCOMES of its adjustments, and PRODUCTS."""
        held = verify.outcome(decision.plan.held, HELD, reason=pl.col("held"))
        unmapped = decision.selection.held.with_columns(outcome=pl.lit(HELD)).drop("facility_id")
        unmapped = pl.concat([tables.empty(tables.OUTCOMES), unmapped], how="diagonal")
        rest = pl.concat([sent, held, unmapped]).sort("target", *KEY, nulls_last=True)
        return cls(decision.plan, rest, products)

    def every(self) -> pl.LazyFrame:
        """OUTCOMES_FILE of every pair: the rest in order of risk, then the pairs that are right already."""
        right = verify.outcome(self.plan.already_right(), ALREADY_RIGHT)
        rows = pl.concat([self.rest.lazy(), right]) if self.plan.right else self.rest.lazy()
        return tables.with_products(rows, self.products)

    def write(self, file: Path) -> None:
        """Put OUTCOMES of every pair into a Parquet file, in one step."""
        part = file.with_name(f"{file.name}.part")
        self.every().sink_parquet(part, engine="streaming", **FAST)
        part.replace(file)

    def counts(self) -> dict[str, int]:
        """Pairs by outcome."""
        counts = record.counts(self.rest)
        return counts | {ALREADY_RIGHT: counts[ALREADY_RIGHT] + self.plan.right}

    @property
    def targets(self) -> int:
        """The pairs for which the OMS has a number."""
        return self.rest["oms"].count() + self.plan.right
