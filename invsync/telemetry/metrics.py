"""The metrics of invsync, and their values for a run that has ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from invsync.runs.record import Record, moment
from invsync.telemetry.measured import Measured
from invsync.vocabulary import COUNTED, PLANNED, SENT

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """A number that is exported: its name, kind, meaning and labels; its unit is seconds or nothing."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ("shop", "job")
    unit: Literal["", "s"] = ""

    @property
    def base(self) -> str:
        """The name in Prometheus, without what a client adds to it."""
        return f"invsync_{self.name}" + ("_seconds" if self.unit else "")

    @property
    def exposed(self) -> str:
        """The name in Prometheus; that of a histogram ends in _bucket, _sum or _count too."""
        return f"{self.base}_total" if self.kind == "counter" else self.base


@dataclass(frozen=True)
class Sample:
    """A value of a metric: what is added to a counter, observed by a histogram, or shown by a gauge."""

    metric: Metric
    labels: Mapping[str, str]
    value: float


RUNS = Metric("runs", "counter", "Runs that ended, by status.", ("shop", "job", "status"))
PAIRS = Metric("pairs", "counter", "Pairs of item and location, by outcome.", ("shop", "job", "outcome"))
UNITS = Metric("units", "counter", "Units that were raised or lowered.", ("shop", "job", "direction"))
NEEDS = Metric("needs_a_person", "gauge", "Pairs and faults of the last run that a person must look at.")
SELECTED = Metric("selected_pairs", "gauge", "Pairs that the last run looked at.")
DRIFT = Metric("drift_pairs", "gauge", "Pairs that the last run had to change.")
IN_FLIGHT_UNITS = Metric("in_flight_units", "gauge", "Units of orders in flight, as the last run counted them.")
IN_FLIGHT_ORDERS = Metric("in_flight_orders", "gauge", "Orders in flight, as the last run counted them.")
ORDER_LAG = Metric("order_lag", "gauge", "Age of the oldest order in flight at the end of the last run.", unit="s")
LAST_RUN = Metric("last_run_timestamp", "gauge", "When the last run ended, as a Unix time.", unit="s")
API_POINTS = Metric("api_points", "counter", "Points of Shopify's API that runs spent.")
API_WAIT = Metric("api_wait", "counter", "Time that runs waited for Shopify's limits.", unit="s")
RUN_DURATION = Metric("run_duration", "histogram", "How long runs took.", unit="s")
STEP_DURATION = Metric("step_duration", "histogram", "How long steps took.", ("shop", "job", "step"), unit="s")
INBOX = Metric("inbox_deliveries", "gauge", "Webhook deliveries that wait for a run.", ("shop",))
ALERTS = Metric("active_alerts", "gauge", "Alerts that were raised and are not resolved.", ("shop", "kind"))
METRICS = (
    RUNS,
    PAIRS,
    UNITS,
    NEEDS,
    SELECTED,
    DRIFT,
    IN_FLIGHT_UNITS,
    IN_FLIGHT_ORDERS,
    ORDER_LAG,
    LAST_RUN,
    API_POINTS,
    API_WAIT,
    RUN_DURATION,
    STEP_DURATION,
    INBOX,
    ALERTS,
)


def of_run(run: Record, measured: Measured) -> Iterator[Sample]:
    """Yield the samples of a run that has ended; a dry run changes no pair and no unit."""
    about = {"shop": run.shop, "job": run.job}
    yield Sample(RUNS, {**about, "status": run.status}, 1)
    if run.status in SENT:
        for outcome in COUNTED:
            yield Sample(PAIRS, {**about, "outcome": outcome}, run.counts.get(outcome, 0))
        for direction, units in run.units.items():
            yield Sample(UNITS, {**about, "direction": direction}, units)
    yield Sample(API_POINTS, about, measured.points)
    yield Sample(API_WAIT, about, measured.waited_seconds)
    if run.started and run.finished:
        yield Sample(RUN_DURATION, about, (run.finished - run.started).total_seconds())
    for step in measured.steps:
        yield Sample(STEP_DURATION, {**about, "step": step.step}, step.seconds)
    yield from last(run, measured)


def last(run: Record, measured: Measured) -> Iterator[Sample]:
    """Yield the samples that the last run of a job shows: gauges alone."""
    about = {"shop": run.shop, "job": run.job}
    yield Sample(NEEDS, about, run.counts.get("needs_a_person", 0))
    yield Sample(SELECTED, about, run.counts.get("selected", 0))
    yield Sample(DRIFT, about, run.counts.get(PLANNED, 0))
    yield Sample(IN_FLIGHT_UNITS, about, run.in_flight.get("units", 0))
    yield Sample(IN_FLIGHT_ORDERS, about, run.in_flight.get("orders", 0))
    yield Sample(ORDER_LAG, about, _lag(run.finished, moment(measured.oldest_order_at)))
    if run.finished:
        yield Sample(LAST_RUN, about, run.finished.timestamp())


def _lag(finished: datetime | None, oldest: datetime | None) -> float:
    return max(0.0, (finished - oldest).total_seconds()) if finished and oldest else 0.0
