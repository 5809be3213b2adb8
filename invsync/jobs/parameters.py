"""What a job's notebook may be given, checked strictly before anything is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from invsync.config import settings
from invsync.errors import UsageError
from invsync.shopify import Transport

COMMON: dict[str, Any] = {"config": "invsync.toml", "dry_run": False, "transport": "auto", "at": ""}
MOST_DAYS = 366
TRANSPORTS = ("auto", "bulk", "direct")


@dataclass(frozen=True)
class Parameters:
    """A job's parameters as values."""

    job: str
    shop: str
    config: str
    dry_run: bool
    transport: Transport
    at: datetime | None
    since: datetime | None = None
    include_groups: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()
    days: int = 0


def parameters(job: str, own: Mapping[str, str], given: Mapping[str, Any]) -> Parameters:
    """The parameters of a job, beyond the common ones its `own`; an unknown, missing or ill-typed one is a UsageError."""
    known = {"shop": ""} | COMMON | dict(own)
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(f"Parameter {unknown[0]!r} is unknown to {job}: choose from {', '.join(known)}.")
    values = known | dict(given)
    for name, value in values.items():
        if type(value) is not type(known[name]):
            kind = type(known[name]).__name__
            raise UsageError(f"Parameter {name} must be {kind}, not {value!r}: correct it.")
    if not settings.SHOP_NAME.fullmatch(values["shop"]):
        raise UsageError(f"Shop {values['shop']!r} must match {settings.SHOP_NAME.pattern}: correct --shop.")
    if values["transport"] not in TRANSPORTS:
        raise UsageError(f"Transport {values['transport']!r} is none of {', '.join(TRANSPORTS)}: correct --transport.")
    moments = {name: instant(values[name]) if values[name] else None for name in ("at", "since") if name in values}
    groups = {name: _words(values[name]) for name in ("include_groups", "exclude_groups") if name in values}
    spans = {name: _days(values[name]) for name in ("days",) if name in values}
    return Parameters(job, **values | moments | groups | spans)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise UsageError(f"Parameter days must be a whole number from 1 to {MOST_DAYS}, not {text!r}: correct it.")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def instant(text: str) -> datetime:
    """ISO 8601 with an offset or Z as UTC; anything else is a usage error."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise UsageError(f"Time {text!r} is not ISO 8601 with an offset or Z: write 2026-11-23T13:15:00Z.")
    return moment.astimezone(UTC)
