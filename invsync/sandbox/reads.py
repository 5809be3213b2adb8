"""Resolvers of the query root: objects as dicts whose lists are functions of the arguments."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from invsync.sandbox.admin.search import MAX_PAGE, Info, Node, connection, gid, matches, number_of, stamp
from invsync.sandbox.shop import Fulfillment, Item, Level, Line, Order, Refund, Shop

QUANTITIES = (
    "available",
    "on_hand",
    "committed",
    "reserved",
    "damaged",
    "safety_stock",
    "quality_control",
    "incoming",
)


class Reads:
    """The query root over one shop; `every` (bulk queries) makes connections ignore page sizes."""

    def __init__(self, shop: Shop, *, every: bool = False) -> None:
        self._shop, self._every = shop, every

    def shop(self, info: Info) -> Node:
        """The shop itself."""
        domain = self._shop.domain
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
            "myshopifyDomain": domain,
            "currencyCode": "GBP",
            "ianaTimezone": "Etc/UTC",
            "plan": plan,
        }

    def currentAppInstallation(self, info: Info) -> Node:
        """The app that asks, with the scopes that it was granted."""
        scopes = [{"handle": scope, "description": scope} for scope in self._shop.scopes.split(",")]
        return {"__typename": "AppInstallation", "id": gid("AppInstallation", 1), "accessScopes": scopes}

    def node(self, info: Info, id: str) -> Node | None:
        """One object by its id, whatever its kind."""
        kind = id.removeprefix("gid://shopify/").split("/")[0]
        number = number_of(id, kind)
        node: Node | None = None
        if kind == "InventoryItem" and number in self._shop.items:
            node = self._item(self._shop.items[number])
        elif kind == "Location" and number in self._shop.locations:
            node = self._location(number)
        elif kind == "Order" and number in self._shop.orders:
            node = self._order(self._shop.orders[number])
        elif kind in ("Fulfillment", "Refund"):
            node = self._moved(kind, number)
        elif kind == "FulfillmentOrder" and number in self._shop.orders and self._shop.orders[number].routed:
            node = self._fulfillment_order(self._shop.orders[number])
        elif kind == "ProductVariant" and number in self._shop.items:
            node = self._variant(self._shop.items[number])
        elif kind == "BulkOperation" and number in self._shop.operations:
            node = self._shop.operations[number].poll()
        return node

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
        """One bulk operation; being asked is what moves it on."""
        return self.node(info, id) if number_of(id, "BulkOperation") is not None else None

    def bulkOperations(self, info: Info, **arguments: Any) -> Node:
        """Bulk operations, as they stand."""
        rows = [
            operation
            for operation in self._shop.operations.values()
            if matches(arguments.get("query"), operation.fields())
        ]
        return connection(rows, lambda o: o.answer(), lambda o: (o.number,), every=self._every, arguments=arguments)

    def locations(self, info: Info, **arguments: Any) -> Node:
        """All locations, by name unless sorted otherwise."""
        return self._page(list(self._shop.locations), self._location, lambda n: (self._shop.locations[n], n), arguments)

    def inventoryItems(self, info: Info, **arguments: Any) -> Node:
        """Inventory items, by id."""
        rows = [
            item
            for item in self._shop.items.values()
            if matches(arguments.get("query"), {"id": item.item_id, "sku": item.sku})
        ]
        return self._page(rows, self._item, lambda item: (item.item_id,), arguments)

    def orders(self, info: Info, **arguments: Any) -> Node:
        """Orders that fit the search, in the order of `sortKey`; the search is behind by the shop's `search_lag`."""
        seen = self._shop.clock() - self._shop.search_lag if self._shop.search_lag else None
        rows = [
            o
            for o in self._shop.orders.values()
            if (seen is None or o.created_at <= seen) and matches(arguments.get("query"), _searchable(o, seen))
        ]
        sort = arguments.get("sortKey") or "PROCESSED_AT"
        keys = {
            "ID": lambda o: (o.order_id,),
            "UPDATED_AT": lambda o: (_updated(o, seen), o.order_id),
        }
        return self._page(rows, self._order, keys.get(sort, lambda o: (o.created_at, o.order_id)), arguments)

    def level(self, item_id: int, location_id: int, level: Level) -> Node:
        """One inventory level."""
        amounts = {name: getattr(level, name, 0) for name in QUANTITIES}
        when = stamp(level.updated_at or self._shop.clock())

        def quantities(info: Info, names: list[str]) -> list[Node]:
            if unknown := [name for name in names if name not in QUANTITIES]:
                raise GraphQLError(f"Quantity name {unknown[0]} is unknown.")
            return [
                {
                    "id": gid("InventoryQuantity", f"{item_id}-{location_id}-{name}"),
                    "name": name,
                    "quantity": amounts.get(name, 0),
                    "updatedAt": stamp(level.changed_at.get(name)),
                }
                for name in names
            ]

        return {
            "__typename": "InventoryLevel",
            "id": gid("InventoryLevel", f"{location_id * 7 + 1}?inventory_item_id={item_id}"),
            "isActive": level.active,
            "canDeactivate": True,
            "createdAt": when,
            "updatedAt": when,
            "item": lambda info: self._item(self._shop.items[item_id]),
            "location": lambda info: self._location(location_id),
            "quantities": quantities,
        }

    def _now(self, info: Info) -> str | None:
        return stamp(self._shop.clock())

    def _page(self, rows: Iterable[Any], node: Any, key: Any, arguments: dict[str, Any]) -> Node:
        return connection(rows, node, key, every=self._every, arguments=arguments)

    def _item(self, item: Item) -> Node:
        def level(info: Info, locationId: str, includeInactive: bool = False) -> Node | None:
            location = number_of(locationId, "Location")
            stock = self._shop.levels.get((item.item_id, location or 0))
            if stock is None or location is None or not (stock.active or includeInactive):
                return None
            return self.level(item.item_id, location, stock)

        def levels(info: Info, includeInactive: bool = False, **arguments: Any) -> Node:
            rows = [
                (location, stock)
                for location in self._shop.locations
                if (stock := self._shop.levels.get((item.item_id, location))) and (stock.active or includeInactive)
            ]
            return self._page(rows, lambda r: self.level(item.item_id, *r), lambda r: (r[0],), arguments)

        return {
            "__typename": "InventoryItem",
            "id": gid("InventoryItem", item.item_id),
            "sku": item.sku,
            "tracked": item.tracked,
            "legacyResourceId": str(item.item_id),
            "createdAt": self._now,
            "updatedAt": self._now,
            "duplicateSkuCount": 0,
            "requiresShipping": True,
            "trackedEditable": {"locked": False, "reason": None},
            "inventoryLevel": level,
            "inventoryLevels": levels,
            "variant": lambda info: self._variant(item),
            "variants": lambda info, **a: self._page([item], self._variant, lambda i: (i.item_id,), a),
        }

    def _variant(self, item: Item) -> Node:
        number = str(item.item_id)

        def stock(info: Info) -> int:
            levels = (self._shop.levels.get((item.item_id, location)) for location in self._shop.locations)
            return sum(level.available for level in levels if level and level.active)

        return {
            "__typename": "ProductVariant",
            "id": gid("ProductVariant", number),
            "legacyResourceId": number,
            "sku": item.sku,
            "title": item.sku,
            "requiresComponents": item.requires_components,
            "inventoryPolicy": "DENY",
            "inventoryQuantity": stock,
            "sellableOnlineQuantity": stock,
            "createdAt": self._now,
            "updatedAt": self._now,
            "inventoryItem": lambda info: self._item(item),
        }

    def _location(self, location_id: int) -> Node:
        return {
            "__typename": "Location",
            "id": gid("Location", location_id),
            "name": self._shop.locations[location_id],
            "legacyResourceId": str(location_id),
            "isActive": True,
            "activatable": True,
            "deactivatable": True,
            "fulfillsOnlineOrders": True,
            "hasActiveInventory": True,
            "hasUnfulfilledOrders": False,
            "isFulfillmentService": False,
            "isPrimary": False,
            "shipsInventory": True,
            "createdAt": self._now,
            "updatedAt": self._now,
        }

    def _order(self, order: Order) -> Node:
        units = sum(line.current for line in order.lines)
        return {
            "__typename": "Order",
            "id": gid("Order", order.order_id),
            "legacyResourceId": str(order.order_id),
            "name": order.name,
            "createdAt": stamp(order.created_at),
            "processedAt": stamp(order.created_at),
            "updatedAt": stamp(order.updated_at),
            "cancelledAt": stamp(order.cancelled_at),
            "tags": [],
            "test": False,
            "returnStatus": "NO_RETURN",
            "currentSubtotalLineItemsQuantity": units,
            "subtotalLineItemsQuantity": sum(line.quantity for line in order.lines),
            "displayFulfillmentStatus": _displayed(order),
            "closed": order.closed,
            "edited": order.edited,
            "sourceName": "pos" if order.retail_location else "web",
            "retailLocation": lambda info: self._location(order.retail_location) if order.retail_location else None,
            "lineItems": lambda info, **a: self._page(order.lines, self._line, lambda n: (n.line_id,), a),
            "fulfillmentOrders": lambda info, **a: self._page(
                [order] if order.routed else [], self._fulfillment_order, lambda o: (o.order_id,), a
            ),
            "fulfillments": lambda info, first=None, **a: [
                self._fulfillment(order, one) for one in order.fulfillments[:first]
            ],
            "refunds": lambda info, first=None, **a: [self._refund(order, one) for one in order.refunds[:first]],
        }

    def _moved(self, kind: str, number: int | None) -> Node | None:
        """A fulfilment or a refund by its number."""
        for order in self._shop.orders.values():
            for one in order.fulfillments if kind == "Fulfillment" else ():
                if one.number == number:
                    return self._fulfillment(order, one)
            for back in order.refunds if kind == "Refund" else ():
                if back.number == number:
                    return self._refund(order, back)
        return None

    def _fulfillment(self, order: Order, one: Fulfillment) -> Node:
        def line(place: int) -> Node:
            line_id, units = one.lines[place]
            return {
                "__typename": "FulfillmentLineItem",
                "id": gid("FulfillmentLineItem", one.number * 1000 + place),
                "quantity": units,
                "lineItem": lambda info: self._line(order.line(line_id)),
            }

        return {
            "__typename": "Fulfillment",
            "id": gid("Fulfillment", one.number),
            "status": one.status,
            "createdAt": stamp(one.created_at),
            "updatedAt": stamp(one.created_at),
            "location": lambda info: self._location(one.location_id),
            "fulfillmentLineItems": lambda info, **a: self._page(range(len(one.lines)), line, lambda n: (n,), a),
        }

    def _refund(self, order: Order, one: Refund) -> Node:
        location = one.location_id

        def line(place: int) -> Node:
            line_id, units = one.lines[place]
            return {
                "__typename": "RefundLineItem",
                "id": gid("RefundLineItem", one.number * 1000 + place),
                "quantity": units,
                "restockType": one.kind,
                "restocked": one.kind != "NO_RESTOCK",
                "location": lambda info: self._location(location) if location else None,
                "lineItem": lambda info: self._line(order.line(line_id)),
            }

        return {
            "__typename": "Refund",
            "id": gid("Refund", one.number),
            "createdAt": stamp(one.created_at),
            "updatedAt": stamp(one.created_at),
            "refundLineItems": lambda info, **a: self._page(range(len(one.lines)), line, lambda n: (n,), a),
        }

    def _line(self, line: Line) -> Node:
        item = self._shop.items.get(line.item_id)
        return {
            "__typename": "LineItem",
            "id": gid("LineItem", line.line_id),
            "quantity": line.quantity,
            "currentQuantity": line.current,
            "unfulfilledQuantity": line.remaining,
            "nonFulfillableQuantity": line.quantity - line.current,
            "refundableQuantity": line.current,
            "requiresShipping": True,
            "restockable": True,
            "title": item.sku if item else "",
            "sku": item.sku if item else None,
            "variant": lambda info: self._variant(item) if item else None,
        }

    def _fulfillment_order(self, order: Order) -> Node:
        place = {
            "name": self._shop.locations[order.location_id],
            "countryCode": "GB",
            "location": lambda info: self._location(order.location_id),
        }
        over = order.fulfillment_status == "CLOSED"
        return {
            "__typename": "FulfillmentOrder",
            "id": gid("FulfillmentOrder", order.order_id),
            "status": "ON_HOLD" if order.held and not over else order.fulfillment_status,
            "requestStatus": "UNSUBMITTED",
            "assignedLocation": place,
            "order": lambda info: self._order(order),
            "orderId": gid("Order", order.order_id),
            "orderName": order.name,
            "orderProcessedAt": stamp(order.created_at),
            "createdAt": stamp(order.created_at),
            "updatedAt": stamp(order.updated_at),
            "lineItems": lambda info, **a: self._page(
                order.lines, lambda n: self._fulfillment_line(n, over), lambda n: (n.line_id,), a
            ),
        }

    def _fulfillment_line(self, line: Line, over: bool) -> Node:
        return {
            "__typename": "FulfillmentOrderLineItem",
            "id": gid("FulfillmentOrderLineItem", line.line_id),
            "inventoryItemId": gid("InventoryItem", line.item_id),
            "totalQuantity": line.quantity,
            "remainingQuantity": 0 if over else line.remaining,
            "requiresShipping": True,
            "productTitle": "",
            "lineItem": lambda info: self._line(line),
        }


