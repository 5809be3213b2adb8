"""Names as numbers and pairs in their order: a text is looked up once, and millions of pairs are merged, not hashed."""

import polars as pl

from invsync.errors import SystemFailed
from invsync.tables import KEY

CLOSE = 8  # cells a number up to which a table of them all is cheaper than sorting


def rank(column: str, names: pl.Series) -> pl.Expr:
    """The place of each text among these distinct names, null where it is none of them; every text is looked up once."""
    return pl.col(column).cast(pl.Enum(names), strict=False).to_physical().cast(pl.UInt32)


def of(values: pl.Series, place: str) -> pl.Expr:
    """The value at each place; null where the place is."""
    return pl.lit(values).gather(pl.col(place))


def pair(products: int, sites: int) -> pl.Expr:
    """Columns product and site, places among so many, as one number: in the order of the product, then the site."""
    wide = pl.UInt32 if products * sites < 2**32 else pl.UInt64
    return pl.col("product").cast(wide) * sites + pl.col("site").cast(wide)


def are_far_apart(numbers: int, below: int) -> bool:
    """Whether a table of all cells would be too large for so few numbers."""
    return below > min(CLOSE * numbers, 2**32 - 1)


def distinct(numbers: pl.Series, below: int) -> pl.Series:
    """The distinct numbers, all below a bound, in their order: ticked off in a table where they are close, else sorted."""
    if are_far_apart(numbers.len(), below):
        return numbers.unique().sort()
    return pl.repeat(False, below, dtype=pl.Boolean, eager=True).scatter(numbers, True).arg_true()


def beside(left: pl.LazyFrame, known: pl.DataFrame, below: int) -> pl.LazyFrame:
    """Left in the order of its column `number`, with what is known at each: laid out in a table where that is close."""
    if are_far_apart(known.height, below):
        ordered = known.unique("number", keep="last").sort("number").lazy().set_sorted("number")
        return left.set_sorted("number").join_asof(ordered, on="number", tolerance=0)
    nothing = {values.name: pl.repeat(None, below, dtype=values.dtype, eager=True) for values in known.drop("number")}
    laid = {name: cells.scatter(known["number"], known[name]) for name, cells in nothing.items()}
    return left.with_columns(of(cells, "number").alias(name) for name, cells in laid.items())


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the order of item and location, sorted only where it is not in that order yet."""
    item, location = (pl.col(column) for column in KEY)
    later = (item > item.shift(1)) | ((item == item.shift(1)) & (location >= location.shift(1)))
    ordered = frame.lazy().select(later.fill_null(True).all()).collect(engine="streaming").item()
    return frame if ordered else frame.sort(KEY)


def matched(left: pl.DataFrame, *rights: pl.DataFrame) -> pl.LazyFrame:
    """Left in the order of its pairs, beside the columns of each right; null where it has none.

    A pair that stands twice in any of them is a SystemFailed: no row order decides which of two numbers is meant.
    """
    number = pl.col("inventory_item_id").cast(pl.Int128) * 2**64 + pl.col("location_id")
    rows = _distinct(in_order(left)).lazy().with_columns(number=number).set_sorted("number")
    for right in rights:
        known = _distinct(in_order(right)).lazy().select(pl.exclude(KEY), number=number).set_sorted("number")
        rows = rows.join_asof(known, on="number", tolerance=0)
    return rows.drop("number")


def _distinct(ordered: pl.DataFrame) -> pl.DataFrame:
    """The frame, in which no pair stands twice; a SystemFailed names the first that does."""
    item, location = (pl.col(column) for column in KEY)
    again = (item == item.shift(1)) & (location == location.shift(1))
    twice = ordered.select(again.fill_null(False).any()).item()
    if twice:
        first, place = ordered.filter(again).select(KEY).row(0)
        columns = ", ".join(column for column in ordered.columns if column not in KEY)
        raise SystemFailed(f"Item {first} at location {place} stands twice in a table of {columns}: keep one row.")
    return ordered
