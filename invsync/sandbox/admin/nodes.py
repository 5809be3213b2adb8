"""The objects of a shop as GraphQL nodes: dicts whose links and lists are resolvers."""

from collections.abc import Callable, Iterable
from typing import Unpack

from graphql import GraphQLError

from invsync.sandbox.admin.records import Fulfillment, Item, Level, Line, Order, Product, Refund
from invsync.sandbox.admin.search import Info, Key, Node, PageArguments, Row, connection, gid, number_of, stamp
from invsync.sandbox.shop import Shop

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
UNDESCRIBED = 8_000_000_000_000  # numbers of products from here on belong to items that nobody described
DISPLAYED = {"unshipped": "UNFULFILLED", "partial": "PARTIALLY_FULFILLED", "shipped": "FULFILLED"}


class Nodes:
    """The nodes of one shop; with `every` (bulk queries) connections ignore the page size."""

    def __init__(self, shop: Shop, *, every: bool = False) -> None:
        self._shop, self._every = shop, every

    def page(
        self, rows: Iterable[Row], node: Callable[[Row], Node], key: Callable[[Row], Key], arguments: PageArguments
    ) -> Node:
        """A connection over rows."""
        return connection(rows, node, key, every=self._every, arguments=arguments)

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
                    "quantity": amounts[name],
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
            "item": lambda info: self.item(self._shop.items[item_id]),
            "location": lambda info: self.location(location_id),
            "quantities": quantities,
        }

    def item(self, item: Item) -> Node:
        """One inventory item."""

        def level(info: Info, locationId: str, includeInactive: bool = False) -> Node | None:
            location = number_of(locationId, "Location") or 0
            row = self._level(item, location, includeInactive)
            return self.level(item.item_id, location, row) if row else None

        def levels(info: Info, includeInactive: bool = False, **arguments: Unpack[PageArguments]) -> Node:
            every = ((place, self._level(item, place, includeInactive)) for place in self._shop.locations)
            rows = [(place, row) for place, row in every if row]
            return self.page(rows, lambda row: self.level(item.item_id, *row), lambda row: (row[0],), arguments)

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
            "variant": lambda info: self.variant(item),
            "variants": self._pages([item], self.variant, lambda i: (i.item_id,)),
        }

    def variant(self, item: Item) -> Node:
        """The variant of an inventory item, which has the item's number."""
        number = str(item.item_id)

        def stock(info: Info) -> int:
            levels = (self._level(item, location) for location in self._shop.locations)
            return sum(level.available for level in levels if level)

        return {
            "__typename": "ProductVariant",
            "id": gid("ProductVariant", number),
            "legacyResourceId": number,
            "sku": item.sku,
            "title": item.variant_title,
            "displayName": self._displayed_name(item),
            "price": item.price,
            "product": lambda info: self.product(item),
            "requiresComponents": item.requires_components,
            "inventoryPolicy": "DENY",
            "inventoryQuantity": stock,
            "sellableOnlineQuantity": stock,
            "createdAt": self._now,
            "updatedAt": self._now,
            "inventoryItem": lambda info: self.item(item),
        }

    def product_of(self, item: Item) -> Product:
        """The product of an item; one that nobody described is sold by the shop under its SKU."""
        return item.product or Product(UNDESCRIBED + item.item_id, item.sku, self._shop.name)

    def product(self, item: Item) -> Node:
        """The product of an item."""
        product = self.product_of(item)
        return {
            "__typename": "Product",
            "id": gid("Product", product.product_id),
            "legacyResourceId": str(product.product_id),
            "title": product.title,
            "vendor": product.vendor,
            "productType": product.product_type,
            "category": {"__typename": "TaxonomyCategory", "fullName": product.category} if product.category else None,
            "featuredMedia": self._image(product) if product.image_url else None,
            "createdAt": self._now,
            "updatedAt": self._now,
        }

    def _image(self, product: Product) -> Node:
        image = {"__typename": "Image", "url": product.image_url, "altText": product.title}
        preview = {"__typename": "MediaPreviewImage", "image": image}
        return {"__typename": "MediaImage", "id": gid("MediaImage", product.product_id), "preview": preview}

    def _displayed_name(self, item: Item) -> str:
        title = self.product_of(item).title
        return title if item.variant_title == "Default Title" else f"{title} - {item.variant_title}"

    def location(self, location_id: int) -> Node:
        """One location."""
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

    def order(self, order: Order) -> Node:
        """One order."""
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
            "currentSubtotalLineItemsQuantity": sum(line.current for line in order.lines),
            "subtotalLineItemsQuantity": sum(line.quantity for line in order.lines),
            "displayFulfillmentStatus": _displayed(order),
            "closed": order.closed,
            "edited": order.edited,
            "sourceName": "pos" if order.retail_location else "web",
            "retailLocation": lambda info: self.location(order.retail_location) if order.retail_location else None,
            "lineItems": self._pages(order.lines, self.line, lambda n: (n.line_id,)),
            "fulfillmentOrders": self._pages(
                [order] if order.routed else [], self.fulfillment_order, lambda o: (o.order_id,)
            ),
            "fulfillments": lambda info, first=None, **a: [
                self.fulfillment(order, one) for one in order.fulfillments[:first]
            ],
            "refunds": lambda info, first=None, **a: [self.refund(order, one) for one in order.refunds[:first]],
        }

    def line(self, line: Line) -> Node:
        """One line of an order."""
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
            "title": self.product_of(item).title if item else "",
            "sku": item.sku if item else None,
            "variant": lambda info: self.variant(item) if item else None,
        }

    def fulfillment_order(self, order: Order) -> Node:
        """The fulfilment order of an order."""
        over = order.fulfillment_status == "CLOSED"
        return {
            "__typename": "FulfillmentOrder",
            "id": gid("FulfillmentOrder", order.order_id),
            "status": "ON_HOLD" if order.held and not over else order.fulfillment_status,
            "requestStatus": "UNSUBMITTED",
            "assignedLocation": {
                "name": self._shop.locations[order.location_id],
                "countryCode": "GB",
                "location": lambda info: self.location(order.location_id),
            },
            "order": lambda info: self.order(order),
            "orderId": gid("Order", order.order_id),
            "orderName": order.name,
            "orderProcessedAt": stamp(order.created_at),
            "createdAt": stamp(order.created_at),
            "updatedAt": stamp(order.updated_at),
            "lineItems": self._pages(
                order.lines, lambda n: self._fulfillment_order_line(n, over), lambda n: (n.line_id,)
            ),
        }

    def fulfillment(self, order: Order, shipment: Fulfillment) -> Node:
        """One shipment of an order."""

        def line(place: int) -> Node:
            line_id, units = shipment.lines[place]
            return {
                "__typename": "FulfillmentLineItem",
                "id": gid("FulfillmentLineItem", shipment.number * 1000 + place),
                "quantity": units,
                "lineItem": lambda info: self.line(order.line(line_id)),
            }

        return {
            "__typename": "Fulfillment",
            "id": gid("Fulfillment", shipment.number),
            "status": shipment.status,
            "createdAt": stamp(shipment.created_at),
            "updatedAt": stamp(shipment.created_at),
            "location": lambda info: self.location(shipment.location_id),
            "fulfillmentLineItems": self._pages(range(len(shipment.lines)), line, lambda n: (n,)),
        }

    def refund(self, order: Order, refund: Refund) -> Node:
        """One refund of an order."""
        location = refund.location_id

        def line(place: int) -> Node:
            line_id, units = refund.lines[place]
            return {
                "__typename": "RefundLineItem",
                "id": gid("RefundLineItem", refund.number * 1000 + place),
                "quantity": units,
                "restockType": refund.kind,
                "restocked": refund.kind != "NO_RESTOCK",
                "location": lambda info: self.location(location) if location else None,
                "lineItem": lambda info: self.line(order.line(line_id)),
            }

        return {
            "__typename": "Refund",
            "id": gid("Refund", refund.number),
            "createdAt": stamp(refund.created_at),
            "updatedAt": stamp(refund.created_at),
            "refundLineItems": self._pages(range(len(refund.lines)), line, lambda n: (n,)),
        }

    def _fulfillment_order_line(self, line: Line, over: bool) -> Node:
        return {
            "__typename": "FulfillmentOrderLineItem",
            "id": gid("FulfillmentOrderLineItem", line.line_id),
            "inventoryItemId": gid("InventoryItem", line.item_id),
            "totalQuantity": line.quantity,
            "remainingQuantity": 0 if over else line.remaining,
            "requiresShipping": True,
            "productTitle": "",
            "lineItem": lambda info: self.line(line),
        }

    def _pages(
        self, rows: Iterable[Row], node: Callable[[Row], Node], key: Callable[[Row], Key]
    ) -> Callable[..., Node]:
        """The resolver of a connection over rows."""

        def resolve(info: Info, **arguments: Unpack[PageArguments]) -> Node:
            return self.page(rows, node, key, arguments)

        return resolve

    def _level(self, item: Item, location: int, inactive: bool = False) -> Level | None:
        """An item's level at a location, if it has one; an inactive one only where asked for."""
        level = self._shop.levels.get((item.item_id, location))
        return level if level and (level.active or inactive) else None

    def _now(self, info: Info) -> str | None:
        return stamp(self._shop.clock())


def _displayed(order: Order) -> str:
    if order.closed and not order.cancelled_at:
        return "FULFILLED"
    return "ON_HOLD" if order.held and not order.closed else DISPLAYED[order.shipped]
