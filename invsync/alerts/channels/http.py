"""Alerts posted to a web address."""

from invsync import web

TIMEOUT_SECONDS = 20


def send(line: str, address: str) -> None:
    """Post the line as JSON; raise httpx.HTTPError where it is not accepted in time."""
    with web.client(timeout=TIMEOUT_SECONDS) as http:
        response = http.post(address, content=line.encode(), headers={"Content-Type": "application/json"})
        response.raise_for_status()
