"""The plan of a run in its file: every row stands there, and only rows that differ stand in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from invsync import plan, tables

FAST: Mapping[str, Any] = {"compression_level": 1, "statistics": False}  # zstd: smaller than by default, and faster


@dataclass(frozen=True)
class PlanFile:
    """A plan as `plan.decide` makes it: the rows to send in order of risk, and the rows held, each as a frame.

    The rows that are right already are only in the file. `pairs` counts all rows, `targets` those for which the OMS
    has a number, and `selling` those that Shopify sells now.
    """

    path: Path
    adjustments: pl.DataFrame
    held: pl.DataFrame
    pairs: int
    targets: int
    selling: int

    @classmethod
    def write(
        cls, variances: pl.LazyFrame, path: Path, *, activate: bool = False, products: pl.DataFrame | None = None
    ) -> Self:
        """Decide on VARIANCES, and put every row into the file in one step; `activate` as in `plan.decide`.

        With `products` the file has the columns of PRODUCTS as well.
        """
        part = path.with_name(f"{path.name}.part")
        rows = plan.judged(variances, activate=activate)
        described = rows if products is None else tables.with_products(rows, products)
        made = cls._of(path, rows, described.sink_parquet(part, lazy=True, **FAST))
        part.replace(path)
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """The plan in a file, whichever version wrote it."""
        return cls._of(path, _rows(path))

    @classmethod
    def _of(cls, path: Path, rows: pl.LazyFrame, *sinks: pl.LazyFrame) -> Self:
        counts = rows.select(
            pairs=pl.len(), targets=pl.col("oms").count(), selling=(pl.col("available") > 0).sum().cast(pl.Int64)
        )
        rest, counted, *_ = pl.collect_all([rows.filter(~plan.is_right()), counts, *sinks], engine="streaming")
        return cls(path, *plan.split(rest), **counted.row(0, named=True))

    @property
    def right(self) -> int:
        """How many rows are right already."""
        return self.pairs - self.adjustments.height - self.held.height

    def rows(self) -> pl.LazyFrame:
        """VARIANCES of every pair."""
        return _rows(self.path)

    def already_right(self) -> pl.LazyFrame:
        """VARIANCES of the pairs that are right already."""
        return self.rows().filter(plan.is_right())


def _rows(path: Path) -> pl.LazyFrame:
    return tables.conform(tables.completed(pl.scan_parquet(path), tables.VARIANCES), tables.VARIANCES, "plan")
