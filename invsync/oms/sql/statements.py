"""Portable SELECTs on HotWax's tables, in SQLAlchemy Core."""

from collections.abc import Mapping
from math import inf
from typing import Any

import sqlalchemy as sa

COLUMNS: Mapping[str, str] = {
    "product_facility": "product_id facility_id last_inventory_count computed_last_inventory_count"
    " minimum_stock allow_brokering last_updated_stamp",
    "facility": "facility_id facility_type_id facility_name external_id",
    "facility_type": "facility_type_id parent_type_id",
    "facility_group": "facility_group_id facility_group_type_id",
    "facility_group_member": "facility_id facility_group_id from_date thru_date last_updated_stamp",
    "product_store_facility": "product_store_id facility_id from_date thru_date last_updated_stamp",
    "shopify_shop": "shop_id product_store_id is_enabled",
    "shopify_shop_location": "shop_id facility_id shopify_location_id created_stamp last_updated_stamp",
    "shopify_shop_product": "shop_id product_id shopify_product_id shopify_inventory_item_id created_stamp"
    " last_updated_stamp",
    "order_header": "order_id order_type_id external_id order_date product_store_id",
    "order_item": "order_id order_item_seq_id product_id quantity status_id ship_group_seq_id last_updated_stamp"
    " cancel_quantity",
    "order_item_ship_group": "order_id ship_group_seq_id facility_id",
    "product": "product_id internal_name",
    "product_store": "product_store_id reserve_inventory",
    "inventory_item": "inventory_item_id product_id facility_id",
    "inventory_item_detail": "inventory_item_id inventory_item_detail_seq_id quantity_on_hand_diff"
    " available_to_promise_diff order_id return_id shipment_id physical_inventory_id reason_enum_id created_stamp"
    " reset_item_id",
    "inventory_item_variance": "inventory_item_id physical_inventory_id variance_reason_id reason_enum_id",
    "external_inventory_reset": "reset_item_id origin_system_message_remote_id",
    "order_item_ship_grp_inv_res": "order_id ship_group_seq_id order_item_seq_id inventory_item_id quantity",
    "enumeration_group_member": "enumeration_id enumeration_group_id from_date thru_date",
    "shopify_shop_order": "shop_id order_id shopify_order_id",
    "shopify_shop_remote": "shop_id system_message_remote_id",
    "good_identification": "product_id good_identification_type_id id_value from_date thru_date",
}
OPTIONAL = {
    "product",
    "product_store",
    "inventory_item",
    "inventory_item_detail",
    "inventory_item_variance",
    "external_inventory_reset",
    "order_item_ship_grp_inv_res",
    "enumeration_group_member",
    "shopify_shop_order",
    "shopify_shop_remote",
    "good_identification",
}
STAMPS = ("created_stamp", "last_updated_stamp")
CANCELLED_UNITS = ("order_item", "cancel_quantity")
OPTIONAL_COLUMNS = {CANCELLED_UNITS, ("facility", "external_id")} | {
    (name, stamp) for name in ("shopify_shop_location", "shopify_shop_product") for stamp in STAMPS
}
REQUIRED = set(COLUMNS) - OPTIONAL
ORIGIN = {"inventory_item_detail": "reset_item_id", "external_inventory_reset": "origin_system_message_remote_id"}
DELTA_GROUP = "SHPFY_INV_DLT_REASON"
QUANTITIES = {
    "last_inventory_count",
    "computed_last_inventory_count",
    "minimum_stock",
    "quantity",
    "available_to_promise_diff",
    "quantity_on_hand_diff",
    "cancel_quantity",
}
VIRTUAL = "VIRTUAL_FACILITY"
CHANNEL_GROUP = "CHANNEL_FAC_GROUP"
CANCELLED_ITEMS = ["ITEM_CANCELLED", "ITEM_REJECTED"]
CLOSED_ITEMS = ["ITEM_CANCELLED", "ITEM_COMPLETED", "ITEM_REJECTED"]
Rows = sa.Select[Any]  # columns have no types: values come as the driver hands them over
Column = sa.ColumnElement[Any]


def table(name: str, real_name: str | None = None) -> sa.TableClause:
    """Return the named HotWax table with the columns that are read, without types."""
    return sa.table(real_name or name, *(sa.column(column) for column in COLUMNS[name].split()))


