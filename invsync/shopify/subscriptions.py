"""Webhook subscriptions: whether the ones needed are there, and how they are made right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from invsync.errors import ShopifyFailed
from invsync.shopify.client import Client

PATH = "/webhooks/shopify"
FIELDS: Mapping[str, Sequence[str]] = {
    "INVENTORY_LEVELS_UPDATE": ("inventory_item_id", "location_id", "available", "updated_at"),
    "ORDERS_CREATE": ("id", "updated_at"),
    "ORDERS_CANCELLED": ("id", "updated_at"),
    "BULK_OPERATIONS_FINISH": ("admin_graphql_api_id", "status", "completed_at"),
}
Condition = Literal["right", "lost", "changed", "created", "repaired"]
Node = dict[str, Any]


@dataclass(frozen=True)
class Subscription:
    """One topic at our address, and its condition; `id` is None where Shopify has none."""

    topic: str
    uri: str
    condition: Condition
    id: str | None = None


def subscriptions(client: Client, address: str) -> list[Subscription]:
    """The condition of each topic that is needed at the receiver of this address."""
    uri = address.rstrip("/") + PATH
    registered = {node["topic"]: node for node in _nodes(client) if node["uri"] == uri}
    return [_condition(topic, uri, registered.get(topic)) for topic in FIELDS]


def register(client: Client, address: str) -> list[Subscription]:
    """Create what is lost and repair what was changed; each topic with what was done to it."""
    return [_mended(client, one) for one in subscriptions(client, address)]


def _condition(topic: str, uri: str, node: Node | None) -> Subscription:
    if node is None:
        return Subscription(topic, uri, "lost")
    whole = node["format"] == "JSON" and not node["filter"]
    right = whole and set(node["includeFields"]) in (set(), set(FIELDS[topic]))
    return Subscription(topic, uri, "right" if right else "changed", node["id"])


def _mended(client: Client, one: Subscription) -> Subscription:
    given = {"uri": one.uri, "format": "JSON", "includeFields": FIELDS[one.topic]}
    if one.condition == "lost":
        _call(client, "webhook_create", "webhookSubscriptionCreate", {"topic": one.topic, "webhookSubscription": given})
        return replace(one, condition="created")
    if one.condition == "changed":
        changed = {"id": one.id, "webhookSubscription": given | {"filter": ""}}
        _call(client, "webhook_update", "webhookSubscriptionUpdate", changed)
        return replace(one, condition="repaired")
    return one


def _call(client: Client, name: str, root: str, variables: Node) -> None:
    errors = client.data(name, variables)[root]["userErrors"]
    if errors:
        refusal = "; ".join(error["message"].rstrip(".") for error in errors)
        raise ShopifyFailed(f"Shopify refused a webhook subscription ({refusal}): correct webhook_url.")


def _nodes(client: Client) -> Iterator[Node]:
    after = None
    while True:
        page = client.data("webhook_subscriptions", {"after": after, "topics": list(FIELDS)})["webhookSubscriptions"]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]
