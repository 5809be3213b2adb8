"""Watch another system keep the shop: compare every pair, send nothing, and keep what each look shows."""

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import shadow, tables
from invsync.jobs.context import Context
from invsync.jobs.methods.resets import Resets
from invsync.jobs.values import Selection, Settled, Window
from invsync.ledger.reading import Reading

LOOK, LEVELS, LAST = "shadow.parquet", "levels.parquet", "last-look.parquet"


@dataclass(frozen=True)
class Watched(Reading):
    """A reading, the KEPT row of each level (`look`), and BY_LEVEL of the looks until now (`levels`), with PRODUCTS."""

    look: pl.DataFrame = field(default_factory=lambda: tables.empty(shadow.KEPT))
    levels: pl.DataFrame = field(default_factory=lambda: tables.empty(shadow.BY_LEVEL))

    @classmethod
    def of(cls, reading: Reading, look: pl.DataFrame, levels: pl.DataFrame) -> "Watched":
        """A reading together with what the looks say."""
        read = {each.name: getattr(reading, each.name) for each in fields(Reading)}
        return cls(**read, look=look, levels=levels)


@dataclass(frozen=True)
class Shadow:
    """Plans what a hard sync would send, and writes down what another system did since the last look.

    In the run's folder, `shadow.parquet` has the noteworthy LOOK rows and `levels.parquet` BY_LEVEL; `last-look.parquet` beside the folders of the
    job has every level, for the look that follows.
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
            return Watched()
        seen = selection.reader.witness.look(selection.pairs, selection.reader.beside)
        reading = selection.reader.judge(seen, selection.pairs.select(list(tables.PAIRS)))
        look = shadow.look(reading.variances, seen.levels, seen.sold, self._before(), at=self.context.at)
        since = self.context.at - timedelta(days=self.context.parameters.days)
        looks = pl.concat([*self._earlier(), look.filter(shadow.is_noteworthy()).select(list(shadow.LOOK))])
        levels = shadow.by_level(looks, since=since, thru=self.context.at)
        return Watched.of(reading, look, self.context.with_products(levels, tables.empty(tables.PRODUCTS)))

    def reread(self, selection: Selection, pairs: pl.DataFrame) -> Reading:
        """The reading of these pairs."""
        return self.resets.reread(selection, pairs)

    def _before(self) -> pl.DataFrame:
        """KEPT of the last look; without rows before the first."""
        path = self._home / LAST
        return pl.read_parquet(path) if path.exists() else tables.empty(shadow.KEPT)

    def _earlier(self) -> list[pl.DataFrame]:
        """The noteworthy LOOK rows of each earlier look that the page covers; files of older ones are not opened."""
        oldest = (datetime.now(UTC) - timedelta(days=self.context.parameters.days + 1)).timestamp()
        files = [path for path in self._home.glob(f"*/{LOOK}") if path.stat().st_mtime >= oldest]
        return [pl.read_parquet(path) for path in files]

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

    def remember(self, selection: Selection, reading: Watched, outcomes: pl.DataFrame) -> None:
        """Keep the look and what the next must know of orders and levels."""
        noteworthy = reading.look.filter(shadow.is_noteworthy()).select(list(shadow.LOOK))
        noteworthy.write_parquet(self.context.folder / LOOK)
        reading.levels.write_parquet(self.context.folder / LEVELS)
        part = self._home / f"{LAST}.part"
        reading.look.write_parquet(part)
        part.replace(self._home / LAST)
        if selection.reader is not None:
            selection.reader.witness.remember(reading.in_flight, whole=selection.whole)
            for peer in self.context.peers:
                peer.remember()
