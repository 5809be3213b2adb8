"""The DDL of the HotWax tables that the jobs read, and HotWax's own seed rows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column as C
from sqlalchemy import DateTime, Dialect, Index, MetaData, Numeric, String, Table
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine


class Stamp(TypeDecorator[datetime]):
    """A time stored as naive UTC: in SQLite as text `YYYY-MM-DD HH:MM:SS.ffffff`, in MySQL as DATETIME(3)."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """The database's type: HotWax's own in MySQL."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=3) if dialect.name in ("mysql", "mariadb") else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Naive UTC on the way in."""
        return value.astimezone(UTC).replace(tzinfo=None) if value is not None and value.tzinfo else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware UTC on the way out."""
        return value.replace(tzinfo=UTC) if value is not None else None


Value = str | int | float | datetime | None  # of a column
Row = Mapping[str, Value]  # by column
ID, LONG, TEXT, FLAG = String(40), String(255), String(255), String(1)
DEC, WHOLE = Numeric(26, 6, asdecimal=False), Numeric(20, 0, asdecimal=False)
# The columns of each table: a star marks the primary key, the letter after a colon the type (TYPES).
COLUMNS: dict[str, str] = {
    "product_facility": "product_id* facility_id* minimum_stock:d reorder_quantity:d days_to_ship:n"
    " last_inventory_count:d computed_last_inventory_count:d allow_pickup:f allow_brokering:f"
    " sales_velocity:d"
    " requirement_method_enum_id inventory_item_id reorder_point:d maximum_stock:d",
    "facility_type": "facility_type_id* parent_type_id description:x",
    "facility": "facility_id* facility_type_id parent_facility_id owner_party_id facility_name:x"
    " primary_facility_group_id product_store_id default_days_to_ship:n opened_date:t closed_date:t"
    " description:x external_id:l facility_time_zone:x maximum_order_limit:n postal_code:x",
    "facility_group": "facility_group_id* facility_group_type_id primary_parent_group_id"
    " facility_group_name:x"
    " description:x",
    "facility_group_member": "facility_id* facility_group_id* from_date*:t thru_date:t sequence_num:n",
    "product_store": "product_store_id* store_name:x reserve_inventory:f external_id",
    "product_store_facility": "product_store_id* facility_id* from_date*:t thru_date:t sequence_num:n",
    "product": "product_id* product_type_id internal_name:x product_name:x is_virtual:f is_variant:f",
    "good_identification": "good_identification_type_id* product_id* id_value:l from_date*:t thru_date:t",
    "inventory_item": "inventory_item_id* inventory_item_type_id product_id party_id owner_party_id status_id"
    " datetime_received:t facility_id lot_id location_seq_id:l comments:x quantity_on_hand_total:d"
    " available_to_promise_total:d accounting_quantity_total:d unit_cost:d currency_uom_id",
    "inventory_item_detail": "inventory_item_id* inventory_item_detail_seq_id* effective_date:t"
    " quantity_on_hand_diff:d available_to_promise_diff:d accounting_quantity_diff:d last_quantity_on_hand:d"
    " last_available_to_promise:d unit_cost:d order_id order_item_seq_id ship_group_seq_id shipment_id"
    " shipment_item_seq_id return_id return_item_seq_id work_effort_id item_issuance_id receipt_id"
    " physical_inventory_id reason_enum_id reset_item_id description:x",
    "inventory_item_variance": "inventory_item_id* physical_inventory_id* variance_reason_id"
    " available_to_promise_var:d quantity_on_hand_var:d comments:x change_by_user_login_id:l reason_enum_id",
    "external_inventory_reset": "reset_item_id* product_id facility_id inventory_item_id external_atp:d"
    " external_qoh:d available_to_promise_diff:d quantity_on_hand_diff:d reason description:x"
    " origin_system_message_remote_id",
    "order_header": "order_id* order_type_id order_name:x external_id:l sales_channel_enum_id order_date:t"
    " entry_date:t status_id product_store_id",
    "order_item": "order_id* order_item_seq_id* external_id:l product_id quantity:d cancel_quantity:d"
    " status_id"
    " ship_group_seq_id",
    "order_item_ship_group": "order_id* ship_group_seq_id* facility_id",
    "order_item_ship_grp_inv_res": "order_id* ship_group_seq_id* order_item_seq_id* inventory_item_id*"
    " reserve_order_enum_id quantity:d quantity_not_available:d reserved_datetime:t created_datetime:t"
    " promised_datetime:t priority:f sequence_id:n shipment_id",
    "shopify_shop_order": "shop_id* order_id* shopify_order_id:l",
    "shopify_shop": "shop_id* shopify_shop_id:l product_store_id name:x timezone:l domain:l"
    " myshopify_domain:l"
    " primary_location_id:l currency country_code is_enabled:f",
    "shopify_shop_location": "shop_id* facility_id* shopify_location_id:l",
    "shopify_shop_product": "shop_id* product_id shopify_product_id*:l shopify_inventory_item_id:l",
    "shopify_shop_remote": "shop_id* system_message_remote_id* purpose_type_id*",
    "enumeration": "enum_id* enum_type_id enum_code:x description:x",
    "enumeration_group": "enumeration_group_id* enumeration_group_type_id enumeration_group_name:x"
    " primary_parent_group_id description:x",
    "enumeration_group_member": "enumeration_id* enumeration_group_id* from_date*:t thru_date:t sequence_num:n",
}
# HotWax's own indexes beside the primary keys: its foreign keys (fk-name in its entity model) and declared indexes.
INDEXES = (
    "product_facility.facility_id facility_group_member.facility_group_id product_store_facility.facility_id"
    " good_identification.product_id good_identification.id_value facility.external_id facility.facility_type_id"
    " inventory_item.product_id inventory_item.facility_id inventory_item_detail.physical_inventory_id"
    " inventory_item_detail.reason_enum_id inventory_item_variance.physical_inventory_id order_header.external_id"
    " order_header.product_store_id order_header.order_type_id order_header.status_id order_item.product_id"
    " order_item.status_id order_item.external_id order_item_ship_group.facility_id"
    " order_item_ship_grp_inv_res.inventory_item_id order_item_ship_grp_inv_res.order_id+order_item_seq_id"
)
TYPES: dict[str, TypeEngine[Any]] = {"": ID, "d": DEC, "n": WHOLE, "t": Stamp(), "x": TEXT, "l": LONG, "f": FLAG}
METADATA = MetaData()


def _table(name: str, columns: str) -> Table:
    parts = [column.partition(":") for column in columns.split()]
    stamps: list[C[datetime]] = [C("created_stamp", Stamp()), C("last_updated_stamp", Stamp())]
    own = [C(label.rstrip("*"), TYPES[kind], primary_key=label.endswith("*")) for label, _, kind in parts]
    return Table(name, METADATA, *own, *stamps)


for _name, _columns in COLUMNS.items():
    _table(_name, _columns)
for _place in INDEXES.split():
    _name, _columns = _place.split(".")
    _indexed = [METADATA.tables[_name].c[column] for column in _columns.split("+")]
    Index(f"{_name}_{_columns.replace('+', '_')}"[:60], *_indexed)

_START = datetime(2010, 1, 1, tzinfo=UTC)
_PARKING = "_NA_ UNF_HOLD_PARKING UNFILLABLE_PARKING REJECTED_ITM_PARKING PRE_ORDER_PARKING BACKORDER_PARKING"
_REASONS = (
    "CYCLE_COUNT POS_SALE SHOPIFY_POS_SALE VAR_DAMAGED VAR_FOUND VAR_INTEGR VAR_LOST VAR_MANUAL VAR_SAMPLE"
    " VAR_STOLEN VAR_SHIP_RECV VAR_EXT_RESET RTN_ITM_RCPT INV_RES_CREATE INV_RES_RELEASE"
)
SEEDS: dict[str, list[Row]] = {
    "facility_type": [
        {"facility_type_id": "VIRTUAL_FACILITY", "parent_type_id": None},
        {"facility_type_id": "BROKERING_QUEUE", "parent_type_id": "VIRTUAL_FACILITY"},
        {"facility_type_id": "CONFIGURATION", "parent_type_id": None},
        {"facility_type_id": "WAREHOUSE", "parent_type_id": "DISTRIBUTION_CENTER"},
        {"facility_type_id": "RETAIL_STORE", "parent_type_id": "PHYSICAL_STORE"},
    ],
    "facility": [
        {"facility_id": name, "facility_type_id": "BROKERING_QUEUE", "facility_name": name} for name in _PARKING.split()
    ],
    "facility_group": [
        {
            "facility_group_id": "FAC_GRP",
            "facility_group_type_id": "CHANNEL_FAC_GROUP",
            "facility_group_name": "Online Facility Group",
        }
    ],
    "product_store": [{"product_store_id": "STORE", "store_name": "Store", "reserve_inventory": "Y"}],
    "shopify_shop": [
        {
            "shop_id": "SANDBOX",
            "shopify_shop_id": "1",
            "product_store_id": "STORE",
            "name": "Sandbox",
            "myshopify_domain": "sandbox.myshopify.com",
            "is_enabled": "Y",
        }
    ],
    "shopify_shop_remote": [
        {"shop_id": "SANDBOX", "system_message_remote_id": "SANDBOX_REMOTE", "purpose_type_id": "SANDBOX"}
    ],
    "enumeration": [{"enum_id": name, "enum_type_id": "IID_REASON", "enum_code": name} for name in _REASONS.split()],
    "enumeration_group": [
        {"enumeration_group_id": "SHPFY_INV_DLT_REASON", "enumeration_group_type_id": "INV_DELTA_SYNC"}
    ],
    "enumeration_group_member": [
        {"enumeration_id": name, "enumeration_group_id": "SHPFY_INV_DLT_REASON", "from_date": _START}
        for name in ("CYCLE_COUNT", "VAR_MANUAL", "POS_SALE")
    ],
}
