"""The inventory mutations with the rules that the schema does not show."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from graphql import GraphQLError
from graphql.execution.values import get_directive_values

from invsync.sandbox.admin.search import MAX_PAGE, Info, Node, gid, number_of, stamp
from invsync.sandbox.reads import Reads, too_many
from invsync.sandbox.shop import Attempt, Level, Shop

MEMORY = timedelta(hours=24)
MAX_DELTA = 2_000_000_000
LABELS = {
    "correction": "Inventory correction",
    "cycle_count_available": "Cycle count",
    "damaged": "Damaged",
    "movement_created": "Movement created",
    "movement_updated": "Movement updated",
    "movement_received": "Movement received",
    "movement_canceled": "Movement canceled",
    "other": "Other",
    "promotion": "Promotion or donation",
    "quality_control": "Quality control",
    "received": "Inventory received",
    "reservation_created": "Reservation created",
    "reservation_updated": "Reservation updated",
    "reservation_deleted": "Reservation deleted",
    "restock": "Return restock",
    "safety_stock": "Safety stock",
    "shrinkage": "Theft or loss",
}
MESSAGES = {
    "ADJUST_QUANTITIES_FAILED": "The quantities couldn't be adjusted. Try again.",
    "CHANGE_FROM_QUANTITY_STALE": "The quantity has changed since it was read: changeFromQuantity is stale.",
    "INVALID_INVENTORY_ITEM": "The specified inventory item could not be found.",
    "INVALID_LOCATION": "The specified location could not be found.",
    "NON_MUTABLE_INVENTORY_ITEM": "The specified inventory item is not allowed to be adjusted via API.",
    "INVALID_REASON": "The specified reason is invalid.",
    "INVALID_QUANTITY_NAME": "The specified quantity name is invalid.",
    "INVALID_REFERENCE_DOCUMENT": "The specified reference document is invalid.",
    "INVALID_AVAILABLE_DOCUMENT": "A ledger document URI is not allowed when adjusting available.",
    "INVALID_QUANTITY_TOO_HIGH": "The quantity can't be higher than 2,000,000,000.",
    "INVALID_QUANTITY_TOO_LOW": "The quantity can't be lower than -2,000,000,000.",
    "IDEMPOTENCY_CONCURRENT_REQUEST": "This request is currently in progress, please try again.",
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": (
        "The same idempotency key cannot be used with different operation parameters."
    ),
    "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED": (
        "A previous request with this idempotency key failed. Retry with a new idempotency key."
    ),
}


class Adjust:
    """The mutations over one shop, as served under one API version."""

    def __init__(self, shop: Shop, version: str) -> None:
        self._shop, self._version = shop, version
        self._reads = Reads(shop)

    def inventoryAdjustQuantities(self, info: Info, input: Mapping[str, Any]) -> Node:
        """Change quantities by deltas: all of them or none, once per idempotency key in 24 hours."""
        changes = input["changes"]
        if len(changes) > MAX_PAGE:
            raise too_many(len(changes), "input.changes")
        key = self._key(info)
        if self._version >= "2026-04" and any("changeFromQuantity" not in change for change in changes):
            raise GraphQLError(
                "InventoryChangeInput must include the following argument: changeFromQuantity",
                extensions={"code": "INVALID_FIELD_ARGUMENTS"},
            )
        if self._shop.faults.take("concurrent", json.dumps(input)):
            return _failed("IDEMPOTENCY_CONCURRENT_REQUEST")
        fingerprint = json.dumps(input)
        if key and self._shop.faults.take("key_forgotten", fingerprint):
            self._shop.attempts.pop(key, None)
        if key and (known := self._remembered(key, fingerprint)):
            return known
        errors = self._top_faults(input) + self._change_faults(changes)
        if errors:
            self._remember(key, fingerprint, None)
            return {"inventoryAdjustmentGroup": None, "userErrors": errors}
        payload = self._apply(key, input)
        self._remember(key, fingerprint, payload)
        return payload

    def inventoryActivate(self, info: Info, inventoryItemId: str, locationId: str, **arguments: Any) -> Node:
        """Make a level active; without `available` it keeps the quantity it has."""
        self._key(info)
        item, location = number_of(inventoryItemId, "InventoryItem"), number_of(locationId, "Location")
        if item not in self._shop.items or location not in self._shop.locations:
            field = ["inventoryItemId"] if item not in self._shop.items else ["locationId"]
            return {"inventoryLevel": None, "userErrors": [{"field": field, "message": "Not found."}]}
        level = self._shop.levels.setdefault((item, location), Level(0, False))
        level.active, available = True, arguments.get("available")
        level.change(self._shop.clock(), available=0 if available is None else available - level.available)
        return {"inventoryLevel": self._reads.level(item, location, level), "userErrors": []}

    def _key(self, info: Info) -> str | None:
        directive = info.schema.get_directive("idempotent")
        values = directive and get_directive_values(directive, info.field_nodes[0], info.variable_values)
        if values and not str(values["key"]).strip():
            raise GraphQLError("The idempotency key can't be blank.", extensions={"code": "BAD_REQUEST"})
        if not values and self._version >= "2026-04":
            raise GraphQLError(
                "The @idempotent directive is required for this mutation but was not provided.",
                extensions={"code": "BAD_REQUEST"},
            )
        return str(values["key"]) if values else None

    def _remembered(self, key: str, fingerprint: str) -> Node | None:
        attempt = self._shop.attempts.get(key)
        if attempt is None or self._shop.clock() - attempt.at >= MEMORY:
            return None
        if attempt.fingerprint != fingerprint:
            return _failed("IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
        return attempt.payload or _failed("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")

    def _remember(self, key: str | None, fingerprint: str, payload: Node | None) -> None:
        if key and (payload or self._shop.remember_failures):
            self._shop.attempts[key] = Attempt(self._shop.clock(), fingerprint, payload)

    def _top_faults(self, input: Mapping[str, Any]) -> list[Node]:
        faults = []
        if input["name"] != "available":
            faults.append(_fault("INVALID_QUANTITY_NAME", "name"))
        if input["reason"] not in LABELS:
            faults.append(_fault("INVALID_REASON", "reason"))
        uri = input.get("referenceDocumentUri")
        if uri is not None and not _valid_uri(uri):
            faults.append(_fault("INVALID_REFERENCE_DOCUMENT", "referenceDocumentUri"))
        return faults

    def _change_faults(self, changes: list[Mapping[str, Any]]) -> list[Node]:
        checked = ((str(index), self._change_fault(change)) for index, change in enumerate(changes))
        faults = [_fault(fault[0], "changes", index, fault[1]) for index, fault in checked if fault]
        spoilt = self._shop.spoil & {number_of(change["inventoryItemId"], "InventoryItem") for change in changes}
        return faults or ([_fault("ADJUST_QUANTITIES_FAILED")] if spoilt else [])

    def _change_fault(self, change: Mapping[str, Any]) -> tuple[str, str] | None:
        shop = self._shop
        item = number_of(change["inventoryItemId"], "InventoryItem")
        location = number_of(change["locationId"], "Location")
        if item not in shop.items:
            return "INVALID_INVENTORY_ITEM", "inventoryItemId"
        if location not in shop.locations:
            return "INVALID_LOCATION", "locationId"
        if item in shop.refuse or shop.items[item].requires_components:
            return "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId"
        if change.get("ledgerDocumentUri") is not None:
            return "INVALID_AVAILABLE_DOCUMENT", "ledgerDocumentUri"
        if abs(change["delta"]) > MAX_DELTA:
            too = "TOO_HIGH" if change["delta"] > 0 else "TOO_LOW"
            return f"INVALID_QUANTITY_{too}", "delta"
        expected = change.get("changeFromQuantity")
        if expected is not None and expected != (shop.available(item, location) or 0):
            return "CHANGE_FROM_QUANTITY_STALE", "changeFromQuantity"
        return None

    def _apply(self, key: str | None, input: Mapping[str, Any]) -> Node:
        shop, now, rows = self._shop, self._shop.clock(), []
        for change in input["changes"]:
            item = number_of(change["inventoryItemId"], "InventoryItem") or 0
            location = number_of(change["locationId"], "Location") or 0
            level = shop.levels.setdefault((item, location), Level(0, False))
            before = level.available
            level.change(now, available=change["delta"])
            shop.tell("INVENTORY_LEVELS_UPDATE", item, location)
            shop.journal.append(
                {
                    "key": key,
                    "reference": input.get("referenceDocumentUri"),
                    "inventory_item_id": item,
                    "location_id": location,
                    "delta": change["delta"],
                    "before": before,
                    "after": level.available,
                    "time": now,
                }
            )
            rows += [self._change(name, item, location, change["delta"]) for name in ("available", "on_hand")]
        group = {
            "__typename": "InventoryAdjustmentGroup",
            "id": gid("InventoryAdjustmentGroup", len(shop.journal)),
            "reason": LABELS[input["reason"]],
            "referenceDocumentUri": input.get("referenceDocumentUri"),
            "createdAt": stamp(now),
            "app": None,
            "staffMember": None,
            "changes": lambda info, **arguments: _chosen(rows, arguments),
        }
        return {"inventoryAdjustmentGroup": group, "userErrors": []}

    def _change(self, name: str, item: int, location: int, delta: int) -> Node:
        item_id, location_id = gid("InventoryItem", item), gid("Location", location)
        return {
            "name": name,
            "delta": delta,
            "quantityAfterChange": None,
            "ledgerDocumentUri": None,
            "_item": item_id,
            "_location": location_id,
            "item": lambda info: self._reads.node(info, item_id),
            "location": lambda info: self._reads.node(info, location_id),
        }


def _chosen(rows: list[Node], arguments: Mapping[str, Any]) -> list[Node]:
    wanted = {"inventoryItemIds": "_item", "locationIds": "_location", "quantityNames": "name"}
    kept = [(field, set(arguments[a])) for a, field in wanted.items() if arguments.get(a) is not None]
    return [row for row in rows if all(row[field] in values for field, values in kept)]


def _fault(code: str, *path: str) -> Node:
    return {"code": code, "field": ["input", *path], "message": MESSAGES[code]}


def _failed(code: str) -> Node:
    error = {"code": code, "field": None, "message": MESSAGES[code]}
    return {"inventoryAdjustmentGroup": None, "userErrors": [error]}


def _valid_uri(uri: str) -> bool:
    if uri.startswith("gid:"):
        return re.fullmatch(r"gid://[^/\s]+/[^/\s]+/\S+", uri) is not None
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:(//)?[^\s/]\S*", uri) is not None
