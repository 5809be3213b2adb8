"""Send alerts: the same kind of alert of a shop at most once an hour."""

import json
import os
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from invsync.alerts import channels
from invsync.alerts.alert import Alert
from invsync.config.settings import AlertSettings, Settings
from invsync.errors import InvsyncError
from invsync.state import State, iso
from invsync.state.schema import ALERT

REPEAT = timedelta(hours=1)


def send(alerts: Iterable[Alert], configured: Settings, now: datetime | None = None) -> list[Alert]:
    """Send each alert that was not sent within the last hour; return those that every channel took.

    An alert that a channel refuses is sent again the next time; no error is raised for it. Where the state database
    cannot be read, every alert is sent.
    """
    moment, sent = now or datetime.now(UTC), []
    for alert in alerts:
        if _is_due(configured, alert, moment) and _is_sent(_line(alert, moment), configured.alerts):
            sent.append(alert)
            _remember(configured, alert, moment)
    return sent


def _line(alert: Alert, now: datetime) -> str:
    line = {"alert": alert.kind, "shop": alert.shop, "at": iso(now), "summary": alert.summary, "facts": alert.facts}
    return json.dumps(line, ensure_ascii=False)


def _is_due(configured: Settings, alert: Alert, now: datetime) -> bool:
    """Whether the alert was not sent within the last hour, as far as the state database can say."""
    last = None
    with suppress(InvsyncError), closing(State(configured.state.url)) as state, state.engine.connect() as connection:
        query = sa.select(ALERT.c.told_at).where(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.kind)
        last = connection.execute(query).scalar()
    return last is None or datetime.fromisoformat(last) <= now - REPEAT


def _remember(configured: Settings, alert: Alert, now: datetime) -> None:
    unwritten = suppress(InvsyncError, sa.exc.IntegrityError)  # then the alert is sent again the next time
    with unwritten, closing(State(configured.state.url)) as state, state.engine.begin() as connection:
        connection.execute(sa.delete(ALERT).where(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.kind))
        connection.execute(sa.insert(ALERT).values(shop=alert.shop, kind=alert.kind, told_at=iso(now)))


def _is_sent(line: str, to: AlertSettings) -> bool:
    """Send the line on every channel; whether each took it."""
    try:
        channels.send(line, to, os.environ)
    except Exception as error:  # of any library that a channel uses: an alert must not fail a run
        remedy = str(error) if isinstance(error, InvsyncError) else "correct [alerts]."
        print(f"An alert could not be sent ({type(error).__name__}): {remedy}", file=sys.stderr)
        return False
    return True
