"""What all runs did to every pair, kept beside the reports and extended run by run."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from invsync import tables
from invsync.site import faults, folders, store
from invsync.vocabulary import ALREADY_RIGHT, GUARD, PLANNED

KEY = ["shop", "product_id", "inventory_item_id", "location_id"]
PRODUCT = ["name", "shopify_product_id", "shopify_variant_id", "price", "currency"]
EVENTS = {name: dtype for name, dtype in folders.LOOKED.items() if name not in PRODUCT} | {
    "newly": tables.UNITS,
    "exposed": tables.UNITS,
}
PAIRS = folders.LOOKED | {"since": tables.STAMP}
KEPT = {"runs": folders.RUNS, "pairs": PAIRS, "faults": faults.FAULTS}
MONTH = "events-"  # the name of a table of events, before its month
BATCH, FILES = 2_000_000, 500  # rows and files that are digested at once, about


@dataclass
class History:
    """The runs, the last look at every pair, the faults, and every event.

    An event is a change, a hold, a refusal, or units newly in flight. `faults` are FAULTS of `site.faults`.

    `since` is when a pair's present fault was first seen; `newly` the units in flight that the run before did not see.
    `exposed` are the units in flight of a pair that has nothing left on sale: those of this look and of the one before
    it, each when the pair runs out or when it comes. Put back on sale, they could have been sold again.
    `touched` names the items, and `months` the months, whose story the last `extend` changed. `files` are the tables
    in the folder: those of KEPT, and the events of each month.
    """

    folder: Path
    runs: pl.DataFrame
    pairs: pl.DataFrame
    faults: pl.DataFrame
    touched: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)
    files: store.Files = field(default_factory=dict)

    @property
    def by_month(self) -> dict[str, str]:
        """The file of the events of each month, which is `YYYY-MM`, the newest first."""
        names = sorted((name for name in self.files if name.startswith(MONTH)), reverse=True)
        return {name.removeprefix(MONTH): self.files[name] for name in names}

    def events(self, *columns: str, months: Container[str] | None = None) -> pl.LazyFrame:
        """EVENTS of every run that is still there, in these months or all."""
        files = [self.folder / name for month, name in self.by_month.items() if months is None or month in months]
        if not files:
            return tables.empty(EVENTS).lazy().select(columns or list(EVENTS))
        kept = pl.scan_parquet(files[::-1]).join(self.runs.lazy().select("path"), on="path", how="semi")
        return kept.select(columns or list(EVENTS))

    def save(self) -> None:
        """Make the runs, the pairs, the faults and the events, as they are now, those that `load` returns."""
        for name, frame in {"runs": self.runs, "pairs": self.pairs, "faults": self.faults}.items():
            self.files[name] = store.write(self.folder, name, frame)
        store.commit(self.folder, self.files)


def load(folder: Path) -> History:
    """The history kept in this folder; an empty one where there is none, or it is damaged or of another version."""
    folder.mkdir(parents=True, exist_ok=True)
    files = store.load(folder)
    schemas = KEPT | {name: EVENTS for name in files if name.startswith(MONTH)}
    if not all(store.has(folder, files, name, schema) for name, schema in schemas.items()):
        files = {}
    runs, pairs, known = (
        pl.read_parquet(folder / files[name]) if files else tables.empty(schema) for name, schema in KEPT.items()
    )
    return History(folder, runs, pairs, known, files=files)


def extend(history: History, root: Path) -> tuple[int, int]:
    """Read the runs that are new or were rewritten, forget those that are gone; how many of each."""
    there = folders.stamps(root)
    known = dict(history.runs.select("path", "stamp").iter_rows())
    changed = {path: stamp for path, stamp in there.items() if known.get(path) != stamp}
    gone = [path for path in known if path not in there]
    facts = folders.table(root, changed)
    before = history.runs.filter(pl.col("path").is_in([*changed, *gone]))
    history.months = set(pl.concat([facts, before])["started_at"].dt.strftime("%Y-%m"))
    if gone:
        history.touched |= set(history.pairs["item"])
    ended = pl.col("seconds").is_not_null()
    digested = history.runs.filter(ended)["path"].to_list()
    stay = history.runs.filter(~pl.col("path").is_in([*changed, *gone]))
    history.runs = pl.concat([stay, facts]).sort("started_at", "path")
    fresh = facts.filter(ended & ~pl.col("path").is_in(digested))
    _remember(history, (_digest(history, rows) for rows in _batches(root, fresh)))
    return len(changed), len(gone)


def events_of(pairs: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """EVENTS of LOOKED rows, and PAIRS brought up to them, given PAIRS as they were before."""
    before = pairs.with_columns(new=pl.lit(False))
    stopped = (pl.col("reason") == GUARD).fill_null(False)  # no look at the pair itself
    after = rows.filter(~stopped).with_columns(since=pl.col("at"), new=pl.lit(True)).select(before.columns)
    both = _numbered(pl.concat([before, after])).sort("pair", "at", maintain_order=True)
    both = both.with_columns(pl.col(*PRODUCT, "in_flight").forward_fill().over("pair"))
    both = both.with_columns(pl.col("in_flight").fill_null(0))
    was = _earlier(pl.col("in_flight")).fill_null(0)
    newly = (pl.col("in_flight") - was).clip(lower_bound=0)
    sold_out = (pl.coalesce("target", "available") <= 0).fill_null(False)
    ran_out = ~_earlier(sold_out).fill_null(False)
    well = pl.when(~pl.col("fault")).then("at").max().over("pair")
    ill = pl.col("fault") & (well.is_null() | (pl.col("at") > well))
    both = both.with_columns(
        newly=newly,
        exposed=pl.when(sold_out).then(newly + pl.when(ran_out).then(was).otherwise(0)).otherwise(0),
        since=pl.when(ill).then("since").min().over("pair"),
    )
    listed = (pl.col("outcome") != ALREADY_RIGHT) | (pl.col("newly") > 0) | (pl.col("exposed") > 0)
    events = both.filter(pl.col("new") & listed)
    last = both.unique("pair", keep="last", maintain_order=True)
    none = pl.lit(0, dtype=pl.Int64)
    never = rows.filter(stopped).with_columns(newly=none, exposed=none, fault=pl.lit(False))
    return pl.concat([events.select(list(EVENTS)), never.select(list(EVENTS))]), last.select(list(PAIRS))


def _numbered(looks: pl.DataFrame) -> pl.DataFrame:
    """The looks with `pair`, a number that stands for KEY and is in its order."""
    numbers = looks.select(KEY).unique().sort(KEY).with_row_index("pair")
    return looks.join(numbers, on=KEY, how="left", nulls_equal=True, maintain_order="left")


def _earlier(value: pl.Expr) -> pl.Expr:
    """The value at the look before, null at the first look at a pair; the looks are in the order of `pair`."""
    return pl.when(pl.col("pair") == pl.col("pair").shift(1)).then(value.shift(1))


def _batches(root: Path, facts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """LOOKED of these runs in the order of time, some million rows or a few hundred runs at a time."""
    rows = pl.col("selected").fill_null(0).cum_sum() // BATCH
    for _, part in facts.group_by(rows, pl.int_range(pl.len()) // FILES, maintain_order=True):
        yield folders.looked(root, part)


def _digest(history: History, rows: pl.DataFrame) -> pl.DataFrame:
    """Bring the pairs and the faults up to these LOOKED rows; their EVENTS."""
    events, history.pairs = events_of(history.pairs, rows)
    rehearsed = history.runs.filter(pl.col("status") == PLANNED)["path"]
    history.faults = faults.followed(history.faults, rows.filter(~pl.col("path").is_in(rehearsed.implode())))
    history.touched |= set(rows["item"].unique())
    return events


def _remember(history: History, batches: Iterable[pl.DataFrame]) -> None:
    """Add these EVENTS, which come in the order of time, to those of their months; each month is written once."""
    waiting: dict[str, list[pl.DataFrame]] = {}
    for events in batches:
        for (month,), part in events.group_by(pl.col("at").dt.strftime("%Y-%m")):
            waiting.setdefault(str(month), []).append(part)
        for month in sorted(waiting)[:-1]:
            _add(history, month, waiting.pop(month))
    for month, parts in waiting.items():
        _add(history, month, parts)


def _add(history: History, month: str, parts: list[pl.DataFrame]) -> None:
    """Add events to those of their month; a later row about the same run and pair replaces an earlier one."""
    name = MONTH + month
    before = [pl.read_parquet(history.folder / history.files[name])] if name in history.files else []
    kept = pl.concat([*before, *parts]).unique(["path", *KEY], keep="last", maintain_order=True)
    history.files[name] = store.write(history.folder, name, kept)
