"""Webhooks as Shopify sends them: subscriptions, and signed deliveries that are retried and given up.

The payload of a delivery is built when it is sent. The shop's seeded random numbers decide which deliveries are lost,
sent twice, late or out of order.
"""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict, Unpack
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from invsync.sandbox.admin.operations import Operation
from invsync.sandbox.admin.records import Event, Order, Subscription
from invsync.sandbox.admin.search import Info, Node, PageArguments, connection, gid, number_of, stamp
from invsync.sandbox.shop import Shop

TRIES = 8
LOOPBACK = {"127.0.0.1", "localhost"}
Payload = dict[str, object]  # a JSON object


class SubscriptionArguments(PageArguments, total=False):
    """The arguments of the list of subscriptions."""

    topics: list[str] | None
    uri: str | None


class SubscriptionInput(TypedDict, total=False):
    """Shopify's WebhookSubscriptionInput, as far as the sandbox reads it."""

    uri: str | None
    callbackUrl: str | None
    includeFields: list[str] | None


class Subscriptions:
    """The queries and mutations of webhook subscriptions, over one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def webhookSubscriptions(self, info: Info, **arguments: Unpack[SubscriptionArguments]) -> Node:
        """The subscriptions; `topics` and `uri` narrow the list."""
        topics, uri = arguments.get("topics"), arguments.get("uri")
        rows = [
            one
            for one in self._shop.subscriptions.values()
            if (not topics or one.topic in topics) and (not uri or one.uri == uri)
        ]
        return connection(rows, self._node, lambda one: (one.number,), every=False, arguments=arguments)

    def webhookSubscriptionCreate(self, info: Info, topic: str, webhookSubscription: SubscriptionInput) -> Node:
        """Subscribe an address to a topic, once."""
        number = len(self._shop.subscriptions) + 1 + self._shop.given_up
        return self._set(Subscription(number, topic, "", self._shop.clock()), webhookSubscription)

    def webhookSubscriptionUpdate(self, info: Info, id: str, webhookSubscription: SubscriptionInput) -> Node:
        """Change the address and the fields of a subscription."""
        known = self._shop.subscriptions.get(number_of(id, "WebhookSubscription") or 0)
        if known is None:
            return _refused("id", "Webhook subscription does not exist")
        return self._set(known, webhookSubscription)

    def webhookSubscriptionDelete(self, info: Info, id: str) -> Node:
        """Delete a subscription."""
        deleted = self._shop.subscriptions.pop(number_of(id, "WebhookSubscription") or 0, None)
        errors = [] if deleted else [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        return {"deletedWebhookSubscriptionId": id if deleted else None, "userErrors": errors}

    def _set(self, one: Subscription, changes: SubscriptionInput) -> Node:
        uri = changes.get("uri") or changes.get("callbackUrl") or one.uri
        parts = urlsplit(uri)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            return _refused("callbackUrl", "Address protocol http:// is not supported")
        others = [other for other in self._shop.subscriptions.values() if other.number != one.number]
        if any((other.topic, other.uri) == (one.topic, uri) for other in others):
            return _refused("callbackUrl", "Address for this topic has already been taken")
        one.uri, one.fields = uri, list(changes.get("includeFields") or one.fields)
        self._shop.subscriptions[one.number] = one
        return {"webhookSubscription": self._node(one), "userErrors": []}

    def _node(self, one: Subscription) -> Node:
        when = stamp(one.created_at)
        return {
            "__typename": "WebhookSubscription",
            "id": gid("WebhookSubscription", one.number),
            "legacyResourceId": str(one.number),
            "topic": one.topic,
            "uri": one.uri,
            "callbackUrl": one.uri,
            "includeFields": one.fields,
            "metafieldNamespaces": [],
            "filter": "",
            "format": "JSON",
            "name": None,
            "createdAt": when,
            "updatedAt": when,
        }


@dataclass
class DeliveryFaults:
    """The shares of deliveries that are lost and sent twice, how late they come, and whether they lose their order."""

    lost: float = 0.0
    doubled: float = 0.0
    latest: timedelta = timedelta(0)
    shuffled: bool = False


@dataclass
class Delivery:
    """One event on its way to one subscription."""

    subscription: Subscription
    event: Event
    event_id: str
    due: datetime
    delivery_id: str = field(default_factory=lambda: str(uuid4()))
    body: bytes | None = None


class Webhooks:
    """The deliveries of one shop; `sent`, `refused` and `lost` count their outcomes."""

    def __init__(
        self,
        shop: Shop,
        domain: str,
        faults: DeliveryFaults | None = None,
        *,
        pause: float = 0.02,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.shop, self.domain, self.faults, self.pause = shop, domain, faults or DeliveryFaults(), pause
        self.clock = clock or (lambda: shop.clock())
        self.waiting: list[Delivery] = []
        self.sent = self.refused = self.lost = 0
        self._http = httpx.Client(timeout=5, trust_env=False)

    def send(self) -> None:
        """Send all deliveries that are due by the clock, which is the shop's own unless another was given."""
        with self.shop.lock:
            self._collect()
            now = self.clock()
            due = [one for one in self.waiting if one.due <= now]
            self.waiting = [one for one in self.waiting if one.due > now]
            if self.faults.shuffled:
                self.shop.random.shuffle(due)
            for one in due:
                one.body = one.body or self._body(one)
        for one in due:
            self._deliver(one)

    @contextmanager
    def sending(self) -> Iterator["Webhooks"]:
        """Send in a thread while the block lasts."""
        ended = threading.Event()

        def send_until_ended() -> None:
            while not ended.wait(self.pause):
                self.send()

        thread = threading.Thread(target=send_until_ended, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _collect(self) -> None:
        """Make deliveries of the shop's new events."""
        random, faults = self.shop.random, self.faults
        while self.shop.events:
            event = self.shop.events.popleft()
            for subscription in [one for one in self.shop.subscriptions.values() if one.topic == event.topic]:
                if random.random() < faults.lost:
                    self.lost += 1
                    continue
                delivery = Delivery(subscription, event, str(uuid4()), self.clock() + faults.latest * random.random())
                self.waiting += [delivery] * (2 if random.random() < faults.doubled else 1)

    def _body(self, delivery: Delivery) -> bytes:
        payload = _payload(self.shop, delivery.event)
        kept = {name: payload[name] for name in delivery.subscription.fields if name in payload} or payload
        return json.dumps(kept).encode()

    def _deliver(self, delivery: Delivery) -> None:
        """Try to deliver; after TRIES refusals Shopify deletes the subscription."""
        headers = self._headers(delivery)
        for _ in range(TRIES):
            try:
                response = self._http.post(delivery.subscription.uri, content=delivery.body or b"", headers=headers)
            except httpx.RequestError:
                accepted = False
            else:
                accepted = response.is_success
            if accepted:
                self.sent += 1
                return
            self.refused += 1
            time.sleep(self.pause)
        with self.shop.lock:
            self.shop.given_up += bool(self.shop.subscriptions.pop(delivery.subscription.number, None))

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        signature = hmac.digest(self.shop.client_secret.encode(), delivery.body or b"", "sha256")
        return {
            "X-Shopify-Topic": _path(delivery.event.topic),
            "X-Shopify-Hmac-Sha256": base64.b64encode(signature).decode(),
            "X-Shopify-Shop-Domain": self.domain,
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": delivery.delivery_id,
            "X-Shopify-Event-Id": delivery.event_id,
            "X-Shopify-Triggered-At": stamp(self.shop.clock()) or "",
            "Content-Type": "application/json",
        }


def _path(topic: str) -> str:
    """INVENTORY_LEVELS_UPDATE as inventory_levels/update."""
    subject, _, verb = topic.lower().rpartition("_")
    return f"{subject}/{verb}"


def _payload(shop: Shop, event: Event) -> Payload:
    """The payload of an event, from the shop as it is now."""
    if event.topic == "INVENTORY_LEVELS_UPDATE":
        item, location = event.ids
        return _level(shop, item, location)
    (number,) = event.ids
    if event.topic == "BULK_OPERATIONS_FINISH":
        return _operation(shop.operations[number])
    return _order(shop.orders[number])


def _level(shop: Shop, item: int, location: int) -> Payload:
    level = shop.levels[item, location]
    tracked = shop.items[item].tracked if item in shop.items else True
    return {
        "inventory_item_id": item,
        "location_id": location,
        "available": level.available if tracked else None,
        "updated_at": stamp(level.updated_at),
        "admin_graphql_api_id": gid("InventoryLevel", f"{location * 7 + 1}?inventory_item_id={item}"),
    }


def _operation(operation: Operation) -> Payload:
    return {
        "admin_graphql_api_id": gid("BulkOperation", operation.number),
        "status": operation.status.lower(),
        "type": operation.kind.lower(),
        "error_code": operation.error.lower() if operation.error else None,
        "created_at": stamp(operation.created_at),
        "completed_at": stamp(operation.completed_at),
    }


def _order(order: Order) -> Payload:
    lines = [
        {"id": line.line_id, "variant_id": line.item_id, "quantity": line.quantity, "current_quantity": line.current}
        for line in order.lines
    ]
    return {
        "id": order.order_id,
        "admin_graphql_api_id": gid("Order", order.order_id),
        "name": order.name,
        "created_at": stamp(order.created_at),
        "updated_at": stamp(order.updated_at),
        "cancelled_at": stamp(order.cancelled_at),
        "line_items": lines,
    }


def _refused(field_name: str, message: str) -> Node:
    error = {"field": ["webhookSubscription", field_name], "message": message}
    return {"webhookSubscription": None, "userErrors": [error]}
