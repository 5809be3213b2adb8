"""The history of runs, and the events and edits that explain it."""

from datetime import timedelta
from pathlib import Path

import polars as pl

from invsync import delta, mapping, oms, tables
from invsync.errors import UsageError
from invsync.lab.causes import EDITS, OWN_EVENTS
from invsync.lab.data import NOT_OWN, checked, opened
from invsync.site import folders
from invsync.vocabulary import PLANNED


def history(*, reports: str = "reports", shop: str = "", days: int = 30) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The RUNS of the last `days` before the newest one, of one shop or all, and the pairs that they LOOKED at.

    Raises a UsageError if there are none.
    """
    checked(reports=(reports, str), shop=(shop, str), days=(days, int))
    root = Path(reports)
    runs = folders.table(root, folders.stamps(root)) if root.is_dir() else tables.empty(folders.RUNS)
    runs = runs.filter(pl.col("status") != PLANNED, pl.lit(not shop) | (pl.col("shop") == shop))
    runs = runs.filter(pl.col("started_at") >= pl.col("started_at").max() - timedelta(days=days))
    if runs.is_empty():
        raise UsageError(
            f"There are no runs of {shop or 'any shop'} below {reports}: correct `reports`, or run a job first."
        )
    return runs, folders.looked(root, runs)


def events(looked: pl.DataFrame, *, shop: str = "", config: str = "invsync.toml") -> pl.DataFrame | None:
    """OWN_EVENTS of the shop's OMS since the first look; None without a shop."""
    if not shop:
        return None
    source, chosen = opened(shop, config)
    since = looked.select(pl.min("at")).item()
    own = source.events(since, None).filter(pl.col("reason").is_not_null() & ~pl.col("reason").is_in(NOT_OWN))
    snapshot = source.snapshot()
    pairs, _ = mapping.pairs(snapshot, oms.mapping_rules(chosen, source, snapshot.now))
    named = mapping.locations(snapshot, aggregate_location=chosen.aggregate_location)
    by_pair = delta.concerned(own, pairs, named).drop_nulls("inventory_item_id")
    return tables.conform(by_pair.rename({"created_at": "at", "atp": "units"}).drop_nulls("at"), OWN_EVENTS, "events")


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
