"""The values that a run passes from step to step; each holds what the step before it gave."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeVar

import polars as pl

from invsync import delta, tables
from invsync.jobs.planfile import PlanFile
from invsync.ledger.reading import Reader, Reading
from invsync.plan import Guarded
from invsync.runs.record import Record
from invsync.tables import KEY


@dataclass(frozen=True)
class Settled:
    """What a run closed of earlier ones: the products to read again, and messages; a fault makes the run partial."""

    products: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """From when until when a run looks at changes; without a start it looks at everything."""

    start: datetime | None
    end: datetime


@dataclass(frozen=True)
class Selection:
    """The PAIRS that a run looks at, the MAPPING_HELD rows that are no pair, and how large the shop is.

    `read` counts the pairs and rows that it was made from, `mapped` the shop's pairs, `rows` the OMS's rows of stock;
    `whole` says that every pair was selected.
    `reader` reads the pairs; None where there is nothing to read. `products` are the PRODUCTS of a plan that is sent
    as it was reviewed.
    """

    settled: Settled
    pairs: pl.DataFrame
    held: pl.DataFrame
    read: int
    mapped: int
    rows: int
    whole: bool = False
    reader: Reader | None = None
    window: Window | None = None
    thru: datetime | None = None  # until when the watermark may move, where that is not the run's own `thru`
    advances: bool = True  # whether the end of the run may move the watermark
    products: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PRODUCTS))
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventSelection(Selection):
    """The pairs of a window's stock events.

    `free` are the CLAIMABLE events that no run has counted yet, of `every` that the `snapshot` saw in the window;
    `resets` the PAIRS that are reset whatever their events net to. `baseline` are the EVENTS of a first run, which
    counts them and sends nothing. `switched`: another job kept the shop since the last run of this one.
    """

    free: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    every: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.CLAIMABLE))
    snapshot: tables.Snapshot | None = None
    resets: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PAIRS))
    baseline: pl.DataFrame | None = None
    switched: bool = False

    @property
    def events(self) -> int:
        """How many stock events are to be counted."""
        return int(self.free["event_id"].n_unique())


@dataclass(frozen=True)
class HeardSelection(Selection):
    """The pairs that waiting webhooks name: `heard` are the deliveries (HEARD), `sold` the items of their orders."""

    heard: pl.DataFrame = field(default_factory=pl.DataFrame)
    sold: pl.DataFrame = field(default_factory=pl.DataFrame)


@dataclass(frozen=True)
class PlanSelection(Selection):
    """The VARIANCES of another run, from its folder."""

    variances: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.VARIANCES))


@dataclass(frozen=True)
class DeltaReading(Reading):
    """The `net` changes of pairs (NET), and the reading of the PAIRS that are reset instead (`resets`)."""

    net: pl.DataFrame = field(default_factory=lambda: tables.empty(delta.NET))
    resets: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.PAIRS))

    @classmethod
    def of(cls, reading: Reading, net: pl.DataFrame, resets: pl.DataFrame) -> "DeltaReading":
        """A reading together with the net changes beside it."""
        return cls(**{each.name: getattr(reading, each.name) for each in fields(Reading)}, net=net, resets=resets)


S = TypeVar("S", bound=Selection)
R = TypeVar("R", bound=Reading)


@dataclass(frozen=True)
class Decision(Generic[S, R]):
    """The plan of a run, with what it was made from, and every guard with its number."""

    selection: S
    reading: R
    plan: PlanFile
    guards: tuple[Guarded, ...] = ()


@dataclass(frozen=True)
class Sent(Generic[S, R]):
    """How a run ended: OUTCOMES_FILE of every selected pair, the last reading of them, and its record.

    `every` is not collected: the rows of pairs that were right already stay in their file until `outcomes` is read.
    """

    decision: Decision[S, R]
    every: pl.LazyFrame
    reading: R
    record: Record

    @cached_property
    def outcomes(self) -> pl.DataFrame:
        """OUTCOMES_FILE of every selected pair, in order of risk."""
        return self.every.sort("target", *KEY, nulls_last=True).collect(engine="streaming")
