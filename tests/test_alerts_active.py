"""An alert is active until it is resolved, which is sent once; it waits in quiet hours, and for others to join it."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_alerts import LATE, a_run

from invsync import alerts
from invsync.alerts import Alert
from invsync.config import settings
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.vocabulary import JOB_ALERTS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
AN_HOUR_AGO, UNKNOWN = "2026-11-23T11:00:00Z", "pairs_unknown"
BROKEN = "raise SystemExit(1)"


def failed(job: str = "hard-sync", shop: str = "acme") -> Alert:
    return Alert("run_failed", shop, f"{job} of {shop} failed.", {"job": job, "run_id": "20261123T120000Z-aa"})


class Desk:
    """Two shops whose alerts are appended to files; each may say when and where."""

    def __init__(self, folder: Path, script: str = APPEND, zone: str = "UTC", **options: Any) -> None:
        self.folder, self.zone = folder, zone
        self.configure(script, **options)

    def configure(self, script: str = APPEND, brick: dict[str, Any] | None = None, **options: Any) -> None:
        def shop(name: str, own: dict[str, Any]) -> ShopSettings:
            domain, oms = f"{name}.myshopify.com", OmsSettings(shop_id="X")
            return ShopSettings(domain=domain, token_env="T", timezone=self.zone, oms=oms, alerts=own)  # type: ignore[arg-type]

        self.configured = settings.Settings(
            state=settings.StateSettings(url=f"sqlite:///{self.folder}/state.db"),
            reports=settings.ReportSettings(address="https://reports.example.com/"),
            alerts=settings.AlertSettings(command=self.command("lines", script), **options),
            shops={"acme": shop("acme", {}), "brick": shop("brick", brick or {})},
        )

    def command(self, name: str, script: str = APPEND) -> tuple[str, ...]:
        return (sys.executable, "-c", script, str(self.folder / name))

    def send(self, *raised: Alert, at: datetime = NOW, **how: Any) -> list[Alert]:
        return alerts.send(raised, self.configured, at, **how)

    def lines(self, name: str = "lines") -> list[dict[str, Any]]:
        file = self.folder / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def sent(self, name: str = "lines") -> list[tuple[str, bool]]:
        return [(line["alert"], line.get("resolved", False)) for line in self.lines(name)]


@pytest.mark.parametrize(
    ("fields", "over"),
    [
        ({}, {*JOB_ALERTS, "orders_late"}),
        ({"status": "partial", "counts": {"unknown": 2}, "orders_late_since": AN_HOUR_AGO}, {*JOB_ALERTS} - {UNKNOWN}),
        ({"job": "push-deltas", "subscriptions_lost": ()}, {*JOB_ALERTS, "subscription_lost"}),
        ({"applies": "20261123T110000Z-aa"}, {*JOB_ALERTS}),
        ({"status": "stopped"}, {"run_failed"}),
        ({"status": "planned"}, set()),
        ({"status": "failed", "subscriptions_lost": ("ORDERS_CREATE",)}, set()),
        (
            {"status": "planned", "job": "shadow"},
            {"run_failed", "no_run", "guard_stopped", "pairs_unknown", "orders_late"},
        ),
    ],
)
def test_a_run_shows_which_alerts_are_resolved(fields: dict[str, Any], over: set[str]) -> None:
    run = a_run(**fields)

    assert set(alerts.resolved(run)) == {alerts.key(kind, run.job) for kind in over}


def test_no_run_both_raises_an_alert_and_resolves_it() -> None:
    for status in ("done", "partial", "stopped", "failed", "planned"):
        run = a_run(status=status, counts={"unknown": 1}, orders_late_since="2026-11-23T10:00:00Z")
        assert not {alert.key for alert in alerts.of_run(run)} & set(alerts.resolved(run))


def test_the_resolution_of_an_alert_is_sent_once_with_its_page(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.send(failed())

    for _ in range(2):
        desk.send(at=NOW + MINUTE, resolved=[("acme", "run_failed hard-sync")])

    assert desk.sent() == [("run_failed", False), ("run_failed", True)]
    pages = {line["page"] for line in desk.lines()}
    assert pages == {"https://reports.example.com/acme/hard-sync/20261123T120000Z-aa/report.html"}


def test_a_run_of_another_job_resolves_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.send(failed("hard-sync"), failed("push-deltas"))

    desk.send(at=NOW + MINUTE, resolved=[("acme", "run_failed push-deltas"), ("brick", "run_failed hard-sync")])

    assert [line["facts"]["job"] for line in desk.lines() if line.get("resolved")] == ["push-deltas"]


def test_an_alert_that_is_raised_again_after_its_resolution_is_sent_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.send(LATE)
    desk.send(at=NOW + MINUTE, resolved=[("acme", "orders_late")])

    desk.send(LATE, at=NOW + 2 * MINUTE)

    assert desk.sent() == [("orders_late", False), ("orders_late", True), ("orders_late", False)]


def test_a_resolution_that_no_channel_took_is_sent_the_next_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.send(LATE)
    desk.configure(BROKEN)
    assert desk.send(at=NOW + MINUTE, resolved=[("acme", "orders_late")]) == []

    desk.configure()
    desk.send(at=NOW + 2 * MINUTE, shops=["acme"])

    assert desk.sent() == [("orders_late", False), ("orders_late", True)]


def test_in_quiet_hours_an_alert_waits_for_their_end_in_the_shops_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, zone="Asia/Tokyo", quiet_hours="22:00-07:00")
    night = datetime(2026, 11, 23, 14, tzinfo=UTC)  # 23:00 in Tokyo

    desk.send(LATE, at=night)
    for hours in (3, 7):
        desk.send(at=night + hours * HOUR, shops=["acme"])
    before = desk.sent()
    desk.send(at=night + 8 * HOUR, shops=["acme"])

    assert (before, desk.sent()) == ([], [("orders_late", False)])


def test_an_urgent_alert_is_sent_in_quiet_hours(tmp_path: Path) -> None:
    desk = Desk(tmp_path, quiet_hours="11:00-13:00", urgent=("run_failed",))

    assert desk.send(LATE, failed()) == [failed()]


def test_what_was_raised_and_resolved_in_quiet_hours_is_never_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, quiet_hours="11:00-13:00")
    desk.send(LATE)
    desk.send(at=NOW + MINUTE, resolved=[("acme", "orders_late")])

    assert desk.send(at=NOW + 2 * HOUR, shops=["acme"]) == []


def test_a_resolution_waits_for_the_end_of_the_quiet_hours_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, quiet_hours="12:30-13:30")
    desk.send(LATE)
    desk.send(at=NOW + HOUR, resolved=[("acme", "orders_late")])
    before = desk.sent()
    desk.send(at=NOW + 2 * HOUR, shops=["acme"])

    assert (before, desk.sent()[1:]) == ([("orders_late", False)], [("orders_late", True)])


def test_alerts_wait_for_others_to_join_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[str]] = []
    monkeypatch.setattr(alerts.sending.channels, "send", lambda notices, *_: groups.append([n.title for n in notices]))
    desk = Desk(tmp_path, group_minutes=10)

    desk.send(failed())
    desk.send(failed(shop="brick"), at=NOW + 5 * MINUTE)
    desk.send(at=NOW + 10 * MINUTE, shops=["acme", "brick"])

    assert groups == [["acme, hard-sync: The run failed", "brick, hard-sync: The run failed"]]


def test_an_alert_that_is_raised_every_minute_waits_no_longer_than_one_that_is_raised_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, group_minutes=5)

    sent = [bool(desk.send(LATE, at=NOW + minute * MINUTE)) for minute in range(70)]

    assert [minute for minute, is_sent in enumerate(sent) if is_sent] == [5, 65]


def test_a_shop_may_have_a_way_of_its_own(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.configure(brick={"command": desk.command("own")}, urgent=("run_failed",))

    desk.send(failed(), failed(shop="brick"))

    assert [line["shop"] for line in desk.lines()] == ["acme"]
    assert [line["shop"] for line in desk.lines("own")] == ["brick"]
    assert desk.configured.alerts_of("brick").urgent == ("run_failed",)


def test_a_run_sends_nothing_of_another_shop(tmp_path: Path) -> None:
    desk = Desk(tmp_path, quiet_hours="11:00-13:00")
    desk.send(failed(shop="brick"))

    assert desk.send(at=NOW + 2 * HOUR, shops=["acme"]) == []


def test_processes_that_send_at_once_send_an_alert_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, quiet_hours="11:00-13:00")
    desk.send(LATE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: desk.send(at=NOW + 2 * HOUR, shops=["acme"]), range(4)))

    assert desk.sent() == [("orders_late", False)]


@pytest.mark.parametrize("text", ["22-", "late", "22:00-22:00", "25:00-07:00", "22:00-07:00-08:00"])
def test_quiet_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write one as 22:00-07:00"):
        settings.AlertSettings(quiet_hours=text)
