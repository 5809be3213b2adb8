"""Resolvers of the query root."""

from collections.abc import Callable
from datetime import datetime
from typing import Unpack

from graphql import GraphQLError

from invsync.sandbox.admin.nodes import QUANTITIES, Nodes
from invsync.sandbox.admin.records import Level, Order
from invsync.sandbox.admin.search import MAX_PAGE, Fields, Info, Key, Node, PageArguments, gid, matches, number_of
from invsync.sandbox.shop import Shop

__all__ = ["QUANTITIES", "Reads", "too_many"]

SEARCHED_AS = {"unshipped": ("unfulfilled",), "partial": ("unfulfilled",), "shipped": ("fulfilled",)}


class Reads:
    """The query root over one shop; with `every` (bulk queries) connections ignore page sizes."""

    def __init__(self, shop: Shop, *, every: bool = False) -> None:
        self._shop, self._nodes = shop, Nodes(shop, every=every)
        self._find: dict[str, Callable[[int], Node | None]] = {
            "InventoryItem": lambda n: self._nodes.item(shop.items[n]) if n in shop.items else None,
            "ProductVariant": lambda n: self._nodes.variant(shop.items[n]) if n in shop.items else None,
            "Product": self._product,
            "Location": lambda n: self._nodes.location(n) if n in shop.locations else None,
            "Order": lambda n: self._nodes.order(shop.orders[n]) if n in shop.orders else None,
            "FulfillmentOrder": self._fulfillment_order,
            "Fulfillment": self._fulfillment,
            "Refund": self._refund,
            "BulkOperation": lambda n: shop.operations[n].poll() if n in shop.operations else None,
        }

    def shop(self, info: Info) -> Node:
        """The shop itself."""
        plan = {
            "displayName": "Basic",
            "publicDisplayName": "Basic",
            "partnerDevelopment": True,
            "shopifyPlus": False,
        }
        return {
            "__typename": "Shop",
            "id": gid("Shop", 1),
            "name": self._shop.name,
            "myshopifyDomain": self._shop.domain,
            "currencyCode": self._shop.currency,
            "ianaTimezone": "Etc/UTC",
            "plan": plan,
        }

    def currentAppInstallation(self, info: Info) -> Node:
        """The app that sends the request, with the scopes that it was granted."""
        scopes = [{"handle": scope, "description": scope} for scope in self._shop.scopes.split(",")]
        return {"__typename": "AppInstallation", "id": gid("AppInstallation", 1), "accessScopes": scopes}

    def node(self, info: Info, id: str) -> Node | None:
        """One object by its id, of any kind; null for an unknown one."""
        kind = id.removeprefix("gid://shopify/").split("/")[0]
        number = number_of(id, kind)
        find = self._find.get(kind)
        return find(number) if find and number is not None else None

    def nodes(self, info: Info, ids: list[str]) -> list[Node | None]:
        """Up to 250 objects by their ids, in that order; null for an unknown one."""
        if len(ids) > MAX_PAGE:
            raise too_many(len(ids), "ids")
        return [self.node(info, id) for id in ids]

    def order(self, info: Info, id: str) -> Node | None:
        """One order."""
        return self.node(info, id) if number_of(id, "Order") is not None else None

    def location(self, info: Info, id: str | None = None) -> Node | None:
        """One location."""
        return self.node(info, id) if id and number_of(id, "Location") is not None else None

    def inventoryItem(self, info: Info, id: str) -> Node | None:
        """One inventory item."""
        return self.node(info, id) if number_of(id, "InventoryItem") is not None else None

    def bulkOperation(self, info: Info, id: str) -> Node | None:
        """One bulk operation; each read of it moves it on."""
        return self.node(info, id) if number_of(id, "BulkOperation") is not None else None

    def bulkOperations(self, info: Info, **arguments: Unpack[PageArguments]) -> Node:
        """Bulk operations, as they stand."""
        rows = [one for one in self._shop.operations.values() if matches(arguments.get("query"), one.fields())]
        return self._nodes.page(rows, lambda one: one.answer(), lambda one: (one.number,), arguments)

    def locations(self, info: Info, **arguments: Unpack[PageArguments]) -> Node:
        """All locations, by name."""
        names = self._shop.locations
        return self._nodes.page(names, self._nodes.location, lambda number: (names[number], number), arguments)

    def inventoryItems(self, info: Info, **arguments: Unpack[PageArguments]) -> Node:
        """Inventory items, by id."""
        rows = [
            item
            for item in self._shop.items.values()
            if matches(arguments.get("query"), {"id": item.item_id, "sku": item.sku})
        ]
        return self._nodes.page(rows, self._nodes.item, lambda item: (item.item_id,), arguments)

    def orders(self, info: Info, **arguments: Unpack[PageArguments]) -> Node:
        """Orders that fit the search, in the order of `sortKey`; the search is behind by the shop's `search_lag`."""
        seen = self._shop.clock() - self._shop.search_lag if self._shop.search_lag else None
        rows = [
            order
            for order in self._shop.orders.values()
            if (seen is None or order.created_at <= seen) and matches(arguments.get("query"), _searchable(order, seen))
        ]
        return self._nodes.page(rows, self._nodes.order, _sort_key(arguments.get("sortKey"), seen), arguments)

    def level(self, item_id: int, location_id: int, level: Level) -> Node:
        """One inventory level."""
        return self._nodes.level(item_id, location_id, level)

    def _product(self, number: int) -> Node | None:
        items = (item for item in self._shop.items.values() if self._nodes.product_of(item).product_id == number)
        return next((self._nodes.product(item) for item in items), None)

    def _fulfillment_order(self, number: int) -> Node | None:
        order = self._shop.orders.get(number)
        return self._nodes.fulfillment_order(order) if order and order.routed else None

    def _fulfillment(self, number: int) -> Node | None:
        shipments = ((order, one) for order in self._shop.orders.values() for one in order.fulfillments)
        return next((self._nodes.fulfillment(*pair) for pair in shipments if pair[1].number == number), None)

    def _refund(self, number: int) -> Node | None:
        refunds = ((order, one) for order in self._shop.orders.values() for one in order.refunds)
        return next((self._nodes.refund(*pair) for pair in refunds if pair[1].number == number), None)


def too_many(count: int, name: str) -> GraphQLError:
    """The error for an array longer than 250."""
    return GraphQLError(
        f"The input array size of {count} is greater than the maximum allowed of {MAX_PAGE} in '{name}'.",
        extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"},
    )


def _sort_key(name: str | None, seen: datetime | None) -> Callable[[Order], Key]:
    keys: dict[str, Callable[[Order], Key]] = {
        "ID": lambda order: (order.order_id,),
        "UPDATED_AT": lambda order: (_updated(order, seen), order.order_id),
    }
    return keys.get(name or "PROCESSED_AT", lambda order: (order.created_at, order.order_id))


def _updated(order: Order, seen: datetime | None) -> datetime:
    """When an order last changed, as the search knows it."""
    return order.updated_at if seen is None else order.updated_by(seen)


def _searchable(order: Order, seen: datetime | None) -> Fields:
    status = "cancelled" if order.cancelled_at else "closed" if order.closed else "open"
    return {
        "id": order.order_id,
        "name": order.name,
        "created_at": order.created_at,
        "processed_at": order.created_at,
        "updated_at": _updated(order, seen),
        "status": frozenset({status, "any", "not_closed" if status == "open" else status}),
        "fulfillment_status": frozenset({order.shipped, "any", *SEARCHED_AS[order.shipped]}),
    }
