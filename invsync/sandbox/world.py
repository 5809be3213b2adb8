"""Real sales replayed into a shop, and into an OMS that imports them late."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from invsync.sandbox.catalogue import descriptions
from invsync.sandbox.oms import Oms
from invsync.sandbox.shop import Shop

SLICE = Path(__file__).with_name("data") / "online_retail_slice.parquet"
SPARE = 20
LOCATION, WAREHOUSE, FIRST_ITEM, FIRST_ORDER = 1, "WH", 40_000_000_001, 5_000_000_000


def sales(days: int = 14) -> pl.DataFrame:
    """The first days of five weeks of real sales: invoice, sku, description, quantity, invoiced_at (naive), unit_price."""
    until = pl.col("invoiced_at").min().dt.truncate("1d") + timedelta(days=days)
    return pl.read_parquet(SLICE).filter(pl.col("invoiced_at") < until)


@dataclass(frozen=True)
class Sale:
    """An order of (item, product, units) lines, or a variance at the warehouse."""

    at: datetime
    invoice: str
    lines: tuple[tuple[int, str, int], ...]
    variance: bool


class World:
    """Sales that reach the shop when they are made, and the OMS `lag_minutes` later.

    Each product starts with all units that the sales and losses will take, plus 20, at warehouse WH and at the
    shop's one location, which the OMS maps from `_NA_`. Rows without a price are stock variances in the OMS alone.
    Cancelled invoices and rows without a product code are ignored.

    `start` moves the first day's midnight to that time; None keeps the days of the sales. `speed` is the minutes of
    sales that pass in a minute; the lag stays.
    """

    def __init__(
        self,
        shop: Shop,
        oms: Oms,
        sales: pl.DataFrame,
        lag_minutes: int = 15,
        start: datetime | None = None,
        speed: int = 1,
    ) -> None:
        self.shop, self.oms, self.lag = shop, oms, timedelta(minutes=lag_minutes)
        rows = _dated(sales, start, speed)
        self.items = {sku: FIRST_ITEM + n for n, sku in enumerate(sorted(rows["sku"].unique()))}
        self._sales, self._late = deque(_events(rows, self.items)), deque[Sale]()
        self.start = datetime.combine(self._sales[0].at.date(), datetime.min.time(), UTC) if start is None else start
        self.end = self._sales[-1].at + self.lag
        self.now = self.start
        shop.clock = lambda: self.now
        self._stock(rows)

    def advance(self, to: datetime) -> None:
        """Replay all that happens up to and including this time, in one OMS transaction."""
        with self.oms.batch(), self.shop.lock:
            while (sale := self._next(to)) is not None:
                late = bool(self._late) and sale is self._late[0]
                self.now = sale.at + self.lag if late else sale.at
                if late:
                    self._late.popleft()
                    self._import(sale)
                else:
                    self._sales.popleft()
                    self._happen(sale)
            self.now = to

    def _next(self, to: datetime) -> Sale | None:
        sale = self._sales[0] if self._sales else None
        late = self._late[0] if self._late else None
        if late and late.at + self.lag <= to and (sale is None or late.at + self.lag <= sale.at):
            return late
        return sale if sale and sale.at <= to else None

    def _happen(self, sale: Sale) -> None:
        if sale.variance:
            for number, (_, product, units) in enumerate(sale.lines):
                reason = "VAR_FOUND" if units > 0 else "VAR_DAMAGED"
                count = f"PI{sale.invoice}-{number}"
                self.oms.adjust(product, WAREHOUSE, units, sale.at, reason, physical_inventory_id=count)
            return
        lines = [(item, units) for item, _, units in sale.lines]
        order = FIRST_ORDER + int(sale.invoice)
        self.shop.place_order(order, f"#{sale.invoice}", sale.at, lines, LOCATION)
        self._late.append(sale)

    def _import(self, sale: Sale) -> None:
        lines = [(product, units) for _, product, units in sale.lines]
        self.oms.import_order(f"OM{sale.invoice}", FIRST_ORDER + int(sale.invoice), lines, self.now)

    def _stock(self, rows: pl.DataFrame) -> None:
        taken = pl.col("quantity").filter((pl.col("quantity") < 0) | ~pl.col("variance")).abs().sum()
        stock = rows.group_by("sku").agg(taken.alias("taken")).sort("sku")
        described = descriptions(rows, self.shop.name)
        self.shop.add_location(LOCATION, "Online")
        with self.oms.batch(), self.shop.lock:
            self.oms.add_facility(WAREHOUSE, "Warehouse")
            self.oms.map_location("_NA_", LOCATION)
            products = [(f"P{sku}", sku, self.items[sku], units + SPARE) for sku, units in stock.iter_rows()]
            self.oms.stock_up(products, WAREHOUSE, self.start)
            for _, sku, item, units in products:
                self.shop.add_item(item, sku, **described.get(sku, {}))
                self.shop.set_level(item, LOCATION, units)


def _dated(sales: pl.DataFrame, start: datetime | None, speed: int) -> pl.DataFrame:
    """The sales of products, stamped in UTC, with `variance` for rows without a price."""
    first = sales["invoiced_at"].min()
    assert isinstance(first, datetime)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = start.astimezone(UTC).replace(tzinfo=None) if start else midnight
    variance = pl.col("unit_price") == 0
    return (
        sales.filter(pl.col("sku").str.contains(r"^\d{5}"), pl.col("invoice").str.contains(r"^\d+$"))
        .with_columns(
            (begins + (pl.col("invoiced_at") - midnight) / speed).dt.replace_time_zone("UTC").alias("invoiced_at"),
            variance=variance,
        )
        .filter(pl.col("variance") | (pl.col("quantity") > 0))
    )


def _events(rows: pl.DataFrame, items: dict[str, int]) -> list[Sale]:
    """One event an invoice, and one more for its variances, by time."""
    parts = rows.sort("invoiced_at", maintain_order=True).group_by("invoice", "variance", maintain_order=True)
    events = []
    for (invoice, variance), part in parts:
        lines = part.select("sku", "quantity").iter_rows()
        moved = tuple((items[sku], f"P{sku}", int(units)) for sku, units in lines)
        events.append(Sale(part["invoiced_at"][0], str(invoice), moved, bool(variance)))
    return sorted(events, key=lambda sale: sale.at)
