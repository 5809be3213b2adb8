"""The tables that flow between the modules, one schema each, checked at the door."""

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from invsync.errors import SystemFailed

Schema = dict[str, pl.DataType]

ID = pl.Int64()
TEXT = pl.String()
UNITS = pl.Int64()
QUANTITY = pl.Float64()
STAMP = pl.Datetime("us", "UTC")
FLAG = pl.Boolean()
KEY = ["inventory_item_id", "location_id"]  # of a pair
MODE = pl.Enum(["aggregate", "physical"])

LEVELS: Schema = {
    "inventory_item_id": ID, "location_id": ID, "available": UNITS, "is_active": FLAG,
    "tracked": FLAG, "requires_components": FLAG, "sku": TEXT,
}  # fmt: skip
ORDERS: Schema = {
    "order_id": ID, "name": TEXT, "created_at": STAMP, "updated_at": STAMP,
    "inventory_item_id": ID, "units": UNITS,
}  # fmt: skip
ASSIGNED: Schema = {"order_id": ID, "inventory_item_id": ID, "location_id": ID, "units": UNITS}
PAIRS: Schema = {"inventory_item_id": ID, "location_id": ID, "product_id": TEXT, "sku": TEXT, "mode": MODE}
TARGETS: Schema = PAIRS | {"oms": QUANTITY}
MAPPING_HELD: Schema = {
    "product_id": TEXT, "facility_id": TEXT, "inventory_item_id": ID, "location_id": ID,
    "sku": TEXT, "reason": TEXT,
}  # fmt: skip
IN_FLIGHT: Schema = {
    "order_id": ID, "name": TEXT, "created_at": STAMP,
    "inventory_item_id": ID, "location_id": ID, "units": UNITS,
}  # fmt: skip
BUFFERS: Schema = {"inventory_item_id": ID, "location_id": ID, "units": UNITS}
VARIANCES: Schema = TARGETS | {
    "available": UNITS, "is_active": FLAG, "tracked": FLAG, "requires_components": FLAG,
    "in_flight": UNITS, "buffer": UNITS, "target": QUANTITY, "delta": UNITS, "held": TEXT,
}  # fmt: skip
OUTCOMES: Schema = VARIANCES | {"outcome": TEXT, "reason": TEXT, "message": TEXT, "after": UNITS}

# HotWax's own tables, by their real names (columns that are read; reference: OFBiz/HotWax UDM).
PRODUCT_FACILITY: Schema = {
    "product_id": TEXT, "facility_id": TEXT, "last_inventory_count": QUANTITY,
    "computed_last_inventory_count": QUANTITY, "minimum_stock": QUANTITY, "allow_brokering": TEXT,
    "last_updated_stamp": STAMP,
}  # fmt: skip
FACILITY: Schema = {"facility_id": TEXT, "facility_type_id": TEXT, "facility_name": TEXT, "parent_type_id": TEXT}
FACILITY_GROUP_MEMBER: Schema = {
    "facility_id": TEXT, "facility_group_id": TEXT, "from_date": STAMP, "thru_date": STAMP,
    "facility_group_type_id": TEXT,
}  # fmt: skip
PRODUCT_STORE_FACILITY: Schema = {
    "product_store_id": TEXT, "facility_id": TEXT, "from_date": STAMP, "thru_date": STAMP,
}  # fmt: skip
SHOPIFY_SHOP_LOCATION: Schema = {"shop_id": TEXT, "facility_id": TEXT, "shopify_location_id": TEXT}
SHOPIFY_SHOP_PRODUCT: Schema = {
    "shop_id": TEXT, "product_id": TEXT, "shopify_product_id": TEXT, "shopify_inventory_item_id": TEXT,
}  # fmt: skip
PRODUCT: Schema = {"product_id": TEXT, "internal_name": TEXT}
QUEUE: Schema = {"product_id": TEXT, "quantity": QUANTITY}
KNOWN_ORDERS: Schema = {"external_id": ID}
KNOWN_UNITS: Schema = {"external_id": ID, "product_id": TEXT, "facility_id": TEXT, "units": QUANTITY}
# One inventory_item_detail row: event_id is inventory_item_id/inventory_item_detail_seq_id, atp its
# available_to_promise_diff, reason coalesced from detail and variance, names_movement whether it names an order,
# return or shipment, origin the remote that an external reset came from.
EVENTS: Schema = {
    "event_id": TEXT, "product_id": TEXT, "facility_id": TEXT, "created_at": STAMP, "atp": QUANTITY,
    "reason": TEXT, "physical_inventory_id": TEXT, "names_movement": FLAG, "origin": TEXT,
}  # fmt: skip
DELTA_REASONS: Schema = {"reason": TEXT, "from_date": STAMP, "thru_date": STAMP}


@dataclass(frozen=True)
class Snapshot:
    """What one read of the OMS saw, in one transaction; frames hold HotWax's own rows.

    `queue` is already restricted to sales orders of the store whose ship group facility is virtual and
    whose item is not cancelled, completed or rejected (empty when reserve_inventory = 'N').
    `known_orders` are the Shopify order ids that have a header; `known_units` the units of those orders
    reserved or issued at each facility. `newest_known` is the newest header's order_date. `events` are the stock
    events that the same transaction saw, where they were asked for.
    """

    product_facility: pl.DataFrame
    facility: pl.DataFrame
    facility_group_member: pl.DataFrame
    product_store_facility: pl.DataFrame
    shopify_shop_location: pl.DataFrame
    shopify_shop_product: pl.DataFrame
    product: pl.DataFrame
    queue: pl.DataFrame
    known_orders: pl.DataFrame
    known_units: pl.DataFrame
    newest_known: datetime | None
    now: datetime
    events: pl.DataFrame = field(default_factory=lambda: empty(EVENTS))


def empty(schema: Schema) -> pl.DataFrame:
    """A frame of this schema without rows."""
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The frame with exactly this schema's columns, in its order and types; refused by name otherwise."""
    missing = [column for column in schema if column not in frame.columns]
    if missing:
        raise SystemFailed(f"Table {name} lacks the column(s) {', '.join(missing)}: add them to the read.")
    try:
        return frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        raise SystemFailed(f"Table {name} holds a value of the wrong type: {error}.") from error
