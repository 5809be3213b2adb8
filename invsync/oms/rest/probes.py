"""Probe how HotWax's APIs behave."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from invsync.errors import OmsFailed
from invsync.oms.rest.auth import Bearer
from invsync.oms.rest.endpoints import Filter, NoSuchAddress, Unknown
from invsync.oms.rest.entities import Api
from invsync.oms.sql.statements import COLUMNS
from invsync.oms.sql.values import stamp

DETAIL = "/rest/s1/oms/inventoryItem/detail"
BALANCES = {"lastAvailableToPromise", "lastQuantityOnHand"}
Dates = Literal["honoured", "ignored", "misread"]


@dataclass(frozen=True)
class Page:
    """How many rows were requested and returned, and whether there are more."""

    asked: int
    held: int
    more: bool


def page(api: Api, name: str) -> Page:
    """Return what one page of this table holds."""
    rows, total = api.page(name, (), 0)
    more = total > len(rows) if total is not None else bool(rows) and bool(api.page(name, (), 1)[0])
    return Page(api.size, len(rows), more)


def dates(api: Api, name: str, column: str) -> Dates | None:
    """Return how a date filter is treated: misread where not even the newest row comes back; None without rows."""
    at = COLUMNS[name].split().index(column)
    stamps = [str(row[at]) for row in api.newest(name, column).values() if row[at]]
    if not stamps:
        return None
    newest = max(stamps)
    since = Filter(column, since=stamp(newest, UTC))
    returned = [str(row[at] or "") for row in api.newest(name, column, since).values()]
    if newest not in returned:
        return "misread"
    return "honoured" if all(one >= newest for one in returned) else "ignored"


def expiry(api: Api) -> datetime | None:
    """Return when the token expires, where it says so."""
    return api.endpoints.client.auth.expiry() if isinstance(api.endpoints.client.auth, Bearer) else None


def ofbiz(api: Api) -> bool:
    """Whether OFBiz is used too; raises OmsFailed where it refuses the token."""
    try:
        for endpoint in api.endpoints.all[1:]:
            endpoint("shopify_shop", (), 0, 1, "shop_id", ["shop_id"])
    except (NoSuchAddress, Unknown) as error:
        raise OmsFailed(f"OFBiz has no performFind ({error}): correct ofbiz_url.") from None
    return len(api.endpoints.all) > 1


def detail(api: Api) -> str | None:
    """Return the shape of the response about stock events; None where there is no such address."""
    try:
        response = api.endpoints.client.get(DETAIL, params={"pageSize": 1, "pageIndex": 0})
        if response.status_code == 404:
            return None
        answer: Any = response.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise OmsFailed(f"HotWax's {DETAIL} gave no answer ({type(error).__name__}): check its APIs.") from None
    shape, rows = "a bare list", answer
    if isinstance(answer, dict):
        shape = f"an object with {', '.join(sorted(answer))}"
        rows = next((value for value in answer.values() if isinstance(value, list)), [])
    if not rows:
        return shape
    fields = set(rows[0])
    balances = "with" if fields >= BALANCES else "without"
    return f"{shape}; a row has {len(fields)} fields, {balances} the balances before the event"
