"""Alerts: derived from run records, sent as one JSON line, the same alert once an hour."""

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from invsync import alerts
from invsync.alerts import Alert, Notice, channels
from invsync.config import settings
from invsync.plan import Guarded
from invsync.runs.record import Record
from invsync.sandbox.server import hosting

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def a_run(**fields: Any) -> Record:
    return replace(Record("20261123T120000Z-aa", "acme", "hard-sync", "done", 0), **fields)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (
            {"status": "stopped", "messages": ("max_units is 9 against the limit 5.",)},
            "guard_stopped",
            "max_units is 9",
        ),
        ({"status": "failed", "messages": ("Shopify was busy.",)}, "run_failed", "Shopify was busy"),
        ({"status": "failed"}, "run_failed", "no reason was given"),
        ({"orders_late_since": "2026-11-23T10:00:00Z"}, "orders_late", "2026-11-23T10:00:00Z"),
        ({"counts": {"unknown": 3}}, "pairs_unknown", "3 pairs of acme have no known outcome"),
        ({"subscriptions_lost": ("ORDERS_CREATE",)}, "subscription_lost", "webhooks register --shop acme"),
    ],
)
def test_a_run_that_needs_a_person_has_an_alert_of_one_sentence(fields: dict[str, Any], kind: str, words: str) -> None:
    (alert,) = alerts.of_run(a_run(**fields))

    assert (alert.kind, alert.shop, alert.facts["run_id"]) == (kind, "acme", "20261123T120000Z-aa")
    assert words in alert.summary


def test_an_alert_lists_the_guards_that_stopped_the_run() -> None:
    guards = (Guarded("max_units", 9, 5, stopped=True), Guarded("min_rows_share", 1, 0.8, stopped=False))

    (alert,) = alerts.of_run(a_run(status="stopped", guards=guards))

    assert alert.facts["guards"] == [{"name": "max_units", "value": 9, "limit": 5, "stopped": True}]


def test_a_run_that_went_well_has_no_alert() -> None:
    assert alerts.of_run(a_run(subscriptions_lost=())) == []


class Pager:
    """A command that appends its standard input to a file."""

    def __init__(
        self, folder: Path, script: str = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    ) -> None:
        self.file = folder / "lines"
        to = settings.AlertSettings(command=(sys.executable, "-c", script, str(self.file)))
        url = settings.StateSettings(url=f"sqlite:///{folder}/state.db")
        self.configured = settings.Settings(state=url, alerts=to)

    def send(self, *given: Alert, at: datetime = NOW) -> list[Alert]:
        return alerts.send(given, self.configured, at)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []


NOTICE = Notice(Alert("no_run", "acme", "No hard-sync of acme has ever finished."), "2026-11-23T12:00:00Z")
LATE = Alert("orders_late", "acme", "The order import of acme is late.", {"since": "2026-11-23T10:00:00Z"})


def test_an_alert_is_one_json_line(tmp_path: Path) -> None:
    pager = Pager(tmp_path)

    pager.send(LATE)

    assert pager.lines() == [
        {
            "alert": "orders_late",
            "shop": "acme",
            "at": "2026-11-23T12:00:00Z",
            "summary": LATE.summary,
            "facts": LATE.facts,
        }
    ]


def test_the_same_alert_is_sent_once_an_hour(tmp_path: Path) -> None:
    pager = Pager(tmp_path)
    for minutes in (0, 15, 45, 59, 60, 61):
        pager.send(LATE, at=NOW + timedelta(minutes=minutes))

    assert len(pager.lines()) == 2


def test_alerts_of_another_shop_or_kind_are_sent_by_themselves(tmp_path: Path) -> None:
    pager = Pager(tmp_path)
    pager.send(LATE, Alert("orders_late", "brick", "x"), Alert("no_run", "acme", "y"))

    assert len(pager.lines()) == 3


def test_an_alert_that_a_channel_refused_is_sent_the_next_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = Pager(tmp_path, "raise SystemExit(1)").send(LATE)

    assert sent == [] and "An alert could not be sent (CalledProcessError)" in capsys.readouterr().err
    assert Pager(tmp_path).send(LATE) == [LATE]


def test_an_alert_is_sent_though_the_state_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pager = Pager(tmp_path)
    pager.send()
    monkeypatch.setattr("invsync.state.database.WAIT_SECONDS", 0.1)

    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute("begin exclusive")
        assert pager.send(LATE) == [LATE]


def test_an_alert_is_posted_to_the_address_of_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[Any] = []

    async def receive(request: Request) -> Response:
        posted.append(await request.json())
        return Response()

    with hosting(Starlette(routes=[Route("/page", receive, methods=["POST"])])) as address:
        monkeypatch.setenv("PAGER", f"{address}/page")
        state = settings.StateSettings(url=f"sqlite:///{tmp_path}/state.db")
        alerts.send([LATE], settings.Settings(state=state, alerts=settings.AlertSettings(url_env="PAGER")), NOW)

    assert [line["summary"] for line in posted] == [LATE.summary]


def test_the_scheme_of_an_address_selects_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, str]] = []
    monkeypatch.setattr(channels, "SCHEMES", {"note": lambda notices, address: sent.append((notices, address))})

    channels.send([NOTICE], settings.AlertSettings(url_env="PAGER"), {"PAGER": "note://desk note://door"})

    assert sent == [([NOTICE], "note://desk"), ([NOTICE], "note://door")]


def test_an_address_of_an_unknown_scheme_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("PAGER", "gopher://desk")
    state = settings.StateSettings(url=f"sqlite:///{tmp_path}/state.db")

    sent = alerts.send([LATE], settings.Settings(state=state, alerts=settings.AlertSettings(url_env="PAGER")), NOW)

    assert (
        sent == []
        and "(UsageError): No alert can be sent to an address that starts with gopher://" in capsys.readouterr().err
    )
