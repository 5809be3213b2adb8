"""The inventory mutations with the rules that the schema does not show."""

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict, Unpack

from graphql import GraphQLError
from graphql.execution.values import get_directive_values

from invsync.sandbox.admin.records import JournalEntry
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


class ChangeInput(TypedDict):
    """Shopify's InventoryChangeInput."""

    inventoryItemId: str
    locationId: str
    delta: int
    changeFromQuantity: NotRequired[int | None]
    ledgerDocumentUri: NotRequired[str | None]


class AdjustInput(TypedDict):
    """Shopify's InventoryAdjustQuantitiesInput."""

    name: str
    reason: str
    referenceDocumentUri: NotRequired[str | None]
    changes: list[ChangeInput]


class ChangeFilter(TypedDict, total=False):
    """The arguments of the list of changes in an adjustment group."""

    inventoryItemIds: list[str] | None
    locationIds: list[str] | None
    quantityNames: list[str] | None


class Adjust:
    """The mutations over one shop, as served under one API version."""

    def __init__(self, shop: Shop, version: str) -> None:
        self._shop, self._version = shop, version
        self._reads = Reads(shop)

    def inventoryAdjustQuantities(self, info: Info, input: AdjustInput) -> Node:
        """Change quantities by deltas: all of them or none, once per idempotency key in 24 hours."""
        key, fingerprint = self._checked_key(info, input["changes"]), json.dumps(input)
        if self._shop.faults.take("concurrent", fingerprint):
            return _failed("IDEMPOTENCY_CONCURRENT_REQUEST")
        if key and self._shop.faults.take("key_forgotten", fingerprint):
            self._shop.attempts.pop(key, None)
        if key and (known := self._remembered(key, fingerprint)):
            return known
        if errors := self._input_errors(input) + self._change_errors(input["changes"]):
            self._remember(key, fingerprint, None)
            return {"inventoryAdjustmentGroup": None, "userErrors": errors}
        payload = self._apply(key, input)
        self._remember(key, fingerprint, payload)
        return payload

    def inventoryActivate(
        self, info: Info, inventoryItemId: str, locationId: str, available: int | None = None, **_: object
    ) -> Node:
        """Activate a level; without `available` it keeps its quantity."""
        self._key(info)
        item, location = number_of(inventoryItemId, "InventoryItem"), number_of(locationId, "Location")
        if item not in self._shop.items or location not in self._shop.locations:
            field = ["inventoryItemId"] if item not in self._shop.items else ["locationId"]
            return {"inventoryLevel": None, "userErrors": [{"field": field, "message": "Not found."}]}
        level = self._shop.levels.setdefault((item, location), Level(0, False))
        level.active = True
        level.change(self._shop.clock(), available=0 if available is None else available - level.available)
        return {"inventoryLevel": self._reads.level(item, location, level), "userErrors": []}

    def _checked_key(self, info: Info, changes: list[ChangeInput]) -> str | None:
        """The idempotency key of a request that keeps the rules that the API checks before it executes."""
        if len(changes) > MAX_PAGE:
            raise too_many(len(changes), "input.changes")
        key = self._key(info)
        if self._version >= "2026-04" and any("changeFromQuantity" not in change for change in changes):
            raise GraphQLError(
                "InventoryChangeInput must include the following argument: changeFromQuantity",
                extensions={"code": "INVALID_FIELD_ARGUMENTS"},
            )
        return key

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

    def _input_errors(self, input: AdjustInput) -> list[Node]:
        errors = []
        if input["name"] != "available":
            errors.append(_error("INVALID_QUANTITY_NAME", "name"))
        if input["reason"] not in LABELS:
            errors.append(_error("INVALID_REASON", "reason"))
        uri = input.get("referenceDocumentUri")
        if uri is not None and not _valid_uri(uri):
            errors.append(_error("INVALID_REFERENCE_DOCUMENT", "referenceDocumentUri"))
        return errors

    def _change_errors(self, changes: list[ChangeInput]) -> list[Node]:
        checked = ((str(index), self._change_error(change)) for index, change in enumerate(changes))
        errors = [_error(error[0], "changes", index, error[1]) for index, error in checked if error]
        spoilt = self._shop.spoil & {number_of(change["inventoryItemId"], "InventoryItem") for change in changes}
        return errors or ([_error("ADJUST_QUANTITIES_FAILED")] if spoilt else [])

    def _change_error(self, change: ChangeInput) -> tuple[str, str] | None:
        """The code and the field of the first rule that a change breaks."""
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
            return f"INVALID_QUANTITY_TOO_{'HIGH' if change['delta'] > 0 else 'LOW'}", "delta"
        expected = change.get("changeFromQuantity")
        if expected is not None and expected != (shop.available(item, location) or 0):
            return "CHANGE_FROM_QUANTITY_STALE", "changeFromQuantity"
        return None

    def _apply(self, key: str | None, input: AdjustInput) -> Node:
        now = self._shop.clock()
        entries = [self._applied(key, input, change, now) for change in input["changes"]]
        rows = [self._change(name, entry) for entry in entries for name in ("available", "on_hand")]

        def changes(info: Info, **arguments: Unpack[ChangeFilter]) -> list[Node]:
            return _filtered(rows, arguments)

        group = {
            "__typename": "InventoryAdjustmentGroup",
            "id": gid("InventoryAdjustmentGroup", len(self._shop.journal)),
            "reason": LABELS[input["reason"]],
            "referenceDocumentUri": input.get("referenceDocumentUri"),
            "createdAt": stamp(now),
            "app": None,
            "staffMember": None,
            "changes": changes,
        }
        return {"inventoryAdjustmentGroup": group, "userErrors": []}

    def _applied(self, key: str | None, input: AdjustInput, change: ChangeInput, now: datetime) -> JournalEntry:
        """Apply one change and journal it."""
        item = number_of(change["inventoryItemId"], "InventoryItem") or 0
        location = number_of(change["locationId"], "Location") or 0
        level = self._shop.levels.setdefault((item, location), Level(0, False))
        before = level.available
        level.change(now, available=change["delta"])
        self._shop.emit("INVENTORY_LEVELS_UPDATE", item, location)
        entry: JournalEntry = {
            "key": key,
            "reference": input.get("referenceDocumentUri"),
            "inventory_item_id": item,
            "location_id": location,
            "delta": change["delta"],
            "before": before,
            "after": level.available,
            "time": now,
        }
        self._shop.journal.append(entry)
        return entry

    def _change(self, name: str, entry: JournalEntry) -> Node:
        item_id, location_id = gid("InventoryItem", entry["inventory_item_id"]), gid("Location", entry["location_id"])
        return {
            "name": name,
            "delta": entry["delta"],
            "quantityAfterChange": None,
            "ledgerDocumentUri": None,
            "_item": item_id,
            "_location": location_id,
            "item": lambda info: self._reads.node(info, item_id),
            "location": lambda info: self._reads.node(info, location_id),
        }


def _filtered(rows: Iterable[Node], arguments: ChangeFilter) -> list[Node]:
    wanted = {
        "_item": arguments.get("inventoryItemIds"),
        "_location": arguments.get("locationIds"),
        "name": arguments.get("quantityNames"),
    }
    return [row for row in rows if all(values is None or row[field] in values for field, values in wanted.items())]


def _error(code: str, *path: str) -> Node:
    return {"code": code, "field": ["input", *path], "message": MESSAGES[code]}


def _failed(code: str) -> Node:
    error = {"code": code, "field": None, "message": MESSAGES[code]}
    return {"inventoryAdjustmentGroup": None, "userErrors": [error]}


def _valid_uri(uri: str) -> bool:
    if uri.startswith("gid:"):
        return re.fullmatch(r"gid://[^/\s]+/[^/\s]+/\S+", uri) is not None
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:(//)?[^\s/]\S*", uri) is not None
