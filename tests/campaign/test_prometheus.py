"""A real Prometheus scrapes the metrics of runs, and answers every query of the dashboard with a number."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from live import free_port
from rehearsal import HARD, ONLINE, START, Rehearsal
from test_telemetry import DASHBOARD, HOUR, configure

PROMETHEUS = shutil.which("prometheus")
SCRAPES = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: invsync
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
VARIABLES = {"$__rate_interval": "1m", "$shop": ".*", "$job": ".*"}


@contextmanager
def started(command: list[str], address: str) -> Iterator[None]:
    """A server, once it answers at this address."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(address)
            yield
        finally:
            process.terminate()


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed")
def test_prometheus_answers_every_query_of_the_dashboard(rehearsal: Rehearsal, tmp_path: Path) -> None:
    assert PROMETHEUS
    configure(rehearsal, "metrics = true")
    rehearsal.product(1, "A", oms=10, available=8)
    rehearsal.shop.place_order(1001, "#1001", START, [(1, 1)], ONLINE)
    rehearsal.run(START + HOUR, HARD)
    port, own = free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(SCRAPES.format(port=port))
    serve = [sys.executable, "-m", "invsync.cli", "metrics", "serve", "--port", str(port)]
    prometheus = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with (
        started([*serve, "--config", str(rehearsal.config)], f"http://127.0.0.1:{port}/metrics"),
        started([*prometheus, f"--web.listen-address=127.0.0.1:{own}"], f"http://127.0.0.1:{own}/-/ready"),
    ):
        time.sleep(3)
        for hours in (2, 3):
            rehearsal.oms.set_stock("P1", "WH", 10 + hours, START + hours * HOUR)
            rehearsal.run(START + hours * HOUR, HARD)
            time.sleep(15)
        silent = [expr for expr in _queries() if not _answer(own, expr)]
        applied = _answer(own, 'sum(invsync_pairs_total{outcome="applied"})')

    assert silent == [] and applied == ["2"]


def _queries() -> list[str]:
    targets = [target for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    return [target["expr"] for target in targets]


def _answer(port: int, expr: str) -> list[str]:
    """The numbers with which Prometheus answers a query."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", answer
    return [row["value"][1] for row in answer["data"]["result"] if row["value"][1] != "NaN"]
