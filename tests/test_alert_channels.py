"""What people receive of an alert and of its resolution: by mail, in Slack, in Teams, in PagerDuty and on a phone."""

import builtins
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from receivers import SLACK, Mailbox, Received, mailing, receiving, slack, text_of

from invsync import alerts
from invsync.alerts import Alert, Notice
from invsync.alerts.channels import apprise
from invsync.config import settings
from invsync.config.settings import Settings
from invsync.errors import SystemFailed, UsageError
from invsync.vocabulary import ALERTS, JOB_ALERTS

PAGE = "https://reports.example.com/acme/hard-sync/20261123T120000Z-aa/report.html"
AT = "2026-11-23T12:00:00Z"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def notice(kind: str = "guard_stopped", *, shop: str = "acme", resolved: bool = False) -> Notice:
    facts = {"job": "hard-sync", "run_id": "20261123T120000Z-aa"}
    alert = Alert(kind, shop, f"What {kind} says of {shop}.", facts)
    return Notice(alert, AT, alert.page("https://reports.example.com"), resolved)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mailing() as opened:
        yield opened


@pytest.mark.parametrize("kind", ALERTS)
@pytest.mark.parametrize("resolved", [False, True])
def test_each_alert_and_its_resolution_is_a_mail_with_a_link_to_the_page(
    mailbox: Mailbox, kind: str, resolved: bool
) -> None:
    one = notice(kind, resolved=resolved)

    apprise.send([one], mailbox.address)

    [message] = mailbox.mails
    text = text_of(message)
    about = "acme, hard-sync" if kind in JOB_ALERTS else "acme"
    assert message["subject"] == ("Resolved: " if resolved else "") + f"{about}: {ALERTS[kind]}"
    assert PAGE in text and f"What {kind} says of acme." in text and ("Resolved. It was:" in text) == resolved
    assert message["to"] == "stock@example.com"


def test_alerts_that_are_sent_together_are_one_mail(mailbox: Mailbox) -> None:

    apprise.send([notice(resolved=True), notice("run_failed", shop="brick"), notice("orders_late")], mailbox.address)

    [message] = mailbox.mails
    text = text_of(message)
    assert message["subject"] == "acme, brick: 2 alerts, 1 resolved"
    assert text.index("run_failed says of brick") < text.index("orders_late says") < text.index("Resolved. It was")


@pytest.mark.parametrize("kind", ALERTS)
def test_each_alert_and_its_resolution_is_a_message_in_slack(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with slack(monkeypatch) as received:
        for resolved in (False, True):
            apprise.send([notice(kind, resolved=resolved)], SLACK)

    assert [path for path, _ in received.requests] == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"] * 2
    raised, ended = (json.dumps(body) for body in received.bodies)
    assert PAGE in raised and f"What {kind} says of acme." in raised and "Resolved" not in raised
    assert "Resolved. It was:" in ended and PAGE in ended


@pytest.fixture
def addressed(mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Received]]:
    """Settings whose alerts go by mail and to Slack, and keep quiet until 07:00; what Slack received."""
    monkeypatch.setenv("ALERT_ADDRESSES", f"{mailbox.address} {SLACK}")
    to = settings.AlertSettings(url_env="ALERT_ADDRESSES", quiet_hours="22:00-07:00", group_minutes=5)
    state = settings.StateSettings(url=f"sqlite:///{tmp_path}/state.db")
    with slack(monkeypatch) as received:
        yield Settings(state=state, alerts=to), received


@pytest.mark.parametrize("kind", ALERTS)
def test_each_alert_and_its_resolution_reach_every_address_once(
    mailbox: Mailbox, addressed: tuple[Settings, Received], kind: str
) -> None:
    configured, received = addressed
    alert = notice(kind).alert
    for minutes in (0, 5, 6):
        alerts.send([alert] if minutes == 0 else [], configured, NOON + timedelta(minutes=minutes), shops=["acme"])
    for minutes in (10, 15, 16):
        resolved = [("acme", alert.key)] if minutes == 10 else []
        alerts.send([], configured, NOON + timedelta(minutes=minutes), resolved=resolved, shops=["acme"])

    assert [str(mail["subject"]).startswith("Resolved: ") for mail in mailbox.mails] == [False, True]
    assert ["Resolved" in json.dumps(body) for body in received.bodies] == [False, True]


