"""HotWax's tables by their real names, and small writers that keep them as HotWax does."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, MetaData, Table, create_engine, func, insert, select, update

from invsync.sandbox.oms_tables import METADATA, SEEDS

T = METADATA.tables
EPOCH = datetime(2010, 1, 1, tzinfo=UTC)


class Oms:
    """A HotWax database at a SQLAlchemy URL; each writer commits, or all of a `batch()` at its end."""

    metadata: MetaData = METADATA
    shop_id, store, group = "SANDBOX", "STORE", "FAC_GRP"

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(url)
        self._open: Connection | None = None
        self._sequence: dict[str, int] = {}

    def create(self) -> "Oms":
        """Create the tables and seed rows: shop SANDBOX, store STORE, group FAC_GRP, facility _NA_."""
        METADATA.create_all(self._engine)
        with self.batch():
            for name, rows in SEEDS.items():
                self._add(name, EPOCH, *rows)
        return self

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def batch(self) -> Iterator[Connection]:
        """One transaction for everything written inside; a batch in a batch joins it."""
        if self._open is not None:
            yield self._open
            return
        with self._engine.begin() as connection:
            self._open = connection
            try:
                yield connection
            finally:
                self._open = None

    def add_facility(self, facility_id: str, name: str, type: str = "WAREHOUSE", virtual: bool = False) -> None:
        """Add a facility; a real one joins the store and the online group."""
        kind = "VIRTUAL_FACILITY" if virtual else type
        with self.batch():
            self._add("facility", EPOCH, {"facility_id": facility_id, "facility_name": name,
                                          "facility_type_id": kind, "external_id": facility_id})  # fmt: skip
            if not virtual:
                self.join_group(facility_id)
                row = {"product_store_id": self.store, "facility_id": facility_id, "from_date": EPOCH}
                self._add("product_store_facility", EPOCH, row)

    def join_group(self, facility_id: str, from_: datetime = EPOCH, thru: datetime | None = None) -> None:
        """Make a facility count online from a moment, until another."""
        row = {
            "facility_id": facility_id,
            "facility_group_id": self.group,
            "from_date": from_,
            "thru_date": thru,
        }
        self._add("facility_group_member", from_, row)

    def leave_group(self, facility_id: str, at: datetime) -> None:
        """End a facility's membership of the online group."""
        self._set("facility_group_member", {"facility_id": facility_id, "facility_group_id": self.group},
                  {"thru_date": at}, at)  # fmt: skip

    def add_product(self, product_id: str, sku: str) -> None:
        """Add a product with its SKU."""
        with self.batch():
            self._add("product", EPOCH, {"product_id": product_id, "product_type_id": "FINISHED_GOOD",
                                         "internal_name": sku, "product_name": sku, "is_virtual": "N",
                                         "is_variant": "Y"})  # fmt: skip
            self._add("good_identification", EPOCH, {"good_identification_type_id": "SKU",
                                                     "product_id": product_id, "id_value": sku,
                                                     "from_date": EPOCH})  # fmt: skip

    def map_product(self, product_id: str, item_id: int) -> None:
        """Map a product to a Shopify inventory item."""
        self._add("shopify_shop_product", EPOCH, {"shop_id": self.shop_id, "product_id": product_id,
                                                  "shopify_product_id": f"{item_id}{product_id}",
                                                  "shopify_inventory_item_id": str(item_id)})  # fmt: skip

    def stock_up(self, rows: Sequence[tuple[str, str, int, float]], facility_id: str, at: datetime) -> None:
        """Add and map many new products at once: (product, sku, Shopify item, units at the facility)."""
        new: dict[str, list[dict[str, Any]]] = {}
        for product_id, sku, item_id, units in rows:
            for name, row in _new_product(self.shop_id, product_id, sku, item_id, facility_id, units, at).items():
                new.setdefault(name, []).append(row)
        with self.batch():
            for name, found in new.items():
                self._add(name, at, *found)

    def map_location(self, facility_id: str, location_id: int) -> None:
        """Map a facility to a Shopify location; `_NA_` names the aggregate one."""
        self._add("shopify_shop_location", EPOCH, {"shop_id": self.shop_id, "facility_id": facility_id,
                                                   "shopify_location_id": str(location_id)})  # fmt: skip

    def add_delta_reason(self, *reasons: str) -> None:
        """Let these reasons be pushed as deltas, as retailers do with damage."""
        rows = [{"enumeration_id": r, "enumeration_group_id": "SHPFY_INV_DLT_REASON", "from_date": EPOCH}
                for r in reasons]  # fmt: skip
        self._add("enumeration_group_member", EPOCH, *rows)

    def set_stock(
        self, product_id: str, facility_id: str, count: float, at: datetime,
        minimum_stock: float = 0, allow_brokering: str | None = None,
    ) -> None:  # fmt: skip
        """Bring a product's count at a facility to `count` units, by a receipt of the difference."""
        key = {"product_id": product_id, "facility_id": facility_id}
        with self.batch():
            row = self._row(key)
            if row is None:
                item = f"{product_id}-{facility_id}"
                self._add("inventory_item", at, key | {
                    "inventory_item_id": item, "inventory_item_type_id": "NON_SERIAL_INV_ITEM",
                    "quantity_on_hand_total": 0, "available_to_promise_total": 0, "datetime_received": at,
                })  # fmt: skip
                self._add("product_facility", at, key | {"inventory_item_id": item, "last_inventory_count": 0})
            rules = {"minimum_stock": minimum_stock, "allow_brokering": allow_brokering}
            self._set("product_facility", key, rules, at)
            before = float(row["last_inventory_count"] or 0) if row else 0.0
            self._move(product_id, facility_id, count - before, at)

    def adjust(
        self, product_id: str, facility_id: str, diff: float, at: datetime, reason: str,
        physical_inventory_id: str | None = None,
    ) -> None:  # fmt: skip
        """Record a stock event of `diff` units; with a physical inventory id it is a manual variance."""
        with self.batch():
            item = self._move(product_id, facility_id, diff, at, reason_enum_id=reason,
                              physical_inventory_id=physical_inventory_id)  # fmt: skip
            if physical_inventory_id is not None:
                self._add("inventory_item_variance", at, {
                    "inventory_item_id": item, "physical_inventory_id": physical_inventory_id,
                    "variance_reason_id": reason, "reason_enum_id": reason,
                    "available_to_promise_var": diff, "quantity_on_hand_var": diff,
                })  # fmt: skip

    def import_order(
        self, order_id: str, external_id: int | str, lines: Iterable[tuple[str, float]], at: datetime,
        facility_id: str = "_NA_",
    ) -> None:  # fmt: skip
        """Import a Shopify order of (product, units) lines; in `_NA_` it waits in the brokering queue."""
        with self.batch():
            self._add("order_header", at, {
                "order_id": order_id, "order_type_id": "SALES_ORDER", "order_name": f"#{external_id}",
                "external_id": str(external_id), "sales_channel_enum_id": "WEB_SALES_CHANNEL",
                "order_date": at, "entry_date": at, "status_id": "ORDER_APPROVED",
                "product_store_id": self.store,
            })  # fmt: skip
            group = {"order_id": order_id, "ship_group_seq_id": "00001", "facility_id": facility_id}
            self._add("order_item_ship_group", at, group)
            self._add("order_item", at, *[
                {"order_id": order_id, "order_item_seq_id": f"{number:05}", "product_id": product_id,
                 "quantity": units, "cancel_quantity": 0, "status_id": "ITEM_APPROVED",
                 "ship_group_seq_id": "00001"}
                for number, (product_id, units) in enumerate(lines, start=1)
            ])  # fmt: skip

    def reserve(self, order_id: str, facility_id: str, at: datetime) -> None:
        """Broker an order whole to a facility: ATP falls there by what the queue falls by."""
        t = T["order_item"]
        with self.batch() as connection:
            found = select(t).where(t.c.order_id == order_id, t.c.status_id == "ITEM_APPROVED")
            for row in connection.execute(found).mappings().all():
                place = {k: row[k] for k in ("order_id", "order_item_seq_id", "ship_group_seq_id")}
                item = self._move(row["product_id"], facility_id, -float(row["quantity"]), at, on_hand=0.0, **place)
                self._add("order_item_ship_grp_inv_res", at, place | {
                    "inventory_item_id": item, "quantity": row["quantity"], "quantity_not_available": 0,
                    "reserved_datetime": at,
                })  # fmt: skip
            self._set("order_item_ship_group", {"order_id": order_id}, {"facility_id": facility_id}, at)

    def cancel_order(self, order_id: str, at: datetime) -> None:
        """Cancel an order that was not brokered: its items leave the queue."""
        with self.batch():
            self._set("order_header", {"order_id": order_id}, {"status_id": "ORDER_CANCELLED"}, at)
            self._set("order_item", {"order_id": order_id}, {"status_id": "ITEM_CANCELLED"}, at)

    def _row(self, key: dict[str, Any]) -> Any:
        t = T["product_facility"]
        with self.batch() as connection:
            found = select(t).where(*(t.c[name] == value for name, value in key.items()))
            return connection.execute(found).mappings().first()

    def _move(
        self, product_id: str, facility_id: str, diff: float, at: datetime,
        on_hand: float | None = None, **detail: Any,
    ) -> str:  # fmt: skip
        """Append an inventory item detail and bring the totals and the sellable count after it."""
        key = {"product_id": product_id, "facility_id": facility_id}
        row = self._row(key)
        if row is None:
            raise ValueError(f"Product {product_id} has no stock at {facility_id}: call set_stock first.")
        item, before = str(row["inventory_item_id"]), float(row["last_inventory_count"] or 0)
        moved = diff if on_hand is None else on_hand
        self._add("inventory_item_detail", at, {
            "inventory_item_id": item, "inventory_item_detail_seq_id": self._next(item), "effective_date": at,
            "available_to_promise_diff": diff, "quantity_on_hand_diff": moved,
            "last_available_to_promise": before,
        } | detail)  # fmt: skip
        last, minimum = before + diff, float(row["minimum_stock"] or 0)
        counts = {"last_inventory_count": last,
                  "computed_last_inventory_count": last - minimum if last >= minimum else 0}  # fmt: skip
        self._set("product_facility", key, counts, at)
        t = T["inventory_item"].c
        totals = {
            "available_to_promise_total": last,
            "quantity_on_hand_total": t.quantity_on_hand_total + moved,
        }
        self._set("inventory_item", {"inventory_item_id": item}, totals, at)
        return item

    def _next(self, item: str) -> str:
        if item not in self._sequence:
            t = T["inventory_item_detail"]
            with self.batch() as connection:
                found = select(func.count()).select_from(t).where(t.c.inventory_item_id == item)
                self._sequence[item] = connection.execute(found).scalar_one()
        self._sequence[item] += 1
        return f"{self._sequence[item]:05}"

    def _add(self, name: str, at: datetime, *rows: dict[str, Any]) -> None:
        stamped: Sequence[dict[str, Any]] = [{"created_stamp": at, "last_updated_stamp": at} | row for row in rows]
        with self.batch() as connection:
            if stamped:
                connection.execute(insert(T[name]), stamped)

    def _set(self, name: str, key: dict[str, Any], values: dict[str, Any], at: datetime) -> None:
        table: Table = T[name]
        where = [table.c[column] == value for column, value in key.items()]
        with self.batch() as connection:
            connection.execute(update(table).where(*where).values(**values, last_updated_stamp=at))


