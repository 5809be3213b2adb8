"""The one equation: target = OMS sellable quantity - in flight - set aside - buffer, against what Shopify shows."""

import polars as pl

from invsync import mapping, tables
from invsync.tables import KEY

SHOWN = {name: tables.LEVELS[name] for name in (*KEY, "available", "is_active", "tracked", "requires_components")}
UNITS = {name: tables.IN_FLIGHT[name] for name in (*KEY, "units")}


def target() -> pl.Expr:
    """OMS - in flight - set aside - buffer, the buffer only down to 0; null without an OMS row.

    While the aggregate owes units, a negative available is not raised beyond that debt. A fraction of a unit is left
    out where that does not raise Shopify.
    """
    taken = pl.col("in_flight") + pl.col("set_aside")
    free = pl.col("oms") - taken
    buffered = pl.max_horizontal(free - pl.col("buffer"), pl.min_horizontal(free, pl.lit(0.0)))
    owes = (pl.col("debt") < 0).fill_null(False) & (pl.col("available") < 0).fill_null(False)
    owed = pl.min_horizontal(buffered, pl.max_horizontal(pl.col("available"), pl.col("debt") - taken))
    whole = pl.when(owes).then(owed).otherwise(buffered).round(6)
    cut = pl.when((whole.floor() <= pl.col("available")).fill_null(False)).then(whole.floor()).otherwise(whole)
    return pl.when(free.is_not_null()).then(cut)


def variances(
    targets: pl.DataFrame,
    levels: pl.DataFrame,
    in_flight: pl.DataFrame,
    *,
    buffer: int = 0,
    buffers: pl.DataFrame | None = None,
    set_aside: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row a pair: what the OMS says, what Shopify shows, and the delta in units between them.

    Shapes: TARGETS, LEVELS and IN_FLIGHT in, VARIANCES out with `held` null; plan decides what is held.
    `buffer` in units holds for every pair that BUFFERS does not name; `set_aside` has the shape of BUFFERS.
    """
    rows = compared(targets, levels, in_flight, buffer=buffer, buffers=buffers, set_aside=set_aside)
    return rows.collect(engine="streaming")


def compared(
    targets: tables.Rows,
    levels: pl.DataFrame,
    in_flight: pl.DataFrame,
    *,
    buffer: int,
    buffers: pl.DataFrame | None = None,
    set_aside: pl.DataFrame | None = None,
) -> pl.LazyFrame:
    """As `variances`, not collected, so that its rows never have to stand in memory together."""
    targets = tables.checked(targets, tables.TARGETS, "targets")
    levels = tables.checked(levels, SHOWN, "levels")
    in_flight = tables.checked(in_flight, UNITS, "in_flight")
    own = (tables.empty(tables.BUFFERS) if buffers is None else buffers).select(*KEY, buffer="units")
    aside = (tables.empty(tables.BUFFERS) if set_aside is None else set_aside).select(*KEY, set_aside="units")
    units = in_flight.group_by(KEY).agg(in_flight=pl.col("units").sum())
    shown = levels.select(list(SHOWN))
    return (
        mapping.matched(targets, shown, units, aside, own)
        .with_columns(pl.col("in_flight", "set_aside").fill_null(0), pl.col("buffer").fill_null(buffer))
        .with_columns(target=target())
        .with_columns(delta=(pl.col("target") - pl.col("available")).round(0).cast(pl.Int64, strict=False))
        .with_columns(held=pl.lit(None, dtype=pl.String))
        .select(list(tables.VARIANCES))
    )
