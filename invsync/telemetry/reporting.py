"""Report a run that has ended to the systems that [telemetry] names; a failure there never fails a run."""

import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from invsync import logs
from invsync.config.settings import Settings, TelemetrySettings
from invsync.errors import InvsyncError, UsageError
from invsync.inbox import Inbox
from invsync.runs.record import Record
from invsync.state import State
from invsync.telemetry import measured
from invsync.telemetry.metrics import INBOX, Sample, of_run

Export = Callable[[Record, measured.Measured, Iterable[Sample], TelemetrySettings], None]
LOG = logging.getLogger("invsync.run")


def after(folder: Path, run: Record, configured: Settings) -> None:
    """Log how a run ended, and send its trace and metrics by OTLP where an endpoint is configured."""
    seen = measured.read(folder)
    _log(run, seen)
    if configured.telemetry.otlp_endpoint is None:
        return
    try:
        _export(run, seen, configured)
    except Exception as error:  # of any library
        why = str(error) if isinstance(error, InvsyncError) else "look at [telemetry] otlp_endpoint."
        logs.warn(f"The run's telemetry could not be sent ({type(error).__name__}): {why}")


def _log(run: Record, seen: measured.Measured) -> None:
    ended = {"status": run.status, "exit_code": run.exit_code, "counts": run.counts, "messages": run.messages}
    with logs.bound(run_id=run.run_id, shop=run.shop, job=run.job):
        for step in seen.steps:
            LOG.info("step ended", extra={"facts": asdict(step)})
        LOG.info("run ended", extra={"facts": ended})


def exporter() -> Export:
    """Return what sends a run by OTLP; raise UsageError where OpenTelemetry is not installed."""
    try:
        from invsync.telemetry import otlp  # late: a run that sends none does not load OpenTelemetry
    except ModuleNotFoundError as error:
        raise UsageError(f"Telemetry needs {error.name}: install invsync[telemetry].") from None
    return otlp.export


def _export(run: Record, seen: measured.Measured, configured: Settings) -> None:
    export = exporter()
    with closing(State(configured.state.url)) as state:
        waiting = Sample(INBOX, {"shop": run.shop}, Inbox(state.engine).count(run.shop))
    export(run, seen, [*of_run(run, seen), waiting], configured.telemetry)
