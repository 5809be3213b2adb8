"""The week of a shop in figures: how right Shopify was, what was kept off sale, what is still open."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from invsync.errors import UsageError
from invsync.inputs.door import AMOUNT, NAME, WORD, Table
from invsync.inputs.tabular import entered
from invsync.site.history import KEY, History
from invsync.vocabulary import ALREADY_RIGHT, DELTAS, FAILED, FAULTS, HARD, LANDED, PLANNED, RIGHT, SENT, STOPPED

DAYS = 7
BROKEN = [STOPPED, FAILED]
JUDGED = [*RIGHT, *FAULTS]


@dataclass(frozen=True)
class Prices:
    """Unit prices by `item`, in one currency; empty where none are known."""

    table: pl.DataFrame
    currency: str = ""


@dataclass(frozen=True)
class Week:
    """Seven days of one shop: its RUNS that were no rehearsals, and their EVENTS."""

    shop: str
    first: date
    runs: pl.DataFrame
    events: pl.DataFrame
    prices: Prices

    @property
    def measured(self) -> pl.DataFrame:
        """The runs that the accuracy is measured on: the hard syncs, else all that compare; a delta run does not."""
        ended = self.runs.filter(pl.col("status").is_in(SENT), pl.col("job") != DELTAS)
        full = ended.filter(job=HARD)  # which looks at every mapped pair
        return full if full.height else ended

    @property
    def accuracy(self) -> float | None:
        """The share of judged pairs that Shopify showed right when a run read them; None when none was judged."""
        judged = int(self.measured.select(pl.sum_horizontal(JUDGED).sum()).item() or 0)
        return int(self.measured[ALREADY_RIGHT].sum()) / judged if judged else None

    @property
    def kept_off(self) -> int:
        """Sold units that runs kept off sale: units in flight, each counted when a run first saw it."""
        return _units(self.protected())

    @property
    def at_most(self) -> int | None:
        """The most of the units kept off sale that could have been sold again; None if no run looked at orders."""
        looked = self.runs.filter(pl.col("status").is_in(SENT), pl.col("job") != DELTAS)
        return _units(self.exposed()) if looked.height else None

    @property
    def lowered(self) -> int:
        """Units that runs took off sale."""
        return _units(self.moved(up=False))

    @property
    def raised(self) -> int:
        """Units that runs put on sale."""
        return _units(self.moved(up=True))

    @property
    def made(self) -> int:
        """How many runs there were."""
        return self.runs.height

    @property
    def broken(self) -> int:
        """How many runs were stopped or failed."""
        return self.runs.filter(pl.col("status").is_in(BROKEN)).height

    @property
    def ill(self) -> int:
        """How many pairs ended in a fault at some time."""
        return self.events.filter("fault").unique(KEY).height

    def protected(self) -> pl.DataFrame:
        """Item and units of orders in flight, each counted when a run first saw it."""
        return self.events.filter(pl.col("newly") > 0).select("item", "at", units="newly")

    def exposed(self) -> pl.DataFrame:
        """Item and units in flight of pairs that had nothing left on sale, each counted when a run first saw it so."""
        return self.events.filter(pl.col("exposed") > 0).select("item", "at", units="exposed")

    def moved(self, *, up: bool) -> pl.DataFrame:
        """Item, location and units that runs raised or lowered."""
        way = pl.col("delta") > 0 if up else pl.col("delta") < 0
        sent = self.events.filter(pl.col("outcome").is_in(LANDED) & way)
        return sent.select("item", "location_id", "at", units=pl.col("delta").abs())

    def worth(self, rows: pl.DataFrame) -> tuple[float | None, float]:
        """The money that these units stand for at their unit prices, and the share of units whose price is known."""
        priced = rows.join(self.prices.table, on="item")
        share = _units(priced) / _units(rows) if _units(rows) else 0.0
        return (float((priced["units"] * priced["price"]).sum()) if share else None), share

    def days(self, zone: str) -> pl.DataFrame:
        """One row a day of the zone with the units `raised`, `lowered` and `protected`."""
        days = pl.DataFrame({"day": [self.first + timedelta(days=n) for n in range(DAYS)]})
        parts = {"raised": self.moved(up=True), "lowered": self.moved(up=False), "protected": self.protected()}
        local = pl.col("at").dt.convert_time_zone(zone).dt.date().alias("day")
        for name, rows in parts.items():
            days = days.join(rows.group_by(local).agg(pl.sum("units").alias(name)), on="day", how="left")
        return days.with_columns(pl.col(*parts).fill_null(0)).sort("day")

    def worst(self, by: str, most: int = 10) -> pl.DataFrame:
        """Where the most units were moved, by `item` or `location_id`: raised, lowered, in all, and how often."""
        sides = {
            side: self.moved(up=side == "raised").with_columns(side=pl.lit(side)) for side in ("raised", "lowered")
        }
        sums = [pl.col("units").filter(pl.col("side") == side).sum().alias(side) for side in sides]
        grouped = pl.concat(list(sides.values())).group_by(by).agg(*sums, total=pl.sum("units"), times=pl.len())
        return grouped.sort("total", by, descending=[True, False]).head(most)


def week(history: History, shop: str, ending: date, prices: Prices, *, zone: str) -> Week:
    """The seven days of the shop that end with `ending`, in its time zone."""
    first = ending - timedelta(days=DAYS - 1)
    start, end = midnight(first, zone), midnight(ending + timedelta(days=1), zone)
    mine = pl.col("shop") == shop
    runs = history.runs.filter(mine, pl.col("started_at") >= start, pl.col("started_at") < end)
    events = history.events().filter(mine, pl.col("at") >= start, pl.col("at") < end).collect()
    return Week(shop, first, runs.filter(pl.col("status") != PLANNED), events, prices)


def midnight(day: date, zone: str) -> datetime:
    """When the day begins in this zone, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def open_faults(history: History, shop: str, at: datetime) -> pl.DataFrame:
    """The shop's pairs whose last look ended in a fault that began before `at`, with `age` in days, oldest first."""
    mine = history.pairs.filter(pl.col("shop") == shop, "fault", pl.col("since") < at)
    return mine.with_columns(age=(pl.lit(at) - pl.col("since")).dt.total_hours() / 24).sort("since", "item")


