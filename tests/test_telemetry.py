"""What a run reports of itself to Prometheus, by OTLP and in its logs; and that it reports nothing unless asked."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from receivers import collecting
from rehearsal import HARD, ONLINE, START, Rehearsal
from starlette.testclient import TestClient
from typer.testing import CliRunner

from invsync import alerts
from invsync.alerts import Alert
from invsync.cli import app
from invsync.config import settings
from invsync.inbox import Heard, Inbox
from invsync.state import State
from invsync.telemetry import exposition, measured, metrics, otlp

STEPS = ["settle", "select", "read", "decide", "send", "finish"]
HOUR = timedelta(hours=1)
LOADED = "[n for n in sys.modules if n.split('.')[0] in ('opentelemetry', 'apprise', 'prometheus_client')]"
DASHBOARD = Path(metrics.__file__).with_name("dashboard.json")


def configure(rehearsal: Rehearsal, *lines: str) -> settings.Settings:
    text = rehearsal.config.read_text()
    rehearsal.config.write_text("\n".join(["[telemetry]", *lines, text]))
    return settings.load(rehearsal.config)


def stock(rehearsal: Rehearsal) -> None:
    """Two products of which one is wrong, and an order that HotWax does not know yet."""
    rehearsal.product(1, "A", oms=10, available=8)
    rehearsal.product(2, "B", oms=5, available=5)
    rehearsal.shop.place_order(1001, "#1001", START, [(2, 1)], ONLINE)


def values(text: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Every sample of an exposition, by its name and its labels."""
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def of(samples: dict[str, Any], name: str, **labels: str) -> float:
    """The sum of the samples of a metric that have these labels."""
    return sum(value for has, value in samples[name].items() if labels.items() <= dict(has).items())


