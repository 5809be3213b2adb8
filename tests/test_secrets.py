"""Every secret that a configuration names is known in one place, and stands in nothing that a run leaves or says."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from receivers import SLACK, collecting, mailing, slack, text_of
from rehearsal import START, Rehearsal, of_shop, open_rehearsal
from typer.testing import CliRunner

from invsync import doctor, logs, report, scrub
from invsync.cli import app
from invsync.config import settings
from invsync.errors import OmsFailed, UsageError
from invsync.oms.sql.source import Database
from invsync.state import State
from invsync.telemetry import exposition

PLANTED = {
    "HOOK_SECRET": "planted-webhook-secret",
    "HOOK_SECRET_PREVIOUS": "planted-webhook-secret-of-before",
    "CLIENT_SECRET": "planted-client-secret",
    "HOTWAX_PASSWORD": 'planted "hotwax" p\u00e4ssword',
    "HOTWAX_TOKEN": "planted-hotwax-token",
    "HOTWAX_URL": "mysql://sync:planted%40url@replica.example/oms",
    "PAGER_URL": "http://127.0.0.1:9/hooks/planted-pager?token=planted-pager-token ntfy://127.0.0.1:9/planted-topic",
    "REST_ALERTS": "slack://T0PLANTED/B0PLANTED/plantedslacktoken0123456/#stock?token=x",
    "OTLP_HEADERS": "Authorization=Bearer planted-otlp-token",
}
ADDRESSES = [
    "planted-otlp-token",
    "http://127.0.0.1:9/hooks/planted-pager?token=planted-pager-token",
    "ntfy://127.0.0.1:9/planted-topic",
    "planted-topic",
    "T0PLANTED",
    "B0PLANTED",
    "plantedslacktoken0123456",
]
DERIVED = ["planted%40url", "planted@url", "planted-pager-token", "planted-state", "planted-folder"]
MEASURED = "telemetry.json"  # which holds no message
SHOPS = """
[shops.rest]
domain = "rest.myshopify.com"
client_id = "id"
client_secret_env = "CLIENT_SECRET"
[shops.rest.oms]
kind = "rest"
url = "https://oms.example.com"
username = "sync"
password_env = "HOTWAX_PASSWORD"
token_env = "HOTWAX_TOKEN"
shop_id = "REST"
[shops.rest.alerts]
url_env = "REST_ALERTS"
[shops.database]
domain = "database.myshopify.com"
token_env = "UNSET"
[shops.database.oms]
url_env = "HOTWAX_URL"
shop_id = "DATABASE"
[shops.files]
domain = "files.myshopify.com"
token_env = "UNSET"
[shops.files.oms]
kind = "files"
path = "sftp://hotwax:planted-folder@files.example.com/export"
shop_id = "FILES"
[telemetry]
logs = "json"
otlp_endpoint = "http://127.0.0.1:9"
otlp_headers_env = "OTLP_HEADERS"
"""


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    """A shop whose configuration names a secret of every kind, and whose alerts go to a file and to a dead address."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    tell = f"import sys; open({str(tmp_path / 'alerts')!r}, 'a').write(sys.stdin.read())"
    with open_rehearsal(tmp_path, monkeypatch) as opened:
        of_shop(opened.config, 'webhook_secret_env = "HOOK_SECRET"')
        text = opened.config.read_text().replace("/invsync.db", "/invsync.db?uri=true&password=planted-state")
        text = text.replace("sqlite:///", "sqlite:///file:", 1)
        alerts = f'[alerts]\nurl_env = "PAGER_URL"\ncommand = {json.dumps([sys.executable, "-c", tell])}\n'
        opened.config.write_text(f"{alerts}{text}{SHOPS}")
        yield opened
    logs.reset()


@pytest.fixture
def secrets(rehearsal: Rehearsal) -> list[str]:
    """All that any shop's runs, doctor and the receiver read, as every process that read them would know them."""
    configured = settings.load(rehearsal.config)
    names = [name for variable in settings.variables(configured) for name in settings.rotated(variable, os.environ)]
    settings.read(names, os.environ)
    return scrub.remembered()


def test_every_kind_of_secret_is_listed_and_an_unset_one_is_left_out(secrets: list[str]) -> None:
    """The token of the rehearsal's own shop too; the longest come first, so that none hides within another."""
    assert set(secrets) - {"shpat_planted_0123456789abcdef"} == {*PLANTED.values(), *DERIVED, *ADDRESSES}
    assert secrets == sorted(secrets, key=len, reverse=True)


