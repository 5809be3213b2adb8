"""The trace and the metrics of one run, sent by OTLP over HTTP."""

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from invsync import __version__
from invsync.config.secrets import secret
from invsync.config.settings import TelemetrySettings
from invsync.errors import SystemFailed
from invsync.runs.record import Record, moment
from invsync.telemetry.measured import Measured
from invsync.telemetry.metrics import SECONDS, Metric, Sample
from invsync.vocabulary import FAILED

TIMEOUT_SECONDS, NANO = 5, 1_000_000_000
# A process reports one run and ends, so each report says by how much a number grew.
DELTA: dict[type, AggregationTemporality] = {
    sdk.Counter: AggregationTemporality.DELTA,
    sdk.Histogram: AggregationTemporality.DELTA,
}


class RunTraceId(RandomIdGenerator):
    """Gives a trace the id that belongs to its run, so that it can be looked up by the run's id."""

    def __init__(self, run_id: str) -> None:
        self._trace = trace_id(run_id)

    def generate_trace_id(self) -> int:
        """Return the run's trace id."""
        return self._trace


def trace_id(run_id: str) -> int:
    """Return the trace id of a run: the first 16 bytes of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16])


def export(run: Record, measured: Measured, samples: Iterable[Sample], to: TelemetrySettings) -> None:
    """Send the trace and the metrics of a run; raise SystemFailed where they are not accepted in time."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the caller reports a failure, once
    address, headers = (to.otlp_endpoint or "").rstrip("/"), _headers(to)
    resource = Resource({"service.name": "invsync", "service.version": __version__})
    spans = OTLPSpanExporter(f"{address}/v1/traces", headers=headers, timeout=TIMEOUT_SECONDS)
    accepted = [spans.export(_spans(run, measured, resource)).name]
    metrics = OTLPMetricExporter(f"{address}/v1/metrics", headers=headers, timeout=TIMEOUT_SECONDS)
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    _record(sdk.MeterProvider([reader], resource, shutdown_on_exit=False), samples)
    if (data := reader.get_metrics_data()) is not None:
        accepted.append(metrics.export(data).name)
    if set(accepted) != {"SUCCESS"}:
        raise SystemFailed("The collector did not accept it: look at [telemetry] otlp_endpoint.")


def _headers(to: TelemetrySettings) -> dict[str, str]:
    """The headers of a secret such as `Authorization=Bearer abc,X-Scope=shops`."""
    text = secret(to.otlp_headers_env, os.environ) or ""
    return {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in text.split(",")) if name}


def _spans(run: Record, measured: Measured, resource: Resource) -> Sequence[ReadableSpan]:
    """The run as a span, and its steps as spans within it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource, id_generator=RunTraceId(run.run_id), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("invsync", __version__)
    about = {"invsync.run_id": run.run_id, "invsync.shop": run.shop, "invsync.job": run.job}
    whole = tracer.start_span(f"run {run.job}", start_time=_nano(run.started_at), attributes=about)
    within = set_span_in_context(whole)
    for step in measured.steps:
        began = _nano(step.started_at)
        span = tracer.start_span(step.step, within, start_time=began, attributes=about)
        if step.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + int(step.seconds * NANO))
    whole.set_attributes({"invsync.status": run.status, **{f"invsync.pairs.{k}": n for k, n in run.counts.items()}})
    if run.status == FAILED:
        whole.set_status(Status(StatusCode.ERROR, run.messages[-1] if run.messages else None))
    whole.end(_nano(run.finished_at))
    return kept.get_finished_spans()


def _nano(stamp: str | None) -> int:
    at = moment(stamp)
    return int(at.timestamp() * NANO) if at else 0


def _record(provider: sdk.MeterProvider, samples: Iterable[Sample]) -> None:
    """Give every sample to the instrument of its metric."""
    meter = provider.get_meter("invsync", __version__)
    by_metric: dict[Metric, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric, []).append(sample)
    for metric, taken in by_metric.items():
        name = f"invsync.{metric.name}"
        if metric.kind == "counter":
            counter = meter.create_counter(name, metric.unit, metric.help)
            add = counter.add
        elif metric.kind == "gauge":
            add = meter.create_gauge(name, metric.unit, metric.help).set
        else:
            histogram = meter.create_histogram(
                name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=SECONDS
            )
            add = histogram.record
        for sample in taken:
            add(sample.value, dict(sample.labels))
