"""Webhooks as Shopify sends them: subscriptions, payloads built late, signed deliveries, tried again and given up.

What is lost, sent twice, sent late or out of order is chosen by the shop's seeded random numbers.
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
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from invsync.sandbox.admin.search import Info, Node, connection, gid, number_of, stamp
from invsync.sandbox.shop import Shop, Subscription

TRIES = 8
LOOPBACK = {"127.0.0.1", "localhost"}


class Subscriptions:
    """The fields of query and mutation that subscriptions need, over one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def webhookSubscriptions(self, info: Info, **arguments: Any) -> Node:
        """The subscriptions, those of some topics or to one address where asked."""
        topics, uri = arguments.get("topics"), arguments.get("uri")
        rows = [
            one
            for one in self._shop.subscriptions.values()
            if (not topics or one.topic in topics) and (not uri or one.uri == uri)
        ]
        return connection(rows, self._node, lambda one: (one.number,), every=False, arguments=arguments)

    def webhookSubscriptionCreate(self, info: Info, topic: str, webhookSubscription: Node) -> Node:
        """Subscribe an address to a topic, once."""
        made = Subscription(len(self._shop.subscriptions) + 1 + self._shop.given_up, topic, "", self._shop.clock())
        return self._set(made, webhookSubscription)

    def webhookSubscriptionUpdate(self, info: Info, id: str, webhookSubscription: Node) -> Node:
        """Change where a subscription goes and which fields it has."""
        known = self._shop.subscriptions.get(number_of(id, "WebhookSubscription") or 0)
        if known is None:
            return _refused("id", "Webhook subscription does not exist")
        return self._set(known, webhookSubscription)

    def webhookSubscriptionDelete(self, info: Info, id: str) -> Node:
        """End a subscription."""
        gone = self._shop.subscriptions.pop(number_of(id, "WebhookSubscription") or 0, None)
        errors = [] if gone else [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        return {"deletedWebhookSubscriptionId": id if gone else None, "userErrors": errors}

    def _set(self, one: Subscription, given: Node) -> Node:
        uri = given.get("uri") or given.get("callbackUrl") or one.uri
        parts = urlsplit(uri)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            return _refused("callbackUrl", "Address protocol http:// is not supported")
        others = [other for other in self._shop.subscriptions.values() if other.number != one.number]
        if any((other.topic, other.uri) == (one.topic, uri) for other in others):
            return _refused("callbackUrl", "Address for this topic has already been taken")
        one.uri, one.fields = uri, list(given.get("includeFields") or one.fields)
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
class Weather:
    """How deliveries fare: the shares that are lost and sent twice, how late they may come, whether order is kept."""

    lost: float = 0.0
    doubled: float = 0.0
    latest: timedelta = timedelta(0)
    shuffled: bool = False


@dataclass
class Delivery:
    """One event on its way to one subscription."""

    subscription: Subscription
    topic: str
    ids: tuple[Any, ...]
    event: str
    due: datetime
    delivery: str = field(default_factory=lambda: str(uuid4()))
    body: bytes | None = None


class Webhooks:
    """The deliveries of one shop; `sent`, `refused` and `lost` count what happened to them."""

    def __init__(
        self,
        shop: Shop,
        domain: str,
        weather: Weather | None = None,
        *,
        pause: float = 0.02,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.shop, self.domain, self.weather, self.pause = shop, domain, weather or Weather(), pause
        self.clock = clock or (lambda: shop.clock())
        self.waiting: list[Delivery] = []
        self.sent = self.refused = self.lost = 0
        self._http = httpx.Client(timeout=5, trust_env=False)

    def send(self) -> None:
        """Send everything that is due by the clock, which is the shop's own unless another was given."""
        with self.shop.lock:
            self._collect()
            now = self.clock()
            due = [one for one in self.waiting if one.due <= now]
            self.waiting = [one for one in self.waiting if one.due > now]
            if self.weather.shuffled:
                self.shop.random.shuffle(due)
            for one in due:
                one.body = one.body or self._body(one)
        for one in due:
            self._deliver(one)

    @contextmanager
    def sending(self) -> Iterator["Webhooks"]:
        """Send in a thread for as long as the block lasts."""
        ended = threading.Event()

        def keep_on() -> None:
            while not ended.wait(self.pause):
                self.send()

        thread = threading.Thread(target=keep_on, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _collect(self) -> None:
        chance, weather = self.shop.random, self.weather
        while self.shop.events:
            topic, ids = self.shop.events.popleft()
            for subscription in [one for one in self.shop.subscriptions.values() if one.topic == topic]:
                if chance.random() < weather.lost:
                    self.lost += 1
                    continue
                one = Delivery(subscription, topic, ids, str(uuid4()), self.clock() + weather.latest * chance.random())
                self.waiting += [one] * (2 if chance.random() < weather.doubled else 1)

    def _body(self, one: Delivery) -> bytes:
        payload = _payload(self.shop, one.topic, one.ids)
        kept = {name: payload[name] for name in one.subscription.fields if name in payload} or payload
        return json.dumps(kept).encode()

    def _deliver(self, one: Delivery) -> None:
        body = one.body or b""
        signed = base64.b64encode(hmac.digest(self.shop.client_secret.encode(), body, "sha256")).decode()
        headers = {
            "X-Shopify-Topic": _path(one.topic),
            "X-Shopify-Hmac-Sha256": signed,
            "X-Shopify-Shop-Domain": self.domain,
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": one.delivery,
            "X-Shopify-Event-Id": one.event,
            "X-Shopify-Triggered-At": stamp(self.shop.clock()) or "",
            "Content-Type": "application/json",
        }
        for _ in range(TRIES):
            try:
                status = self._http.post(one.subscription.uri, content=body, headers=headers).status_code
            except httpx.RequestError:
                status = 0
            if 200 <= status < 300:
                self.sent += 1
                return
            self.refused += 1
            time.sleep(self.pause)
        with self.shop.lock:
            self.shop.given_up += bool(self.shop.subscriptions.pop(one.subscription.number, None))


def _path(topic: str) -> str:
    """INVENTORY_LEVELS_UPDATE as inventory_levels/update."""
    subject, _, verb = topic.lower().rpartition("_")
    return f"{subject}/{verb}"


def _payload(shop: Shop, topic: str, ids: tuple[Any, ...]) -> dict[str, Any]:
    """What a delivery says of the shop as it stands when it is sent."""
    if topic == "INVENTORY_LEVELS_UPDATE":
        item, location = ids
        level = shop.levels[item, location]
        tracked = shop.items[item].tracked if item in shop.items else True
        return {
            "inventory_item_id": item,
            "location_id": location,
            "available": level.available if tracked else None,
            "updated_at": stamp(level.updated_at),
            "admin_graphql_api_id": gid("InventoryLevel", f"{location * 7 + 1}?inventory_item_id={item}"),
        }
    if topic == "BULK_OPERATIONS_FINISH":
        one = shop.operations[ids[0]]
        return {
            "admin_graphql_api_id": gid("BulkOperation", one.number),
            "status": one.status.lower(),
            "type": one.kind.lower(),
            "error_code": one.error.lower() if one.error else None,
            "created_at": stamp(one.created_at),
            "completed_at": stamp(one.completed_at),
        }
    order = shop.orders[ids[0]]
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