def _new_product(
    shop_id: str, product_id: str, sku: str, item_id: int, facility_id: str, units: float, at: datetime
) -> dict[str, dict[str, Any]]:
    """The row of each table that a new product with stock at one facility needs."""
    key, item = {"product_id": product_id, "facility_id": facility_id}, f"{product_id}-{facility_id}"
    shown = {"shopify_product_id": f"{item_id}{product_id}", "shopify_inventory_item_id": str(item_id)}
    names = {"internal_name": sku, "product_name": sku, "is_virtual": "N", "is_variant": "Y"}
    counts = {"last_inventory_count": units, "computed_last_inventory_count": max(units, 0)}
    totals = {"quantity_on_hand_total": units, "available_to_promise_total": units}
    diffs = {"quantity_on_hand_diff": units, "available_to_promise_diff": units}
    return {
        "product": {"product_id": product_id, "product_type_id": "FINISHED_GOOD"} | names,
        "good_identification": {"good_identification_type_id": "SKU", "product_id": product_id,
                                "id_value": sku, "from_date": EPOCH},
        "shopify_shop_product": {"shop_id": shop_id, "product_id": product_id} | shown,
        "inventory_item": key | totals | {"inventory_item_id": item, "datetime_received": at,
                                          "inventory_item_type_id": "NON_SERIAL_INV_ITEM"},
        "product_facility": key | counts | {"inventory_item_id": item, "minimum_stock": 0},
        "inventory_item_detail": {"inventory_item_id": item, "inventory_item_detail_seq_id": "00001",
                                  "effective_date": at, "last_available_to_promise": 0} | diffs,
    }  # fmt: skip
