"""Logs as lines of JSON on standard error, each with the id of its run and without secrets."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

Scrub = Callable[[str], str]
_about: ContextVar[Mapping[str, object] | None] = ContextVar("about", default=None)


class Json(logging.Formatter):
    """One line of JSON for each record: at, level, logger, message, the run that it is about, and its facts."""

    def __init__(self, scrub: Scrub) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line |= {"message": record.getMessage(), **(_about.get() or {}), **getattr(record, "facts", {})}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return self._scrub(json.dumps(line, ensure_ascii=False, default=str))


def configure(scrub: Scrub) -> None:
    """Have every logger of this process write lines of JSON, from info on for ours and from warning on for others."""
    reset()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json(scrub))
    logging.getLogger().addHandler(handler)
    logging.getLogger("invsync").setLevel(logging.INFO)


def reset() -> None:
    """Have this process write no lines of JSON any more."""
    for handler in _handlers():
        logging.getLogger().removeHandler(handler)


def say(message: str) -> bool:
    """Write a message for people as a line of JSON; whether this process writes its logs so."""
    if not _handlers():
        return False
    logging.getLogger("invsync").warning(message)
    return True


def _handlers() -> list[logging.Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler.formatter, Json)]


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Name what the lines of this thread are about: run_id, shop and job."""
    token = _about.set(facts)
    try:
        yield
    finally:
        _about.reset(token)
