"""Watch another system keep the shop: compare every pair, send nothing, and keep what each look shows."""

from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from invsync import shadow, tables
from invsync.jobs.context import Context
from invsync.jobs.methods.resets import Resets
from invsync.jobs.parameters import MOST_DAYS
from invsync.jobs.values import Selection, Settled, Window
from invsync.ledger.reading import Reading

LOOK, LEVELS, LOOKS = "shadow.parquet", "levels.parquet", "looks.parquet"
KEPT_FOR = timedelta(days=MOST_DAYS)


@dataclass(frozen=True)
class Watched(Reading):
    """A reading, the KEPT rows of this look and what earlier ones saw happen (`looks`), and BY_LEVEL with PRODUCTS."""

    looks: pl.DataFrame = field(default_factory=lambda: tables.empty(shadow.KEPT))
    levels: pl.DataFrame = field(default_factory=lambda: tables.empty(shadow.BY_LEVEL))

    @classmethod
    def of(cls, reading: Reading, looks: pl.DataFrame, levels: pl.DataFrame) -> "Watched":
        """A reading together with the looks, and what they say of each level."""
        read = {each.name: getattr(reading, each.name) for each in fields(Reading)}
        return cls(**read, looks=looks, levels=levels)


@dataclass(frozen=True)
class Shadow:
    """Plans what a hard sync would send, and writes down what another system did since the last look.

    In the run's folder, `shadow.parquet` has the noteworthy LOOK rows and `levels.parquet` BY_LEVEL. `looks.parquet`
    beside the folders of the job is what the next look goes by: every level as the last look saw it, and what earlier
    looks saw happen. It is replaced in one step, so a look that is killed counts wholly or not at all.
    """

    context: Context

    @property
    def resets(self) -> Resets:
        """How the pairs are selected and read."""
        return Resets(self.context)

    def select(self, settled: Settled) -> Selection:
        """Every mapped pair; the window is the days that the page covers."""
        thru = self.context.at
        window = Window(thru - timedelta(days=self.context.parameters.days), thru)
        return replace(self.resets.select(settled), window=window)

    def read(self, selection: Selection) -> Watched:
        """The reading of every pair, and what the levels say of the time since the last look."""
        if selection.reader is None:
            return Watched(looks=self._looks())
        seen = selection.reader.witness.look(selection.pairs, selection.reader.beside)
        reading = selection.reader.judge(seen, selection.pairs.select(list(tables.PAIRS)))
        looks = self._looks()
        last = looks.filter(pl.col("at") == pl.col("at").max())
        look = shadow.look(reading.variances.collect(), seen.levels, seen.sold, last, at=self.context.at)
        since = self.context.at - timedelta(days=self.context.parameters.days)
        looks = pl.concat([looks.filter(shadow.is_event()), look])
        levels = shadow.by_level(looks, since=since, thru=self.context.at)
        return Watched.of(reading, looks, self.context.with_products(levels, tables.empty(tables.PRODUCTS)))

    def reread(self, selection: Selection, pairs: pl.DataFrame) -> Reading:
        """The reading of these pairs."""
        return self.resets.reread(selection, pairs)

    def _looks(self) -> pl.DataFrame:
        """KEPT of the last look, and of what earlier ones saw happen; without rows before the first."""
        path = self._home / LOOKS
        return pl.read_parquet(path) if path.exists() else tables.empty(shadow.KEPT)

    @property
    def _home(self) -> Path:
        return self.context.folder.parent

    # -- sending, which never happens

    def guarded(self, selection: Selection, reading: Watched, rows: pl.DataFrame) -> list[tuple[bool, pl.DataFrame]]:
        """The rows in groups, each with whether its changes are guarded by what was read."""
        return self.resets.guarded(selection, reading, rows)

    def reasons(self, selection: Selection, reading: Watched) -> pl.DataFrame | None:
        """Shopify's adjustment reason by pair; None: one reason serves them all."""
        return None

    def claims(self, selection: Selection, reading: Watched, pairs: pl.DataFrame) -> pl.DataFrame:
        """No CLAIMS: a look counts no stock event."""
        return self.resets.claims(selection, reading, pairs.clear())

    def remember(self, selection: Selection, reading: Watched, outcomes: pl.LazyFrame) -> None:
        """Keep the look and what the next must know of orders and levels."""
        look = reading.looks.filter(pl.col("at") == self.context.at)
        look.filter(shadow.is_noteworthy()).select(list(shadow.LOOK)).write_parquet(self.context.folder / LOOK)
        reading.levels.write_parquet(self.context.folder / LEVELS)
        part = self._home / f"{LOOKS}.part"
        reading.looks.filter(pl.col("at") >= self.context.at - KEPT_FOR).write_parquet(part)
        part.replace(self._home / LOOKS)
        if selection.reader is not None:
            selection.reader.witness.remember(reading.in_flight, whole=selection.whole)
            for peer in self.context.peers:
                peer.remember()
