"""The one equation: target = OMS sellable quantity - in-flight units - buffer, against what Shopify shows."""

import polars as pl

from invsync import mapping, tables
from invsync.tables import KEY


def target() -> pl.Expr:
    """OMS - in flight - buffer, where the buffer is subtracted only down to 0; null without an OMS row."""
    free = pl.col("oms") - pl.col("in_flight")
    buffered = pl.max_horizontal(free - pl.col("buffer"), pl.min_horizontal(free, pl.lit(0.0)))
    return pl.when(free.is_not_null()).then(buffered.round(6))


def variances(targets: pl.DataFrame, levels: pl.DataFrame, in_flight: pl.DataFrame, *, buffer: int = 0,
              buffers: pl.DataFrame | None = None) -> pl.DataFrame:  # fmt: skip
    """One row a pair: what the OMS says, what Shopify shows, and the delta in units between them.

    Shapes: TARGETS, LEVELS and IN_FLIGHT in, VARIANCES out with `held` null; plan decides what is held.
    `buffer` in units holds for every pair that BUFFERS does not name.
    """
    own = (tables.empty(tables.BUFFERS) if buffers is None else buffers).select(*KEY, buffer="units")
    units = in_flight.group_by(KEY).agg(in_flight=pl.col("units").sum())
    shown = levels.select(*KEY, "available", "is_active", "tracked", "requires_components")
    return (
        mapping.matched(targets, shown, units, own)
        .with_columns(pl.col("in_flight").fill_null(0), pl.col("buffer").fill_null(buffer))
        .with_columns(target=target())
        .with_columns(delta=(pl.col("target") - pl.col("available")).round(0).cast(pl.Int64, strict=False))
        .with_columns(held=pl.lit(None, dtype=pl.String))
        .select(list(tables.VARIANCES))
        .collect(engine="streaming")
    )
