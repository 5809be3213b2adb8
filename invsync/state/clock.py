"""Times in the state database: the database's own clock, and texts that sort as time does."""

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
    """What the clock of the database says; every machine that shares it reads the same."""
    answer = connection.execute(sa.text(NOW.get(connection.dialect.name, "SELECT current_timestamp"))).scalar_one()
    moment = datetime.fromisoformat(answer) if isinstance(answer, str) else answer
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def awake_and_asleep() -> float:
    """Seconds on a clock that cannot be set and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sortable(moment: datetime) -> str:
    """ISO 8601 in UTC of one length, so that text sorts as time does."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
