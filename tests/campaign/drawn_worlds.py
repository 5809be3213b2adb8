"""Small random HotWax worlds as plain rows, with what Shopify shows beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from invsync.oms.sql import statements
from invsync.oms.sql.statements import QUANTITIES

Value = str | int | datetime | None
Row = dict[str, Value]

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EXPORTED = NOW - timedelta(minutes=5)
MARK = NOW - timedelta(hours=1)  # where the window of a recent run begins
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SHOP, STORE, GROUP, REMOTE = "SANDBOX", "STORE", "FAC_GRP", "SANDBOX_REMOTE"
ONLINE, STORES = 70111222333, (70111222401, 70111222402, 70111222403)
ZONES = ("UTC", "UTC", "UTC", "Europe/Berlin", "America/New_York")
PRODUCTS = ("10023", "10024", "00042", "007", "SHIRT-M", "P_1", "M10001")
FACILITIES = ("WH", "10000", "ST_1", "0020", "BROADWAY")
SKUS = (
    "PLAIN",
    'Disc 5" "gold"',
    "Red, L",
    "back\\slash",
    "two\nlines",
    "Café crème",
    "Größe L",
    "0815",
    "a;b",
    "tab\there",
)
UNITS = (0, 1, 2, 3, 5, 8, 12, 40, 250, 1000, 1234, 1234567, -1)
CONFIG = "CONFIG"
INDICATORS = {"allow_brokering", "is_enabled", "reserve_inventory"}
TEXTS = {"facility_name", "internal_name", "description", "comments", "id_value", "internal-name"}
COLUMNS = {  # what is read, and columns that nobody reads
    **statements.COLUMNS,
    "product": "product_id internal_name description",
    "inventory_item_variance": f"{statements.COLUMNS['inventory_item_variance']} comments",
}
KEYS = {
    "product_facility": "product_id facility_id",
    "facility": "facility_id",
    "facility_type": "facility_type_id",
    "facility_group": "facility_group_id",
    "facility_group_member": "facility_id facility_group_id from_date",
    "product_store_facility": "product_store_id facility_id from_date",
    "shopify_shop": "shop_id",
    "shopify_shop_location": "shop_id facility_id",
    "shopify_shop_product": "shop_id shopify_product_id",
    "order_header": "order_id",
    "order_item": "order_id order_item_seq_id",
    "order_item_ship_group": "order_id ship_group_seq_id",
    "product": "product_id",
    "product_store": "product_store_id",
    "inventory_item": "inventory_item_id",
    "inventory_item_detail": "inventory_item_id inventory_item_detail_seq_id",
    "inventory_item_variance": "inventory_item_id physical_inventory_id",
    "external_inventory_reset": "reset_item_id",
    "order_item_ship_grp_inv_res": "order_id ship_group_seq_id order_item_seq_id inventory_item_id",
    "enumeration_group_member": "enumeration_id enumeration_group_id from_date",
    "shopify_shop_order": "shop_id order_id",
    "shopify_shop_remote": "shop_id system_message_remote_id",
}
READ = tuple(KEYS)  # the tables that a damage may hit; good_identification is asked by nobody but a feed
OPTIONAL_COLUMNS = {
    ("order_item", "cancel_quantity"),
    ("inventory_item_detail", "reset_item_id"),
    ("external_inventory_reset", "origin_system_message_remote_id"),
    *((name, "created_stamp") for name in ("shopify_shop_location", "shopify_shop_product")),
    *((name, "last_updated_stamp") for name in ("shopify_shop_location", "shopify_shop_product")),
}


def kind(column: str) -> str:
    """What a column of a table or a feed holds: quantity, indicator, stamp, text or id."""
    if column in QUANTITIES or column in ("availableQty", "AvailableQty", "availableDelta", "ATP", "minimum-stock"):
        return "quantity"
    if column in INDICATORS:
        return "indicator"
    if column.endswith(("_stamp", "_date")):
        return "stamp"
    return "text" if column in TEXTS else "id"


@dataclass
class World:
    """HotWax's rows by table, and Shopify's side: its orders as SOLD and a level for every item at every location."""

    seed: str
    zone: str = "UTC"
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    sold: list[tuple[int, int, int | None, int, int]] = field(
        default_factory=list
    )  # order, item, location, open, shipped
    items: dict[str, int] = field(default_factory=dict)  # by product
    places: dict[str, int] = field(default_factory=dict)  # location by facility
    levels: dict[tuple[int, int], int] = field(default_factory=dict)
    upcs: dict[str, str] = field(default_factory=dict)  # by product
    readings: dict[str, Any] = field(default_factory=dict, repr=False)  # what is known to follow from a snapshot
    is_late: bool = False  # an order was reserved after the stock was exported

    def add(self, table: str, **row: Value) -> None:
        """A row, null where it says nothing."""
        self.tables[table].append({column: row.get(column) for column in COLUMNS[table].split()})

    @property
    def orders(self) -> list[int]:
        """The Shopify orders that the look-back shows."""
        return sorted({row[0] for row in self.sold})


class Drawing:
    """One world being drawn."""

    def __init__(self, seed: str) -> None:
        self.rng, self.world = Random(seed), World(seed)
        self.facilities: list[str] = []
        self.number = 0

    def drawn(self) -> World:
        """The whole world."""
        self.world.zone = self.rng.choice(ZONES)
        self._types()
        self._facilities()
        self._products()
        for _ in range(self.rng.randint(3, 6)):
            self._order()
        for _ in range(self.rng.randint(2, 4)):
            self._event()
        for rows in self.world.tables.values():
            self.rng.shuffle(rows)
        return self.world

    def recent(self) -> datetime:
        """A moment in the window of a recent run, before the export."""
        return MARK + timedelta(minutes=self.rng.randrange(1, 45))

    def old(self) -> datetime:
        """A moment long before the window."""
        return NOW - timedelta(days=self.rng.randrange(2, 400), minutes=self.rng.randrange(1440))

    def some_time(self) -> datetime:
        return self.recent() if self.rng.random() < 0.4 else self.old()

    def id(self) -> str:
        """The next of HotWax's own ids."""
        self.number += 1
        return str(20000 + self.number)

    # -- what a shop is made of

    def _types(self) -> None:
        add = self.world.add
        for name, parent in (
            ("VIRTUAL_FACILITY", None),
            ("BROKERING_QUEUE", "VIRTUAL_FACILITY"),
            ("CONFIGURATION", None),
            ("WAREHOUSE", "DISTRIBUTION_CENTER"),
            ("RETAIL_STORE", "PHYSICAL_STORE"),
        ):
            add("facility_type", facility_type_id=name, parent_type_id=parent)
        add("facility_group", facility_group_id=GROUP, facility_group_type_id="CHANNEL_FAC_GROUP")
        add("facility_group", facility_group_id="PICKUP", facility_group_type_id="PICKUP_FAC_GROUP")
        add("shopify_shop", shop_id=SHOP, product_store_id=STORE, is_enabled=self.rng.choice(["Y", None]))
        add("shopify_shop", shop_id="OTHER", product_store_id="STORE2", is_enabled="N")
        add("product_store", product_store_id=STORE, reserve_inventory=self.rng.choice(["Y", "Y", None, "N"]))
        add("product_store", product_store_id="STORE2", reserve_inventory="N")
        add("shopify_shop_remote", shop_id=SHOP, system_message_remote_id=REMOTE)
        add("shopify_shop_remote", shop_id="OTHER", system_message_remote_id="OTHER_REMOTE")
        for reason in ("CYCLE_COUNT", "VAR_MANUAL", "POS_SALE"):
            ended = NOW - timedelta(days=30) if reason == "POS_SALE" and self.rng.random() < 0.3 else None
            add(
                "enumeration_group_member",
                enumeration_id=reason,
                enumeration_group_id="SHPFY_INV_DLT_REASON",
                from_date=LONG_AGO,
                thru_date=ended,
            )

    def _facilities(self) -> None:
        world, rng = self.world, self.rng
        self.facilities = rng.sample(FACILITIES, rng.randint(2, 4))
        world.add("facility", facility_id="_NA_", facility_type_id="BROKERING_QUEUE", facility_name="Brokering Queue")
        world.add(
            "facility", facility_id=CONFIG, facility_type_id="CONFIGURATION", facility_name="Rules", external_id="X-0"
        )
        self._located("_NA_", ONLINE)
        for number, name in enumerate(self.facilities):
            label = rng.choice(["Store №1", 'The "Old" store', "Lyon, centre", "Nord\\Süd", "Quai\nSud", name])
            world.add(
                "facility",
                facility_id=name,
                facility_name=label,
                external_id=f"X-{number + 1}",
                facility_type_id="WAREHOUSE" if number == 0 else "RETAIL_STORE",
            )
            if number and rng.random() < 0.6:
                shared = [STORES[number - 2]] if self.facilities[number - 1] in world.places else []
                self._located(name, rng.choice([STORES[number - 1]] * 4 + shared))
            self._member("product_store_facility", name, {"product_store_id": STORE})
        for name in (*self.facilities, CONFIG):
            self._member("facility_group_member", name, {"facility_group_id": GROUP})
        world.add(
            "shopify_shop_location",
            shop_id="OTHER",
            facility_id=self.facilities[0],
            shopify_location_id="991",
            created_stamp=LONG_AGO,
            last_updated_stamp=LONG_AGO,
        )

    def _located(self, facility: str, location: int) -> None:
        self.world.places[facility] = location
        stamp = self.old()
        self.world.add(
            "shopify_shop_location",
            shop_id=SHOP,
            facility_id=facility,
            shopify_location_id=str(location),
            created_stamp=stamp,
            last_updated_stamp=stamp,
        )

    def _member(self, table: str, facility: str, group: Row) -> None:
        """A membership: open, ended, ended and begun anew, or not begun yet."""
        rng, day = self.rng, timedelta(days=1)
        form = rng.choice(["open"] * 5 + ["ended", "again", "later", "just ended"])
        form = "open" if facility == self.facilities[0] else form
        past, ended = LONG_AGO, datetime(2025, 12, 31, tzinfo=UTC)
        dates: dict[str, list[tuple[datetime, datetime | None]]] = {
            "open": [(past, None)],
            "ended": [(past, ended)],
            "again": [(past, ended), (ended + day, None)],
            "later": [(NOW + 30 * day, None)],
            "just ended": [(past, self.recent())],
        }
        for from_, thru in dates[form]:
            touched = self.recent() if form == "just ended" else self.old()
            self.world.add(
                table, **group, facility_id=facility, from_date=from_, thru_date=thru, last_updated_stamp=touched
            )

    def _products(self) -> None:
        world, rng = self.world, self.rng
        skus = rng.sample(SKUS, len(SKUS))
        for number, product in enumerate(rng.sample(PRODUCTS, rng.randint(3, 4))):
            world.upcs[product] = f"0{12345678900 + number}"
            world.add("product", product_id=product, internal_name=f"{skus[number]}", description=rng.choice(SKUS))
            for name, value in (("SKU", skus[number]), ("UPCA", world.upcs[product])):
                world.add(
                    "good_identification",
                    good_identification_type_id=name,
                    product_id=product,
                    id_value=value,
                    from_date=LONG_AGO,
                )
            if number or rng.random() < 0.8:
                self._listed(product, 44012345678901 + 17 * number)
            self._stocked(product)
        for item in world.items.values():
            for place in world.places.values():
                world.levels[item, place] = rng.choice([0, 1, 3, 10, 60, -2])

    def _listed(self, product: str, item: int) -> None:
        stamp = self.recent() if self.rng.random() < 0.1 else self.old()
        self.world.items[product] = item
        self.world.add(
            "shopify_shop_product",
            shop_id=SHOP,
            product_id=product,
            shopify_product_id=f"4{item}",
            shopify_inventory_item_id=str(item),
            created_stamp=stamp,
            last_updated_stamp=stamp,
        )

    def _stocked(self, product: str) -> None:
        world, rng = self.world, self.rng
        for facility in self.facilities:
            if rng.random() < 0.85:
                last, minimum = rng.choice(UNITS), rng.choice([0, 0, 2, 3, None])
                sellable = max(last - (minimum or 0), 0)
                self.counted(product, facility, last, sellable, minimum, rng.choice(["Y", "Y", None, "N"]))
                world.add("inventory_item", inventory_item_id=self.id(), product_id=product, facility_id=facility)
        if rng.random() < 0.5:
            self.counted(product, CONFIG, 0, 0, rng.choice([1, 2, 4]), rng.choice(["Y", None, None, "N"]))

    def counted(
        self, product: str, facility: str, last: int, sellable: int, minimum: int | None, allowed: str | None
    ) -> None:
        self.world.add(
            "product_facility",
            product_id=product,
            facility_id=facility,
            last_inventory_count=last,
            computed_last_inventory_count=sellable,
            minimum_stock=minimum,
            allow_brokering=allowed,
            last_updated_stamp=self.some_time(),
        )

    # -- what happens in it

    def _order(self) -> None:
        """One order: Shopify's or another channel's, known or not, in the queue, reserved, shipped, cancelled."""
        rng, order = self.rng, self.id()
        form = rng.choice(
            [
                "queue",
                "queue",
                "reserved",
                "reserved",
                "shipped",
                "unknown",
                "without lines",
                "cancelled",
                "cut",
                "other",
                "linked",
                "other store",
            ]
        )
        shopify, stock = 5512345678901 + 1001 * int(order), rng.choice(self.world.tables["inventory_item"])
        product, facility, units = str(stock["product_id"]), str(stock["facility_id"]), rng.randint(1, 4)
        item = self.world.items.get(product)
        if form not in ("other", "other store") and item is not None:
            place = rng.choice([ONLINE, self.world.places.get(facility, ONLINE)])
            shipped = units if form == "shipped" else 0
            self.world.sold.append((shopify, item, place, units - shipped, shipped))
        if form == "unknown":
            return
        self._header(order, form, shopify)
        if form != "without lines":
            self._line(order, form, product, "_NA_" if form not in ("reserved", "shipped") else facility, units)
        if form in ("reserved", "shipped"):
            self._moved(order, form, str(stock["inventory_item_id"]), units)

    def _header(self, order: str, form: str, shopify: int) -> None:
        names = [str(shopify)] * 3 + [f"gid://shopify/Order/{shopify}"]
        external = {"other": self.rng.choice([None, "112-5551234-8817723", "POS-17"]), "linked": None}
        sold_at = NOW - timedelta(days=self.rng.choice([0, 0, 1, 20]), minutes=self.rng.randrange(10, 50))
        self.world.add(
            "order_header",
            order_id=order,
            order_type_id="SALES_ORDER",
            order_date=sold_at,
            external_id=external.get(form, self.rng.choice(names)),
            product_store_id="STORE2" if form == "other store" else STORE,
        )
        if form == "linked":
            self.world.add("shopify_shop_order", shop_id=SHOP, order_id=order, shopify_order_id=str(shopify))

    def _line(self, order: str, form: str, product: str, facility: str, units: int) -> None:
        status = {"cancelled": "ITEM_CANCELLED", "shipped": "ITEM_COMPLETED"}.get(form, "ITEM_APPROVED")
        self.world.add(
            "order_item",
            order_id=order,
            order_item_seq_id="00001",
            product_id=product,
            quantity=units,
            status_id=status,
            ship_group_seq_id="00001",
            last_updated_stamp=self.some_time(),
            cancel_quantity=1 if form == "cut" else self.rng.choice([0, None]),
        )
        self.world.add("order_item_ship_group", order_id=order, ship_group_seq_id="00001", facility_id=facility)

    def _moved(self, order: str, form: str, item: str, units: int) -> None:
        shipped, is_late = form == "shipped", self.rng.random() < 0.15
        self.world.is_late |= is_late
        at = EXPORTED - timedelta(minutes=2) if is_late else self.old()
        self.detail(item, -units, 0, order_id=order, created_stamp=at)
        if shipped:
            self.detail(item, 0, -units, order_id=order, shipment_id=self.id(), created_stamp=at)
        else:
            self.world.add(
                "order_item_ship_grp_inv_res",
                order_id=order,
                ship_group_seq_id="00001",
                order_item_seq_id="00001",
                inventory_item_id=item,
                quantity=units,
            )

    def detail(self, item: str, atp: int, qoh: int, **more: Value) -> None:
        """A stock event."""
        self.number += 1
        self.world.add(
            "inventory_item_detail",
            inventory_item_id=item,
            inventory_item_detail_seq_id=f"{self.number:05}",
            available_to_promise_diff=atp,
            quantity_on_hand_diff=qoh,
            **more,
        )

    def _event(self) -> None:
        """A count, a manual variance, another till's sale, a reset of this shop's own or another's, or a return."""
        rng = self.rng
        item = str(rng.choice(self.world.tables["inventory_item"])["inventory_item_id"])
        form = rng.choice(["CYCLE_COUNT", "VAR_MANUAL", "VAR_MANUAL", "POS_SALE", "VAR_DAMAGED", "reset", "return"])
        units, more = rng.choice([-3, -2, -1, 1, 4]), dict[str, Value]()
        if form in ("CYCLE_COUNT", "VAR_MANUAL", "VAR_DAMAGED"):
            count = self.id()
            more = {"physical_inventory_id": count}
            self.world.add(
                "inventory_item_variance",
                inventory_item_id=item,
                physical_inventory_id=count,
                reason_enum_id=form,
                comments=rng.choice(SKUS),
            )
        elif form == "POS_SALE":
            more = {"reason_enum_id": form}
        elif form == "return":
            more = {"reason_enum_id": "RTN_ITM_RCPT", "return_id": self.id()}
        else:
            reset = self.id()
            more = {"reason_enum_id": "CYCLE_COUNT", "reset_item_id": reset}
            self.world.add(
                "external_inventory_reset",
                reset_item_id=reset,
                origin_system_message_remote_id=rng.choice([REMOTE, "OTHER_REMOTE", None]),
            )
        self.detail(item, units, units, created_stamp=self.recent(), **more)


def draw(seed: str) -> World:
    """The world of this seed."""
    return Drawing(seed).drawn()


def tamed(world: World) -> World:
    """The same world with nothing in its texts that a reader could trip over."""
    tables = {
        name: [{column: plain(row, column) for column in row} for row in rows] for name, rows in world.tables.items()
    }
    return replace(world, tables=tables)


def plain(row: Row, column: str) -> Value:
    """The cell's value; a text that needs quotes as another."""
    value = row[column]
    is_awkward = isinstance(value, str) and kind(column) == "text" and any(char in value for char in '"\\\n\t')
    return f"text {row.get('product_id', '')}" if is_awkward else value


def cells(world: World, table: str) -> Iterator[tuple[int, str, Value]]:
    """Every cell of a table: row number, column, value."""
    for number, row in enumerate(world.tables[table]):
        for column, value in row.items():
            yield number, column, value
