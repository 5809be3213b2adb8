"""HotWax's tables by their real names, and small writers that keep them as HotWax does."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import MetaData, delete, select

from invsync.sandbox.oms_stock import Stock, T
from invsync.sandbox.oms_tables import METADATA, SEEDS, Row

EPOCH = datetime(2010, 1, 1, tzinfo=UTC)


class Oms(Stock):
    """A HotWax database at a SQLAlchemy URL; each writer commits, or all of a `batch()` at its end."""

    metadata: MetaData = METADATA
    shop_id, store, group = "SANDBOX", "STORE", "FAC_GRP"

    def create(self) -> "Oms":
        """Create the tables and seed rows: shop SANDBOX, store STORE, group FAC_GRP, facility _NA_."""
        METADATA.create_all(self._engine)
        with self.batch():
            for name, rows in SEEDS.items():
                self._add(name, EPOCH, *rows)
        return self

    def add_facility(self, facility_id: str, name: str, type: str = "WAREHOUSE", virtual: bool = False) -> None:
        """Add a facility; a real one joins the store and the online group."""
        kind = "VIRTUAL_FACILITY" if virtual else type
        facility = {
            "facility_id": facility_id,
            "facility_name": name,
            "facility_type_id": kind,
            "external_id": facility_id,
        }
        with self.batch():
            self._add("facility", EPOCH, facility)
            if not virtual:
                self.join_group(facility_id)
                member: Row = {"product_store_id": self.store, "facility_id": facility_id, "from_date": EPOCH}
                self._add("product_store_facility", EPOCH, member)

    def join_group(self, facility_id: str, from_: datetime = EPOCH, thru: datetime | None = None) -> None:
        """Add a facility to the online group from a time on, until another."""
        row: Row = {"facility_id": facility_id, "facility_group_id": self.group, "from_date": from_, "thru_date": thru}
        self._add("facility_group_member", from_, row)

    def leave_group(self, facility_id: str, at: datetime) -> None:
        """End a facility's membership of the online group."""
        key = {"facility_id": facility_id, "facility_group_id": self.group}
        self._set("facility_group_member", key, {"thru_date": at}, at)

    def add_product(self, product_id: str, sku: str) -> None:
        """Add a product with its SKU."""
        with self.batch():
            self._add("product", EPOCH, _product(product_id, sku))
            self._add("good_identification", EPOCH, _identification(product_id, sku))

    def map_product(self, product_id: str, item_id: int) -> None:
        """Map a product to a Shopify inventory item."""
        self._add(
            "shopify_shop_product",
            EPOCH,
            {
                "shop_id": self.shop_id,
                "product_id": product_id,
                "shopify_product_id": f"{item_id}{product_id}",
                "shopify_inventory_item_id": str(item_id),
            },
        )

    def stock_up(self, rows: Sequence[tuple[str, str, int, float]], facility_id: str, at: datetime) -> None:
        """Add and map many new products at once: (product, sku, Shopify item, units at the facility)."""
        new: dict[str, list[Row]] = {}
        for product_id, sku, item_id, units in rows:
            mapping = {
                "shop_id": self.shop_id,
                "product_id": product_id,
                "shopify_product_id": str(item_id),  # the sandbox's shop gives a variant the id of its item
                "shopify_inventory_item_id": str(item_id),
            }
            new.setdefault("product", []).append(_product(product_id, sku))
            new.setdefault("good_identification", []).append(_identification(product_id, sku))
            new.setdefault("shopify_shop_product", []).append(mapping)
            for name, row in _stock(product_id, facility_id, units, at).items():
                new.setdefault(name, []).append(row)
        with self.batch():
            for name, table_rows in new.items():
                self._add(name, at, *table_rows)

    def map_location(self, facility_id: str, location_id: int) -> None:
        """Map a facility to a Shopify location; `_NA_` names the aggregate one."""
        self._add(
            "shopify_shop_location",
            EPOCH,
            {"shop_id": self.shop_id, "facility_id": facility_id, "shopify_location_id": str(location_id)},
        )

    def add_delta_reason(self, *reasons: str) -> None:
        """Add reasons to those that are pushed as deltas, as retailers do with damage."""
        group: Row = {"enumeration_group_id": "SHPFY_INV_DLT_REASON", "from_date": EPOCH}
        self._add("enumeration_group_member", EPOCH, *({"enumeration_id": reason, **group} for reason in reasons))

    def import_order(
        self,
        order_id: str,
        external_id: int | str,
        lines: Iterable[tuple[str, float]],
        at: datetime,
        facility_id: str = "_NA_",
        sold_at: datetime | None = None,
    ) -> None:
        """Import a Shopify order of (product, units) lines; in `_NA_` it waits in the brokering queue.

        `sold_at` is the order's date; without it the order was sold when it is imported.
        """
        header: Row = {
            "order_id": order_id,
            "order_type_id": "SALES_ORDER",
            "order_name": f"#{external_id}",
            "external_id": str(external_id),
            "sales_channel_enum_id": "WEB_SALES_CHANNEL",
            "order_date": sold_at or at,
            "entry_date": at,
            "status_id": "ORDER_APPROVED",
            "product_store_id": self.store,
        }
        group = {"order_id": order_id, "ship_group_seq_id": "00001", "facility_id": facility_id}
        with self.batch():
            self._add("order_header", at, header)
            self._add("order_item_ship_group", at, group)
            self._add("order_item", at, *_order_items(order_id, lines))

    def reserve(self, order_id: str, facility_id: str, at: datetime) -> None:
        """Broker a whole order to a facility: its units leave the queue and the facility's ATP."""
        t = T["order_item"]
        with self.batch() as connection:
            query = select(t).where(t.c.order_id == order_id, t.c.status_id == "ITEM_APPROVED")
            for row in connection.execute(query).mappings().all():
                place = {k: row[k] for k in ("order_id", "order_item_seq_id", "ship_group_seq_id")}
                item = self._move(row["product_id"], facility_id, -float(row["quantity"]), at, place, on_hand=0.0)
                reservation = {
                    "inventory_item_id": item,
                    "quantity": row["quantity"],
                    "quantity_not_available": 0,
                    "reserved_datetime": at,
                }
                self._add("order_item_ship_grp_inv_res", at, {**place, **reservation})
            self._set("order_item_ship_group", {"order_id": order_id}, {"facility_id": facility_id}, at)

    def release(self, order_id: str, at: datetime) -> None:
        """Cancel a brokered order: its reserved units return to where they were."""
        res = T["order_item_ship_grp_inv_res"]
        with self.batch() as connection:
            for row in connection.execute(select(res).where(res.c.order_id == order_id)).mappings().all():
                place = {k: row[k] for k in ("order_id", "order_item_seq_id", "ship_group_seq_id")}
                product_id, at_facility = self._place(row["inventory_item_id"])
                detail = {**place, "reason_enum_id": "INV_RES_RELEASE"}
                self._move(product_id, at_facility, float(row["quantity"]), at, detail, on_hand=0.0)
            connection.execute(delete(res).where(res.c.order_id == order_id))
            self.cancel_order(order_id, at)

    def cancel_order(self, order_id: str, at: datetime) -> None:
        """Cancel an order that is not brokered: its items leave the queue."""
        with self.batch():
            self._set("order_header", {"order_id": order_id}, {"status_id": "ORDER_CANCELLED"}, at)
            self._set("order_item", {"order_id": order_id}, {"status_id": "ITEM_CANCELLED"}, at)


