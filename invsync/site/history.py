"""What all runs did to every pair, kept beside the reports and extended run by run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from invsync import tables
from invsync.site import faults, folders
from invsync.vocabulary import ALREADY_RIGHT, GUARD, PLANNED

KEY = ["shop", "product_id", "inventory_item_id", "location_id"]
PRODUCT = ["name", "shopify_product_id", "shopify_variant_id", "price", "currency"]
EVENTS = {name: dtype for name, dtype in folders.LOOKED.items() if name not in PRODUCT} | {
    "newly": tables.UNITS,
    "exposed": tables.UNITS,
}
PAIRS = folders.LOOKED | {"since": tables.STAMP}
KEPT = {"runs": folders.RUNS, "pairs": PAIRS, "faults": faults.FAULTS}
BATCH, FILES = 2_000_000, 500  # rows and files that are digested at once, about


@dataclass
class History:
    """The runs, the last look at every pair, the faults, and every event.

    An event is a change, a hold, a refusal, or units newly in flight. `faults` are FAULTS of `site.faults`.

    `since` is when a pair's present fault was first seen; `newly` the units in flight that the run before did not see.
    `exposed` are the units in flight of a pair that has nothing left on sale: those of this look and of the one before
    it, each when the pair runs out or when it comes. Put back on sale, they could have been sold again.
    `touched` names the items whose story the last `extend` changed.
    """

    folder: Path
    runs: pl.DataFrame
    pairs: pl.DataFrame
    faults: pl.DataFrame
    touched: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)

    def events(self, *columns: str) -> pl.LazyFrame:
        """EVENTS of every run that is still there."""
        files = sorted(self.folder.glob("events-*.parquet"))
        if not files:
            return tables.empty(EVENTS).lazy().select(columns or list(EVENTS))
        kept = pl.scan_parquet(files).join(self.runs.lazy().select("path"), on="path", how="semi")
        return kept.select(columns or list(EVENTS))

    def save(self) -> None:
        """Put the runs, the pairs and the faults in place; events were kept as they came."""
        _write(self.runs, self.folder / "runs.parquet")
        _write(self.pairs, self.folder / "pairs.parquet")
        _write(self.faults, self.folder / "faults.parquet")


def load(folder: Path) -> History:
    """The history kept in this folder; an empty one when there is none, or an earlier version kept it otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [(folder / f"{name}.parquet", schema) for name, schema in KEPT.items()]
    written = [*kept, *((path, EVENTS) for path in folder.glob("events-*.parquet"))]
    there = {path.exists() for path, _ in kept}
    if len(there) > 1 or any(path.exists() and pl.read_parquet_schema(path) != schema for path, schema in written):
        for path in folder.glob("*.parquet"):
            path.unlink()
    runs, pairs, open_faults = (
        pl.read_parquet(path) if path.exists() else tables.empty(schema) for path, schema in kept
    )
    return History(folder, runs, pairs, open_faults)


def extend(history: History, root: Path) -> tuple[int, int]:
    """Read the runs that are new or were rewritten, forget those that are gone; how many of each."""
    there = folders.stamps(root)
    known = dict(history.runs.select("path", "stamp").iter_rows())
    changed = {path: stamp for path, stamp in there.items() if known.get(path) != stamp}
    gone = [path for path in known if path not in there]
    facts = folders.table(root, changed)
    lost = history.runs.filter(pl.col("path").is_in(gone))
    history.months = set(pl.concat([facts, lost])["started_at"].dt.strftime("%Y-%m"))
    if gone:
        history.touched |= set(history.pairs["item"])
    ended = pl.col("seconds").is_not_null()
    digested = history.runs.filter(ended)["path"].to_list()
    stay = history.runs.filter(~pl.col("path").is_in([*changed, *gone]))
    history.runs = pl.concat([stay, facts]).sort("started_at", "path")
    for rows in _batches(root, facts.filter(ended & ~pl.col("path").is_in(digested))):
        _digest(history, rows)
    return len(changed), len(gone)


def events_of(pairs: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """EVENTS of LOOKED rows, and PAIRS brought up to them, given PAIRS as they were before."""
    before = pairs.with_columns(new=pl.lit(False))
    stopped = (pl.col("reason") == GUARD).fill_null(False)  # no look at the pair itself
    after = rows.filter(~stopped).with_columns(since=pl.col("at"), new=pl.lit(True)).select(before.columns)
    both = pl.concat([before, after]).sort(*KEY, "at", maintain_order=True)
    both = both.with_columns(pl.col(PRODUCT).forward_fill().over(KEY))
    both = both.with_columns(pl.col("in_flight").forward_fill().over(KEY).fill_null(0))
    was = pl.col("in_flight").shift(1).over(KEY).fill_null(0)
    newly = (pl.col("in_flight") - was).clip(lower_bound=0)
    sold_out = (pl.coalesce("target", "available") <= 0).fill_null(False)
    ran_out = ~sold_out.shift(1).over(KEY).fill_null(False)
    well = pl.when(~pl.col("fault")).then("at").max().over(KEY)
    ill = pl.col("fault") & (well.is_null() | (pl.col("at") > well))
    both = both.with_columns(
        newly=newly,
        exposed=pl.when(sold_out).then(newly + pl.when(ran_out).then(was).otherwise(0)).otherwise(0),
        since=pl.when(ill).then("since").min().over(KEY),
    )
    listed = (pl.col("outcome") != ALREADY_RIGHT) | (pl.col("newly") > 0) | (pl.col("exposed") > 0)
    events = both.filter(pl.col("new") & listed)
    last = both.unique(KEY, keep="last", maintain_order=True)
    none = pl.lit(0, dtype=pl.Int64)
    never = rows.filter(stopped).with_columns(newly=none, exposed=none, fault=pl.lit(False))
    return pl.concat([events.select(list(EVENTS)), never.select(list(EVENTS))]), last.select(list(PAIRS))


def _batches(root: Path, facts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """LOOKED of these runs in the order of time, some million rows or a few hundred runs at a time."""
    rows = pl.col("selected").fill_null(0).cum_sum() // BATCH
    for _, part in facts.group_by(rows, pl.int_range(pl.len()) // FILES, maintain_order=True):
        yield folders.looked(root, part)


def _digest(history: History, rows: pl.DataFrame) -> None:
    events, history.pairs = events_of(history.pairs, rows)
    rehearsed = history.runs.filter(pl.col("status") == PLANNED)["path"]
    history.faults = faults.followed(history.faults, rows.filter(~pl.col("path").is_in(rehearsed.implode())))
    history.touched |= set(rows["item"])
    for (month,), part in events.group_by(pl.col("at").dt.strftime("%Y-%m")):
        path = history.folder / f"events-{month}.parquet"
        kept = pl.concat([pl.read_parquet(path), part]) if path.exists() else part
        _write(kept.unique(["path", *KEY], keep="last", maintain_order=True), path)


def _write(frame: pl.DataFrame, path: Path) -> None:
    part = path.with_suffix(".part")
    frame.write_parquet(part)
    part.replace(path)