def test_alerts_of_quiet_hours_are_one_mail_and_one_message_in_the_morning(
    mailbox: Mailbox, addressed: tuple[Settings, Received]
) -> None:
    configured, received = addressed
    night = NOON.replace(hour=23)
    alerts.send([notice("run_failed").alert], configured, night)
    alerts.send([notice("orders_late").alert], configured, night + timedelta(hours=2))
    alerts.send([], configured, night + timedelta(hours=7, minutes=59), shops=["acme"])
    assert mailbox.mails == [] and received.requests == []

    alerts.send([], configured, night + timedelta(hours=8), shops=["acme"])

    [mail], [body] = mailbox.mails, received.bodies
    assert mail["subject"] == "acme: 2 alerts" and "What run_failed says" in text_of(mail)
    assert "What orders_late says" in text_of(mail) and "2 alerts" in json.dumps(body)


def test_an_incident_in_pagerduty_is_closed_by_the_message_that_its_fault_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apprise.plugins import pagerduty

    with receiving(202) as received:
        region = {key: f"{received.address}/v2/enqueue" for key in pagerduty.PAGERDUTY_API_LOOKUP}
        monkeypatch.setattr(pagerduty, "PAGERDUTY_API_LOOKUP", region)
        address = "pagerduty://integrationkey@apikey"
        apprise.send([notice("run_failed"), notice("guard_stopped")], address)
        apprise.send([notice("run_failed", resolved=True)], address)

    failed, stopped, ended = received.bodies
    assert [body["event_action"] for body in received.bodies] == ["trigger", "trigger", "resolve"]
    assert failed["dedup_key"] == ended["dedup_key"] != stopped["dedup_key"]


def test_ntfy_receives_a_message_on_its_topic() -> None:
    with receiving() as received:
        apprise.send([notice()], received.address.replace("http://", "ntfy://") + "/stock-of-acme")

    [body] = received.bodies
    assert body["topic"] == "stock-of-acme" and "What guard_stopped says" in body["message"]


def test_teams_receives_an_adaptive_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workflow is only reached by https, so the card is caught on its way out."""
    import requests

    posted: list[tuple[str, Any]] = []

    class Answer:
        status_code, content, text = 202, b"", ""

    def post(url: str, data: Any = None, **_: object) -> Answer:
        posted.append((url, json.loads(data)))
        return Answer()

    monkeypatch.setattr(requests, "request", lambda _method, url, **given: post(url, **given))
    monkeypatch.setattr(requests, "post", post)
    apprise.send([notice()], "workflows://prod.example.com/abcdef0123/sigsigsig")

    [(url, body)] = posted
    assert url.startswith("https://prod.example.com") and PAGE in json.dumps(body)


def test_a_service_that_refuses_is_an_error_without_its_address() -> None:
    with receiving(500) as received, pytest.raises(SystemFailed) as raised:
        apprise.send([notice()], received.address.replace("http://", "ntfy://") + "/stock-of-acme")

    assert str(raised.value).startswith("The alert was not delivered to ntfy://:")
    assert "stock-of-acme" not in str(raised.value)


def test_an_address_that_is_not_whole_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="No alert can be sent to an address that starts with slack://"):
        apprise.check("slack://onlyonetoken")


def test_the_extra_is_named_where_apprise_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "apprise":
            raise ModuleNotFoundError("no apprise", name="apprise")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(UsageError, match=r"Alerts to mailto:// need Apprise: install invsync\[alerts\]"):
        apprise.check("mailto://127.0.0.1?from=a@example.com")


def test_the_kinds_of_alerts_that_a_setting_takes_are_those_of_the_vocabulary() -> None:
    assert settings.AlertSettings(urgent=tuple(ALERTS)).urgent == tuple(ALERTS)
    with pytest.raises(ValueError, match="urgent"):
        settings.AlertSettings(urgent=("a_new_one",))  # type: ignore[arg-type]
