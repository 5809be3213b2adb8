"""Send alerts: each at most once an hour while it stands, once more when it is mended, and not in quiet hours."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from invsync.alerts import channels, derivation, hours, standing
from invsync.alerts.alert import Alert, Notice
from invsync.alerts.standing import Standing
from invsync.config.settings import AlertSettings, Settings
from invsync.errors import InvsyncError
from invsync.runs.record import Record
from invsync.state import State, iso

REPEAT = timedelta(hours=1)
Mended = Sequence[tuple[str, str]]
"""Shops, each with the key of an alert that is over."""


def after(run: Record, configured: Settings) -> list[Alert]:
    """Send the alerts of a run that has ended, and of those that it shows to be mended; return what was sent."""
    mended = [(run.shop, key) for key in derivation.mended(run)]
    return send(derivation.of_run(run), configured, mended=mended, shops=[run.shop])


def send(
    alerts: Iterable[Alert],
    configured: Settings,
    now: datetime | None = None,
    *,
    mended: Mended = (),
    shops: Iterable[str] = (),
) -> list[Alert]:
    """Send these alerts and what waits of these shops; return those that every channel took.

    An alert that was sent within the last hour, or in quiet hours, or that a channel refuses, waits for the next call;
    no error is raised for it. Where the state database cannot be used, every alert is sent at once.
    """
    raised, moment = list(alerts), now or datetime.now(UTC)
    names = {*shops, *(alert.shop for alert in raised), *(shop for shop, _ in mended)}
    if not any(_is_on(configured.alerts_of(name)) for name in names):
        return []
    try:
        with closing(State(configured.state.url)) as state:
            return _send(state.engine, raised, mended, names, configured, moment)
    except (InvsyncError, sa.exc.SQLAlchemyError):
        return [alert for alert in raised if _is_sent([_notice(alert, configured, moment)], alert.shop, configured)]


def _is_on(to: AlertSettings) -> bool:
    return bool(to.url_env or to.command)


def _send(
    engine: sa.Engine, raised: list[Alert], mended: Mended, shops: set[str], configured: Settings, now: datetime
) -> list[Alert]:
    with engine.begin() as connection:
        for alert in raised:
            standing.raise_(connection, alert, now)
        for shop, key in mended:
            standing.mend(connection, shop, [key], now)
        waiting = standing.of_shops(connection, shops)
    groups: dict[AlertSettings, list[Standing]] = {}
    for each in waiting:
        groups.setdefault(configured.alerts_of(each.alert.shop), []).append(each)
    return [alert for to, group in groups.items() for alert in _send_group(engine, group, to, configured, now)]


def _send_group(
    engine: sa.Engine, group: list[Standing], to: AlertSettings, configured: Settings, now: datetime
) -> list[Alert]:
    """Send what is due of the alerts that go one way, as soon as one of them need not wait for others."""
    due = [each for each in group if _is_due(each, now) and not _is_quiet(each, to, configured, now)]
    if not _is_on(to) or all(_is_grouping(each, to, now) for each in due):
        return []
    with engine.begin() as connection:
        claimed = [each for each in due if standing.claim(connection, each, now)]
    notices = [_notice(each.alert, configured, now, mended=each.mended_at is not None) for each in claimed]
    if not notices or _is_sent(notices, claimed[0].alert.shop, configured):
        return [each.alert for each in claimed]
    with suppress(InvsyncError, sa.exc.SQLAlchemyError), engine.begin() as connection:
        for each in claimed:
            standing.release(connection, each)
    return []


def _is_due(each: Standing, now: datetime) -> bool:
    """Whether there is news of an alert: it is mended, or was raised since it was sent, which is an hour ago."""
    if each.sent_at is None or each.mended_at is not None:
        return True
    return each.raised_at > each.sent_at and now >= each.sent_at + REPEAT


def _is_quiet(each: Standing, to: AlertSettings, configured: Settings, now: datetime) -> bool:
    shop = configured.shops.get(each.alert.shop)
    return hours.is_quiet(each.alert.kind, to, shop.timezone if shop else "UTC", now)


def _is_grouping(each: Standing, to: AlertSettings, now: datetime) -> bool:
    return each.alert.kind not in to.urgent and hours.is_grouping(each.mended_at or each.raised_at, to, now)


def _notice(alert: Alert, configured: Settings, now: datetime, *, mended: bool = False) -> Notice:
    return Notice(alert, iso(now), alert.page(configured.reports.address), mended)


def _is_sent(notices: list[Notice], shop: str, configured: Settings) -> bool:
    """Send the notices on every channel of a shop; whether each took them."""
    try:
        channels.send(notices, configured.alerts_of(shop), os.environ)
    except Exception as error:  # of any library that a channel uses: an alert must not fail a run
        remedy = str(error) if isinstance(error, InvsyncError) else "correct [alerts]."
        print(f"An alert could not be sent ({type(error).__name__}): {remedy}", file=sys.stderr)
        return False
    return True
