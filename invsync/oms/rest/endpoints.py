"""HotWax's two HTTP endpoints, Moqui and OFBiz: one page of an entity's rows, asked for until it is answered."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore
from typing import Any

import httpx

from invsync.errors import OmsFailed
from invsync.inputs import texts
from invsync.oms.rest.connector import RestSettings
from invsync.oms.rest.envelopes import camel, rows_in
from invsync.oms.sql.values import earliest

TRIES = 6
BACKOFF = 0.25
UNKNOWN = ("No definition found", "Could not find definition")
Page = tuple[list[dict[str, Any]], int | None]


@dataclass(frozen=True)
class Filter:
    """One condition on a column: among these values, not before this moment, or without a value."""

    column: str
    among: Sequence[str] | None = None
    since: datetime | None = None


Endpoint = Callable[[str, Sequence[Filter], int, int, str, Sequence[str]], Page]


class Unknown(Exception):
    """The server has no such entity."""


class NoSuchAddress(Exception):
    """The server has no such address."""


class Endpoints:
    """Both endpoints over one client; each gives a page of rows, and the total where it is told."""

    def __init__(self, client: httpx.Client, oms: RestSettings, tries: int = TRIES) -> None:
        self.client, self._zone, self._tries = client, oms.timezone, tries
        self._turn = BoundedSemaphore(oms.at_once)
        self._told: datetime | None = None
        self.all: list[Endpoint] = [self.moqui]
        if oms.ofbiz_url:
            self._ofbiz_address = f"{oms.ofbiz_url.rstrip('/')}/api/performFind"
            self.all.append(self.ofbiz)

    def now(self) -> datetime:
        """HotWax's clock as its last answer told it, UTC, cut to seconds."""
        if self._told is None:
            raise OmsFailed("HotWax's answers have no Date header: its time is not known; check what stands before it.")
        return self._told

    def moqui(
        self, name: str, filters: Sequence[Filter], number: int, size: int, order: str, columns: Sequence[str]
    ) -> Page:
        """A page from Moqui's entityData."""
        asked: dict[str, Any] = {"pageIndex": number, "pageSize": size, "orderByField": camel(order)}
        for condition in filters:
            field = camel(condition.column)
            if condition.since is not None:
                asked[f"{field}_from"] = int(condition.since.timestamp() * 1000)
            elif condition.among is not None:
                asked |= {field: list(condition.among), f"{field}_op": "in"}
            else:
                asked[f"{field}_op"] = "empty"
        body = {
            "selectedEntity": camel(f"_{name}"),
            "filterByDate": False,
            "pageIndex": number * size,
            "pageLimit": size,
            "customParametersMap": asked,
        }
        response, found = self._asked("/rest/s1/oms/entityData", body)
        total = response.headers.get("X-Total-Count")
        return rows_in(found), int(total) if total else None

    def ofbiz(
        self, name: str, filters: Sequence[Filter], number: int, size: int, order: str, columns: Sequence[str]
    ) -> Page:
        """A page from OFBiz's performFind."""
        asked: dict[str, Any] = {}
        for condition in filters:
            field = camel(condition.column)
            if condition.since is not None:
                moment = earliest(condition.since, self._zone)
                asked |= {
                    f"{field}_fld0_value": f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                    f"{field}_fld0_op": "greaterThanEqualTo",
                }
            elif condition.among is not None:
                asked |= {field: list(condition.among), f"{field}_op": "in"}
            else:
                asked[f"{field}_op"] = "empty"
        body = {
            "entityName": camel(f"_{name}"),
            "inputFields": asked,
            "noConditionFind": "Y",
            "filterByDate": "N",
            "fieldList": [camel(column) for column in columns],
            "viewSize": size,
            "viewIndex": number,
            "orderBy": camel(order),
        }
        _, found = self._asked(self._ofbiz_address, body)
        if isinstance(found, dict) and "No record found" in str(found.get("error")):
            return [], None if number else 0
        return rows_in(found), found.get("count") if isinstance(found, dict) else None

    def _asked(self, address: str, body: dict[str, Any]) -> tuple[httpx.Response, Any]:
        """The answer and its JSON; cut, garbled and 5xx answers are asked for again, a refusal is told.

        An answer without a body is an empty list only when it is given twice.
        """
        bare = 0
        for tries in range(self._tries):
            time.sleep(min(30.0, BACKOFF * 2**tries) if tries else 0)
            try:
                with self._turn:
                    response = self.client.post(address, json=body)
                if any(sign in response.text for sign in UNKNOWN):
                    raise Unknown(address)
                if response.status_code == 404:
                    raise NoSuchAddress(address)
                if response.status_code in (401, 403):
                    raise OmsFailed(
                        f"HotWax refused {address} ({self._said(response)}): check its token and its rights."
                    )
                bare += response.is_success and not response.content
                if response.is_success and (response.content or bare > 1):
                    return self._noted(response), texts.parsed(response.content) if response.content else []
                failure = self._said(response)
            except json.JSONDecodeError:
                failure = f"no JSON: {self._said(response)}"
            except httpx.TransportError as error:
                failure = f"{type(error).__name__}: {texts.quoted(str(error))}"
        raise OmsFailed(f"HotWax gave no answer in {self._tries} tries ({address}: {failure}): run again later.")

    def _said(self, response: httpx.Response) -> str:
        """An answer's status and words, without a secret."""
        words = texts.said(response.content, getattr(self.client.auth, "hidden", []))
        return f"HTTP {response.status_code}{f': {words}' if words else f', {len(response.content)} bytes'}"

    def _noted(self, response: httpx.Response) -> httpx.Response:
        if "Date" in response.headers:
            self._told = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        return response
