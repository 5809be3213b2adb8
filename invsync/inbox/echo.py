"""Our own echoes, told by what we sent and when: the lines of the outbox against the levels that Shopify speaks of."""

from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from invsync import bulkfile, tables
from invsync.state import OUTBOX, RUNS, iso
from invsync.tables import KEY
from invsync.vocabulary import APPLIED

CLOCKS_DIFFER = timedelta(minutes=2)
SAME_MOMENT = timedelta(seconds=1)  # Shopify's stamps of a level and of its quantities
LONGEST_RUN = timedelta(days=1)
SENT: tables.Schema = {
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "available": tables.UNITS,
    "job": tables.TEXT,
    "begun": tables.STAMP,
    "ended": tables.STAMP,
    "proved_at": tables.STAMP,
}


def sent(engine: sa.Engine, shop: str, since: datetime, now: datetime) -> pl.DataFrame:
    """SENT: each guarded change of the files that were under way since then, with the available that it makes.

    `proved_at` is Shopify's own stamp of that number as it was read back; null where it was not.
    """
    query = (
        sa.select(OUTBOX.c.path, OUTBOX.c.sha256, OUTBOX.c.committed_at, RUNS.c.finished_at)
        .select_from(OUTBOX.outerjoin(RUNS, OUTBOX.c.run_id == RUNS.c.run_id))
        .where(OUTBOX.c.shop == shop, OUTBOX.c.guarded, OUTBOX.c.run_id >= f"{since - LONGEST_RUN:%Y%m%dT%H%M%SZ}")
        .where(RUNS.c.finished_at.is_(None) | (RUNS.c.finished_at >= iso(since)))
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    frames = [
        _lines(path, sha256, _stamp(_outcomes(path))).with_columns(
            begun=pl.lit(datetime.fromisoformat(begun)), ended=pl.lit(datetime.fromisoformat(ended) if ended else now)
        )
        for path, sha256, begun, ended in rows
        if Path(path).exists()
    ]
    return pl.concat([tables.empty(SENT), *(tables.conform(frame, SENT, "sent") for frame in frames)])


def _outcomes(path: str) -> Path:
    return Path(path).with_name("outcomes.parquet")


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=16)
def _lines(path: str, sha256: str, proved: int) -> pl.DataFrame:
    made = pl.col("changed_from") + pl.col("delta")
    lines = bulkfile.read(Path(path)).select(*KEY, available=made, job=pl.lit(Path(path).parts[-3]))
    return lines.join(_proved(_outcomes(path)), on=[*KEY, "available"], how="left")


def _proved(outcomes: Path) -> pl.DataFrame:
    """Shopify's stamp of each number that was read back: item, location, available, proved_at."""
    rows = tables.empty(tables.OUTCOMES)
    if outcomes.exists():
        rows = tables.completed(pl.read_parquet(outcomes), tables.OUTCOMES)
    return rows.filter(pl.col("outcome") == APPLIED).select(*KEY, available="after", proved_at="after_at")


def echoes(heard: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The HEARD rows that a change of ours caused: its pair, its number, and a stamp between its file and its end.

    The end is Shopify's stamp of the number as it was read back. A level that was moved away and back has a later one.
    """
    after = pl.col("updated_at") >= pl.col("begun") - CLOCKS_DIFFER
    before = pl.col("updated_at") <= pl.coalesce(pl.col("proved_at") + SAME_MOMENT, pl.col("ended") + CLOCKS_DIFFER)
    ours = heard.join(lines, on=[*KEY, "available"]).filter(after & before)
    return heard.join(ours, on="number", how="semi")
