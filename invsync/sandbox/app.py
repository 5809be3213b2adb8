"""The HTTP face of a shop: Shopify's paths, headers, tokens, costs and failures."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from invsync.sandbox.adjust import Adjust
from invsync.sandbox.admin import access
from invsync.sandbox.admin.bulk import MAX_BYTES, Bulk
from invsync.sandbox.admin.costs import MAX_SINGLE_COST, actual_cost, requested_cost
from invsync.sandbox.admin.search import Node
from invsync.sandbox.admin.webhooks import Subscriptions
from invsync.sandbox.reads import Reads
from invsync.sandbox.shop import Shop

VERSIONS = ("2026-01", "2026-04", "2026-07", "2026-10", "2027-01")
HELP = "https://shopify.dev/api/usage/rate-limits"


class Escaped(JSONResponse):
    """JSON in ASCII, so that a text may hold what UTF-8 cannot: half of a surrogate pair."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content).encode()


@cache
def schema() -> GraphQLSchema:
    """Shopify's own types, 2026-10."""
    return build_schema(Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"))


def served(version: str) -> str | None:
    """The version that answers: a retired one falls forward to the oldest; None for one that never was."""
    if not re.fullmatch(r"20\d\d-(01|04|07|10)", version) or version > VERSIONS[-1]:
        return None
    return version if version in VERSIONS else VERSIONS[0]


class Root:
    """The fields of query and mutation in one object; the first part that has a field answers it."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        for part in self._parts:
            if not name.startswith("_") and hasattr(part, name):
                return getattr(part, name)
        raise GraphQLError(f"The sandbox does not answer {name}.", extensions={"code": "NOT_IN_SANDBOX"})


class GraphQL:
    """One request's view of a shop: its version and the address it is served at."""

    def __init__(self, shop: Shop, version: str, base_url: str) -> None:
        self._shop, self._version, self._base_url = shop, version, base_url

    def run(self, text: str, variables: dict[str, Any] | None) -> Node:
        """Validate and execute one document on the real types."""
        document = _parsed(text)
        if isinstance(document, GraphQLError):
            return {"errors": [document.formatted]}
        if denied := _denied(text, self._shop.scopes):
            return {"errors": [denied.formatted], "data": None}
        bulk = Bulk(self._shop, schema(), self.run, self._base_url)
        root = Root(Reads(self._shop), Adjust(self._shop, self._version), bulk, Subscriptions(self._shop))
        return dict(execute_sync(schema(), document, root_value=root, variable_values=variables).formatted)

    def answer(self, text: str, variables: dict[str, Any], *, throttle: bool = False) -> Node:
        """Execute one request, paid from the bucket; an empty one, or `throttle`, refuses it."""
        document = _parsed(text)
        if isinstance(document, GraphQLError):
            return {"errors": [document.formatted]}
        bucket, requested = self._shop.bucket, requested_cost(document, variables)
        cost: Node = {"requestedQueryCost": requested, "actualQueryCost": None}
        short = bucket.refill() < requested
        if requested > MAX_SINGLE_COST:
            error = {
                "message": f"Query cost is {requested}, which exceeds the single query max cost limit "
                f"({MAX_SINGLE_COST}).",
                "extensions": {"code": "MAX_COST_EXCEEDED", "cost": requested},
            }
            return {"errors": [error]}
        if short or throttle:
            error = {"message": "Throttled", "extensions": {"code": "THROTTLED", "documentation": HELP}}
            status = bucket.status() | ({} if short else {"currentlyAvailable": float(requested - 1)})
            return {"errors": [error], "extensions": {"cost": cost | {"throttleStatus": status}}}
        result = self.run(text, variables)
        cost["actualQueryCost"] = actual_cost(result.get("data"), requested)
        if "mutation" in text:
            cost["actualQueryCost"] = requested
        bucket.pay(requested, cost["actualQueryCost"])
        return result | {"extensions": {"cost": cost | {"throttleStatus": bucket.status()}}}


def create_app(shop: Shop) -> ASGIApp:
    """The application that serves this shop."""

    async def graphql(request: Request) -> Response:
        version = served(request.path_params["version"])
        if version is None:
            return JSONResponse({"errors": "Not Found"}, 404)
        headers = {"X-Shopify-API-Version": version, "Date": format_datetime(shop.clock().astimezone(UTC), usegmt=True)}
        if request.headers.get("X-Shopify-Access-Token") != shop.token:
            text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return JSONResponse({"errors": text}, 401, headers)
        try:
            body = json.loads(await request.body())
            text, variables = str(body["query"]), dict(body.get("variables") or {})
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"errors": "Bad Request"}, 400, headers)
        engine = GraphQL(shop, version, _base(request))
        return await _guarded(shop, request, text, lambda: _answered(shop, engine, text, variables, headers))

    async def token(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        form = json.loads(await request.body()) if "json" in kind else dict(await request.form())
        right = (form.get("client_id"), form.get("client_secret")) == (shop.client_id, shop.client_secret)
        if form.get("grant_type") != "client_credentials" or not right:
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": shop.token, "scope": shop.scopes, "expires_in": 86399})

    async def results(request: Request) -> Response:
        body = shop.results.get(request.path_params["id"])
        response = Response(body or b"", 200 if body is not None else 404, media_type="application/jsonl")
        return await _guarded(shop, request, request.url.path, lambda: response)

    async def upload(request: Request) -> Response:
        form = await request.form(max_part_size=MAX_BYTES)
        file = form.get("file")
        body = await file.read() if isinstance(file, UploadFile) else None
        return await _guarded(shop, request, request.url.path, lambda: _stored(shop, _base(request), form, body))

    async def faults(request: Request) -> Response:
        try:
            shop.faults.arm_all(json.loads(await request.body()))
        except (ValueError, KeyError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"armed": [vars(fault) for fault in shop.faults.armed]})

    routes = [
        Route("/admin/api/{version}/graphql.json", graphql, methods=["POST"]),
        Route("/admin/oauth/access_token", token, methods=["POST"]),
        Route("/_upload", upload, methods=["POST"]),
        Route("/_results/{id}.jsonl", results, methods=["GET"]),
        Route("/_sandbox/faults", faults, methods=["POST"]),
    ]
    return _keeping_transport(Starlette(routes=routes))


