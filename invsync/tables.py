"""The tables that flow between the modules, one schema each, checked at the door."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import polars as pl

from invsync.errors import SystemFailed

Schema = dict[str, pl.DataType]
Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)  # a frame, or one that is not collected yet

ID = pl.Int64()
TEXT = pl.String()
MONEY = pl.Float64()
UNITS = pl.Int64()
QUANTITY = pl.Float64()
STAMP = pl.Datetime("us", "UTC")
FLAG = pl.Boolean()
KEY = ["inventory_item_id", "location_id"]  # of a pair
MODE = pl.Enum(["aggregate", "physical"])

# One level of an item at a location, every quantity from one read; a stamp says when that quantity last changed.
LEVELS: Schema = {
    "inventory_item_id": ID,
    "location_id": ID,
    "available": UNITS,
    "is_active": FLAG,
    "tracked": FLAG,
    "requires_components": FLAG,
    "sku": TEXT,
    "committed": UNITS,
    "reserved": UNITS,
    "damaged": UNITS,
    "quality_control": UNITS,
    "safety_stock": UNITS,
    "on_hand_at": STAMP,
    "committed_at": STAMP,
    "available_at": STAMP,
}
# One row a Shopify order, item and location with the units that left `available` there and have not come back:
# `open` in open fulfilment orders, `shipped` less what was shipped and restocked (below 0 where another location took
# it back). Without a location: `open` is not routed yet, `removed` was taken off the order by an edit or a refund,
# and the order does not tell whether it was restocked. An item of which nothing is left has a row of zeros.
SOLD: Schema = {
    "order_id": ID,
    "name": TEXT,
    "created_at": STAMP,
    "updated_at": STAMP,
    "inventory_item_id": ID,
    "location_id": ID,
    "open": UNITS,
    "shipped": UNITS,
    "removed": UNITS,
}
PAIRS: Schema = {"inventory_item_id": ID, "location_id": ID, "product_id": TEXT, "sku": TEXT, "mode": MODE}
# `oms` is what the OMS sells at the pair; `debt`, below 0, what an aggregate owes before its floor at 0, else null.
TARGETS: Schema = PAIRS | {"oms": QUANTITY, "debt": QUANTITY}
# A row of the OMS that is no pair, and why; `message` names the ids that are linked twice.
MAPPING_HELD: Schema = {
    "product_id": TEXT,
    "facility_id": TEXT,
    "inventory_item_id": ID,
    "location_id": ID,
    "sku": TEXT,
    "reason": TEXT,
    "message": TEXT,
}
# Units of an order to take off a pair, and the reason why they still count; an order that is not visible has no id.
IN_FLIGHT: Schema = {
    "order_id": ID,
    "name": TEXT,
    "created_at": STAMP,
    "inventory_item_id": ID,
    "location_id": ID,
    "units": UNITS,
    "reason": TEXT,
}
BUFFERS: Schema = {"inventory_item_id": ID, "location_id": ID, "units": UNITS}
VARIANCES: Schema = TARGETS | {
    "available": UNITS,
    "is_active": FLAG,
    "tracked": FLAG,
    "requires_components": FLAG,
    "in_flight": UNITS,
    "set_aside": UNITS,
    "buffer": UNITS,
    "target": QUANTITY,
    "delta": UNITS,
    "held": TEXT,
}
OUTCOMES: Schema = VARIANCES | {"outcome": TEXT, "reason": TEXT, "message": TEXT, "after": UNITS, "after_at": STAMP}
# What Shopify calls an item: its product and variant, and the price of a unit in the shop's currency (ISO code). A
# variant without a title of its own is its product's only one; `product_id` elsewhere is the OMS's.
PRODUCTS: Schema = {
    "inventory_item_id": ID,
    "shopify_product_id": ID,
    "shopify_variant_id": ID,
    "title": TEXT,
    "variant_title": TEXT,
    "vendor": TEXT,
    "product_type": TEXT,
    "category": TEXT,
    "image_url": TEXT,
    "price": MONEY,
    "currency": TEXT,
}
OUTCOMES_FILE: Schema = OUTCOMES | PRODUCTS  # the columns of outcomes.parquet, and of a rehearsal's plan.parquet

# HotWax's own tables, by their real names (columns that are read; reference: OFBiz/HotWax UDM).
PRODUCT_FACILITY: Schema = {
    "product_id": TEXT,
    "facility_id": TEXT,
    "last_inventory_count": QUANTITY,
    "computed_last_inventory_count": QUANTITY,
    "minimum_stock": QUANTITY,
    "allow_brokering": TEXT,
    "last_updated_stamp": STAMP,
}
FACILITY: Schema = {"facility_id": TEXT, "facility_type_id": TEXT, "facility_name": TEXT, "parent_type_id": TEXT}
FACILITY_GROUP_MEMBER: Schema = {
    "facility_id": TEXT,
    "facility_group_id": TEXT,
    "from_date": STAMP,
    "thru_date": STAMP,
    "facility_group_type_id": TEXT,
}
PRODUCT_STORE_FACILITY: Schema = {
    "product_store_id": TEXT,
    "facility_id": TEXT,
    "from_date": STAMP,
    "thru_date": STAMP,
}
SHOPIFY_SHOP_LOCATION: Schema = {"shop_id": TEXT, "facility_id": TEXT, "shopify_location_id": TEXT}
SHOPIFY_SHOP_PRODUCT: Schema = {
    "shop_id": TEXT,
    "product_id": TEXT,
    "shopify_product_id": TEXT,
    "shopify_inventory_item_id": TEXT,
}
PRODUCT: Schema = {"product_id": TEXT, "internal_name": TEXT}
QUEUE: Schema = {"product_id": TEXT, "quantity": QUANTITY}
KNOWN_ORDERS: Schema = {"external_id": ID}
# What the OMS holds of a Shopify order, by product: `ORDERED` the units of its items that are not cancelled (0 where all
# are), `BOOKED` the units that its quantities lack, at a facility or, without one, in the brokering queue.
ORDERED: Schema = {"external_id": ID, "product_id": TEXT, "units": QUANTITY}
BOOKED: Schema = {"external_id": ID, "product_id": TEXT, "facility_id": TEXT, "units": QUANTITY}
# One inventory_item_detail row: event_id is inventory_item_id/inventory_item_detail_seq_id, atp its
# available_to_promise_diff, reason coalesced from detail and variance, names_movement whether it names an order,
# return or shipment, origin the remote that an external reset came from.
EVENTS: Schema = {
    "event_id": TEXT,
    "product_id": TEXT,
    "facility_id": TEXT,
    "created_at": STAMP,
    "atp": QUANTITY,
    "reason": TEXT,
    "physical_inventory_id": TEXT,
    "names_movement": FLAG,
    "origin": TEXT,
}
DELTA_REASONS: Schema = {"reason": TEXT, "from_date": STAMP, "thru_date": STAMP}
# A value that nobody can read, where it stands and what belongs there. It holds the pairs that the facility's stock
# enters, or, without a facility, every pair of the product; a feed's row that names no product has neither.
UNREADABLE: Schema = {
    "product_id": TEXT,
    "facility_id": TEXT,
    "place": TEXT,
    "column": TEXT,
    "value": TEXT,
    "expected": TEXT,
}


@dataclass(frozen=True)
class Snapshot:
    """What one read of the OMS saw, in one transaction; frames hold HotWax's own rows.

    `queue` is already restricted to sales orders of the store whose ship group facility is virtual and
    whose item is not cancelled, completed or rejected (empty when reserve_inventory = 'N').
    `known_orders`, `ordered` and `booked` speak of the Shopify orders that were asked for: those that have a header,
    whatever its type and status; what their items say; and the units of them that the OMS's quantities already lack.
    `newest_known` is the newest header's order_date. `events` are the stock events that the same transaction saw,
    where they were asked for. `unreadable` names the values that nobody can read.
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
    ordered: pl.DataFrame
    booked: pl.DataFrame
    newest_known: datetime | None
    now: datetime
    events: pl.DataFrame = field(default_factory=lambda: empty(EVENTS))
    unreadable: pl.DataFrame = field(default_factory=lambda: empty(UNREADABLE))


