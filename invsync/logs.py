"""Logs as lines of JSON on standard error, each with the id of its run and without secrets."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime

Scrub = Callable[[str], str]
_context: ContextVar[Mapping[str, object] | None] = ContextVar("context", default=None)


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record: at, level, logger, message, the run that it belongs to, and its facts."""

    def __init__(self, scrub: Scrub) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line |= {"message": record.getMessage(), **(_context.get() or {}), **getattr(record, "facts", {})}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return self._scrub(json.dumps(line, ensure_ascii=False, default=str))


class StderrHandler(logging.Handler):
    """Writes to whatever standard error is at the time; one that is closed loses the line and fails nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        with suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


HANDLER = StderrHandler()


def configure(scrub: Scrub) -> None:
    """Have every logger of this process write lines of JSON, from info on for ours and from warning on for others."""
    HANDLER.setFormatter(JsonFormatter(scrub))
    logging.getLogger().addHandler(HANDLER)
    logging.getLogger("invsync").setLevel(logging.INFO)


def reset() -> None:
    """Have this process write no lines of JSON any more."""
    logging.getLogger().removeHandler(HANDLER)


def warn(message: str) -> None:
    """Write a message for people on standard error, as a line of JSON where the logs are."""
    if HANDLER in logging.getLogger().handlers:
        logging.getLogger("invsync").warning(message)
    else:
        print(message, file=sys.stderr)


@contextmanager
def bound(**context: object) -> Iterator[None]:
    """Add this context to the lines of this thread: run_id, shop and job."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)
