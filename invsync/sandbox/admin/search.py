"""Global ids, Shopify's search syntax, and connections: at most 250 objects a page, opaque cursors."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypedDict, TypeVar

from graphql import GraphQLError, GraphQLResolveInfo

MAX_PAGE = 250
TERM = re.compile(r"(\w+):\s*(>=|<=|>|<)?\s*(?:'([^']*)'|\"([^\"]*)\"|(\S+))")

Node = dict[str, Any]  # an object of GraphQL by field: a value, or a resolver that takes the field's arguments
Variables = dict[str, Any]  # the variables of a request: JSON
Info: TypeAlias = "GraphQLResolveInfo[Any]"
Searchable = str | int | datetime | frozenset[str]
Fields = dict[str, Searchable]  # what a search may filter an object on
Key = tuple[int | str | datetime, ...]  # what a connection is sorted by
Row = TypeVar("Row")


class PageArguments(TypedDict, total=False):
    """The arguments of a connection, as far as the sandbox heeds them."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None
    reverse: bool | None
    query: str | None
    sortKey: str | None


def gid(kind: str, number: int | str) -> str:
    """The global id of an object."""
    return f"gid://shopify/{kind}/{number}"


def number_of(value: str, kind: str) -> int | None:
    """The number in a global id of this kind; None for another kind.

    Raises a GraphQLError if the value is no global id.
    """
    match = re.fullmatch(r"gid://shopify/(\w+)/(\d+)(\?.*)?", value)
    if match is None:
        raise GraphQLError(f"Invalid global id '{value}'", extensions={"code": "argumentLiteralsIncompatible"})
    return int(match[2]) if match[1] == kind else None


def stamp(value: datetime | None) -> str | None:
    """A time as Shopify writes it: ISO 8601, whole seconds, Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def matches(query: str | None, fields: Mapping[str, Searchable]) -> bool:
    """Whether an object with these fields fits the search.

    A field that is a set fits each of its values. Terms of other fields are ignored.
    """
    for name, operator, quoted, double, bare in TERM.findall(query or ""):
        if name in fields and not _fits(fields[name], operator, quoted or double or bare):
            return False
    return True


def _fits(value: Searchable, operator: str, text: str) -> bool:
    if isinstance(value, frozenset):
        return text.lower() in value
    if isinstance(value, datetime):
        return _compared(value.replace(microsecond=0), operator, _time(text))
    if isinstance(value, int):
        return _compared(value, operator, int(text.rsplit("/", 1)[-1]))
    return _compared(value, operator, text)


Comparable = TypeVar("Comparable", str, int, datetime)


def _compared(value: Comparable, operator: str, other: Comparable) -> bool:
    results = {
        ">=": value >= other,
        "<=": value <= other,
        ">": value > other,
        "<": value < other,
        "": value == other,
    }
    return results[operator]


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).replace(microsecond=0)


def connection(
    rows: Iterable[Row],
    node: Callable[[Row], Node],
    key: Callable[[Row], Key],
    *,
    every: bool,
    arguments: PageArguments,
) -> Node:
    """A page of rows in the order of `key`, after the cursor; `every` (bulk) ignores the page size."""
    size = _page_size(arguments, every=every)
    ordered = sorted(rows, key=key, reverse=bool(arguments.get("reverse")))
    start = 0 if every else _start([key(row) for row in ordered], arguments)
    page = ordered[start:] if every else ordered[start : start + size]
    return {
        "each": lambda: (node(row) for row in page),
        "nodes": lambda info: [node(row) for row in page],
        "edges": lambda info: [{"cursor": _encode(key(row)), "node": node(row)} for row in page],
        "pageInfo": {
            "hasNextPage": start + len(page) < len(ordered),
            "hasPreviousPage": start > 0,
            "startCursor": lambda info: _encode(key(page[0])) if page else None,
            "endCursor": lambda info: _encode(key(page[-1])) if page else None,
        },
    }


def _page_size(arguments: PageArguments, *, every: bool) -> int:
    first = arguments.get("first")
    if arguments.get("last") is not None or arguments.get("before"):
        raise GraphQLError("The sandbox pages forwards only: use first and after.")
    if not every and first is None:
        raise GraphQLError("you must provide one of first or last", extensions={"code": "BAD_REQUEST"})
    if first is not None and not 0 <= first <= MAX_PAGE:
        raise GraphQLError(f"first may be at most {MAX_PAGE}", extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"})
    return first or 0


def _start(keys: list[Key], arguments: PageArguments) -> int:
    """The number of the first row after the cursor."""
    if not (after := arguments.get("after")):
        return 0
    cursor, backwards = _decode(after), bool(arguments.get("reverse"))
    later = (number for number, key in enumerate(keys) if (key < cursor if backwards else key > cursor))
    return next(later, len(keys))


def _encode(key: Key) -> str:
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.b64encode(json.dumps(parts).encode()).decode()


def _decode(cursor: str) -> Key:
    try:
        parts = json.loads(base64.b64decode(cursor, validate=True))
    except ValueError:
        raise GraphQLError("Invalid cursor for current pagination sort.") from None
    return tuple(
        datetime.fromisoformat(p) if isinstance(p, str) and re.match(r"\d{4}-\d\d-\d\dT", p) else p for p in parts
    )