def empty(schema: Schema) -> pl.DataFrame:
    """A frame of this schema without rows."""
    return pl.DataFrame(schema=schema)


def completed(frame: Rows, schema: Schema) -> Rows:
    """The frame with every column of this schema, null where it has none: an older version wrote it."""
    nothing = empty(schema)
    return pl.concat([nothing if isinstance(frame, pl.DataFrame) else nothing.lazy(), frame], how="diagonal_relaxed")


def with_products(rows: Rows, products: pl.DataFrame) -> Rows:
    """The rows with the columns of PRODUCTS, null where `products` lacks the item."""
    other = products if isinstance(rows, pl.DataFrame) else products.lazy()
    return rows.join(other, on="inventory_item_id", how="left", maintain_order="left")


def checked(frame: Rows, schema: Schema, name: str) -> Rows:
    """The frame, whose columns of this schema are there and of their types; others may stand beside them.

    A column of another type is cast where that loses nothing. A SystemFailed names the table and the column otherwise.
    """
    there = frame.collect_schema()
    if all(there.get(column) == dtype for column, dtype in schema.items()):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return conform(frame, schema, name)
    return frame.with_columns(conform(frame, schema, name))


def conform(frame: Rows, schema: Schema, name: str) -> Rows:
    """The frame with exactly this schema's columns, in its order and types; refused by name otherwise."""
    there = frame.collect_schema()
    missing = [column for column in schema if column not in there]
    if missing:
        raise SystemFailed(f"Table {name} lacks the column(s) {', '.join(missing)}: add them to the read.")
    try:
        return frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        raise SystemFailed(f"Table {name} holds a value of the wrong type: {error}.") from error
