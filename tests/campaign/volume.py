"""HotWax at volume: products in facilities, their stock events and orders, made by the database itself."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from invsync.sandbox.oms import Oms

END = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 30
FACILITIES = 10
NUMBERS = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {top}) SELECT {what} FROM s",
    "mysql": "SELECT {what} FROM (SELECT seq AS n FROM seq_0_to_{top}) s",
    "postgresql": "SELECT {what} FROM generate_series(CAST(0 AS BIGINT), {top}) AS s(n)",
}
MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', {0}, 'unixepoch') || '.000000'",
    "mysql": "TIMESTAMP('1970-01-01') + INTERVAL ({0}) SECOND",
    "postgresql": "to_timestamp({0}) AT TIME ZONE 'UTC'",
}
HALF = {"sqlite": "{0}/{1}", "mysql": "{0} DIV {1}", "postgresql": "{0}/{1}"}


class Volume:
    """A writer of many rows at once into HotWax's tables."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url)
        self.kind = self.engine.dialect.name

    def text(self, head: str, number: str = "n") -> str:
        """An id, as P17."""
        kind = "CHAR" if self.kind == "mysql" else "VARCHAR"
        number = f"CAST({number} AS {kind})"
        return f"CONCAT('{head}', {number})" if self.kind == "mysql" else f"'{head}' || {number}"

    def over(self, left: str, right: int) -> str:
        """A whole quotient."""
        return HALF[self.kind].format(left, right)

    def moment(self, rows: int) -> str:
        """The stamp of row n of so many, spread over the last days."""
        first, span = int((END - timedelta(days=DAYS)).timestamp()), DAYS * 86_400
        return MOMENT[self.kind].format(f"{first} + {self.over(f'n * {span}', rows)}")

    def insert(self, table: str, rows: int, **columns: str) -> None:
        """Insert so many rows, each column an expression of n."""
        stamp = self.moment(rows)
        columns = {"created_stamp": stamp, "last_updated_stamp": stamp} | columns
        numbers = NUMBERS[self.kind].format(top=rows - 1, what=", ".join(columns.values()))
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO {table} ({', '.join(columns)}) {numbers}".replace("%", "%%")
                if self.kind != "sqlite"
                else f"INSERT INTO {table} ({', '.join(columns)}) {numbers}"
            )


def fill(
    url: str,
    *,
    products: int,
    events: int,
    orders: int,
    diff: str = "-1",
    one_to_one: bool = False,
    reason: str = "CASE WHEN n % 2 = 0 THEN 'VAR_MANUAL' END",
) -> None:
    """A shop of so many products, each at ten facilities, their events and orders spread over 30 days before END.

    All facilities feed location 1, or facility Fn feeds location n + 1 alone; pair p is product p // 10 at facility p % 10,
    with 4 + p % 50 units, and event n is one of pair n % (10 * products).
    """
    oms = Oms(url).create()
    for number in range(FACILITIES):
        oms.add_facility(f"F{number}", f"Facility {number}")
        if one_to_one:
            oms.map_location(f"F{number}", number + 1)
    if not one_to_one:
        oms.map_location("_NA_", 1)
    oms.close()
    v, pairs = Volume(url), products * FACILITIES
    product, facility = v.text("P", v.over("n", FACILITIES)), v.text("F", f"n % {FACILITIES}")
    v.insert("product", products, product_id=v.text("P"), internal_name=v.text("SKU"))
    v.insert(
        "shopify_shop_product",
        products,
        shop_id="'SANDBOX'",
        product_id=v.text("P"),
        shopify_product_id=v.text("7"),
        shopify_inventory_item_id=v.text("4"),
    )
    v.insert(
        "product_facility",
        pairs,
        product_id=product,
        facility_id=facility,
        last_inventory_count="4 + n % 50",
        computed_last_inventory_count="4 + n % 50",
        minimum_stock="0",
        inventory_item_id=v.text("I"),
    )
    v.insert("inventory_item", pairs, inventory_item_id=v.text("I"), product_id=product, facility_id=facility)
    v.insert(
        "inventory_item_detail",
        events,
        inventory_item_id=v.text("I", f"n % {pairs}"),
        inventory_item_detail_seq_id=v.text("", v.over("n", pairs)),
        available_to_promise_diff=diff,
        quantity_on_hand_diff="0",
        reason_enum_id=reason,
        order_id=f"CASE WHEN n % 2 = 1 THEN {v.text('O', v.over(f'n * {orders}', events))} END",
    )
    waits = f"CASE WHEN n >= {orders - 2000} THEN '_NA_' ELSE 'F0' END"
    status = f"CASE WHEN n >= {orders - 2000} THEN 'ITEM_APPROVED' ELSE 'ITEM_COMPLETED' END"
    v.insert(
        "order_header",
        orders,
        order_id=v.text("O"),
        order_type_id="'SALES_ORDER'",
        product_store_id="'STORE'",
        external_id=v.text("", "5000000000 + n"),
        order_date=v.moment(orders),
    )
    v.insert(
        "order_item",
        orders,
        order_id=v.text("O"),
        order_item_seq_id="'00001'",
        ship_group_seq_id="'00001'",
        product_id=v.text("P", f"n % {products}"),
        quantity="1",
        status_id=status,
    )
    v.insert("order_item_ship_group", orders, order_id=v.text("O"), ship_group_seq_id="'00001'", facility_id=waits)
    v.insert(
        "order_item_ship_grp_inv_res",
        orders // 10,
        order_id=v.text("O"),
        ship_group_seq_id="'00001'",
        order_item_seq_id="'00001'",
        inventory_item_id=v.text("I", f"n % {pairs}"),
        quantity="1",
    )
    with v.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"ANALYZE TABLE {name}" if v.kind == "mysql" else f"ANALYZE {name}")
    v.engine.dispose()
