"""The history of runs, and the events and edits that explain it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import delta, mapping, oms, tables
from invsync.config import nearest
from invsync.errors import UsageError
from invsync.lab.causes import EDITS, OWN_EVENTS
from invsync.lab.data import NOT_OWN, checked, opened
from invsync.site import folders
from invsync.vocabulary import PLANNED

SAMPLE = Path(__file__).parents[2] / "reports" / "sample"
A_DAY = timedelta(days=1)  # that two clocks may be apart


@dataclass(frozen=True)
class OwnEvents:
    """OWN_EVENTS of an OMS, or None where they cannot explain the runs; a sentence says which."""

    rows: pl.DataFrame | None
    sentence: str


def history(
    *, reports: str = "", shop: str = "", days: int = 30, config: str = ""
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The RUNS of the last `days` before the newest one, of one shop or all, and the pairs that they LOOKED at.

    They are read below `reports`, else where the nearest configuration keeps its reports, else in the sample of a
    checkout. Raises a UsageError if there are none.
    """
    checked(reports=(reports, str), shop=(shop, str), days=(days, int), config=(config, str))
    root = Path(reports) if reports else kept(config)
    runs = folders.table(root, folders.stamps(root)) if root.is_dir() else tables.empty(folders.RUNS)
    runs = runs.filter(pl.col("status") != PLANNED, pl.lit(not shop) | (pl.col("shop") == shop))
    runs = runs.filter(pl.col("started_at") >= pl.col("started_at").max() - timedelta(days=days))
    if runs.is_empty():
        raise UsageError(
            f"There are no runs of {shop or 'any shop'} below {root}: correct `reports`, or run a job first."
        )
    return runs, folders.looked(root, runs)


def kept(config: str = "") -> Path:
    """Where the nearest configuration keeps its reports, or the sample of a checkout if there is none."""
    if not config and nearest.nearest() is None and SAMPLE.is_dir():
        return SAMPLE
    return Path(nearest.opened(config).reports.path)


def events(looked: pl.DataFrame, *, shop: str = "", config: str = "") -> OwnEvents:
    """The stock events of the shop's OMS since the first look, if its clock and the runs' overlap."""
    if not shop:
        return OwnEvents(None, "No shop is named, so news of the OMS and changes in Shopify cannot be told apart.")
    source, chosen = opened(shop, config)
    since, newest = looked.select(pl.min("at")).item(), _newest(source)
    if newest is None or since is None or not since <= newest <= source.now() + A_DAY:
        stamp = "it has none" if newest is None else f"the newest is of {newest:%Y-%m-%d %H:%M} UTC"
        return OwnEvents(
            None,
            f"The stock events of the OMS are not of the time of these runs ({stamp}; the first run looked at "
            f"{since:%Y-%m-%d %H:%M} UTC), so it cannot be told whether the OMS, a person or another app set the two apart.",
        )
    own = source.events(since, None).filter(pl.col("reason").is_not_null() & ~pl.col("reason").is_in(NOT_OWN))
    snapshot = source.snapshot()
    pairs, _ = mapping.pairs(snapshot, oms.mapping_rules(chosen, source, snapshot.now))
    named = mapping.locations(snapshot, aggregate_location=chosen.aggregate_location)
    by_pair = delta.concerned(own, pairs, named).drop_nulls("inventory_item_id")
    rows = by_pair.rename({"created_at": "at", "atp": "units"}).drop_nulls("at")
    return OwnEvents(
        tables.conform(rows, OWN_EVENTS, "events"), f"{rows.height:,} stock events of {shop}'s OMS are read."
    )


def _newest(source: oms.Source) -> datetime | None:
    """When the OMS recorded its newest stock event."""
    stamp = "created_stamp"
    rows = source.sample("inventory_item_detail", {stamp: tables.STAMP}, 1, newest=stamp)
    newest: datetime | None = rows[stamp].max()  # type: ignore[assignment]
    return newest


def edits(path: str = "") -> pl.DataFrame | None:
    """EDITS from a Parquet or CSV file, as exported from Shopify's inventory history; None without a path.

    Raises a UsageError if the file cannot be read.
    """
    checked(edits=(path, str))
    if not path:
        return None
    try:
        rows = pl.read_parquet(path) if path.endswith(".parquet") else pl.read_csv(path, try_parse_dates=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(
            f"The table of edits {path} cannot be read ({type(error).__name__}): correct `edits`."
        ) from None
    return tables.conform(rows, EDITS, "edits")
