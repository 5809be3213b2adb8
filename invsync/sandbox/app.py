"""Shopify's HTTP interface to a shop: its paths, headers, tokens, costs and failures."""

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

from graphql import DocumentNode, GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate
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
from invsync.sandbox.admin.search import Node, Variables
from invsync.sandbox.admin.webhooks import Subscriptions
from invsync.sandbox.reads import Reads
from invsync.sandbox.shop import Shop

VERSIONS = ("2026-01", "2026-04", "2026-07", "2026-10", "2027-01")
HELP = "https://shopify.dev/api/usage/rate-limits"
WRONG_TOKEN = "[API] Invalid API key or access token (unrecognized login or wrong password)"


class EscapedJSONResponse(JSONResponse):
    """JSON in ASCII, so that a text may hold what UTF-8 cannot: half of a surrogate pair."""

    def render(self, content: object) -> bytes:
        """The body."""
        return json.dumps(content).encode()


@cache
def schema() -> GraphQLSchema:
    """Shopify's own types, 2026-10."""
    return build_schema(Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"))


def served_version(version: str) -> str | None:
    """The version that answers: the oldest one for a retired version, None for one that never was."""
    if not re.fullmatch(r"20\d\d-(01|04|07|10)", version) or version > VERSIONS[-1]:
        return None
    return version if version in VERSIONS else VERSIONS[0]


class Root:
    """The fields of query and mutation in one object; the first part that has a field resolves it."""

    def __init__(self, *parts: object) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:  # a resolver, as graphql-core calls it
        for part in self._parts:
            if not name.startswith("_") and hasattr(part, name):
                return getattr(part, name)
        raise GraphQLError(f"The sandbox does not answer {name}.", extensions={"code": "NOT_IN_SANDBOX"})


class GraphQL:
    """One request's view of a shop: its version and the address that it is served at."""

    def __init__(self, shop: Shop, version: str, base_url: str) -> None:
        self._shop, self._version, self._base_url = shop, version, base_url

    def run(self, text: str, variables: Variables | None) -> Node:
        """Validate and execute one document on the real types."""
        document = _parsed(text)
        if isinstance(document, GraphQLError):
            return {"errors": [document.formatted]}
        if denied := _denied(text, self._shop.scopes):
            return {"errors": [denied.formatted], "data": None}
        bulk = Bulk(self._shop, schema(), self.run, self._base_url)
        root = Root(Reads(self._shop), Adjust(self._shop, self._version), bulk, Subscriptions(self._shop))
        return dict(execute_sync(schema(), document, root_value=root, variable_values=variables).formatted)

    def answer(self, text: str, variables: Variables, *, throttle: bool = False) -> Node:
        """Execute one request and pay for it from the bucket; an empty bucket, or `throttle`, refuses it."""
        document = _parsed(text)
        if isinstance(document, GraphQLError):
            return {"errors": [document.formatted]}
        bucket, requested = self._shop.bucket, requested_cost(document, variables)
        enough = bucket.refill() >= requested
        if requested > MAX_SINGLE_COST:
            return {"errors": [_too_costly(requested)]}
        if throttle or not enough:
            status = bucket.status() | ({"currentlyAvailable": float(requested - 1)} if enough else {})
            error = {"message": "Throttled", "extensions": {"code": "THROTTLED", "documentation": HELP}}
            return {"errors": [error]} | _cost(requested, None, status)
        result = self.run(text, variables)
        actual = requested if "mutation" in text else actual_cost(result.get("data"), requested)
        bucket.pay(requested, actual)
        return result | _cost(requested, actual, bucket.status())


def _too_costly(cost: int) -> Node:
    return {
        "message": f"Query cost is {cost}, which exceeds the single query max cost limit ({MAX_SINGLE_COST}).",
        "extensions": {"code": "MAX_COST_EXCEEDED", "cost": cost},
    }


def _cost(requested: int, actual: int | None, throttle_status: dict[str, float]) -> Node:
    cost = {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": throttle_status}
    return {"extensions": {"cost": cost}}


def create_app(shop: Shop) -> ASGIApp:
    """The application that serves this shop."""
    endpoints = Endpoints(shop)
    routes = [
        Route("/admin/api/{version}/graphql.json", endpoints.graphql, methods=["POST"]),
        Route("/admin/oauth/access_token", endpoints.token, methods=["POST"]),
        Route("/_upload", endpoints.upload, methods=["POST"]),
        Route("/_results/{id}.jsonl", endpoints.result, methods=["GET"]),
        Route("/_sandbox/faults", endpoints.faults, methods=["POST"]),
    ]
    return _keeping_transport(Starlette(routes=routes))


class Endpoints:
    """The endpoints of one shop: those of Shopify, and one that arms faults."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def graphql(self, request: Request) -> Response:
        """Execute a GraphQL document."""
        shop, version = self._shop, served_version(request.path_params["version"])
        if version is None:
            return JSONResponse({"errors": "Not Found"}, 404)
        headers = {"X-Shopify-API-Version": version, "Date": format_datetime(shop.clock().astimezone(UTC), usegmt=True)}
        if request.headers.get("X-Shopify-Access-Token") != shop.token:
            return JSONResponse({"errors": WRONG_TOKEN}, 401, headers)
        try:
            body = json.loads(await request.body())
            text, variables = str(body["query"]), dict(body.get("variables") or {})
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"errors": "Bad Request"}, 400, headers)
        engine = GraphQL(shop, version, _base_url(request))
        return await _guarded(shop, request, text, lambda: _answered(shop, engine, text, variables, headers))

    async def token(self, request: Request) -> Response:
        """Grant the access token for client credentials."""
        shop, kind = self._shop, request.headers.get("content-type", "")
        form = json.loads(await request.body()) if "json" in kind else dict(await request.form())
        is_known = (form.get("client_id"), form.get("client_secret")) == (shop.client_id, shop.client_secret)
        if form.get("grant_type") != "client_credentials" or not is_known:
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": shop.token, "scope": shop.scopes, "expires_in": 86399})

    async def result(self, request: Request) -> Response:
        """Return the result file of a bulk operation."""
        body = self._shop.results.get(request.path_params["id"])
        response = Response(body or b"", 200 if body is not None else 404, media_type="application/jsonl")
        return await _guarded(self._shop, request, request.url.path, lambda: response)

    async def upload(self, request: Request) -> Response:
        """Store a staged upload."""
        form = await request.form(max_part_size=MAX_BYTES)
        file = form.get("file")
        body = await file.read() if isinstance(file, UploadFile) else None
        shop, base_url = self._shop, _base_url(request)
        return await _guarded(shop, request, request.url.path, lambda: _stored(shop, base_url, form, body))

    async def faults(self, request: Request) -> Response:
        """Arm faults."""
        try:
            self._shop.faults.arm_all(json.loads(await request.body()))
        except (ValueError, KeyError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"armed": [vars(fault) for fault in self._shop.faults.armed]})


async def _guarded(shop: Shop, request: Request, text: str, act: Callable[[], Response]) -> Response:
    """Act under the shop's lock, between the faults that fire before and after it on this text."""

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


def _answered(shop: Shop, engine: GraphQL, text: str, variables: Variables, headers: dict[str, str]) -> Response:
    shop.requests.append({"query": text, "variables": variables})
    if shop.faults.take("throttle_429", text):
        refused = engine.answer(text, variables, throttle=True)
        return JSONResponse(refused, 429, headers | {"Retry-After": "1.0"})
    answer = engine.answer(text, variables, throttle=shop.faults.take("throttle", text))
    if shop.faults.take("garbage", text):
        page = f"<html>Error. X-Shopify-Access-Token: {shop.token}</html>"
        return Response(page, 200, headers, "text/html")
    return EscapedJSONResponse(answer, 200, headers)


def _stored(shop: Shop, base_url: str, form: FormData, body: bytes | None) -> Response:
    names, key = [name for name, _ in form.multi_items()], form.get("key")
    if not names or names[-1] != "file" or body is None:
        return _xml("InvalidArgument", "POST requires exactly one file upload, as the last field.", 400)
    if not isinstance(key, str) or key not in shop.uploads or not {"policy", "Content-Type"} <= set(names):
        return _xml("AccessDenied", "The fields do not match the policy.", 403)
    if not 1 <= len(body) <= MAX_BYTES:
        return _xml("EntityTooLarge", "The upload is outside content-length-range.", 400)
    shop.uploads[key] = body
    text = f"<PostResponse><Location>{base_url}/_upload</Location><Key>{escape(key)}</Key></PostResponse>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', 201, media_type="application/xml")


def _xml(code: str, message: str, status: int) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', status, media_type="application/xml")


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


@cache
def _parsed(text: str) -> DocumentNode | GraphQLError:
    """The document, or the first error in it."""
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
    """Pass the server's transport to the endpoints, so that a fault can close it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope["sandbox.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return wrapped
