"""Joins for millions of pairs: ids become indexes, so that pairs can be merged in order instead of hashed."""

import polars as pl

from invsync.errors import SystemFailed
from invsync.tables import KEY

CLOSE = 8  # cells per number, up to which a dense table is cheaper than sorting


def rank(column: str, names: pl.Series) -> pl.Expr:
    """The index of each text among these distinct names; null where it is not among them."""
    return pl.col(column).cast(pl.Enum(names), strict=False).to_physical().cast(pl.UInt32)


def of(values: pl.Series, place: str) -> pl.Expr:
    """The value at each index in the column `place`; null where that is null."""
    return pl.lit(values).gather(pl.col(place))


def pair(products: int, sites: int) -> pl.Expr:
    """The columns product and site, indexes among so many, as one number that sorts by product, then site."""
    wide = pl.UInt32 if products * sites < 2**32 else pl.UInt64
    return pl.col("product").cast(wide) * sites + pl.col("site").cast(wide)


def are_far_apart(numbers: int, below: int) -> bool:
    """Whether a dense table of all cells would be too large for so few numbers."""
    return below > min(CLOSE * numbers, 2**32 - 1)


def distinct(numbers: pl.Series, below: int) -> pl.Series:
    """Return the distinct numbers, all below a bound, sorted."""
    if are_far_apart(numbers.len(), below):
        return numbers.unique().sort()
    return pl.repeat(False, below, dtype=pl.Boolean, eager=True).scatter(numbers, True).arg_true()


def join_numbered(left: pl.LazyFrame, known: pl.DataFrame, below: int) -> pl.LazyFrame:
    """Left-join a frame, sorted by its column `number`, with what is known for each number."""
    if are_far_apart(known.height, below):
        ordered = known.unique("number", keep="last").sort("number").lazy().set_sorted("number")
        return left.set_sorted("number").join_asof(ordered, on="number", tolerance=0)
    nothing = {values.name: pl.repeat(None, below, dtype=values.dtype, eager=True) for values in known.drop("number")}
    laid = {name: cells.scatter(known["number"], known[name]) for name, cells in nothing.items()}
    return left.with_columns(of(cells, "number").alias(name) for name, cells in laid.items())


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame sorted by item and location; a frame that is sorted already is not copied."""
    item, location = (pl.col(column) for column in KEY)
    later = (item > item.shift(1)) | ((item == item.shift(1)) & (location >= location.shift(1)))
    return frame if _is_always(frame, later) else frame.sort(KEY)


def matched(left: pl.DataFrame | pl.LazyFrame, *rights: pl.DataFrame) -> pl.LazyFrame:
    """Left-join frames on their pairs, sorted; raises SystemFailed for a pair that is in one of them twice."""
    joined = _numbered(left)
    for right in rights:
        if right.is_empty():
            joined = joined.with_columns(
                pl.lit(None, dtype).alias(name) for name, dtype in right.drop(KEY).schema.items()
            )
        else:
            joined = joined.join_asof(_numbered(right).drop(KEY), on="number", tolerance=0)
    return joined.drop("number")


def _numbered(frame: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    """Return the frame, sorted, with each pair as one `number`; raises SystemFailed, with the first that is in it twice."""
    item, location = (pl.col(column) for column in KEY)
    later = (item > item.shift(1)) | ((item == item.shift(1)) & (location > location.shift(1)))
    ordered = frame.lazy() if _is_always(frame, later) else _distinct(frame.lazy().collect().sort(KEY)).lazy()
    return ordered.with_columns(number=item.cast(pl.Int128) * 2**64 + location).set_sorted("number")


def _is_always(frame: pl.DataFrame | pl.LazyFrame, later: pl.Expr) -> bool:
    """Whether this holds of every row but the first."""
    return bool(frame.lazy().select(later.fill_null(True).all()).collect(engine="streaming").item())


def _distinct(ordered: pl.DataFrame) -> pl.DataFrame:
    """Return the sorted frame; raises SystemFailed, with the first pair that is in it twice."""
    item, location = (pl.col(column) for column in KEY)
    again = (item == item.shift(1)) & (location == location.shift(1))
    if ordered.select(again.fill_null(False).any()).item():
        first, place = ordered.filter(again).select(KEY).row(0)
        columns = ", ".join(column for column in ordered.columns if column not in KEY)
        raise SystemFailed(f"Item {first} at location {place} stands twice in a table of {columns}: keep one row.")
    return ordered
