"""Webhook subscriptions: the condition of those that are needed, their creation and repair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from invsync.errors import ShopifyFailed
from invsync.shopify.client import Client, Node

PATH = "/webhooks/shopify"
FIELDS: Mapping[str, Sequence[str]] = {
    "INVENTORY_LEVELS_UPDATE": ("inventory_item_id", "location_id", "available", "updated_at"),
    "ORDERS_CREATE": ("id", "updated_at"),
    "ORDERS_CANCELLED": ("id", "updated_at"),
    "BULK_OPERATIONS_FINISH": ("admin_graphql_api_id", "status", "completed_at"),
}
Condition = Literal["right", "lost", "changed", "created", "repaired"]


@dataclass(frozen=True)
class Subscription:
    """One topic at our address, and its condition; `id` is None where Shopify has none."""

    topic: str
    uri: str
    condition: Condition
    id: str | None = None


def subscriptions(client: Client, address: str) -> list[Subscription]:
    """Return the subscription of each topic at the receiver of this address: right, lost or changed."""
    uri = address.rstrip("/") + PATH
    registered = {node["topic"]: node for node in _nodes(client) if node["uri"] == uri}
    return [_condition(topic, uri, registered.get(topic)) for topic in FIELDS]


def register(client: Client, address: str) -> list[Subscription]:
    """Create the subscriptions that are lost and repair those that were changed; return every one."""
    return [_repaired(client, subscription) for subscription in subscriptions(client, address)]


def _condition(topic: str, uri: str, node: Node | None) -> Subscription:
    if node is None:
        return Subscription(topic, uri, "lost")
    unfiltered = node["format"] == "JSON" and not node["filter"]
    right = unfiltered and set(node["includeFields"]) in (set(), set(FIELDS[topic]))
    return Subscription(topic, uri, "right" if right else "changed", node["id"])


def _repaired(client: Client, subscription: Subscription) -> Subscription:
    wanted = {"uri": subscription.uri, "format": "JSON", "includeFields": FIELDS[subscription.topic]}
    if subscription.condition == "lost":
        variables: Node = {"topic": subscription.topic, "webhookSubscription": wanted}
        _call(client, "webhook_create", "webhookSubscriptionCreate", variables)
        return replace(subscription, condition="created")
    if subscription.condition == "changed":
        variables = {"id": subscription.id, "webhookSubscription": wanted | {"filter": ""}}
        _call(client, "webhook_update", "webhookSubscriptionUpdate", variables)
        return replace(subscription, condition="repaired")
    return subscription


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
