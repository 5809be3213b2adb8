"""Metrics for Prometheus: the runs that the state database knows, and what waits there, at GET /metrics."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
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
CONTENT = "text/plain; version=0.0.4; charset=utf-8"
Instruments = dict[str, Counter | Gauge | Histogram]


class Exposition:
    """The metrics of all shops of a configuration; counters begin at 0 when it is made."""

    def __init__(self, configured: Settings, state: State, now: datetime | None = None) -> None:
        self._state, self._shops, self._since = state, tuple(configured.shops), now or datetime.now(UTC)
        self._registry, self._seen = CollectorRegistry(), set[str]()
        self._instruments: Instruments = {metric.name: self._instrument(metric) for metric in METRICS}
        for folder in self._last_folders():
            if (run := record.read(folder)) is not None:
                self._take(metrics.last(run, measured.read(folder)))

    def text(self, now: datetime | None = None) -> bytes:
        """Return every metric in Prometheus's text format; raise InvsyncError where the state cannot be read."""
        moment = now or datetime.now(UTC)
        for run_id, folder in self._ended(moment - SETTLE):
            self._seen.add(run_id)
            if (run := record.read(folder)) is not None:
                self._take(metrics.of_run(run, measured.read(folder)))
        self._take_state()
        return generate_latest(self._registry)

    def _instrument(self, metric: metrics.Metric) -> Counter | Gauge | Histogram:
        if metric.kind == "histogram":
            return Histogram(metric.base, metric.help, metric.labels, registry=self._registry, buckets=metrics.SECONDS)
        kind = Counter if metric.kind == "counter" else Gauge
        return kind(metric.base, metric.help, metric.labels, registry=self._registry)

    def _last_folders(self) -> list[Path]:
        """The folder of the last run of each job."""
        last = sa.select(sa.func.max(RUNS.c.run_id)).where(self._is_ours()).group_by(RUNS.c.shop, RUNS.c.job)
        with self._state.engine.connect() as connection:
            rows = connection.execute(sa.select(RUNS.c.folder).where(RUNS.c.run_id.in_(last)))
            return [Path(folder) for folder in rows.scalars()]

    def _ended(self, before: datetime) -> list[tuple[str, Path]]:
        """The runs that ended since the start, but for those that were seen, oldest first."""
        since = sa.and_(RUNS.c.finished_at >= iso(self._since), RUNS.c.finished_at <= iso(before), self._is_ours())
        with self._state.engine.connect() as connection:
            rows = connection.execute(sa.select(RUNS.c.run_id, RUNS.c.folder).where(since).order_by(RUNS.c.run_id))
            return [(run_id, Path(folder)) for run_id, folder in rows if run_id not in self._seen]

    def _is_ours(self) -> sa.ColumnElement[bool]:
        return RUNS.c.shop.in_(self._shops)

    def _take_state(self) -> None:
        """Read what waits in the state: deliveries and alerts."""
        inbox, alerts = Inbox(self._state.engine), self._instruments[metrics.ALERTS.name]
        self._take(Sample(metrics.INBOX, {"shop": shop}, inbox.count(shop)) for shop in self._shops)
        alerts.clear()
        standing = sa.select(ALERT.c.shop, ALERT.c.kind).where(
            ALERT.c.shop.in_(self._shops), ALERT.c.content.is_not(None), ALERT.c.mended_at.is_(None)
        )
        with self._state.engine.connect() as connection:
            for shop, key in connection.execute(standing):
                alerts.labels(shop, key.partition(" ")[0]).inc()  # type: ignore[union-attr]

    def _take(self, samples: Iterable[Sample]) -> None:
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
