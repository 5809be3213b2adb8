"""The history that a replay starts from: order lines, the OMS's own movements, and stock levels."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from invsync import tables
from invsync.errors import UsageError

DAY_MINUTES = 1440
STAMP = pl.Datetime("us")
ORDER_LINES: tables.Schema = {"at": STAMP, "order": tables.TEXT, "sku": tables.TEXT, "units": tables.UNITS}
MOVEMENTS: tables.Schema = {"at": STAMP, "sku": tables.TEXT, "units": tables.UNITS}
LINES: tables.Schema = {"at": tables.QUANTITY, "order": tables.ID, "pair": tables.ID, "units": tables.UNITS}
MOVES: tables.Schema = {"at": tables.QUANTITY, "pair": tables.ID, "units": tables.UNITS}
STOCK: tables.Schema = {"sku": tables.TEXT, "opening": tables.UNITS, "reorder": tables.UNITS, "up_to": tables.UNITS}
NEVER = -(2**31)
SPARE = 20


@dataclass(frozen=True)
class Restock:
    """The rule that makes the stock, since sales do not say what was in stock: an (s, S) policy.

    Every `review_days` the retailer reviews the OMS's number. If it is below the reorder point, the retailer orders up
    to the order-up-to level, and the goods arrive `lead_days` later. The two levels cover `reorder_days` and
    `cover_days` of the pair's mean demand, and at least a typical order line. The opening stock of a pair lies between
    them, drawn with the seed. The mean is over the whole history, so the rule knows more than a retailer would.
    """

    cover_days: float = 14
    reorder_days: float = 7
    review_days: int = 7
    lead_days: float = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lead_days < self.review_days or not 0 <= self.reorder_days <= self.cover_days:
            raise UsageError(
                f"{self} cannot be kept: goods must come before the next review, and cover_days not be below reorder_days."
            )


@dataclass(frozen=True)
class History:
    """LINES and MOVES in minutes since `start`, a midnight; the number of a pair is its row in STOCK."""

    lines: pl.DataFrame
    moves: pl.DataFrame
    stock: pl.DataFrame
    start: datetime
    days: int
    rule: Restock | None

    def between(self, first: int, last: int) -> "History":
        """The days [first, last) alone, with the reorder rule of the whole history.

        Where no rule makes the stock, it opens with what the days before left of it.
        """
        lines, moves = (_shifted(frame, first, last) for frame in (self.lines, self.moves))
        start = self.start + timedelta(days=first)
        stock = self.stock if self.rule else self.opening(self._left(first))
        return replace(self, lines=lines, moves=moves, stock=stock, start=start, days=last - first)

    def opening(self, units: pl.Series) -> pl.DataFrame:
        """STOCK that opens with these units at each pair."""
        return tables.conform(self.stock.with_columns(opening=units), STOCK, "stock")

    def _left(self, day: int) -> pl.Series:
        """What lines and movements before this day leave of each pair's stock, not below 0."""
        parts = [self.lines.with_columns(-pl.col("units")), self.moves]
        before = pl.concat([part.filter(pl.col("at") < day * DAY_MINUTES).select("pair", "units") for part in parts])
        moved = self.stock.with_columns(pair=pl.int_range(pl.len()).cast(pl.Int64)).join(
            before.group_by("pair").agg(pl.col("units").sum()), on="pair", how="left", maintain_order="left"
        )
        return moved.select((pl.col("opening") + pl.col("units").fill_null(0)).clip(lower_bound=0)).to_series()

    def among(self, skus: pl.Series) -> "History":
        """These SKUs' lines and movements alone; a UsageError if none of them was sold."""
        kept = self.stock.with_row_index("was").filter(pl.col("sku").is_in(skus.implode())).with_row_index("pair")
        number = kept.select(pl.col("was", "pair").cast(pl.Int64))
        lines, moves = (
            frame.join(number, left_on="pair", right_on="was", maintain_order="left")
            .drop("pair")
            .rename({"pair_right": "pair"})
            .select(frame.columns)
            for frame in (self.lines, self.moves)
        )
        if lines.is_empty():
            raise UsageError("No order of this history has a product that the filters leave: widen them.")
        dense = lines.with_columns(order=pl.col("order").rank("dense").cast(pl.Int64) - 1)
        return replace(self, lines=dense, moves=moves, stock=kept.drop("was", "pair"))

    def pair(self, sku: str) -> int:
        """The number of a SKU's pair.

        Raises a UsageError if the SKU is not in this history.
        """
        number = self.stock["sku"].index_of(sku)
        if number is None:
            raise UsageError(f"SKU {sku!r} is not in this history: choose one that was sold.")
        return number

    def only(self, sku: str) -> "History":
        """This SKU's lines and movements alone."""
        here = pl.col("pair") == self.pair(sku)
        lines, moves = (frame.filter(here).with_columns(pair=pl.lit(0, pl.Int64)) for frame in (self.lines, self.moves))
        return replace(self, lines=lines, moves=moves, stock=self.stock.filter(pl.col("sku") == sku))


