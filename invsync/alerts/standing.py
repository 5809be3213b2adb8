"""Alerts that stand: in the state database from when they are raised until they are mended."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from invsync.alerts.alert import Alert
from invsync.state import iso
from invsync.state.schema import ALERT


@dataclass(frozen=True)
class Standing:
    """An alert, when it was last raised and last sent, and when it was mended if its end was not sent yet."""

    alert: Alert
    raised_at: datetime
    sent_at: datetime | None
    mended_at: datetime | None = None


def raise_(connection: sa.Connection, alert: Alert, now: datetime) -> None:
    """Keep an alert until it is mended."""
    content = json.dumps(asdict(alert), ensure_ascii=False)
    values = {"raised_at": iso(now), "mended_at": None, "content": content}
    if not connection.execute(sa.update(ALERT).where(_is(alert)).values(values)).rowcount:
        connection.execute(sa.insert(ALERT).values(shop=alert.shop, kind=alert.key, **values))


def mend(connection: sa.Connection, shop: str, keys: Iterable[str], now: datetime) -> None:
    """Mark the alerts of a shop as mended; forget those that were never sent."""
    these = sa.and_(ALERT.c.shop == shop, ALERT.c.kind.in_(list(keys)), ALERT.c.mended_at.is_(None))
    connection.execute(sa.delete(ALERT).where(these, ALERT.c.told_at.is_(None)))
    connection.execute(sa.update(ALERT).where(these).values(mended_at=iso(now)))


def of_shops(connection: sa.Connection, shops: Iterable[str]) -> list[Standing]:
    """Return the alerts of these shops that stand or were mended."""
    query = sa.select(ALERT).where(ALERT.c.shop.in_(list(shops)), ALERT.c.content.is_not(None))
    return [_standing(row) for row in connection.execute(query.order_by(ALERT.c.raised_at, ALERT.c.kind))]


def claim(connection: sa.Connection, standing: Standing, now: datetime) -> bool:
    """Take an alert to send it: forget a mended one, mark another as sent; whether no other process was faster."""
    same = ALERT.c.told_at.is_(None) if standing.sent_at is None else ALERT.c.told_at == iso(standing.sent_at)
    if standing.mended_at is not None:
        statement: sa.Delete | sa.Update = sa.delete(ALERT).where(ALERT.c.mended_at == iso(standing.mended_at))
    else:
        statement = sa.update(ALERT).where(ALERT.c.mended_at.is_(None)).values(told_at=iso(now))
    return bool(connection.execute(statement.where(_is(standing.alert), same)).rowcount)


def release(connection: sa.Connection, standing: Standing) -> None:
    """Give back an alert that could not be sent, as it was before it was claimed."""
    sent_at = iso(standing.sent_at) if standing.sent_at else None
    if standing.mended_at is None:
        connection.execute(sa.update(ALERT).where(_is(standing.alert)).values(told_at=sent_at))
    elif connection.execute(sa.select(ALERT.c.kind).where(_is(standing.alert))).first() is None:
        raise_(connection, standing.alert, standing.raised_at)
        values = {"told_at": sent_at, "mended_at": iso(standing.mended_at)}
        connection.execute(sa.update(ALERT).where(_is(standing.alert)).values(values))


def _is(alert: Alert) -> sa.ColumnElement[bool]:
    return sa.and_(ALERT.c.shop == alert.shop, ALERT.c.kind == alert.key)


def _standing(row: sa.Row[tuple[object, ...]]) -> Standing:
    values = row._mapping
    raised, sent, mended = (values[name] for name in ("raised_at", "told_at", "mended_at"))
    return Standing(
        Alert(**json.loads(values["content"])),
        datetime.fromisoformat(raised),
        datetime.fromisoformat(sent) if sent else None,
        datetime.fromisoformat(mended) if mended else None,
    )