def _product(product_id: str, sku: str) -> Row:
    names = {"internal_name": sku, "product_name": sku, "is_virtual": "N", "is_variant": "Y"}
    return {"product_id": product_id, "product_type_id": "FINISHED_GOOD", **names}


def _identification(product_id: str, sku: str) -> Row:
    key = {"good_identification_type_id": "SKU", "product_id": product_id}
    return {**key, "id_value": sku, "from_date": EPOCH}


def _stock(product_id: str, facility_id: str, units: float, at: datetime) -> dict[str, Row]:
    """The first row of each stock table for a product with units at a facility."""
    key, item = {"product_id": product_id, "facility_id": facility_id}, f"{product_id}-{facility_id}"
    counts = {"last_inventory_count": units, "computed_last_inventory_count": max(units, 0)}
    totals = {"quantity_on_hand_total": units, "available_to_promise_total": units}
    event: Row = {
        "inventory_item_id": item,
        "inventory_item_detail_seq_id": "00001",
        "effective_date": at,
        "last_available_to_promise": 0,
        "quantity_on_hand_diff": units,
        "available_to_promise_diff": units,
    }
    kind: Row = {"inventory_item_id": item, "datetime_received": at, "inventory_item_type_id": "NON_SERIAL_INV_ITEM"}
    return {
        "inventory_item": {**key, **totals, **kind},
        "product_facility": {**key, **counts, "inventory_item_id": item, "minimum_stock": 0},
        "inventory_item_detail": event,
    }


def _order_items(order_id: str, lines: Iterable[tuple[str, float]]) -> list[Row]:
    return [
        {
            "order_id": order_id,
            "order_item_seq_id": f"{number:05}",
            "product_id": product_id,
            "quantity": units,
            "cancel_quantity": 0,
            "status_id": "ITEM_APPROVED",
            "ship_group_seq_id": "00001",
        }
        for number, (product_id, units) in enumerate(lines, start=1)
    ]
