"""A secret of every kind is planted; the real commands run, well and badly; no output of theirs holds one of them."""

import base64
import gzip
import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import polars as pl
import pytest
from live import free_port, signature, until
from planting import PLANTED, START, System, end, system
from searching import leaks, texts

from invsync.jobs import launch

AT = ("--at", START.isoformat())
MODES = ("500", "redirect", "bad json", "refusal")
SNAPSHOT = "invsync.oms.sql.source:Database.snapshot"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system after everything has run."""
    with ExitStack() as stack:
        built = system(tmp_path_factory.mktemp("planted"), stack)
        _set_up(built)
        _run_well(built)
        _fail(built)
        _raise(built)
        _serve_and_schedule(built)
        _read(built)
        yield built


def _set_up(built: System) -> None:
    for shop, codes in (("token", (0, 4)), ("app", (0, 4)), ("mysql", (4,))):
        built.call("doctor", "--shop", shop, codes=codes)
    built.call("init", "--shop", "fresh", "--domain", "f.example.com", "--endpoint", "http://127.0.0.1:9", codes=(2, 4))
    built.call("demo", "--hours", "1", "--folder", "demo")


def _run_well(built: System) -> None:
    planned = built.run("hard-sync", "token", "--dry-run", *AT)
    built.call("apply", planned, codes=(0, 3, 4))
    sent = built.run("hard-sync", "app", *AT, codes=(0, 4))
    built.call("undo", sent, "--json", codes=(0, 4))
    built.run("hard-sync", "jwt", "--engine", "kernel", *AT, codes=(0, 4))
    built.run("upload-recent-changes", "token", "--engine", "kernel", codes=(0, 4))
    built.run("realtime-sync", "token")
    by_deltas = {"INVSYNC_SHOPS__TOKEN__KEEP_BY": "deltas"}
    built.run("push-deltas", "token", codes=(0, 2, 3, 4), **by_deltas)
    built.call("shadow", "--shop", "token", INVSYNC_SHOPS__TOKEN__KEEP_BY="another")
    built.call("explain", "--shop", "app", "--sku", "S1", "--html", "level.html", "--json")
    copies = f"ftp://sync:{PLANTED['STORAGE_PASSWORD']}@127.0.0.1:{free_port()}/runs"
    built.run("hard-sync", "token", *AT, codes=(0, 4), INVSYNC_REPORTS__COPY_TO=copies)
    built.run("hard-sync", "token", *AT, codes=(0, 4), INVSYNC_REPORTS__COPY_TO="copies")


def _fail(built: System) -> None:
    """Each job, each system that fails, in each way."""
    of_token, of_app = built.shopify
    for mode in MODES:
        for server, shop in ((of_token, "token"), (built.hotwax, "app")):
            server.mode = mode
            built.run("hard-sync", shop, codes=(5,))
            server.mode = ""
    for of_app.mode in ("500", "refusal"):
        built.run("hard-sync", "app", codes=(5,))
    of_app.mode, of_token.mode = "", "500"
    for job in ("upload-recent-changes", "realtime-sync"):
        built.run(job, "token", codes=(5,), INVSYNC_TELEMETRY__LOGS="json")
    built.call("doctor", "--shop", "token", codes=(4,))
    built.call("explain", "--shop", "token", "--sku", "S1", codes=(0, 5))
    built.call("webhooks", "register", "--shop", "token", codes=(5,))
    built.run("hard-sync", "token", "--engine", "kernel", codes=(5,))
    of_token.mode = ""
    built.run("hard-sync", "mysql", codes=(5,))
    dead = "http://127.0.0.1:9"
    built.run("hard-sync", "app", codes=(5,), INVSYNC_SHOPS__APP__OMS__URL=dead)
    built.run("hard-sync", "app", codes=(5,), INVSYNC_SHOPS__APP__ENDPOINT=dead)
    wrong = built.secrets / "wrong"
    wrong.write_text("planted-wrong-secret")
    built.run("hard-sync", "app", codes=(5,), APP_SECRET_FILE=str(wrong))
    built.run("hard-sync", "jwt", codes=(5,), HOTWAX_TOKEN_FILE=str(wrong))


def _raise(built: System) -> None:
    """Unexpected errors that repeat all that their process has read: in a job, in the command line, by papermill."""
    for engine in ("inprocess", "kernel"):
        built.run("hard-sync", "token", "--engine", engine, codes=(5,), RAISE_IN=SNAPSHOT)
    for words, function in (
        (("explain", "--shop", "token", "--sku", "S1"), "invsync.explain:explain_in"),
        (("webhooks", "register", "--shop", "token"), "invsync.shopify.subscriptions:register"),
        (("webhooks", "serve", "--shop", "token"), "invsync.serving:run"),
        (("run", "hard-sync", "--shop", "token"), "invsync.runs.archive:copy"),
        (("doctor", "--shop", "token"), "invsync.doctor.systems:hotwax"),
        (("schedule", "check"), "invsync.schedule.watchdog:overdue"),
        (("state", "check"), "invsync.upkeep.checking:check"),
    ):
        built.call(*words, codes=(1, 4), RAISE_IN=function)
    for notebook, function in (("executed", ""), ("raised", SNAPSHOT)):
        given = ["-p", "shop", "token", "-p", "config", "invsync.toml", "-k", "python3"]
        path = str(launch.jobs()["hard-sync"])
        built.call(path, f"{notebook}.ipynb", *given, program="papermill", codes=(0, 1), RAISE_IN=function)
        built.printed |= {f"{notebook} before it was adopted": (built.folder / f"{notebook}.ipynb").read_text()}
        built.call("schedule", "adopt", f"{notebook}.ipynb", codes=(0, 4, 5))


def _serve_and_schedule(built: System) -> None:
    port = free_port()
    receiver = built.start("webhooks", "serve", "--shop", "token", "--port", str(port))
    until(lambda: _status(f"http://127.0.0.1:{port}/healthz") == 200)
    body = json.dumps({"event_id": "1", "product_id": "P1"}).encode()
    for secret in ("planted-wrong-secret", PLANTED["HOOK_SECRET_PREVIOUS"]):
        headers = {"X-Invsync-Hmac-Sha256": signature(body, secret)}
        answer = httpx.post(f"http://127.0.0.1:{port}/webhooks/oms", content=body, headers=headers, trust_env=False)
        built.printed[f"the receiver to {secret}"] = f"{answer.status_code} {answer.headers} {answer.text}"
    end(receiver)
    scheduler = built.start("schedule", "run", "--shop", "token", "--shop", "mysql")
    log = built.folder / "schedule-run.log"
    until(lambda: log.read_text().count('"exit_code"') >= 3)
    end(scheduler)
    for engine in ("crontab", "systemd", "kubernetes", "airflow"):
        built.call("schedule", "export", "--to", engine, "--out", f"exported/{engine}")
    built.call("schedule", "check", codes=(0, 4))


def _read(built: System) -> None:
    """What shows or keeps what the runs left."""
    port = free_port()
    metrics = built.start("metrics", "serve", "--port", str(port))
    until(lambda: _status(f"http://127.0.0.1:{port}/metrics") == 200)
    built.printed["metrics"] = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    end(metrics)
    built.call("reports", "build")
    built.call("reports", "week", "--shop", "token", "--ending", f"{START:%Y-%m-%d}", codes=(0, 2))
    built.call("faults", "--all", "--json", codes=(0, 4))
    built.call("state", "check", codes=(0, 4))
    built.call("state", "prune")


def _status(address: str) -> int:
    try:
        return httpx.get(address, trust_env=False).status_code
    except (httpx.HTTPError, http.client.HTTPException):
        return 0


def _outputs(built: System) -> dict[str, bytes]:
    """Every byte that the campaign left: printed, on disk, and at the pager and the collector."""
    outputs = {name: text.encode() for name, text in built.printed.items()} | dict(texts(built.folder))
    outputs |= {f"alert {n}": body for n, (_, body) in enumerate(built.pager.requests)}
    outputs |= {f"trace {n}": one.SerializeToString() for n, one in enumerate(built.collector.traces)}
    outputs |= {f"metrics {n}": one.SerializeToString() for n, one in enumerate(built.collector.metrics)}
    for path in built.folder.glob("*.db"):
        with sqlite3.connect(path) as connection:
            outputs[f"{path.name}, unpacked"] = "\n".join(connection.iterdump()).encode()
    return outputs


@pytest.fixture(scope="module")
def outputs(campaign: System) -> dict[str, bytes]:
    return _outputs(campaign)


def test_no_output_holds_a_planted_secret(outputs: dict[str, bytes]) -> None:
    removed = sum(text.count(b"[secret removed]") for text in outputs.values())
    print(f"{len(outputs)} outputs, {sum(map(len, outputs.values())) / 1e6:.1f} MB, {removed} times removed")

    assert leaks(outputs) == []
    assert removed > 100


def test_the_servers_repeated_what_they_were_told(campaign: System) -> None:
    assert all(server.echoes >= 2 for server in (*campaign.shopify, campaign.hotwax))
    assert f"Bearer {PLANTED['OTLP_TOKEN']}" in campaign.collector.authorized and campaign.pager.requests


def test_every_kind_of_output_was_searched(outputs: dict[str, bytes]) -> None:
    suffixes = {Path(name.removesuffix(", unpacked")).suffix for name in outputs}

    assert suffixes >= {".json", ".jsonl", ".html", ".ipynb", ".parquet", ".db", ".log", ".yaml", ".py", ".toml"}


@pytest.mark.parametrize("form", ["plain", "address", "json", "base64", "parquet", "gzip"])
def test_the_search_sees_a_secret_in_each_form(tmp_path: Path, form: str) -> None:
    value = PLANTED["HOTWAX_PASSWORD"]
    text = {
        "address": httpx.QueryParams({"a": value}).__str__(),
        "json": json.dumps([value]),
        "base64": base64.b64encode(f"sync:{value}".encode()).decode(),
    }.get(form, value)
    if form == "parquet":
        pl.DataFrame({"message": [f"<{value}>"] * 1000}).write_parquet(tmp_path / "a.parquet")
    elif form == "gzip":
        (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (tmp_path / "a.txt").write_text(text)

    assert {name for _, name in leaks(dict(texts(tmp_path)))} == {"HOTWAX_PASSWORD"}
