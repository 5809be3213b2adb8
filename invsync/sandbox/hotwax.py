"""HotWax's HTTP APIs over the sandbox's OMS database, with the traps of real instances on demand.

Moqui   POST /rest/s1/admin/login, POST /rest/s1/oms/entityData
OFBiz   POST /api/performFind
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from invsync.sandbox.oms_tables import METADATA, Value

TOKEN_LASTS = 3600  # seconds
Entities = list[dict[str, Value]]  # the rows of an entity by HotWax's field names
Parameters = dict[str, Any]  # the parameters of a request: JSON


@dataclass
class Traps:
    """How this instance misbehaves; a count falls by one with each response that it spoils."""

    envelope: str = "entityValueList"  # the name of the list, or "" for a bare list
    totals: bool = False  # whether X-Total-Count is sent
    largest_page: int = 1_000  # the most rows in one response
    ignored: set[str] = field(default_factory=set)  # fields whose filters are ignored; "pageIndex" for the paging
    date_shift: timedelta = timedelta(0)  # how far a _from date is misread
    removed: set[str] = field(default_factory=set)  # addresses that answer 404
    hidden: set[str] = field(default_factory=set)  # entities that Moqui does not know
    zero_bytes: bool = False  # an empty list is a response without a body
    spurious: int = 0  # 200 without a body, though there are rows
    cut: int = 0  # a response that ends in the middle
    error: int = 0  # HTTP 502
    short: int = 0  # a page that lacks its last row, though the total counts it
    expired: int = 0  # the token is refused, as after its hour
    no_login: int = 0  # HTTP 502 instead of a token
    slow: float = 0.0  # seconds before each response


class HotWax:
    """An instance: its database, its one user, the token of the last login, and its traps.

    `requests` are the address and the entity of each request.
    """

    user = "sync"

    def __init__(self, url: str, password: str = "") -> None:
        self.engine, self.password = sa.create_engine(url), password or secrets.token_hex(8)
        self.traps, self.token = Traps(), secrets.token_hex(16)
        self.requests: list[tuple[str, str]] = []
        self.logins = 0

    def takes(self, trap: str) -> bool:
        """Whether this trap spoils one more response; it then spoils one less."""
        left = getattr(self.traps, trap)
        if left:
            setattr(self.traps, trap, left - 1)
        return bool(left)

    def find(
        self, entity: str, where: list[sa.ColumnElement[bool]], order: str, start: int, size: int
    ) -> tuple[Entities, int]:
        """A page of an entity's rows, and the number of rows on all pages.

        `order` is a list of field names with commas between; a minus before a name sorts downwards.
        """
        table = METADATA.tables[snake(entity).lstrip("_")]
        query = sa.select(table).where(*where)
        columns = [(part.lstrip("-"), part.startswith("-")) for part in order.split(",")] if order else []
        ordered = [table.c[snake(name)].desc() if down else table.c[snake(name)] for name, down in columns]
        with self.engine.connect() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
            rows = connection.execute(query.order_by(*ordered).offset(start).limit(size)).mappings()
            return [{camel(name): value for name, value in row.items() if value is not None} for row in rows], total


def create_app(hotwax: HotWax) -> ASGIApp:
    """The application that serves this instance."""

    async def login(request: Request) -> Response:
        return _login(hotwax, await request.json())

    async def entity_data(request: Request) -> Response:
        return await _answered(hotwax, request, _moqui)

    async def perform_find(request: Request) -> Response:
        return await _answered(hotwax, request, _ofbiz)

    routes = [
        Route("/rest/s1/admin/login", login, methods=["POST"]),
        Route("/rest/s1/oms/entityData", entity_data, methods=["POST"]),
        Route("/api/performFind", perform_find, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def _login(hotwax: HotWax, body: Parameters) -> Response:
    if hotwax.takes("no_login"):
        return Response("Bad Gateway", 502)
    if (body.get("username"), body.get("password")) != (hotwax.user, hotwax.password):
        return JSONResponse({"errorCode": 401, "errors": "Username or password incorrect"}, 401)
    hotwax.token, hotwax.logins = secrets.token_hex(16), hotwax.logins + 1
    return JSONResponse({"token": hotwax.token, "expirationTime": int((time.time() + TOKEN_LASTS) * 1000)})


async def _answered(hotwax: HotWax, request: Request, answer: Callable[[HotWax, Parameters], Response]) -> Response:
    """Answer a request, unless a trap spoils the response."""
    await asyncio.sleep(hotwax.traps.slow)
    if request.url.path in hotwax.traps.removed:
        return JSONResponse({"errorCode": 404, "errors": f"Resource {request.url.path} not valid"}, 404)
    if hotwax.takes("expired"):
        hotwax.token = secrets.token_hex(16)
    if request.headers.get("Authorization") != f"Bearer {hotwax.token}":
        return JSONResponse({"errorCode": 401, "errors": "No user is currently logged in"}, 401)
    body = await request.json()
    hotwax.requests.append((request.url.path, str(body.get("selectedEntity") or body.get("entityName"))))
    if hotwax.takes("error"):
        return Response("Bad Gateway", 502)
    response = await run_in_threadpool(answer, hotwax, body)
    if hotwax.takes("spurious"):
        return Response(b"", 200)
    return CutResponse(response.body) if hotwax.takes("cut") else response


def _moqui(hotwax: HotWax, body: Parameters) -> Response:
    traps, entity = hotwax.traps, body["selectedEntity"].rsplit(".", 1)[-1]
    if entity in traps.hidden or snake(entity).lstrip("_") not in METADATA.tables:
        return JSONResponse({"errorCode": 500, "errors": f"No definition found for entity-name {entity}"}, 500)
    parameters = dict(body.get("customParametersMap") or {})
    size = min(int(parameters.pop("pageSize", None) or body.get("pageLimit") or 20), traps.largest_page)
    number = 0 if "pageIndex" in traps.ignored else int(parameters.pop("pageIndex", 0))
    order = parameters.pop("orderByField", "")
    where = _conditions(entity, parameters, traps)
    rows, total = hotwax.find(entity, where, order, number * int(size), size)
    if rows and hotwax.takes("short"):
        rows = rows[:-1]
    if not rows and traps.zero_bytes:
        return Response(b"", 200)
    shown = [{name: _json(value, as_millis=True) for name, value in row.items()} for row in rows]
    headers = {"X-Total-Count": str(total)} if traps.totals else {}
    return JSONResponse({traps.envelope: shown} if traps.envelope else shown, 200, headers)


def _ofbiz(hotwax: HotWax, body: Parameters) -> Response:
    traps, entity = hotwax.traps, body["entityName"]
    if snake(entity).lstrip("_") not in METADATA.tables:
        return JSONResponse({"error": f"Could not find definition for entity name {entity}"})
    size = min(int(body.get("viewSize") or 20), traps.largest_page)
    number = 0 if "viewIndex" in traps.ignored else int(body.get("viewIndex") or 0)
    where = _conditions(entity, body.get("inputFields") or {}, traps)
    rows, total = hotwax.find(entity, where, body.get("orderBy") or "", number * size, size)
    if not rows:
        return JSONResponse({"error": "No record found"})
    wanted = set(body.get("fieldList") or rows[0])
    shown = [{k: _json(v, as_millis=False) for k, v in row.items() if k in wanted} for row in rows]
    return JSONResponse({"count": total, "docs": shown})


def _conditions(entity: str, parameters: Parameters, traps: Traps) -> list[sa.ColumnElement[bool]]:
    """The conditions of the parameters, without the ignored ones."""
    table, conditions = METADATA.tables[snake(entity).lstrip("_")], list[sa.ColumnElement[bool]]()
    for name, value in parameters.items():
        head = next((name.removesuffix(end) for end in ("_from", "_fld0_value") if name.endswith(end)), name)
        column = table.c.get(snake(head.removesuffix("_op")))
        if column is None or head.removesuffix("_op") in traps.ignored:
            continue
        if head != name:
            conditions.append(column >= _time(value) + traps.date_shift)
        elif name.endswith("_op") and value == "empty":
            conditions.append(column.is_(None))
        elif not name.endswith("_op"):
            conditions.append(column.in_(value) if isinstance(value, list) else column == value)
    return conditions


def _time(value: int | str) -> datetime:
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def _json(value: Value, *, as_millis: bool) -> int | str | None:
    """A value as HotWax writes it: numbers as text, times in milliseconds or as text."""
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000) if as_millis else f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return str(value) if isinstance(value, float | Decimal) else value


class CutResponse(Response):
    """A response that ends in the middle of its body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise the whole body and send half of it."""
        length = str(len(self.body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})


def snake(name: str) -> str:
    """The column of a HotWax field; of an entity its table, after an underscore."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def camel(name: str) -> str:
    """The HotWax field of a column."""
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))
