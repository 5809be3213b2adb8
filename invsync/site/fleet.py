"""The fleet: how each shop is kept, by its runs, its open faults and its schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import charts
from invsync.site.history import History
from invsync.site.listing import Fault
from invsync.telemetry import measured
from invsync.vocabulary import (
    FAILED,
    FAILING,
    HEALTHS,
    HEALTHY,
    LATE,
    NEEDS_YOU,
    NEVER_RUN,
    PARTIAL,
    PLANNED,
    REHEARSED,
    RIGHT,
    SENT,
    SHADOW,
    STOPPED,
)

IN_FLIGHT = "in_flight.parquet"


@dataclass(frozen=True)
class Due:
    """When a job of a shop is due: a run must have finished since `since`, and the next is due at `next`."""

    job: str
    since: datetime
    next: datetime


Dues = Mapping[str, Sequence[Due]]  # by shop; a shop without a schedule has none


@dataclass(frozen=True)
class Clock:
    """Writes times for a shop's reader, on the day that the page is of."""

    reader: charts.Reader
    now: datetime

    def time(self, at: datetime) -> str:
        """The time of the day, and the day too where it is another."""
        day, time = self.reader.local(at).date(), self.reader.clock(at)
        return time if day == self.reader.local(self.now).date() else f"{self.reader.short_day(day)}, {time}"


@dataclass(frozen=True)
class JobLine:
    """The last run of a job, ready to read, and when the next is due; `status` is None before its first run."""

    job: str
    path: str
    at: str
    t: int | str
    status: str | None
    next: str
    is_late: bool


@dataclass(frozen=True)
class ShopHealth:
    """How a shop is kept: one of HEALTHS, and why.

    `right` levels of `levels` were right when a run last looked. `order_age` is the age of the oldest order in flight
    at the end of the last run that looked at orders. `api_share` is the part of Shopify's points that its jobs spend
    at their present pace. The last two are None where nothing says.
    """

    health: str
    why: str
    right: int
    levels: int
    order_age: timedelta | None
    api_share: float | None
    at_risk: Mapping[str, float]
    jobs: tuple[JobLine, ...]

    @property
    def rank(self) -> tuple[int, float]:
        """Where the shop stands among others, the worst first."""
        return -HEALTHS[self.health].rank, -max(self.at_risk.values(), default=0.0)


def levels(history: History) -> dict[str, tuple[int, int]]:
    """Count the levels of each shop by their last looks: those that were right, and all that were not only planned."""
    looked = history.pairs.filter(pl.col("outcome") != PLANNED)
    counted = looked.group_by("shop").agg(pl.col("outcome").is_in(RIGHT).sum().alias("right"), pl.len())
    return {shop: (right, every) for shop, right, every in counted.iter_rows()}


def shop_health(
    root: Path,
    runs: pl.DataFrame,
    last: pl.DataFrame,
    faults: Sequence[Fault],
    counted: tuple[int, int],
    dues: Sequence[Due],
    clock: Clock,
) -> ShopHealth:
    """Return how a shop is kept, by its RUNS, the last of each job, its open faults, its levels and its schedule."""
    late = [due for due in dues if runs.height and is_late(runs, due)]
    health = _health(runs, last, faults, late)
    risk: dict[str, float] = {}
    for fault in faults:
        if fault.at_risk is not None and fault.currency:
            risk[fault.currency] = risk.get(fault.currency, 0.0) + fault.at_risk
    return ShopHealth(
        health,
        f"no {_calm(late[0].job)} has finished since {clock.reader.moment(late[0].since)}" if health == LATE else "",
        *counted,
        order_age(root, last),
        api_share(root, runs, last),
        risk,
        _jobs(last, dues, late, clock),
    )


def is_late(runs: pl.DataFrame, due: Due) -> bool:
    """Whether no run of a job has finished since it must have; a look of shadow mode counts, a rehearsal does not."""
    ended = pl.col("started_at") + pl.duration(milliseconds=pl.col("seconds").fill_null(0) * 1000)
    finished = pl.col("status").is_in([*SENT, *([PLANNED] if due.job == SHADOW else [])])
    return runs.filter(finished, pl.col("job") == due.job, ended >= due.since).is_empty()


def order_age(root: Path, last: pl.DataFrame) -> timedelta | None:
    """Return the age of the oldest order in flight at the end of the newest of these RUNS that looked at orders."""
    for run in last.sort("started_at", descending=True).iter_rows(named=True):
        file = root / run["path"] / IN_FLIGHT
        if file.exists():
            oldest = pl.scan_parquet(file).select(pl.col("created_at").min()).collect().item()
            ended = run["started_at"] + timedelta(seconds=run["seconds"] or 0)
            return None if oldest is None else max(ended - oldest, timedelta(0))
    return None


def api_share(root: Path, runs: pl.DataFrame, last: pl.DataFrame) -> float | None:
    """Return the points that the last run of each job spent, of what Shopify restored since the run before it."""
    shares = []
    for job, path in last.select("job", "path").iter_rows():
        spent, begun = measured.read(root / path), runs.filter(pl.col("job") == job)["started_at"].sort().tail(2)
        if spent.restore_rate and begun.len() == 2 and begun[1] > begun[0]:
            shares.append(spent.points / (spent.restore_rate * (begun[1] - begun[0]).total_seconds()))
    return sum(shares) if shares else None


def _health(runs: pl.DataFrame, last: pl.DataFrame, faults: Sequence[Fault], late: Sequence[Due]) -> str:
    statuses = set(last["status"])
    if statuses & {FAILED, STOPPED}:
        return FAILING
    if runs.is_empty():
        return NEVER_RUN
    if late:
        return LATE
    if faults or PARTIAL in statuses:
        return NEEDS_YOU
    return HEALTHY if statuses else REHEARSED


def _jobs(last: pl.DataFrame, dues: Sequence[Due], late: Sequence[Due], clock: Clock) -> tuple[JobLine, ...]:
    """The jobs that ran or are due: first those of the schedule."""
    runs, due = {run["job"]: run for run in last.iter_rows(named=True)}, {each.job: each for each in dues}
    return tuple(_job(job, runs.get(job), due.get(job), late, clock) for job in dict.fromkeys([*due, *sorted(runs)]))


def _job(job: str, run: Mapping[str, object] | None, due: Due | None, late: Sequence[Due], clock: Clock) -> JobLine:
    at = run["started_at"] if run else None
    assert at is None or isinstance(at, datetime)
    return JobLine(
        _calm(job).capitalize(),
        str(run["path"]) if run else "",
        clock.time(at) if at else "",
        int(at.timestamp()) if at else "",
        str(run["status"]) if run else None,
        clock.time(due.next) if due else "",
        due in late,
    )


def _calm(job: str) -> str:
    return job.replace("-", " ")
