"""What a delivery says, without any I/O: whether it is signed, and which pair, order or product it names.

A payload is a hint: it names what may have changed, and a run reads the number again.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from invsync.inbox import CANCELLED, CREATED, FINISHED, LEVEL, STOCK, Heard

MAX_ID = 2**63 - 1
MAX_TEXT = 200  # characters
Payload = Mapping[str, Any]  # the JSON object of a body


class Named(TypedDict, total=False):
    """The fields of a delivery that its payload names."""

    inventory_item_id: int
    location_id: int
    available: int | None
    updated_at: datetime | None
    order_id: int


def is_signed(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Whether one of these secrets signed the raw body (base64 of HMAC-SHA256); all are tried, in constant time."""
    given, signed = signature.encode("utf-8", "replace"), False
    for secret in secrets:
        expected = base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))
        signed |= hmac.compare_digest(expected, given)
    return signed


def shopify(shop: str, headers: Mapping[str, str], body: bytes) -> Heard:
    """Return what a delivery of Shopify names; raise ValueError that says what is wrong with it."""
    topic = headers.get("x-shopify-topic", "")
    if topic not in TOPICS:
        raise ValueError(f"topic {topic[:MAX_TEXT]!r} is not one of {', '.join(TOPICS)}")
    payload = _object(body)
    named = TOPICS[topic](payload)
    content = hashlib.sha256(body).hexdigest() if "updated_at" in payload or topic == FINISHED else None
    return Heard(shop, _delivery(headers), topic, content=content, **named)


def oms(shop: str, headers: Mapping[str, str], body: bytes) -> Heard:
    """Return what a stock event of the OMS names, {"event_id": …, "product_id": …}.

    Raises ValueError that says what is wrong with it.
    """
    payload = _object(body)
    event = None if payload.get("event_id") is None else f"event {_text(payload, 'event_id')}"
    return Heard(shop, event or _delivery(headers), STOCK, content=event, product_id=_text(payload, "product_id"))


def _delivery(headers: Mapping[str, str]) -> str:
    """The id of a delivery; one that has none is always new."""
    for name in ("x-shopify-webhook-id", "x-shopify-event-id"):
        if given := headers.get(name):
            if len(given) > MAX_TEXT:
                raise ValueError(f"header {name} is longer than {MAX_TEXT} characters")
            return given if name == "x-shopify-webhook-id" else f"{headers.get('x-shopify-topic')} {given}"
    return str(uuid.uuid4())


def _object(body: bytes) -> Payload:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise ValueError("the body is not a JSON object")
    return payload


def _id(payload: Payload, name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise ValueError(f"{name} is not an id")
    return value


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"{name} is not a text of 1 to {MAX_TEXT} printable characters")
    return value


def _level(payload: Payload) -> Named:
    units, stamp = payload.get("available"), payload.get("updated_at")
    if units is not None and (type(units) is not int or abs(units) > MAX_ID):
        raise ValueError("available is not a whole number")
    return {
        "inventory_item_id": _id(payload, "inventory_item_id"),
        "location_id": _id(payload, "location_id"),
        "available": units,
        "updated_at": None if stamp is None else _moment(stamp),
    }


def _order(payload: Payload) -> Named:
    return {"order_id": _id(payload, "id")}


def _operation(payload: Payload) -> Named:
    _text(payload, "admin_graphql_api_id")
    return {}


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError("updated_at is not ISO 8601") from None
    if moment.tzinfo is None:
        raise ValueError("updated_at has no offset")
    return moment.astimezone(UTC)


TOPICS: Mapping[str, Callable[[Payload], Named]] = {
    LEVEL: _level,
    CREATED: _order,
    CANCELLED: _order,
    FINISHED: _operation,
}
