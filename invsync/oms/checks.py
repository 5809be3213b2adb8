"""What doctor looks at in one kind of OMS alone, as its connector declares it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Generic, Literal, TypeVar

from invsync.config.connectors import Connector
from invsync.oms.source import Source

Status = Literal["ok", "warning", "fault"]
Answer = tuple[Status, str]
S = TypeVar("S", bound=Source)
EXAMPLES = 5


@dataclass(frozen=True)
class SourceCheck(Generic[S]):
    """A check of an opened source: the name of its line, and a function that returns its status and a sentence.

    The function may return None where there is nothing to look at. A check of the group HotWax that cannot be made is
    a fault; a question that cannot be answered is a warning.
    """

    name: str
    answer: Callable[[S], Answer | None]
    group: Literal["HotWax", "questions"] = "questions"


def checks_of(connector: Connector) -> Sequence[SourceCheck[Source]]:
    """Return the checks that a connector declares."""
    if not connector.checks:
        return ()
    declared: Sequence[SourceCheck[Source]] = resolve_name(connector.checks)
    return declared


def counted(what: str, names: list[str], fix: str) -> str:
    """Return a sentence of what is wrong, with how many, the first of them by name, and the fix."""
    return f"{what} ({len(names)}): {some(names)}; {fix}."


def some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - EXAMPLES
    return ", ".join(names[:EXAMPLES]) + (f" and {more} more" if more > 0 else "")