def too_many(count: int, name: str) -> GraphQLError:
    """The error for an array longer than 250."""
    return GraphQLError(
        f"The input array size of {count} is greater than the maximum allowed of {MAX_PAGE} in '{name}'.",
        extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"},
    )


def _updated(order: Order, seen: datetime | None) -> datetime:
    """When an order last changed, as the search knows it."""
    return order.updated_at if seen is None else order.updated_by(seen)


def _displayed(order: Order) -> str:
    if order.closed and not order.cancelled_at:
        return "FULFILLED"
    words = {"unshipped": "UNFULFILLED", "partial": "PARTIALLY_FULFILLED", "shipped": "FULFILLED"}
    return "ON_HOLD" if order.held and not order.closed else words[order.shipped]


def _searchable(order: Order, seen: datetime | None) -> dict[str, Any]:
    status = "cancelled" if order.cancelled_at else "closed" if order.closed else "open"
    words = {"unshipped": ("unfulfilled",), "partial": ("unfulfilled",), "shipped": ("fulfilled",)}
    return {
        "id": order.order_id,
        "name": order.name,
        "created_at": order.created_at,
        "processed_at": order.created_at,
        "updated_at": _updated(order, seen),
        "status": frozenset({status, "any", "not_closed" if status == "open" else status}),
        "fulfillment_status": frozenset({order.shipped, "any", *words[order.shipped]}),
    }
