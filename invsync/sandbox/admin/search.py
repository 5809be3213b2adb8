"""Shopify's search syntax and its connections: second precision, at most 250 a page, opaque cursors."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from graphql import GraphQLError, GraphQLResolveInfo

MAX_PAGE = 250
TERM = re.compile(r"(\w+):\s*(>=|<=|>|<)?\s*(?:'([^']*)'|\"([^\"]*)\"|(\S+))")

Node = dict[str, Any]
Info: TypeAlias = "GraphQLResolveInfo[Any]"


def gid(kind: str, number: int | str) -> str:
    """The global id of an object."""
    return f"gid://shopify/{kind}/{number}"


def number_of(value: str, kind: str) -> int | None:
    """The number in a global id of this kind; None for one of another kind, an error for no id at all."""
    match = re.fullmatch(r"gid://shopify/(\w+)/(\d+)(\?.*)?", value)
    if match is None:
        raise GraphQLError(f"Invalid global id '{value}'", extensions={"code": "argumentLiteralsIncompatible"})
    return int(match[2]) if match[1] == kind else None


def stamp(value: datetime | None) -> str | None:
    """A moment as Shopify writes it: ISO 8601, whole seconds, Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def matches(query: str | None, fields: Mapping[str, Any]) -> bool:
    """Whether an object with these fields fits the search; a field that is not searchable is ignored.

    A field that is a set fits each of its values.
    """
    for name, operator, quoted, double, bare in TERM.findall(query or ""):
        if name in fields and not _holds(fields[name], operator, quoted or double or bare):
            return False
    return True


def _holds(have: Any, operator: str, text: str) -> bool:
    want: Any = text
    if isinstance(have, datetime):
        have, want = have.replace(microsecond=0), _moment(text)
    elif isinstance(have, frozenset):
        return text.lower() in have
    elif isinstance(have, bool):
        want = text.lower() == "true"
    elif isinstance(have, int):
        want = int(text.rsplit("/", 1)[-1])
    tests: dict[str, Callable[[], bool]] = {
        ">=": lambda: have >= want,
        "<=": lambda: have <= want,
        ">": lambda: have > want,
        "<": lambda: have < want,
        "": lambda: have == want,
    }
    return tests[operator]()


def _moment(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).replace(microsecond=0)


def connection(
    rows: Iterable[Any],
    node: Callable[[Any], Node],
    key: Callable[[Any], tuple[Any, ...]],
    *,
    every: bool,
    arguments: Mapping[str, Any],
) -> Node:
    """A page of rows in the order of `key`, after the cursor; `every` (bulk) ignores the page size."""
    first, last = arguments.get("first"), arguments.get("last")
    if last is not None or arguments.get("before"):
        raise GraphQLError("The sandbox pages forwards only: use first and after.")
    if not every and first is None:
        raise GraphQLError("you must provide one of first or last", extensions={"code": "BAD_REQUEST"})
    if first is not None and not 0 <= first <= MAX_PAGE:
        raise GraphQLError(f"first may be at most {MAX_PAGE}", extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"})
    ordered = sorted(rows, key=key, reverse=bool(arguments.get("reverse")))
    after = None if every else arguments.get("after")
    start = 0
    if after:
        place = _decode(after)
        backwards = bool(arguments.get("reverse"))
        start = next(
            (i for i, row in enumerate(ordered) if (key(row) < place if backwards else key(row) > place)),
            len(ordered),
        )
    page = ordered[start:] if every else ordered[start : start + (first or 0)]

    def edges(info: Info) -> list[Node]:
        return [{"cursor": _encode(key(row)), "node": node(row)} for row in page]

    return {
        "each": lambda: (node(row) for row in page),
        "nodes": lambda info: [node(row) for row in page],
        "edges": edges,
        "pageInfo": {
            "hasNextPage": start + len(page) < len(ordered),
            "hasPreviousPage": start > 0,
            "startCursor": lambda info: _encode(key(page[0])) if page else None,
            "endCursor": lambda info: _encode(key(page[-1])) if page else None,
        },
    }


def _encode(key: tuple[Any, ...]) -> str:
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.b64encode(json.dumps(parts).encode()).decode()


def _decode(cursor: str) -> tuple[Any, ...]:
    try:
        parts = json.loads(base64.b64decode(cursor, validate=True))
    except ValueError:
        raise GraphQLError("Invalid cursor for current pagination sort.") from None
    return tuple(
        datetime.fromisoformat(p) if isinstance(p, str) and re.match(r"\d{4}-\d\d-\d\dT", p) else p for p in parts
    )
