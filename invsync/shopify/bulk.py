"""Bulk operations: start one, wait for it, cancel it, upload its input and fetch its result file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from invsync.errors import ShopifyFailed
from invsync.retry import Busy, NoAnswer
from invsync.shopify.client import Client, Node, codes, messages
from invsync.shopify.refusals import reply
from invsync.shopify.retry import Patience

STALL_SECONDS = 600.0
CANCEL_SECONDS = 120.0
FIRST_POLL, POLL_GROWTH, LONGEST_POLL = 1.0, 1.5, 5.0
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED"})
BUSY = frozenset({"LIMIT_REACHED", "OPERATION_IN_PROGRESS"})


@dataclass(frozen=True)
class Operation:
    """A bulk operation at one moment; `url` and `partial_url` are the addresses of its result files."""

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
        """The address of the result file, whole or partial."""
        return self.url or self.partial_url


def start(client: Client, name: str, field: str, variables: Node) -> str:
    """Start a bulk operation and return its id; wait while the shop runs as many as it may."""

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


def operation(client: Client, operation_id: str) -> Operation:
    """Return the bulk operation of this id as it is now."""
    node = client.data("bulk_operation", {"id": operation_id})["bulkOperation"]
    if not node:
        raise ShopifyFailed(f"Shopify does not know bulk operation {operation_id}: run again.")
    count = int(node.get("objectCount") or 0)
    return Operation(
        node["id"], node["status"], node.get("errorCode"), count, node.get("url"), node.get("partialDataUrl")
    )


def wait(client: Client, operation_id: str, *, stall_seconds: float = STALL_SECONDS) -> Operation:
    """Wait for an operation and return it once it is final; cancel one whose object count stands still this long."""
    count, moved_at = -1, 0.0
    for current, waited in _polled(client, operation_id):
        if current.object_count != count:
            count, moved_at = current.object_count, waited
        if not current.is_final and waited - moved_at >= stall_seconds:
            return cancel(client, operation_id)
    return current


def cancel(client: Client, operation_id: str) -> Operation:
    """Ask for the cancellation of an operation, and return it once it is final or has not ended in time."""
    client.data("bulk_cancel", {"id": operation_id})
    polls = _polled(client, operation_id)
    return next(current for current, waited in polls if current.is_final or waited >= CANCEL_SECONDS)


def _polled(client: Client, operation_id: str) -> Iterator[tuple[Operation, float]]:
    """The operation at each poll, with the seconds waited so far, until it is final."""
    waited, pause = 0.0, FIRST_POLL
    while not (current := operation(client, operation_id)).is_final:
        yield current, waited
        client.sleep(pause)
        waited += pause
        pause = min(pause * POLL_GROWTH, LONGEST_POLL)
    yield current, waited


def fetch(client: Client, url: str, path: Path) -> None:
    """Write the file at this address to `path`, as a stream."""

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
    """Upload the file at `path` to a staged target, as a stream."""

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
