"""HotWax's stock of a product at a facility: each writer appends its event and updates the totals."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, create_engine, func, insert, select, update

from invsync.sandbox.oms_tables import METADATA, Row, Value

T = METADATA.tables
Values = Mapping[str, Value | ColumnElement[float]]  # what to set, by column


class Stock:
    """The stock side of a HotWax database; each writer commits, or all of a `batch()` at its end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(url)
        self._open: Connection | None = None
        self._sequence: dict[str, int] = {}

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    @contextmanager
    def batch(self) -> Iterator[Connection]:
        """One transaction for everything written inside; an inner batch joins the outer one."""
        if self._open is not None:
            yield self._open
            return
        with self._engine.begin() as connection:
            self._open = connection
            try:
                yield connection
            finally:
                self._open = None

    def set_stock(
        self,
        product_id: str,
        facility_id: str,
        count: float,
        at: datetime,
        minimum_stock: float = 0,
        allow_brokering: str | None = None,
    ) -> None:
        """Set a product's count at a facility to `count` units, by a receipt of the difference."""
        key = {"product_id": product_id, "facility_id": facility_id}
        with self.batch():
            row = self._row(key)
            if row is None:
                item = f"{product_id}-{facility_id}"
                new: Row = {
                    "inventory_item_id": item,
                    "inventory_item_type_id": "NON_SERIAL_INV_ITEM",
                    "quantity_on_hand_total": 0,
                    "available_to_promise_total": 0,
                    "datetime_received": at,
                }
                self._add("inventory_item", at, {**key, **new})
                self._add("product_facility", at, {**key, "inventory_item_id": item, "last_inventory_count": 0})
            rules = {"minimum_stock": minimum_stock, "allow_brokering": allow_brokering}
            self._set("product_facility", key, rules, at)
            before = float(row["last_inventory_count"] or 0) if row else 0.0
            self._move(product_id, facility_id, count - before, at, {})

    def adjust(
        self,
        product_id: str,
        facility_id: str,
        diff: float,
        at: datetime,
        reason: str,
        physical_inventory_id: str | None = None,
        **names: Value,
    ) -> None:
        """Record a stock event of `diff` units; with a physical inventory id it is a variance.

        `names` are the order_id, shipment_id, return_id … of the event. `at` may lie before the events that are
        stored already, as for an event that was committed late.
        """
        with self.batch():
            detail: Row = {"reason_enum_id": reason, "physical_inventory_id": physical_inventory_id, **names}
            item = self._move(product_id, facility_id, diff, at, detail)
            if physical_inventory_id is not None:
                self._add(
                    "inventory_item_variance",
                    at,
                    {
                        "inventory_item_id": item,
                        "physical_inventory_id": physical_inventory_id,
                        "variance_reason_id": reason,
                        "reason_enum_id": reason,
                        "available_to_promise_var": diff,
                        "quantity_on_hand_var": diff,
                    },
                )

    def damage(self, product_id: str, facility_id: str, units: float, at: datetime, count_id: str) -> None:
        """Write off units that were damaged: a manual variance."""
        self.adjust(product_id, facility_id, -units, at, "VAR_DAMAGED", physical_inventory_id=count_id)

    def receive(self, product_id: str, facility_id: str, units: float, at: datetime, shipment_id: str) -> None:
        """Receive units of an inbound shipment."""
        self.adjust(product_id, facility_id, units, at, "VAR_SHIP_RECV", shipment_id=shipment_id)

    def take_back(self, product_id: str, facility_id: str, units: float, at: datetime, return_id: str) -> None:
        """Restock units of a customer's return."""
        self.adjust(product_id, facility_id, units, at, "RTN_ITM_RCPT", return_id=return_id)

    def reset(self, product_id: str, facility_id: str, count: float, at: datetime, origin: str | None = None) -> None:
        """Set a product's count to that of another system: an event without an effective date.

        `origin` is the remote that the count came from.
        """
        with self.batch() as connection:
            row = self._stocked(product_id, facility_id)
            diff = count - float(row["last_inventory_count"] or 0)
            number = connection.execute(select(func.count()).select_from(T["external_inventory_reset"])).scalar_one()
            reset_id = f"RESET{number + 1}"
            detail: Row = {"effective_date": None, "reset_item_id": reset_id, "reason_enum_id": "VAR_EXT_RESET"}
            item = self._move(product_id, facility_id, diff, at, detail)
            self._add(
                "external_inventory_reset",
                at,
                {
                    "reset_item_id": reset_id,
                    "product_id": product_id,
                    "facility_id": facility_id,
                    "inventory_item_id": item,
                    "external_atp": count,
                    "available_to_promise_diff": diff,
                    "quantity_on_hand_diff": diff,
                    "origin_system_message_remote_id": origin,
                },
            )

    def _stocked(self, product_id: str, facility_id: str) -> RowMapping:
        """The product_facility row of a product that has stock at a facility.

        Raises a ValueError if it has none.
        """
        row = self._row({"product_id": product_id, "facility_id": facility_id})
        if row is None:
            raise ValueError(f"Product {product_id} has no stock at {facility_id}: call set_stock first.")
        return row

    def _row(self, key: Row) -> RowMapping | None:
        t = T["product_facility"]
        with self.batch() as connection:
            query = select(t).where(*(t.c[name] == value for name, value in key.items()))
            return connection.execute(query).mappings().first()

    def _place(self, inventory_item_id: str) -> tuple[str, str]:
        """The product and the facility of an inventory item."""
        t = T["inventory_item"]
        with self.batch() as connection:
            query = select(t.c.product_id, t.c.facility_id).where(t.c.inventory_item_id == inventory_item_id)
            product_id, facility_id = connection.execute(query).one()
        return product_id, facility_id

    def _move(
        self, product_id: str, facility_id: str, diff: float, at: datetime, detail: Row, *, on_hand: float | None = None
    ) -> str:
        """Append an inventory item detail, update the totals and the sellable count, and return the inventory item."""
        row = self._stocked(product_id, facility_id)
        item, before = str(row["inventory_item_id"]), float(row["last_inventory_count"] or 0)
        moved = diff if on_hand is None else on_hand
        event: Row = {
            "inventory_item_id": item,
            "inventory_item_detail_seq_id": self._next(item),
            "effective_date": at,
            "available_to_promise_diff": diff,
            "quantity_on_hand_diff": moved,
            "last_available_to_promise": before,
        }
        self._add("inventory_item_detail", at, {**event, **detail})
        last, minimum = before + diff, float(row["minimum_stock"] or 0)
        counts = {
            "last_inventory_count": last,
            "computed_last_inventory_count": last - minimum if last >= minimum else 0,
        }
        self._set("product_facility", {"product_id": product_id, "facility_id": facility_id}, counts, at)
        on_hand_total = T["inventory_item"].c.quantity_on_hand_total + moved
        totals: Values = {"available_to_promise_total": last, "quantity_on_hand_total": on_hand_total}
        self._set("inventory_item", {"inventory_item_id": item}, totals, at)
        return item

    def _next(self, item: str) -> str:
        """The next sequence id of an inventory item's details."""
        if item not in self._sequence:
            t = T["inventory_item_detail"]
            with self.batch() as connection:
                query = select(func.count()).select_from(t).where(t.c.inventory_item_id == item)
                self._sequence[item] = connection.execute(query).scalar_one()
        self._sequence[item] += 1
        return f"{self._sequence[item]:05}"

    def _add(self, name: str, at: datetime, *rows: Row) -> None:
        stamped = [{"created_stamp": at, "last_updated_stamp": at, **row} for row in rows]
        with self.batch() as connection:
            if stamped:
                connection.execute(insert(T[name]), stamped)

    def _set(self, name: str, key: Row, values: Values, at: datetime) -> None:
        table = T[name]
        where = [table.c[column] == value for column, value in key.items()]
        with self.batch() as connection:
            connection.execute(update(table).where(*where).values(**values, last_updated_stamp=at))
