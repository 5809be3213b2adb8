"""Send alerts: each at most once an hour while it is active, once more when it is resolved, and not in quiet hours."""

import os
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from invsync import logs
from invsync.alerts import active, channels, derivation, hours
from invsync.alerts.active import ActiveAlert
from invsync.alerts.alert import Alert, Notice
from invsync.config.settings import AlertSettings, Settings
from invsync.errors import InvsyncError
from invsync.runs.record import Record
from invsync.state import State, iso

REPEAT = timedelta(hours=1)
Resolved = Sequence[tuple[str, str]]
"""Shops, each with the key of an alert that is resolved."""


def after(run: Record, configured: Settings) -> list[Alert]:
    """Send the alerts of a run that has ended, and of those that it shows to be resolved; return what was sent."""
    resolved = [(run.shop, key) for key in derivation.resolved(run)]
    return send(derivation.of_run(run), configured, resolved=resolved, shops=[run.shop])


def send(
    alerts: Iterable[Alert],
    configured: Settings,
    now: datetime | None = None,
    *,
    resolved: Resolved = (),
    shops: Iterable[str] = (),
) -> list[Alert]:
    """Send these alerts and what waits of these shops; return those that every channel took.

    An alert that was sent within the last hour, or in quiet hours, or that a channel refuses, waits for the next call;
    no error is raised for it. Where the state database cannot be used, every alert is sent at once.
    """
    raised, moment = list(alerts), now or datetime.now(UTC)
    names = {*shops, *(alert.shop for alert in raised), *(shop for shop, _ in resolved)}
    if not any(_is_on(configured.alerts_of(name)) for name in names):
        return []
    try:
        with closing(State(configured.state.url)) as state:
            return _send(state.engine, raised, resolved, names, configured, moment)
    except (InvsyncError, sa.exc.SQLAlchemyError):
        return [alert for alert in raised if _is_sent([_notice(alert, configured, moment)], alert.shop, configured)]


def _is_on(to: AlertSettings) -> bool:
    return bool(to.url_env or to.command)


def _send(
    engine: sa.Engine, raised: list[Alert], resolved: Resolved, shops: set[str], configured: Settings, now: datetime
) -> list[Alert]:
    with engine.begin() as connection:
        for alert in raised:
            active.store(connection, alert, now)
        for shop, key in resolved:
            active.resolve(connection, shop, [key], now)
        waiting = active.of_shops(connection, shops)
    groups: dict[AlertSettings, list[ActiveAlert]] = {}
    for each in waiting:
        groups.setdefault(configured.alerts_of(each.alert.shop), []).append(each)
    return [alert for to, group in groups.items() for alert in _send_group(engine, group, to, configured, now)]


def _send_group(
    engine: sa.Engine, group: list[ActiveAlert], to: AlertSettings, configured: Settings, now: datetime
) -> list[Alert]:
    """Send what is due of the alerts that go one way, as soon as one of them need not wait for others."""
    due = [each for each in group if _is_due(each, now) and not _is_quiet(each, to, configured, now)]
    if not _is_on(to) or all(_is_grouping(each, to, now) for each in due):
        return []
    with engine.begin() as connection:
        claimed = [each for each in due if active.claim(connection, each, now)]
    notices = [_notice(each.alert, configured, now, resolved=each.resolved_at is not None) for each in claimed]
    if not notices or _is_sent(notices, claimed[0].alert.shop, configured):
        return [each.alert for each in claimed]
    with suppress(InvsyncError, sa.exc.SQLAlchemyError), engine.begin() as connection:
        for each in claimed:
            active.release(connection, each)
    return []


def _is_due(each: ActiveAlert, now: datetime) -> bool:
    """Whether an alert is resolved, or was raised since it was sent, which is an hour ago."""
    if each.sent_at is None or each.resolved_at is not None:
        return True
    return each.is_pending and now >= each.sent_at + REPEAT


def _is_quiet(each: ActiveAlert, to: AlertSettings, configured: Settings, now: datetime) -> bool:
    shop = configured.shops.get(each.alert.shop)
    return hours.is_quiet(each.alert.kind, to, shop.timezone if shop else "UTC", now)


def _is_grouping(each: ActiveAlert, to: AlertSettings, now: datetime) -> bool:
    return each.alert.kind not in to.urgent and hours.is_grouping(each.resolved_at or each.raised_at, to, now)


def _notice(alert: Alert, configured: Settings, now: datetime, *, resolved: bool = False) -> Notice:
    return Notice(alert, iso(now), alert.page(configured.reports.address), resolved)


def _is_sent(notices: list[Notice], shop: str, configured: Settings) -> bool:
    """Send the notices on every channel of a shop; whether each took them."""
    try:
        channels.send(notices, configured.alerts_of(shop), os.environ)
    except Exception as error:  # of any library that a channel uses: an alert must not fail a run
        remedy = str(error) if isinstance(error, InvsyncError) else "correct [alerts]."
        logs.warn(f"An alert could not be sent ({type(error).__name__}): {remedy}")
        return False
    return True