def right_now(history: History, shop: str, before: datetime) -> float | None:
    """The share of the shop's judged pairs that were right after their last look; None where none was judged.

    Pairs that were looked at since `before` are left out.
    """
    judged = history.pairs.filter(pl.col("shop") == shop, pl.col("outcome").is_in(JUDGED), pl.col("at") < before)
    return judged.filter(pl.col("outcome").is_in(RIGHT)).height / judged.height if judged.height else None


def names(history: History, shop: str) -> pl.DataFrame:
    """What Shopify calls the shop's items, where it said: item, name."""
    known = history.pairs.filter(pl.col("shop") == shop, pl.col("name").is_not_null())
    return known.select("item", "name").unique("item", keep="first", maintain_order=True)


def shopify_prices(history: History, shop: str) -> Prices:
    """Shopify's own prices of the shop's items, as runs read them last."""
    known = history.pairs.filter(
        pl.col("shop") == shop, pl.col("price").is_not_null(), pl.col("currency").is_not_null()
    )
    table = known.sort("at", descending=True).unique("item", keep="first", maintain_order=True)
    return Prices(table.select("price", "item"), str(table["currency"][0]) if table.height else "")


PRICES = Table("prices", {"sku": NAME, "price": AMOUNT, "currency": WORD}, key=["sku"], required=["price", "currency"])


def read_prices(path: Path) -> Prices:
    """The unit prices in a Parquet or CSV table with `sku`, `price` and `currency`."""
    table = entered("Prices", path, PRICES)
    currencies = table["currency"].unique().to_list()
    if len(currencies) != 1:
        raise UsageError(f"Prices {path} are in {len(currencies)} currencies: give one table in the shop's own.")
    return Prices(table.select("price", item="sku"), str(currencies[0]))


def _units(rows: pl.DataFrame) -> int:
    return int(rows["units"].sum())