@pytest.fixture
def scraped(rehearsal: Rehearsal, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a scrape shows after one run, beside the run's record."""
    tell = [sys.executable, "-c", "pass"]
    configured = configure(rehearsal, "metrics = true", "[alerts]", f"command = {json.dumps(tell)}")
    stock(rehearsal)
    state = State(configured.state.url)
    shown = exposition.Exposition(configured, state, datetime.now(UTC) - HOUR)
    run = rehearsal.run(START + HOUR, HARD)
    alerts.send([Alert("no_run", "demo", "x", {"job": HARD})], configured)
    Inbox(state.engine).add([Heard("demo", "d1", "orders/create", order_id=1)])
    shown.text(datetime.now(UTC) + HOUR)
    return values(shown.text(datetime.now(UTC) + HOUR)), run


def test_the_numbers_of_a_run_are_exposed_once(scraped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    samples, run = scraped
    about = {"shop": "demo", "job": HARD}

    assert of(samples, "invsync_runs_total", status="done", **about) == 1
    for outcome in ("applied", "already_right", "held", "refused", "unknown"):
        assert of(samples, "invsync_pairs_total", outcome=outcome, **about) == run["counts"][outcome]
    assert run["counts"]["applied"] == 1 == of(samples, "invsync_drift_pairs", **about)
    assert of(samples, "invsync_units_total", direction="raised", **about) == run["units"]["raised"] == 2
    assert of(samples, "invsync_in_flight_units", **about) == 1
    assert of(samples, "invsync_in_flight_orders", **about) == 1


def test_what_a_run_measured_is_exposed(scraped: tuple[dict[str, Any], dict[str, Any]], rehearsal: Rehearsal) -> None:
    samples, run = scraped
    seen = measured.read(rehearsal.folder(run))

    assert [step.step for step in seen.steps] == STEPS and all(step.seconds > 0 for step in seen.steps)
    for step in STEPS:
        assert of(samples, "invsync_step_duration_seconds_count", step=step) == 1
    assert of(samples, "invsync_api_points_total") == seen.points > 0
    assert of(samples, "invsync_api_wait_seconds_total") == seen.waited_seconds
    assert of(samples, "invsync_order_lag_seconds") > 0
    assert of(samples, "invsync_run_duration_seconds_count", shop="demo") == 1


def test_what_waits_in_the_state_is_exposed(scraped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    samples, _ = scraped

    assert of(samples, "invsync_inbox_deliveries", shop="demo") == 1
    assert of(samples, "invsync_active_alerts", shop="demo", kind="no_run") == 1


def test_every_metric_of_the_dashboard_is_exposed_and_every_metric_is_on_it(
    scraped: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    samples, _ = scraped
    drawn = set(re.findall(r"invsync_\w+", DASHBOARD.read_text()))

    assert drawn <= set(samples)
    assert {name.removesuffix("_bucket") for name in drawn} == {metric.exposed for metric in metrics.METRICS}


def test_the_labels_that_the_dashboard_selects_and_draws_exist(
    scraped: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    samples, _ = scraped
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"invsync_\w+", target["expr"])
            labels = {label for name in names for has in samples[name] for label, _ in has}
            selected = re.findall(r"(\w+)=~", target["expr"])
            grouped = re.findall(r"\bby \(([\w, ]+)\)", target["expr"])
            shown = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            used = {*selected, *shown, *(word for group in grouped for word in group.split(", "))}
            assert used <= labels, target["expr"]


def test_a_new_exporter_shows_the_last_run_of_each_job_and_counts_from_now(rehearsal: Rehearsal) -> None:
    configured = configure(rehearsal, "metrics = true")
    stock(rehearsal)
    rehearsal.run(START + HOUR, HARD)

    fresh = exposition.Exposition(configured, State(configured.state.url), datetime.now(UTC) + HOUR)
    samples = values(fresh.text())

    assert of(samples, "invsync_in_flight_units", job=HARD) == 1
    assert "invsync_runs_total" not in samples


def test_a_run_is_counted_once_however_late_the_next_scrape_is(rehearsal: Rehearsal) -> None:
    configured = configure(rehearsal, "metrics = true")
    stock(rehearsal)
    shown = exposition.Exposition(configured, State(configured.state.url), datetime.now(UTC) - HOUR)
    rehearsal.run(START + HOUR, HARD)

    counts = [of(values(shown.text(datetime.now(UTC) + n * HOUR)), "invsync_runs_total") for n in (1, 1, 2, 5, 6)]

    assert counts == [1] * 5


def test_a_scrape_is_answered_and_a_lost_database_is_503(rehearsal: Rehearsal) -> None:
    configured = configure(rehearsal, "metrics = true")
    state = State(configured.state.url)
    client = TestClient(exposition.create_app(exposition.Exposition(configured, state)))

    assert "# TYPE invsync_runs_total counter" in client.get("/metrics").text
    state.close()
    file = Path(str(state.engine.url.database))
    file.unlink()
    file.mkdir()
    assert client.get("/metrics").status_code == 503


def test_help_loads_no_library_of_an_extra() -> None:
    script = f"import sys; from invsync.cli import app; app(['--help'], standalone_mode=False); print({LOADED})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]"


def test_nothing_is_measured_and_nothing_loaded_unless_it_is_asked_for(rehearsal: Rehearsal) -> None:
    stock(rehearsal)
    script = (
        "import sys; from invsync.jobs import launch; "
        f"run = launch.run({HARD!r}, {{'shop': 'demo', 'config': {str(rehearsal.config)!r}, "
        f"'at': {START.isoformat()!r}}}, engine='inprocess'); print(run['run_id']); "
        f"print({LOADED})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)

    run_id, loaded = done.stdout.splitlines()
    assert loaded == "[]" and done.stderr == ""
    [folder] = rehearsal.config.parent.glob(f"reports/*/*/{run_id}")
    assert not (folder / measured.FILE).exists()


# -- OTLP


def test_a_run_is_one_trace_with_a_span_for_each_step(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTLP", "Authorization=Bearer planted-otlp-token")
    stock(rehearsal)
    with collecting() as collector:
        configure(rehearsal, f'otlp_endpoint = "{collector.address}"', 'otlp_headers_env = "OTLP"')
        run = rehearsal.run(START + HOUR, HARD)

    [trace] = collector.traces
    spans = trace.resource_spans[0].scope_spans[0].spans
    [whole] = [span for span in spans if not span.parent_span_id]
    assert whole.name == "run hard-sync" and [span.name for span in spans if span is not whole] == STEPS
    assert {int.from_bytes(span.trace_id) for span in spans} == {otlp.trace_id(run["run_id"])}
    assert all(span.parent_span_id == whole.span_id for span in spans if span.name in STEPS)
    assert whole.start_time_unix_nano < whole.end_time_unix_nano
    assert collector.authorized == {"Bearer planted-otlp-token"}


def test_a_run_sends_its_metrics(rehearsal: Rehearsal) -> None:
    stock(rehearsal)
    with collecting() as collector:
        configure(rehearsal, f'otlp_endpoint = "{collector.address}"')
        rehearsal.run(START + HOUR, HARD)

    [sent] = collector.metrics
    numbers = {metric.name: metric for metric in sent.resource_metrics[0].scope_metrics[0].metrics}
    applied = [
        point.as_int or point.as_double
        for point in numbers["invsync.pairs"].sum.data_points
        if {pair.key: pair.value.string_value for pair in point.attributes}["outcome"] == "applied"
    ]
    assert applied == [1] and numbers["invsync.pairs"].sum.aggregation_temporality == 1  # delta
    assert numbers["invsync.step_duration"].unit == "s"
    assert set(numbers) == {f"invsync.{metric.name}" for metric in metrics.METRICS} - {"invsync.active_alerts"}


def test_a_run_that_fails_marks_its_trace(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    from invsync.errors import OmsFailed
    from invsync.oms.sql.source import Database

    def failing(*_: object, **__: object) -> None:
        raise OmsFailed("The OMS is gone: look at it.")

    monkeypatch.setattr(Database, "snapshot", failing)
    with collecting() as collector:
        configure(rehearsal, f'otlp_endpoint = "{collector.address}"')
        rehearsal.run(START + HOUR, HARD)

    spans = collector.traces[0].resource_spans[0].scope_spans[0].spans
    failed = [(span.name, span.status.message) for span in spans if span.status.code == 2]
    assert failed == [("select", ""), ("run hard-sync", "The OMS is gone: look at it.")]


def test_a_collector_that_is_gone_fails_no_run(rehearsal: Rehearsal, capfd: pytest.CaptureFixture[str]) -> None:
    stock(rehearsal)
    configure(rehearsal, 'otlp_endpoint = "http://127.0.0.1:9"')

    assert rehearsal.run(START + HOUR, HARD)["exit_code"] == 0
    assert "The run's telemetry could not be sent (SystemFailed)" in capfd.readouterr().err


def test_a_missing_exporter_is_named_and_fails_no_run(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    monkeypatch.delitem(sys.modules, "invsync.telemetry.otlp")
    monkeypatch.delattr("invsync.telemetry.otlp")
    stock(rehearsal)
    configure(rehearsal, 'otlp_endpoint = "http://127.0.0.1:9"')

    assert rehearsal.run(START + HOUR, HARD)["exit_code"] == 0
    assert "Telemetry needs opentelemetry.sdk: install invsync[telemetry]." in capfd.readouterr().err


# -- logs


def test_logs_are_lines_of_json_that_name_their_run(rehearsal: Rehearsal) -> None:
    stock(rehearsal)
    typed = ["run", HARD, "--shop", "demo", "--config", str(rehearsal.config), "--at", START.isoformat()]
    typed += ["--engine", "inprocess", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "invsync.cli", *typed],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "INVSYNC_TELEMETRY__LOGS": "json"},
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    run = json.loads(done.stdout.splitlines()[-1])
    named = [line for line in lines if line["logger"] == "invsync.run"]
    assert [line["message"] for line in named] == ["run started", *["step ended"] * 6, "run ended"]
    assert {(line["run_id"], line["shop"], line["job"]) for line in named} == {(run["run_id"], "demo", HARD)}
    assert named[-1]["counts"] == run["counts"]


def test_a_library_that_is_missing_is_named(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "invsync.telemetry.exposition")
    monkeypatch.delattr("invsync.telemetry.exposition")

    result = CliRunner().invoke(app, ["metrics", "serve", "--config", str(rehearsal.config)])

    assert result.exit_code == 2 and "install invsync[telemetry]" in result.stderr


def test_the_dashboard_is_printed_as_it_is() -> None:
    assert CliRunner().invoke(app, ["metrics", "dashboard"]).stdout == DASHBOARD.read_text()
