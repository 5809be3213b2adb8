"""Alerts posted to a web address, one request each."""

from collections.abc import Sequence

from invsync import web
from invsync.alerts.alert import Notice

TIMEOUT_SECONDS = 20


def send(notices: Sequence[Notice], address: str) -> None:
    """Post each notice as a line of JSON; raise httpx.HTTPError where one is not accepted in time."""
    with web.client(timeout=TIMEOUT_SECONDS) as http:
        for notice in notices:
            response = http.post(address, content=notice.line().encode(), headers={"Content-Type": "application/json"})
            response.raise_for_status()