class Statements:
    """The SELECTs for one database, given the real (case-sensitive) names of its tables.

    `has_origin`: the stock event of a reset leads to the remote that it came from, as in newer connectors. `texts`: a
    column of numbers may hold text, which SQLite would add up as 0.
    """

    def __init__(self, names: Mapping[str, str], *, has_origin: bool, texts: bool = False) -> None:
        self.tables = {name: table(name, names.get(name)) for name in COLUMNS}
        self.has_variance, self.has_origin = "inventory_item_variance" in names, has_origin
        self.texts = texts

    def __getitem__(self, name: str) -> sa.TableClause:
        return self.tables[name]

    def plain(self, name: str, columns: list[str]) -> Rows:
        """Select these columns of one table."""
        return sa.select(*(self[name].c[column] for column in columns))

    def facilities(self) -> Rows:
        """Select facilities with their type's parent."""
        facility, kind = self["facility"], self["facility_type"]
        joined = facility.outerjoin(kind, facility.c.facility_type_id == kind.c.facility_type_id)
        return sa.select(
            facility.c.facility_id,
            facility.c.facility_type_id,
            facility.c.facility_name,
            kind.c.parent_type_id,
        ).select_from(joined)

    def group_members(self) -> Rows:
        """Select memberships of facility groups with the group's type."""
        member, group = self["facility_group_member"], self["facility_group"]
        joined = member.outerjoin(group, member.c.facility_group_id == group.c.facility_group_id)
        return sa.select(
            member.c.facility_id,
            member.c.facility_group_id,
            member.c.from_date,
            member.c.thru_date,
            group.c.facility_group_type_id,
        ).select_from(joined)

    def _waiting(self, store: str, *columns: Column) -> Rows:
        """Select these columns of the store's open sales order items at a virtual facility."""
        item, header, where = self["order_item"], self["order_header"], self["order_item_ship_group"]
        facility, kind = self["facility"], self["facility_type"]
        same_group = (where.c.order_id == item.c.order_id) & (where.c.ship_group_seq_id == item.c.ship_group_seq_id)
        joined = (
            item.join(header, header.c.order_id == item.c.order_id)
            .join(where, same_group)
            .join(facility, facility.c.facility_id == where.c.facility_id)
            .outerjoin(kind, kind.c.facility_type_id == facility.c.facility_type_id)
        )
        return (
            sa.select(*columns)
            .select_from(joined)
            .where(
                header.c.order_type_id == "SALES_ORDER",
                header.c.product_store_id == store,
                (facility.c.facility_type_id == VIRTUAL) | (kind.c.parent_type_id == VIRTUAL),
                item.c.status_id.is_(None) | item.c.status_id.not_in(CLOSED_ITEMS),
            )
        )

    def _sum(self, units: Column) -> Column:
        """The sum of these units; infinite where one of them is text."""
        if self.texts:
            units = sa.case((sa.func.typeof(units) == "text", sa.literal(inf)), else_=units)
        return sa.func.sum(units)

    def queue(self, store: str) -> Rows:
        """Select the units per product in the brokering queue: product_id, quantity."""
        item = self["order_item"].c
        return self._waiting(store, item.product_id, self._sum(item.quantity)).group_by(item.product_id)

    def queued(self, store: str) -> Rows:
        """Select the units per order in the brokering queue: order_id, product_id, units."""
        item = self["order_item"].c
        key = (item.order_id, item.product_id)
        return self._waiting(store, *key, self._sum(item.quantity)).group_by(*key)

    def items(self) -> Rows:
        """Select the units of order items, 0 for a cancelled one: order_id, product_id, units."""
        item = self["order_item"].c
        left = sa.case((item.status_id.in_(CANCELLED_ITEMS), 0), else_=item.quantity)
        return sa.select(item.order_id, item.product_id, left)

    def cancelled(self, *, in_part: bool) -> Rows:
        """Select the orders with a cancelled item or, `in_part`, with a partly cancelled one: order_id."""
        item = self["order_item"].c
        part = item.cancel_quantity > 0 if in_part else sa.false()
        return sa.select(item.order_id).where(item.status_id.in_(CANCELLED_ITEMS) | part).distinct()

    def reserved(self) -> Rows:
        """Select reservations: order_id, product_id, facility_id, units."""
        res, stock = self["order_item_ship_grp_inv_res"], self["inventory_item"]
        joined = res.join(stock, stock.c.inventory_item_id == res.c.inventory_item_id)
        return sa.select(res.c.order_id, stock.c.product_id, stock.c.facility_id, res.c.quantity).select_from(joined)

    def moved(self) -> Rows:
        """Select stock events of orders without returns: order_id, product_id, facility_id, atp, qoh."""
        detail, stock = self["inventory_item_detail"], self["inventory_item"]
        joined = detail.join(stock, stock.c.inventory_item_id == detail.c.inventory_item_id)
        key = (detail.c.order_id, stock.c.product_id, stock.c.facility_id)
        diffs = (detail.c.available_to_promise_diff, detail.c.quantity_on_hand_diff)
        return sa.select(*key, *diffs).select_from(joined).where(detail.c.return_id.is_(None))

    def events(self) -> Rows:
        """Select stock events: the columns of EVENTS, with names_movement as 0 or 1."""
        detail, stock = self["inventory_item_detail"], self["inventory_item"]
        reset, variance = self["external_inventory_reset"], self["inventory_item_variance"]
        joined: Any = detail.outerjoin(stock, stock.c.inventory_item_id == detail.c.inventory_item_id)
        reasons = [detail.c.reason_enum_id]
        origin: Column = sa.null()
        if self.has_variance:
            same_count = variance.c.physical_inventory_id == detail.c.physical_inventory_id
            joined = joined.outerjoin(
                variance, same_count & (variance.c.inventory_item_id == detail.c.inventory_item_id)
            )
            reasons += [variance.c.reason_enum_id, variance.c.variance_reason_id]
        if self.has_origin:
            joined = joined.outerjoin(reset, reset.c.reset_item_id == detail.c.reset_item_id)
            origin = reset.c.origin_system_message_remote_id
        item, sequence = (
            sa.type_coerce(detail.c[name], sa.String) for name in ("inventory_item_id", "inventory_item_detail_seq_id")
        )
        moves = sa.or_(*(detail.c[name].is_not(None) for name in ("order_id", "return_id", "shipment_id")))
        return sa.select(
            item + "/" + sequence,
            stock.c.product_id,
            stock.c.facility_id,
            detail.c.created_stamp,
            detail.c.available_to_promise_diff,
            sa.func.coalesce(*reasons, sa.null()),
            detail.c.physical_inventory_id,
            sa.case((moves, 1), else_=0),
            origin,
        ).select_from(joined)

    def delta_reasons(self) -> Rows:
        """Select the reasons that are pushed as deltas, with their dates."""
        member = self["enumeration_group_member"]
        columns = self.plain("enumeration_group_member", ["enumeration_id", "from_date", "thru_date"])
        return columns.where(member.c.enumeration_group_id == DELTA_GROUP)
