"""What a run measures of itself, in `telemetry.json` of its folder: how long each step took, and what Shopify's API cost."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from invsync.shopify.pacing import Usage

FILE = "telemetry.json"
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A step of a run: when it began (ISO 8601 in UTC), how long it took, and whether it raised."""

    step: str
    started_at: str
    seconds: float
    failed: bool = False


@dataclass(frozen=True)
class Measured:
    """The steps of a run, what its calls to Shopify cost, and when its oldest order in flight was placed.

    `points` were spent of Shopify's bucket, which restores `restore_rate` of them in a second; 0 where it did not say.
    """

    steps: tuple[Step, ...] = ()
    points: float = 0.0
    waited_seconds: float = 0.0
    oldest_order_at: str | None = None
    restore_rate: float = 0.0


@dataclass
class Stopwatch:
    """Measures the steps of one run, and writes them down after each; does nothing without a folder."""

    folder: Path | None = None
    usage: Callable[[], Usage] = Usage
    measured: Measured = field(default_factory=Measured)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step of this name."""
        began, started_at, failed = time.perf_counter(), datetime.now(UTC), True
        try:
            yield
            failed = False
        finally:
            stamp = started_at.isoformat().replace("+00:00", "Z")
            self._add(Step(name, stamp, round(time.perf_counter() - began, 6), failed))

    def set_oldest_order(self, placed_at: datetime | None) -> None:
        """Remember when the oldest order in flight was placed."""
        self.measured = replace(self.measured, oldest_order_at=placed_at.isoformat() if placed_at else None)

    def _add(self, step: Step) -> None:
        if self.folder is None:
            return
        used, steps = self.usage(), (*self.measured.steps, step)
        self.measured = replace(self.measured, steps=steps, **asdict(used))
        with suppress(OSError):  # a full disk is the run's to name
            (self.folder / FILE).write_text(json.dumps(asdict(self.measured)), encoding="utf-8")


class HasStopwatch(Protocol):
    """An object with a stopwatch, such as a run."""

    @property
    def stopwatch(self) -> Stopwatch:
        """The stopwatch of the run."""
        ...


W = TypeVar("W", bound=HasStopwatch)


def timed(method: Callable[Concatenate[W, P], T]) -> Callable[Concatenate[W, P], T]:
    """Measure each call of a method as a step of its name."""

    @wraps(method)
    def measured(self: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.stopwatch.step(method.__name__):
            return method(self, *args, **kwargs)

    return measured


def read(folder: Path) -> Measured:
    """Return what the run in this folder measured; nothing where it left nothing that can be read."""
    try:
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Measured(**values | {"steps": tuple(Step(**step) for step in values["steps"])})
    except (OSError, ValueError, KeyError, TypeError):
        return Measured()
