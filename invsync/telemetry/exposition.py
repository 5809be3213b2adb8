"""Metrics for Prometheus: the runs that the state database knows, and what waits there, at GET /metrics."""

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from invsync import serving
from invsync.config.settings import Settings
from invsync.errors import InvsyncError
from invsync.inbox import Inbox
from invsync.runs import record
from invsync.state import RUNS, State, iso
from invsync.state.schema import ALERT
from invsync.telemetry import measured, metrics
from invsync.telemetry.metrics import METRICS, Sample

SETTLE = timedelta(seconds=10)  # from the row of a run in the state until its folder is whole
OVERLAP = timedelta(hours=1)  # a run whose row comes later than this is not counted
CONTENT = "text/plain; version=0.0.4; charset=utf-8"
Instrument = CounterMetric | Gauge | Histogram


class Exposition:
    """The metrics of all shops of a configuration; counters begin at 0 when it is made."""

    def __init__(self, configured: Settings, state: State, now: datetime | None = None) -> None:
        self._state, self._shops, self._since = state, tuple(configured.shops), now or datetime.now(UTC)
        self._registry, self._counted, self._lock = CollectorRegistry(), frozenset[str](), threading.Lock()
        self._instruments: dict[str, Instrument] = {metric.name: self._instrument(metric) for metric in METRICS}
        for folder in self._last_folders():
            if (run := record.read(folder)) is not None:
                self._add(metrics.last(run, measured.read(folder)))

    def text(self, now: datetime | None = None) -> bytes:
        """Return every metric in Prometheus's text format; raise InvsyncError where the state cannot be read."""
        with self._lock:
            self._count_runs((now or datetime.now(UTC)) - SETTLE)
            self._show_state()
            return generate_latest(self._registry)

    def _count_runs(self, before: datetime) -> None:
        """Count the runs that ended before this moment and were not counted yet."""
        ended = self._ended(before)
        for run_id, folder in ended.items():
            if run_id not in self._counted and (run := record.read(folder)) is not None:
                self._add(metrics.of_run(run, measured.read(folder)))
        self._counted, self._since = frozenset(ended), max(self._since, before - OVERLAP)

    def _instrument(self, metric: metrics.Metric) -> Instrument:
        if metric.kind == "histogram":
            return Histogram(metric.base, metric.help, metric.labels, registry=self._registry, buckets=metrics.SECONDS)
        kind = CounterMetric if metric.kind == "counter" else Gauge
        return kind(metric.base, metric.help, metric.labels, registry=self._registry)

    def _last_folders(self) -> list[Path]:
        """The folder of the last run of each job."""
        last = sa.select(sa.func.max(RUNS.c.run_id)).where(self._is_ours()).group_by(RUNS.c.shop, RUNS.c.job)
        with self._state.engine.connect() as connection:
            rows = connection.execute(sa.select(RUNS.c.folder).where(RUNS.c.run_id.in_(last)))
            return [Path(folder) for folder in rows.scalars()]

    def _ended(self, before: datetime) -> dict[str, Path]:
        """The folders of the runs that ended since the start, or of late, by their ids, oldest first."""
        since = sa.and_(RUNS.c.finished_at >= iso(self._since), RUNS.c.finished_at <= iso(before), self._is_ours())
        with self._state.engine.connect() as connection:
            rows = connection.execute(sa.select(RUNS.c.run_id, RUNS.c.folder).where(since).order_by(RUNS.c.run_id))
            return {run_id: Path(folder) for run_id, folder in rows}

    def _is_ours(self) -> sa.ColumnElement[bool]:
        return RUNS.c.shop.in_(self._shops)

    def _show_state(self) -> None:
        """Read what waits in the state: deliveries and alerts."""
        inbox = Inbox(self._state.engine)
        self._add(Sample(metrics.INBOX, {"shop": shop}, inbox.count(shop)) for shop in self._shops)
        active = sa.select(ALERT.c.shop, ALERT.c.kind).where(
            ALERT.c.shop.in_(self._shops), ALERT.c.content.is_not(None), ALERT.c.resolved_at.is_(None)
        )
        with self._state.engine.connect() as connection:
            counts = Counter((shop, key.partition(" ")[0]) for shop, key in connection.execute(active))
        self._instruments[metrics.ALERTS.name].clear()
        self._add(Sample(metrics.ALERTS, {"shop": shop, "kind": kind}, n) for (shop, kind), n in counts.items())

    def _add(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            instrument = self._instruments[sample.metric.name].labels(**sample.labels)
            if isinstance(instrument, Histogram):
                instrument.observe(sample.value)
            elif isinstance(instrument, Gauge):
                instrument.set(sample.value)
            else:
                instrument.inc(sample.value)


def create_app(exposition: Exposition) -> Starlette:
    """Return the application that answers GET /metrics."""

    def scrape(_: Request) -> Response:
        try:
            return Response(exposition.text(), media_type=CONTENT)
        except InvsyncError as error:
            return PlainTextResponse(str(error), 503)

    return Starlette(routes=[Route("/metrics", scrape)])


def serve(configured: Settings, *, host: str, port: int) -> None:
    """Answer scrapes until SIGTERM."""
    app = create_app(Exposition(configured, State(configured.state.url)))
    serving.run(app, host=host, port=port)