def retail(sales: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ORDER_LINES and MOVEMENTS of UCI Online Retail rows.

    Rows without a price are the retailer's own variances. Cancelled invoices and rows without a product code are left
    out, as in the sandbox.
    """
    rows = sales.filter(pl.col("sku").str.contains(r"^\d{5}"), pl.col("invoice").str.contains(r"^\d+$"))
    rows = rows.select(at="invoiced_at", order="invoice", sku="sku", units="quantity", free=pl.col("unit_price") == 0)
    orders, moves = rows.filter(~pl.col("free"), pl.col("units") > 0), rows.filter("free")
    return tables.conform(orders, ORDER_LINES, "orders"), tables.conform(moves, MOVEMENTS, "movements")


def history(
    orders: pl.DataFrame,
    movements: pl.DataFrame,
    rule: Restock | None = Restock(),
    *,
    now: pl.DataFrame | None = None,
) -> History:
    """A History of ORDER_LINES and MOVEMENTS; without a rule each pair opens with all that will be taken, plus 20.

    With `now` (sku, units), the stock at the end, no rule is needed: a pair opens with what its orders and movements
    then leave of it. Raises a UsageError if there are no orders.
    """
    orders = tables.conform(orders, ORDER_LINES, "orders").sort("at", maintain_order=True)
    movements = tables.conform(movements, MOVEMENTS, "movements").sort("at", maintain_order=True)
    times = pl.concat([orders["at"], movements["at"]])
    first, last = times.min(), times.max()
    if orders.is_empty() or not isinstance(first, datetime) or not isinstance(last, datetime):
        raise UsageError("There are no order lines to replay: name a longer period.")
    start = datetime.combine(first.date(), datetime.min.time())
    days = (last - start).days + 1
    skus = pl.concat([orders["sku"], movements["sku"]]).unique().sort().to_frame("sku").with_row_index("pair")
    skus = skus.with_columns(pl.col("pair").cast(pl.Int64))
    minutes = (pl.col("at") - start).dt.total_microseconds() / 60_000_000
    numbered = orders.with_columns(at=minutes, order=pl.col("order").rank("dense").cast(pl.Int64) - 1)
    lines = tables.conform(numbered.join(skus, on="sku", maintain_order="left"), LINES, "lines")
    moves = movements.with_columns(at=minutes).join(skus, on="sku", maintain_order="left")
    moves = tables.conform(moves, MOVES, "moves")
    if now is None:
        return History(lines, moves, _stock(skus, lines, moves, days, rule), start, days, rule)
    return History(lines, moves, _opened(skus, lines, moves, days, now), start, days, None)


def _stock(
    skus: pl.DataFrame, lines: pl.DataFrame, moves: pl.DataFrame, days: int, rule: Restock | None
) -> pl.DataFrame:
    demand = lines.group_by("pair").agg(units=pl.col("units").sum(), line=pl.col("units").median())
    lost = moves.group_by("pair").agg(lost=-pl.col("units").clip(upper_bound=0).sum())
    rows = skus.join(demand, on="pair", how="left").join(lost, on="pair", how="left").fill_null(0).sort("pair")
    if rule is None:
        every = pl.col("units") + pl.col("lost") + SPARE
        return tables.conform(rows.with_columns(opening=every, up_to=every, reorder=pl.lit(NEVER)), STOCK, "stock")
    daily = pl.col("units") / days
    level, reorder = (
        pl.max_horizontal(daily * span, "line").ceil().cast(pl.Int64) for span in (rule.cover_days, rule.reorder_days)
    )
    draws = pl.Series(np.random.default_rng(rule.seed).random(rows.height))
    sized = rows.with_columns(up_to=level, reorder=reorder)
    opening = pl.col("reorder") + (draws * (pl.col("up_to") - pl.col("reorder") + 1)).floor().cast(pl.Int64)
    return tables.conform(sized.with_columns(opening=opening), STOCK, "stock")


def _opened(skus: pl.DataFrame, lines: pl.DataFrame, moves: pl.DataFrame, days: int, now: pl.DataFrame) -> pl.DataFrame:
    """STOCK by what is there now, less what came and plus what went; a SKU that is not there now as without a rule."""
    stock = _stock(skus, lines, moves, days, None)
    parts = [lines.select("pair", "units"), moves.select("pair", -pl.col("units"))]
    gone = pl.concat(parts).group_by("pair").agg(gone=pl.col("units").sum())
    rows = skus.join(gone, on="pair", how="left").join(now, on="sku", how="left").sort("pair")
    known = rows.select((pl.col("units") + pl.col("gone").fill_null(0)).clip(lower_bound=0)).to_series()
    return tables.conform(
        stock.with_columns(opening=pl.coalesce(known, pl.col("opening")), reorder=pl.lit(NEVER)), STOCK, "stock"
    )


def _shifted(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    within = pl.col("at").is_between(first * DAY_MINUTES, last * DAY_MINUTES, closed="left")
    return frame.filter(within).with_columns(pl.col("at") - first * DAY_MINUTES)
