"""A client of Shopify's Admin API: each GraphQL call is authorised, paced, repeated until it is answered, and checked."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx

from invsync import web
from invsync.config.settings import LOOPBACK, ShopSettings
from invsync.errors import ShopifyFailed
from invsync.inputs import texts
from invsync.retry import TRIES, Busy, NoAnswer, Sleep
from invsync.shopify import refusals
from invsync.shopify.auth import Token, token_of
from invsync.shopify.pacing import Pacer, Usage
from invsync.shopify.refusals import messages as messages
from invsync.shopify.retry import Patience, TooCostly, throttle_seconds

Node = dict[str, Any]  # an object of Shopify's JSON
SCOPES = (
    "read_inventory",
    "write_inventory",
    "read_locations",
    "read_products",
    "read_orders",
    "read_merchant_managed_fulfillment_orders",
)
TRANSIENT = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})
COMMENT = re.compile(r"#[^\n]*")
TIMEOUT = httpx.Timeout(60.0, connect=10.0, write=20.0)  # a request that has begun is out before a lease can end
Check = Callable[[], None]


@cache
def operation(name: str) -> str:
    """Return the text of operations/<name>.graphql."""
    return files("invsync.shopify.operations").joinpath(f"{name}.graphql").read_text(encoding="utf-8")


def codes(errors: object) -> set[str]:
    """Return the codes of a list of GraphQL errors or user errors."""
    objects = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return {str((error.get("extensions") or {}).get("code") or error.get("code")) for error in objects}


class Client:
    """Calls to one shop; threads may share it."""

    def __init__(
        self,
        shop: ShopSettings,
        http: httpx.Client,
        token: Token,
        *,
        sleep: Sleep,
        read_only: bool,
        tries: int,
        before_write: Check = lambda: None,
    ) -> None:
        self.shop, self.sleep, self.read_only, self._before_write = shop, sleep, read_only, before_write
        self.api_version_served: str | None = None
        self.server_time: datetime | None = None
        self.bulk_query_seconds: float | None = None  # that the last one took, until its result was here
        self._tries = tries
        self._http, self._token, self._pacer = http, token, Pacer(sleep, shop.api_share)
        self._url = f"{shop.base_url}/admin/api/{shop.api_version}/graphql.json"

    @classmethod
    def open(
        cls,
        shop: ShopSettings,
        *,
        secrets: Mapping[str, str],
        sleep: Sleep = time.sleep,
        read_only: bool = False,
        tries: int = TRIES,
        before_write: Check = lambda: None,
        transport_override: httpx.BaseTransport | None = None,
    ) -> "Client":
        """Return a client of this shop; nothing is called yet.

        `before_write` is called before each try of each mutation; an error that it raises stops the mutation.
        """
        http = web.client(transport_override, timeout=TIMEOUT, headers={"Accept-Encoding": "gzip"})
        return cls(
            shop,
            http,
            token_of(shop, http, secrets, sleep, tries),
            sleep=sleep,
            read_only=read_only,
            tries=tries,
            before_write=before_write,
        )

    def __repr__(self) -> str:
        return f"Client({self.shop.domain!r}, read_only={self.read_only})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def usage(self) -> Usage:
        """What the calls cost so far."""
        return self._pacer.usage

    def at_once(self, text: str) -> int:
        """Return how many calls of this operation Shopify's bucket allows at once."""
        return self._pacer.at_once(text)

    def seconds(self, text: str, calls: int) -> float:
        """Return about how long so many calls of this operation take, in seconds, at Shopify's limits."""
        return self._pacer.seconds(text, calls)

    def data(self, name: str, variables: Node | None = None, *, text: str | None = None) -> Node:
        """Return the data of an operation; raise ShopifyFailed where it has errors."""
        body = self.answer(text or operation(name), variables or {})
        if body.get("errors") or not isinstance(body.get("data"), dict):
            words = messages(body.get("errors") or "no data", self._token.hidden)
            raise ShopifyFailed(f"Shopify refused operation {name}: {words}: correct the request.")
        return dict(body["data"])

    def answer(self, text: str, variables: Node) -> Node:
        """Return the body of Shopify's final answer, which may hold errors; each try sends the same bytes.

        Raises Unanswered where there is none in time, ShopifyFailed where Shopify refuses the call for good.
        """
        writes = _is_mutation(text)
        if writes and self.read_only:
            raise ShopifyFailed("A read-only client refuses every mutation: run without the dry run to write.")
        content = json.dumps({"query": text, "variables": variables}, ensure_ascii=False).encode()
        renewed = False

        def attempt() -> Node:
            nonlocal renewed
            token, response, body = self._post(text, content, writes)
            if response.status_code == 401 and not renewed and self._token.renew(token):
                renewed = True
                _, response, body = self._post(text, content, writes)
            return self._checked(response, body)

        return Patience(self.sleep, tries=self._tries).call(attempt)

    def _post(self, text: str, content: bytes, writes: bool) -> tuple[str, httpx.Response, Node]:
        """Send the call once, when its cost fits and the token and the caller allow it.

        Returns the token, the response and its body, which is empty where it is no JSON object.
        """
        with self._pacer.call(text) as call:
            token = self._token.value()
            if writes:
                self._before_write()
            headers = {"X-Shopify-Access-Token": token, "Content-Type": "application/json"}
            began = time.monotonic()
            response = self._http.post(self._url, content=content, headers=headers)
            seconds = time.monotonic() - began
            body = _json(response)
            call.learn(body, seconds)
        return token, response, body

    def _checked(self, response: httpx.Response, body: Node) -> Node:
        """The body of a final answer; raises NoAnswer or Busy where another try may bring one, else ShopifyFailed."""
        if response.status_code == 401:
            raise ShopifyFailed(
                f"Shopify refused the token for {self.shop.domain} ({refusals.reply(response, self._token.hidden)}): "
                "correct or renew the token, and see that the app is still installed."
            )
        faults = codes(body.get("errors"))
        if response.status_code == 403 or "ACCESS_DENIED" in faults:
            raise ShopifyFailed(self._denied(response, body))
        if response.status_code == 429 or "THROTTLED" in faults:
            raise Busy("throttled", self._pacer.postpone(throttle_seconds(response, body)))
        if response.status_code >= 500:
            raise NoAnswer(refusals.reply(response, self._token.hidden))
        if response.status_code != 200:
            raise ShopifyFailed(refusals.closed(self.shop.domain, response, self._token.hidden))
        self._check_version(response)
        self.server_time = _date(response) or self.server_time
        if "MAX_COST_EXCEEDED" in faults:
            raise TooCostly("Shopify found one query too costly: ask for fewer objects.")
        if faults & TRANSIENT or not ("data" in body or body.get("errors")):
            raise NoAnswer(f"an answer without a result, {refusals.reply(response, self._token.hidden)}")
        return body

    def _check_version(self, response: httpx.Response) -> None:
        served = response.headers.get("X-Shopify-API-Version")
        if served is None:
            return
        self.api_version_served = served
        if served != self.shop.api_version:
            raise ShopifyFailed(
                f"Shopify served API version {served} for {self.shop.domain} but {self.shop.api_version} "
                "was asked: set api_version to a supported version."
            )

    def _denied(self, response: httpx.Response, body: Node) -> str:
        words = texts.said(response.content, self._token.hidden)
        return refusals.denied(self.shop.domain, body.get("errors"), words, SCOPES)

    @contextmanager
    def download(self, url: str) -> Iterator[httpx.Response]:
        """Open a result file as a stream, without the token."""
        _check_address(url)
        with self._http.stream("GET", url) as response:
            yield response

    def upload(self, url: str, fields: Mapping[str, str], file: tuple[str, BinaryIO, str]) -> httpx.Response:
        """Post these fields and then the open file to storage, as multipart, without the token."""
        if self.read_only:
            raise ShopifyFailed("A read-only client cannot upload a file: run without the dry run.")
        _check_address(url)
        return self._http.post(url, data=dict(fields), files={"file": file})


def _json(response: httpx.Response) -> Node:
    try:
        body = texts.parsed(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@lru_cache(maxsize=64)
def _is_mutation(text: str) -> bool:
    return re.search(r"\b(?:mutation|subscription)\b", _outside_braces(text)) is not None


def _outside_braces(text: str) -> str:
    text = COMMENT.sub("", text)
    while (shorter := re.sub(r"[{(][^{}()]*[)}]", " ", text)) != text:
        text = shorter
    return text


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ShopifyFailed(f"Address on {parts.hostname} is not https: refuse it and check the endpoint.")


def _date(response: httpx.Response) -> datetime | None:
    """The time in the Date header, in UTC; None where there is none that can be read."""
    try:
        return parsedate_to_datetime(response.headers.get_list("Date")[0]).astimezone(UTC)
    except (IndexError, ValueError):
        return None
