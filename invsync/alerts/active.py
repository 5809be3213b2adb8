"""Active alerts: kept in the state database from when they are raised until their resolution is sent."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from invsync.alerts.alert import Alert
from invsync.state import iso
from invsync.state.schema import ALERT


@dataclass(frozen=True)
class ActiveAlert:
    """An alert, when it was last sent, when it was first raised since, and when it was resolved."""

    alert: Alert
    raised_at: datetime
    sent_at: datetime | None
    resolved_at: datetime | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the alert was raised and not sent since."""
        return self.resolved_at is None and (self.sent_at is None or self.raised_at > self.sent_at)


def store(connection: sa.Connection, alert: Alert, now: datetime) -> None:
    """Keep an alert until it is resolved; one that is pending was raised at its first time."""
    kept = _rows(connection, _is(alert))
    raised_at = kept[0].raised_at if kept and kept[0].is_pending else now
    content = json.dumps(asdict(alert), ensure_ascii=False)
    values = {"raised_at": iso(raised_at), "resolved_at": None, "content": content}
    if not connection.execute(sa.update(ALERT).where(_is(alert)).values(values)).rowcount:
        connection.execute(sa.insert(ALERT).values(shop=alert.shop, kind=alert.key, **values))


def resolve(connection: sa.Connection, shop: str, keys: Iterable[str], now: datetime) -> None:
    """Mark the alerts of a shop as resolved; forget those that were never sent."""
    these = sa.and_(ALERT.c.shop == shop, ALERT.c.kind.in_(list(keys)), ALERT.c.resolved_at.is_(None))
    connection.execute(sa.delete(ALERT).where(these, ALERT.c.told_at.is_(None)))
    connection.execute(sa.update(ALERT).where(these).values(resolved_at=iso(now)))


def of_shops(connection: sa.Connection, shops: Iterable[str]) -> list[ActiveAlert]:
    """Return the alerts of these shops that are active, and those whose resolution was not sent yet."""
    return _rows(connection, ALERT.c.shop.in_(list(shops)))


def claim(connection: sa.Connection, each: ActiveAlert, now: datetime) -> bool:
    """Take an alert to send it: forget a resolved one, mark another as sent; whether no other process was faster."""
    same = ALERT.c.told_at.is_(None) if each.sent_at is None else ALERT.c.told_at == iso(each.sent_at)
    if each.resolved_at is not None:
        statement: sa.Delete | sa.Update = sa.delete(ALERT).where(ALERT.c.resolved_at == iso(each.resolved_at))
    else:
        statement = sa.update(ALERT).where(ALERT.c.resolved_at.is_(None)).values(told_at=iso(now))
    return bool(connection.execute(statement.where(_is(each.alert), same)).rowcount)


def release(connection: sa.Connection, each: ActiveAlert) -> None:
    """Give back an alert that could not be sent, as it was before it was claimed."""
    sent_at = iso(each.sent_at) if each.sent_at else None
    if each.resolved_at is None:
        connection.execute(sa.update(ALERT).where(_is(each.alert)).values(told_at=sent_at))
    elif not _rows(connection, _is(each.alert)):  # else it was raised again in the meantime
        store(connection, each.alert, each.raised_at)
        values = {"told_at": sent_at, "resolved_at": iso(each.resolved_at)}
        connection.execute(sa.update(ALERT).where(_is(each.alert)).values(values))


def _is(alert: Alert) -> sa.ColumnElement[bool]:
    return sa.and_(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.key)


def _rows(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[ActiveAlert]:
    query = sa.select(ALERT).where(where, ALERT.c.content.is_not(None)).order_by(ALERT.c.raised_at, ALERT.c.kind)
    return [_active(row) for row in connection.execute(query)]


def _active(row: sa.Row[tuple[object, ...]]) -> ActiveAlert:
    values = row._mapping
    raised, sent, resolved = (values[name] for name in ("raised_at", "told_at", "resolved_at"))
    return ActiveAlert(
        Alert(**json.loads(values["content"])),
        datetime.fromisoformat(raised),
        datetime.fromisoformat(sent) if sent else None,
        datetime.fromisoformat(resolved) if resolved else None,
    )
