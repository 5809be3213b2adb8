"""Run folders and what else is needed to say why a run found what it found."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from invsync import delta, mapping, tables
from invsync.errors import UsageError
from invsync.lab.causes import EDITS, OWN_EVENTS
from invsync.lab.data import NOT_OWN, checked, opened
from invsync.site import folders
from invsync.vocabulary import PLANNED


def history(*, reports: str = "reports", shop: str = "", days: int = 30) -> tuple[pl.DataFrame, pl.DataFrame]:
    """RUNS of the last `days` before the newest one, of a shop or of all, and what they LOOKED at."""
    checked(reports=(reports, str), shop=(shop, str), days=(days, int))
    root = Path(reports)
    runs = folders.table(root, folders.found(root)) if root.is_dir() else tables.empty(folders.RUNS)
    runs = runs.filter(pl.col("status") != PLANNED, pl.lit(not shop) | (pl.col("shop") == shop))
    runs = runs.filter(pl.col("started_at") >= pl.col("started_at").max() - timedelta(days=days))
    if runs.is_empty():
        raise UsageError(
            f"There are no runs of {shop or 'any shop'} below {reports}: correct `reports`, or run a job first."
        )
    return runs, folders.looked(root, runs)


def events(looked: pl.DataFrame, *, shop: str = "", config: str = "invsync.toml") -> pl.DataFrame | None:
    """OWN_EVENTS of the shop's OMS since the first look; None where no shop is named."""
    if not shop:
        return None
    source, chosen = opened(shop, config)
    since: Any = looked["at"].min()
    seen = source.events(since, None).filter(pl.col("reason").is_not_null() & ~pl.col("reason").is_in(NOT_OWN))
    snapshot = source.snapshot()
    where = {"aggregate_location": chosen.aggregate_location}
    pairs, _ = mapping.pairs(snapshot, **where, group=chosen.oms.facility_group_id, store=source.store, at=snapshot.now)
    at = delta.concerned(seen, pairs, mapping.locations(snapshot, **where)).drop_nulls("inventory_item_id")
    return tables.conform(at.rename({"created_at": "at", "atp": "units"}).drop_nulls("at"), OWN_EVENTS, "events")


def edits(path: str = "") -> pl.DataFrame | None:
    """EDITS from a Parquet or CSV file, as exported from Shopify's inventory history; None where no file is named."""
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
