"""What a job's notebook may be given, checked strictly before anything is called."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from invsync.config import settings
from invsync.errors import UsageError
from invsync.shopify import Transport
from invsync.vocabulary import DELTAS, HARD, REALTIME, RECENT

COMMON: dict[str, Any] = {"config": "invsync.toml", "dry_run": False, "transport": "auto", "at": ""}
OWN: dict[str, dict[str, Any]] = {
    RECENT: {},
    HARD: {"include_groups": "", "exclude_groups": ""},
    DELTAS: {"since": ""},
    REALTIME: {},
}
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


def defaults(job: str) -> dict[str, Any]:
    """Every parameter of this job but the shop, with its default."""
    if job not in OWN:
        raise UsageError(f"Job {job!r} is unknown: choose one of {', '.join(OWN)}.")
    return COMMON | OWN[job]


def parameters(job: str, given: dict[str, Any]) -> Parameters:
    """The parameters of a job; an unknown, missing or ill-typed one is a usage error that names it."""
    known = {"shop": ""} | defaults(job)
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(f"Parameter {unknown[0]!r} is unknown to {job}: choose from {', '.join(known)}.")
    told = known | given
    for name, value in told.items():
        if type(value) is not type(known[name]):
            kind = type(known[name]).__name__
            raise UsageError(f"Parameter {name} must be {kind}, not {value!r}: correct it.")
    if not settings.SHOP_NAME.fullmatch(told["shop"]):
        raise UsageError(f"Shop {told['shop']!r} must match {settings.SHOP_NAME.pattern}: correct --shop.")
    if told["transport"] not in TRANSPORTS:
        raise UsageError(f"Transport {told['transport']!r} is none of {', '.join(TRANSPORTS)}: correct --transport.")
    moments = {name: instant(told[name]) if told[name] else None for name in ("at", "since") if name in told}
    groups = {name: _words(told[name]) for name in ("include_groups", "exclude_groups") if name in told}
    return Parameters(job, **told | moments | groups)


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
