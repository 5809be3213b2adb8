"""Echoes: webhooks about levels that our own changes caused, recognised by what was sent and when."""

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
STAMPS_DIFFER = timedelta(seconds=1)  # Shopify's stamps of a level and of its quantities
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
    """Return SENT: the changes of the files that were under way since then, with the available that each makes.

    A guarded change makes the number that it was guarded by, and its delta. An unguarded one, such as a pushed stock
    event, is here once its number was read back and nothing else had moved it in between. `proved_at` is Shopify's
    stamp of that number; null where it was not read.
    """
    query = (
        sa.select(OUTBOX.c.path, OUTBOX.c.sha256, OUTBOX.c.guarded, OUTBOX.c.committed_at, RUNS.c.finished_at)
        .select_from(OUTBOX.outerjoin(RUNS, OUTBOX.c.run_id == RUNS.c.run_id))
        .where(OUTBOX.c.shop == shop, OUTBOX.c.run_id >= f"{since - LONGEST_RUN:%Y%m%dT%H%M%SZ}")
        .where(RUNS.c.finished_at.is_(None) | (RUNS.c.finished_at >= iso(since)))
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    frames = [
        _lines(path, sha256, _modified(_outcomes(path)), guarded=bool(guarded)).with_columns(
            begun=pl.lit(datetime.fromisoformat(begun)), ended=pl.lit(datetime.fromisoformat(ended) if ended else now)
        )
        for path, sha256, guarded, begun, ended in rows
        if Path(path).exists()
    ]
    return pl.concat([tables.empty(SENT), *(tables.conform(frame, SENT, "sent") for frame in frames)])


def _outcomes(path: str) -> Path:
    return Path(path).with_name("outcomes.parquet")


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=16)  # the hash and the time of the outcomes are there to tell one content of a path from another
def _lines(path: str, sha256: str, outcomes_modified: int, *, guarded: bool) -> pl.DataFrame:
    outcomes = _applied(_outcomes(path))
    proved = outcomes.select(*KEY, available="after", proved_at="after_at")
    lines = bulkfile.read(Path(path)).with_columns(job=pl.lit(Path(path).parts[-3]))
    if guarded:
        lines = lines.select(*KEY, "job", available=pl.col("changed_from") + pl.col("delta"))
        return lines.join(proved, on=[*KEY, "available"], how="left")
    undisturbed = outcomes.filter(pl.col("after") == pl.col("available") + pl.col("delta")).select(KEY)
    return lines.select(*KEY, "job").join(proved.join(undisturbed, on=KEY, how="semi"), on=KEY)


def _applied(outcomes: Path) -> pl.DataFrame:
    """OUTCOMES of the changes that were applied; without rows before they are known."""
    rows = tables.empty(tables.OUTCOMES)
    if outcomes.exists():
        rows = tables.completed(pl.read_parquet(outcomes), tables.OUTCOMES)
    return rows.filter(pl.col("outcome") == APPLIED)


def echoes(heard: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the HEARD rows that a row of SENT caused: the same pair and number, stamped while its file was under way.

    The end of that time is Shopify's stamp of the number as it was read back, where there is one: a level that was
    moved away and back has a later one.
    """
    after = pl.col("updated_at") >= pl.col("begun") - CLOCKS_DIFFER
    before = pl.col("updated_at") <= pl.coalesce(pl.col("proved_at") + STAMPS_DIFFER, pl.col("ended") + CLOCKS_DIFFER)
    ours = heard.join(lines, on=[*KEY, "available"]).filter(after & before)
    return heard.join(ours, on="number", how="semi")
