"""What a person must see, told from what a run found: a JSON line to a URL or a command, the same thing once an hour."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from invsync import web
from invsync.config import settings
from invsync.errors import InvsyncError
from invsync.state import State, iso
from invsync.state.schema import ALERT

REPEAT = timedelta(hours=1)
PATIENCE_SECONDS = 20
GUARD_STOPPED, RUN_FAILED, ORDERS_LATE, PAIRS_UNKNOWN, SUBSCRIPTION_LOST, NO_RUN = (
    "guard_stopped",
    "run_failed",
    "orders_late",
    "pairs_unknown",
    "subscription_lost",
    "no_run",
)


@dataclass(frozen=True)
class Alert:
    """One thing that a person must see: its kind, the shop, one sentence, and the numbers behind it."""

    kind: str
    shop: str
    summary: str
    facts: dict[str, Any] = field(default_factory=dict)


def of_run(run: dict[str, Any]) -> list[Alert]:
    """The alerts that a run.json gives rise to."""
    shop, counts = run["shop"], run["counts"]
    named = {name: run[name] for name in ("run_id", "job", "status", "exit_code")}
    last = (run["messages"] or ["no reason was told"])[-1]
    alerts = []
    if run["status"] == "stopped":
        guards = [guard for guard in run["guards"] if guard["stopped"]]
        alerts.append(
            Alert(GUARD_STOPPED, shop, f"A guard stopped {run['job']} of {shop}: {last}", named | {"guards": guards})
        )
    if run["status"] == "failed":
        alerts.append(Alert(RUN_FAILED, shop, f"{run['job']} of {shop} failed: {last}", named))
    if since := run.get("orders_late_since"):
        summary = f"The order import of {shop} is late: an order of {since} is not in the OMS yet."
        alerts.append(Alert(ORDERS_LATE, shop, summary, named | {"since": since}))
    if unknown := counts["unknown"]:
        summary = (
            f"{unknown} pairs of {shop} have no known outcome after {run['job']} {run['run_id']}: read its report."
        )
        alerts.append(Alert(PAIRS_UNKNOWN, shop, summary, named | {"unknown": unknown}))
    if lost := run.get("subscriptions_lost"):
        summary = f"Shopify does not send {', '.join(lost)} to {shop}: run invsync webhooks register --shop {shop}."
        alerts.append(Alert(SUBSCRIPTION_LOST, shop, summary, named | {"topics": lost}))
    return alerts


def tell(alerts: Iterable[Alert], configured: settings.Settings, now: datetime | None = None) -> list[Alert]:
    """Tell each alert that was not told within the last hour; those that were told.

    One that the pager did not take is told again the next time; a run never fails by it. If the state database cannot
    say what was told, every alert is told.
    """
    moment, sent = now or datetime.now(UTC), []
    for alert in alerts:
        if _is_due(configured, alert, moment) and _page(_line(alert, moment), configured.alerts):
            sent.append(alert)
            _remember(configured, alert, moment)
    return sent


def _line(alert: Alert, now: datetime) -> str:
    line = {"alert": alert.kind, "shop": alert.shop, "at": iso(now), "summary": alert.summary, "facts": alert.facts}
    return json.dumps(line, ensure_ascii=False)


def _is_due(configured: settings.Settings, alert: Alert, now: datetime) -> bool:
    """Whether it was not told within the last hour, as far as the state database can say."""
    before = None
    with suppress(InvsyncError), closing(State(configured.state.url)) as state, state.engine.connect() as connection:
        query = sa.select(ALERT.c.told_at).where(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.kind)
        before = connection.execute(query).scalar()
    return before is None or datetime.fromisoformat(before) <= now - REPEAT


def _remember(configured: settings.Settings, alert: Alert, now: datetime) -> None:
    lost = suppress(InvsyncError, sa.exc.IntegrityError)  # then it is told again the next time
    with lost, closing(State(configured.state.url)) as state, state.engine.begin() as connection:
        connection.execute(sa.delete(ALERT).where(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.kind))
        connection.execute(sa.insert(ALERT).values(shop=alert.shop, kind=alert.kind, told_at=iso(now)))


def _page(line: str, to: settings.AlertSettings) -> bool:
    """Whether every pager that is named took the line."""
    try:
        if to.command:
            subprocess.run(to.command, input=f"{line}\n", text=True, timeout=PATIENCE_SECONDS, check=True)
        if url := settings.secret(to.url_env, os.environ):
            headers = {"Content-Type": "application/json"}
            with web.client(timeout=PATIENCE_SECONDS) as http:
                http.post(url, content=line.encode(), headers=headers).raise_for_status()
    except Exception as error:  # a pager is not worth a run
        why = str(error) if isinstance(error, InvsyncError) else "correct [alerts]."
        print(f"An alert could not be told ({type(error).__name__}): {why}", file=sys.stderr)
        return False
    return True
