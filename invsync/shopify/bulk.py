"""Bulk operations: start, watch, cancel, and fetch the result file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from invsync.errors import ShopifyFailed
from invsync.retry import Busy, NoAnswer
from invsync.shopify.client import Client, codes, messages
from invsync.shopify.refusals import reply
from invsync.shopify.retry import Patience

STALL_SECONDS = 600.0
CANCEL_SECONDS = 120.0
FIRST_POLL, POLL_GROWTH, LONGEST_POLL = 1.0, 1.5, 5.0
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED"})
BUSY = frozenset({"LIMIT_REACHED", "OPERATION_IN_PROGRESS"})


@dataclass(frozen=True)
class Operation:
    """A bulk operation as last seen; addresses are of result files."""

    id: str
    status: str
    error_code: str | None
    object_count: int
    url: str | None
    partial_url: str | None

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self.status in FINAL

    @property
    def result_url(self) -> str | None:
        """The result file, whole or partial."""
        return self.url or self.partial_url


def start(client: Client, name: str, field: str, variables: dict[str, Any]) -> str:
    """Start a bulk operation and return its id; wait while all slots are taken."""

    def attempt() -> str:
        payload = client.data(name, variables)[field] or {}
        errors = payload.get("userErrors")
        if not errors and payload.get("bulkOperation"):
            return str(payload["bulkOperation"]["id"])
        if codes(errors) & BUSY:
            raise Busy("bulk operations limit reached")
        refusal = messages(errors or "no operation")
        raise ShopifyFailed(f"Shopify refused the bulk operation {name} ({refusal}): correct the request.")

    return Patience(client.sleep).call(attempt)


def seen(client: Client, operation_id: str) -> Operation:
    """The bulk operation of this id now."""
    node = client.data("bulk_operation", {"id": operation_id})["bulkOperation"]
    if not node:
        raise ShopifyFailed(f"Shopify does not know bulk operation {operation_id}: run again.")
    count = int(node.get("objectCount") or 0)
    return Operation(
        node["id"], node["status"], node.get("errorCode"), count, node.get("url"), node.get("partialDataUrl")
    )


def finished(client: Client, operation_id: str, *, stall_seconds: float = STALL_SECONDS) -> Operation:
    """The operation once it is final, or cancelled because its object count stood still this long."""
    count, still = -1, 0.0
    pause = FIRST_POLL
    while not (current := seen(client, operation_id)).is_final:
        still = 0.0 if current.object_count != count else still
        count = current.object_count
        if still >= stall_seconds:
            return cancelled(client, operation_id)
        client.sleep(pause)
        still += pause
        pause = min(pause * POLL_GROWTH, LONGEST_POLL)
    return current


def cancelled(client: Client, operation_id: str) -> Operation:
    """The operation after asking for its cancellation; it may be final only later."""
    client.data("bulk_cancel", {"id": operation_id})
    waited, pause = 0.0, FIRST_POLL
    while not (current := seen(client, operation_id)).is_final and waited < CANCEL_SECONDS:
        client.sleep(pause)
        waited += pause
        pause = min(pause * POLL_GROWTH, LONGEST_POLL)
    return current


def fetch(client: Client, url: str, path: Path) -> None:
    """Write the file at this address to path; nothing is held in memory."""

    def attempt() -> httpx.Response:
        with client.download(url) as response, path.open("wb") as file:
            if response.status_code != 200:
                response.read()
                return response
            for chunk in response.iter_bytes():
                file.write(chunk)
        return response

    response = Patience(client.sleep, about="result file").call(partial(_answered, attempt))
    if response.status_code != 200:
        raise ShopifyFailed(f"Shopify's result file answered {reply(response)}: it may have expired, run again.")


def store(client: Client, url: str, fields: dict[str, str], path: Path) -> None:
    """Upload the file at path to a staged target, streamed from disk."""

    def attempt() -> httpx.Response:
        with path.open("rb") as file:
            return client.upload(url, fields, (path.name, file, "text/jsonl"))

    response = Patience(client.sleep, about="staged upload").call(partial(_answered, attempt))
    if response.status_code not in (200, 201, 204):
        raise ShopifyFailed(f"Shopify's storage refused {path.name} ({reply(response)}): send it directly.")


def _answered(attempt: Callable[[], httpx.Response]) -> httpx.Response:
    """The storage's final answer. Its 429 counts as a try: it is not the throttling of Shopify's API, and has no cost."""
    response = attempt()
    if response.status_code >= 500 or response.status_code == 429:
        raise NoAnswer(reply(response))
    return response