async def _guarded(shop: Shop, request: Request, text: str, act: Callable[[], Response]) -> Response:
    """Act under the shop's lock, between the faults that fire before and after on this text."""

    def locked() -> Response | None:
        with shop.lock:
            if shop.faults.take("cut_before", text):
                return None
            if shop.faults.take("error_before", text):
                return Response("Bad Gateway", 502)
            done = act()
            if shop.faults.take("cut_after", text):
                return None
            return Response("Bad Gateway", 502) if shop.faults.take("error_after", text) else done

    return await run_in_threadpool(locked) or await _cut(request)


def _answered(shop: Shop, engine: GraphQL, text: str, variables: dict[str, Any], headers: dict[str, str]) -> Response:
    shop.requests.append({"query": text, "variables": variables})
    if shop.faults.take("throttle_429", text):
        refused = engine.answer(text, variables, throttle=True)
        return JSONResponse(refused, 429, headers | {"Retry-After": "1.0"})
    answer = engine.answer(text, variables, throttle=shop.faults.take("throttle", text))
    if shop.faults.take("garbage", text):
        page = f"<html>Error. X-Shopify-Access-Token: {shop.token}</html>"
        return Response(page, 200, headers, "text/html")
    return Escaped(answer, 200, headers)


def _stored(shop: Shop, base: str, form: FormData, body: bytes | None) -> Response:
    names, key = [name for name, _ in form.multi_items()], form.get("key")
    if not names or names[-1] != "file" or body is None:
        return _xml("InvalidArgument", "POST requires exactly one file upload, as the last field.", 400)
    if not isinstance(key, str) or key not in shop.uploads or not {"policy", "Content-Type"} <= set(names):
        return _xml("AccessDenied", "The fields do not match the policy.", 403)
    if not 1 <= len(body) <= MAX_BYTES:
        return _xml("EntityTooLarge", "The upload is outside content-length-range.", 400)
    shop.uploads[key] = body
    text = f"<PostResponse><Location>{base}/_upload</Location><Key>{escape(key)}</Key></PostResponse>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', 201, media_type="application/xml")


def _xml(code: str, message: str, status: int) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', status, media_type="application/xml")


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


@cache
def _parsed(text: str) -> Any:
    """The document, or the first reason why it is none."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return error
    errors = validate(schema(), document)
    return errors[0] if errors else document


@cache
def _denied(text: str, scopes: str) -> GraphQLError | None:
    return access.denied(schema(), parse(text), scopes)


async def _cut(request: Request) -> Response:
    """Close the connection without an answer."""
    request.scope["sandbox.transport"].close()
    await asyncio.sleep(0.01)
    return Response()


def _keeping_transport(app: ASGIApp) -> ASGIApp:
    """Keep the server's transport in reach, so that a fault can close it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope["sandbox.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return wrapped