def test_a_run_that_fails_with_its_secrets_in_a_message_leaves_none(
    rehearsal: Rehearsal, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback in the notebook, the page, run.json, the pager's line and the terminal are all without them."""

    def failing(*_: object, **__: object) -> None:
        raise OmsFailed(f"The OMS said {' and '.join(secrets)}: correct it.")

    monkeypatch.setattr(Database, "snapshot", failing)
    typed = ["run", "hard-sync", "--shop", "demo", "--config", str(rehearsal.config), "--engine", "inprocess", "--json"]
    done = CliRunner().invoke(app, [*typed, "--at", START.isoformat()])

    [folder] = (rehearsal.config.parent / "reports" / "demo" / "hard-sync").iterdir()
    said = {path.name: path.read_text() for path in [*folder.iterdir(), rehearsal.config.parent / "alerts"]}
    assert {"report.ipynb", "report.html", "run.json", "alerts"} <= set(said) and done.exit_code == 5
    assert {name: leaks for name, text in said.items() if (leaks := report.leaks(text, secrets))} == {}
    assert report.leaks(done.output + done.stderr, secrets) == []
    assert all(text.count("[secret removed]") >= len(secrets) - 3 for name, text in said.items() if name != MEASURED)
    assert "An alert could not be sent" in done.stderr


def test_what_other_systems_receive_of_a_failed_run_holds_no_secret(
    rehearsal: Rehearsal, secrets: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The mail, the message in Slack, the trace, the metrics of both kinds and the logs."""

    def failing(*_: object, **__: object) -> None:
        raise OmsFailed(f"The OMS said {' and '.join(secrets)}: correct it.")

    monkeypatch.setattr(Database, "snapshot", failing)
    with mailing() as mailbox, slack(monkeypatch) as received, collecting() as collector:
        monkeypatch.setenv("PAGER_URL", f"{PLANTED['PAGER_URL']} {mailbox.address} {SLACK}")
        text = rehearsal.config.read_text().replace('"http://127.0.0.1:9"', f'"{collector.address}"')
        rehearsal.config.write_text(text)
        configured = settings.load(rehearsal.config)
        shown = exposition.Exposition(configured, State(configured.state.url))
        run = rehearsal.run(START, "hard-sync")

    outputs = {
        "mail": str(mailbox.mails[0]["subject"]) + text_of(mailbox.mails[0]),
        "slack": received.requests[0][1].decode(),
        "trace": collector.traces[0].SerializeToString().decode(errors="replace"),
        "otlp metrics": collector.metrics[0].SerializeToString().decode(errors="replace"),
        "prometheus": shown.text(datetime.now(UTC) + timedelta(minutes=1)).decode(),
        "logs": capfd.readouterr().err,
    }
    assert run["exit_code"] == 5 and 'status="failed"' in outputs["prometheus"]
    assert all("[secret removed]" in outputs[name] for name in ("mail", "slack", "trace", "logs"))
    assert {name: leaks for name, text in outputs.items() if (leaks := report.leaks(text, secrets))} == {}
    assert "Bearer planted-otlp-token" in collector.authorized


def test_a_refusal_in_the_notebook_is_reported_without_secrets(
    rehearsal: Rehearsal, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that leaves no folder goes to the terminal alone."""

    def refusing(*_: object, **__: object) -> None:
        raise UsageError(f"The OMS said {' and '.join(secrets)}: correct it.")

    monkeypatch.setattr(Database, "snapshot", refusing)
    typed = ["run", "hard-sync", "--shop", "demo", "--config", str(rehearsal.config), "--engine", "inprocess"]
    done = CliRunner().invoke(app, typed)

    assert done.exit_code == 2 and "[secret removed]" in done.stderr and report.leaks(done.stderr, secrets) == []


def test_doctor_repeats_no_secret(rehearsal: Rehearsal, secrets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OmsFailed(f"The OMS said {' and '.join(secrets)}: correct it.")

    monkeypatch.setattr(Database, "snapshot", failing)
    messages = [check.message for check in doctor.examine(rehearsal.config, "demo")]

    assert any("The OMS said [secret removed] and" in message for message in messages)
    assert report.leaks("\n".join(messages), secrets) == []
