"""Frames of polars and of pandas compared by what they hold."""

from typing import Any

import polars as pl

from invsync import tables


def same(frame: Any, schema: tables.Schema) -> str:
    """Rows, and a number that is the same for the same rows in any order; a column that is missing is null."""
    made = frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)
    absent = [pl.lit(None).alias(column) for column in schema if column not in made.columns]
    rows = tables.conform(made.with_columns(absent), schema, "result")
    floats = pl.col(pl.Float64).fill_nan(None)
    return f"{rows.height}:{rows.with_columns(floats).hash_rows(seed=1).cast(pl.Int128).sum()}"
