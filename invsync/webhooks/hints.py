"""What a delivery says, judged without any I/O: its signature, and the pair, order or product that it names.

A payload is a hint: it names what may have moved, and the number is always read again.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from invsync.inbox import CANCELLED, CREATED, FINISHED, LEVEL, STOCK, Heard

LARGEST_ID = 2**63 - 1
LONGEST_TEXT = 200
Body = dict[str, Any]


def is_signed(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Whether one of these secrets signed the raw body (base64 of HMAC-SHA256); every one is tried, in constant time."""
    given, signed = signature.encode("utf-8", "replace"), False
    for secret in secrets:
        expected = base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))
        signed |= hmac.compare_digest(expected, given)
    return signed


def shopify(shop: str, headers: Mapping[str, str], body: bytes) -> Heard:
    """What a delivery of Shopify names; ValueError says what is wrong with it."""
    topic = headers.get("x-shopify-topic", "")
    if topic not in TOPICS:
        raise ValueError(f"topic {topic[:LONGEST_TEXT]!r} is not one of {', '.join(TOPICS)}")
    payload = _object(body)
    named = TOPICS[topic](payload)
    known = hashlib.sha256(body).hexdigest() if "updated_at" in payload or topic == FINISHED else None
    return Heard(shop, _delivery(headers), topic, content=known, **named)


def oms(shop: str, headers: Mapping[str, str], body: bytes) -> Heard:
    """What a stock event of the OMS names: {"event_id": …, "product_id": …}; ValueError says what is wrong with it."""
    payload = _object(body)
    event = payload.get("event_id")
    known = f"event {_text(payload, 'event_id')}" if event is not None else None
    return Heard(shop, known or _delivery(headers), STOCK, content=known, product_id=_text(payload, "product_id"))


def _delivery(headers: Mapping[str, str]) -> str:
    """The id of a delivery; one without any is always new."""
    for name in ("x-shopify-webhook-id", "x-shopify-event-id"):
        if given := headers.get(name):
            if len(given) > LONGEST_TEXT:
                raise ValueError(f"header {name} is longer than {LONGEST_TEXT} characters")
            return given if name == "x-shopify-webhook-id" else f"{headers.get('x-shopify-topic')} {given}"
    return str(uuid.uuid4())


def _object(body: bytes) -> Body:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise ValueError("the body is not a JSON object")
    return payload


def _id(payload: Body, name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise ValueError(f"{name} is not an id")
    return value


def _text(payload: Body, name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST_TEXT:
        raise ValueError(f"{name} is not a text of 1 to {LONGEST_TEXT} printable characters")
    return value


def _level(payload: Body) -> Body:
    units, stamp = payload.get("available"), payload.get("updated_at")
    if units is not None and (type(units) is not int or abs(units) > LARGEST_ID):
        raise ValueError("available is not a whole number")
    return {
        "inventory_item_id": _id(payload, "inventory_item_id"),
        "location_id": _id(payload, "location_id"),
        "available": units,
        "updated_at": None if stamp is None else _moment(stamp),
    }


def _order(payload: Body) -> Body:
    return {"order_id": _id(payload, "id")}


def _operation(payload: Body) -> Body:
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


TOPICS: Mapping[str, Callable[[Body], Body]] = {
    LEVEL: _level,
    CREATED: _order,
    CANCELLED: _order,
    FINISHED: _operation,
}
