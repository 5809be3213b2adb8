"""Clocks and timestamps: the database's clock, a clock that cannot be set, and texts that sort as time does."""

import time
from datetime import UTC, datetime

import sqlalchemy as sa

NOW = {
    "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    "postgresql": "SELECT clock_timestamp()",
    "mysql": "SELECT utc_timestamp(6)",
    "mariadb": "SELECT utc_timestamp(6)",
}


def now(connection: sa.Connection) -> datetime:
    """Return the time by the database's clock, in UTC; it is the same for every machine that shares the database."""
    answer = connection.execute(sa.text(NOW.get(connection.dialect.name, "SELECT current_timestamp"))).scalar_one()
    moment = datetime.fromisoformat(answer) if isinstance(answer, str) else answer
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def boottime() -> float:
    """Return seconds on a clock that nobody can set and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def iso(moment: datetime) -> str:
    """Return the moment in ISO 8601, in UTC with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sortable(moment: datetime) -> str:
    """Return the moment in ISO 8601 with a fixed number of digits, so that texts sort as the moments do."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
