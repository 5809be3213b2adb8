"""HotWax's two HTTP endpoints, Moqui's and OFBiz's: request one page of an entity's rows, with retries."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore
from typing import Any

import httpx

from invsync.errors import OmsFailed
from invsync.inputs import texts
from invsync.oms.rest.connector import RestSettings
from invsync.oms.rest.envelopes import JsonRow, camel, rows_in
from invsync.oms.sql.values import earliest
from invsync.retry import LONGEST_BACKOFF, TRIES, NoAnswer, Patience

BACKOFF = 0.25
UNKNOWN = ("No definition found", "Could not find definition")
Page = tuple[list[JsonRow], int | None]  # the rows, and the total where HotWax gives it


@dataclass(frozen=True)
class Filter:
    """A condition on a column: one of these values, or not before this moment; null where neither is given."""

    column: str
    among: Sequence[str] | None = None
    since: datetime | None = None


Endpoint = Callable[[str, Sequence[Filter], int, int, str, Sequence[str]], Page]


class Unknown(Exception):
    """The server has no such entity."""


class NoSuchAddress(Exception):
    """The server has no such address."""


class Endpoints:
    """Both endpoints over one client; each returns a page of rows, and the total where HotWax gives it."""

    def __init__(self, client: httpx.Client, oms: RestSettings, tries: int = TRIES) -> None:
        self.client, self._zone, self._tries = client, oms.timezone, tries
        self._turn = BoundedSemaphore(oms.at_once)
        self._date: tuple[datetime, float] | None = None  # HotWax's, and ours when it came
        self.all: list[Endpoint] = [self.moqui]
        if oms.ofbiz_url:
            self._ofbiz_address = f"{oms.ofbiz_url.rstrip('/')}/api/performFind"
            self.all.append(self.ofbiz)

    def now(self) -> datetime:
        """Return HotWax's clock, UTC, as it has gone on since its last response: never ahead, at most a second behind."""
        if self._date is None:
            raise OmsFailed(
                "HotWax's answers have no Date header, so its clock is not known: check the proxy in front of it."
            )
        date, received = self._date
        return date + timedelta(seconds=time.monotonic() - received)

    def moqui(
        self, name: str, filters: Sequence[Filter], number: int, size: int, order: str, columns: Sequence[str]
    ) -> Page:
        """Return a page from Moqui's entityData."""
        parameters: JsonRow = {"pageIndex": number, "pageSize": size, "orderByField": camel(order)}
        for condition in filters:
            field = camel(condition.column)
            if condition.since is not None:
                parameters[f"{field}_from"] = int(condition.since.timestamp() * 1000)
            elif condition.among is not None:
                parameters |= {field: list(condition.among), f"{field}_op": "in"}
            else:
                parameters[f"{field}_op"] = "empty"
        body = {
            "selectedEntity": camel(f"_{name}"),
            "filterByDate": False,
            "pageIndex": number * size,
            "pageLimit": size,
            "customParametersMap": parameters,
        }
        response, answer = self._post("/rest/s1/oms/entityData", body)
        total = response.headers.get("X-Total-Count")
        return rows_in(answer), int(total) if total else None

    def ofbiz(
        self, name: str, filters: Sequence[Filter], number: int, size: int, order: str, columns: Sequence[str]
    ) -> Page:
        """Return a page from OFBiz's performFind."""
        parameters: JsonRow = {}
        for condition in filters:
            field = camel(condition.column)
            if condition.since is not None:
                moment = earliest(condition.since, self._zone)
                parameters |= {
                    f"{field}_fld0_value": f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                    f"{field}_fld0_op": "greaterThanEqualTo",
                }
            elif condition.among is not None:
                parameters |= {field: list(condition.among), f"{field}_op": "in"}
            else:
                parameters[f"{field}_op"] = "empty"
        body = {
            "entityName": camel(f"_{name}"),
            "inputFields": parameters,
            "noConditionFind": "Y",
            "filterByDate": "N",
            "fieldList": [camel(column) for column in columns],
            "viewSize": size,
            "viewIndex": number,
            "orderBy": camel(order),
        }
        _, answer = self._post(self._ofbiz_address, body)
        if isinstance(answer, dict) and "No record found" in str(answer.get("error")):
            return [], None if number else 0
        return rows_in(answer), answer.get("count") if isinstance(answer, dict) else None

    def _post(self, address: str, body: JsonRow) -> tuple[httpx.Response, Any]:
        """Return the response and its JSON; truncated, garbled and 5xx responses are requested again.

        An empty body counts as an empty list only when it comes twice. Raises OmsFailed for a refusal, Unknown and
        NoSuchAddress.
        """
        bare = 0

        def attempt() -> tuple[httpx.Response, Any]:
            nonlocal bare
            response = self._request(address, body)
            bare += response.is_success and not response.content
            if not response.is_success or not (response.content or bare > 1):
                raise NoAnswer(self._summary(response))
            self._note_date(response)
            try:
                return response, texts.parsed(response.content) if response.content else []
            except json.JSONDecodeError:
                raise NoAnswer(f"no JSON: {self._summary(response)}") from None

        return Patience("HotWax", OmsFailed, time.sleep, self._tries, backoff=_backoff, about=address).call(attempt)

    def _request(self, address: str, body: JsonRow) -> httpx.Response:
        try:
            with self._turn:
                response = self.client.post(address, json=body)
        except httpx.TransportError as error:
            raise NoAnswer(f"{type(error).__name__}: {texts.quoted(str(error))}") from None
        if any(sign in response.text for sign in UNKNOWN):
            raise Unknown(address)
        if response.status_code == 404:
            raise NoSuchAddress(address)
        if response.status_code in (401, 403):
            raise OmsFailed(f"HotWax refused {address} ({self._summary(response)}): check its token and its rights.")
        return response

    def _summary(self, response: httpx.Response) -> str:
        """Return a response's status and message, without secrets."""
        words = texts.said(response.content, getattr(self.client.auth, "hidden", []))
        return f"HTTP {response.status_code}{f': {words}' if words else f', {len(response.content)} bytes'}"

    def _note_date(self, response: httpx.Response) -> None:
        if "Date" in response.headers:
            self._date = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC), time.monotonic()


def _backoff(tries: int) -> float:
    """Seconds to wait after this many failed tries: exponential, without the jitter that users of a cost bucket need."""
    return float(min(LONGEST_BACKOFF, BACKOFF * 2**tries))
