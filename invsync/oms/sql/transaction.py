"""A consistent read in progress: HotWax's rows of some products, or of all."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.oms.schemas import Frames
from invsync.oms.sql.catalog import Catalog, reserves
from invsync.oms.sql.changed_products import Condition
from invsync.oms.sql.reader import MANY, Reader
from invsync.oms.sql.statements import Column, Rows

Products = Sequence[str] | None  # None for all


@dataclass(frozen=True)
class Transaction:
    """One transaction on the database, for one shop and its product store."""

    reader: Reader
    connection: sa.Connection
    catalog: Catalog
    shop: str
    store: str

    def rows(self, query: Rows, schema: tables.Schema) -> pl.DataFrame:
        """Return the query's rows."""
        return self.reader.rows(self.connection, query, schema)

    def rows_of(self, query: Rows, column: Column, values: Sequence[str], schema: tables.Schema) -> pl.DataFrame:
        """Return the query's rows whose column is among the values."""
        return self.reader.rows_of(self.connection, query, column, values, schema)

    def of_products(self, query: Rows, table: str, products: Products, schema: tables.Schema) -> pl.DataFrame:
        """Return the query's rows of these products, by the product_id of this table; none where the table is missing."""
        if table not in self.catalog:
            return tables.empty(schema)
        if products is None:
            return self.rows(query, schema)
        if len(products) > MANY:
            return self.rows(query, schema).filter(pl.col("product_id").is_in(products))
        return self.rows_of(query, self.catalog.sql[table].c.product_id, products, schema)

    def stock(self, products: Products) -> Frames:
        """Return the frames of a Snapshot that say what there is, and what it is mapped to."""
        sql = self.catalog.sql
        of_shop = sql["shopify_shop_location"].c.shop_id == self.shop
        stores, places = tables.PRODUCT_STORE_FACILITY, tables.SHOPIFY_SHOP_LOCATION
        return {
            "product_facility": self._table("product_facility", products, tables.PRODUCT_FACILITY),
            "facility": self.rows(sql.facilities(), tables.FACILITY),
            "facility_group_member": self.rows(sql.group_members(), tables.FACILITY_GROUP_MEMBER),
            "product_store_facility": self.rows(sql.plain("product_store_facility", list(stores)), stores),
            "shopify_shop_location": self.rows(sql.plain("shopify_shop_location", list(places)).where(of_shop), places),
            "shopify_shop_product": self._shop_products(products),
            "product": self._table("product", products, tables.PRODUCT),
        }

    def _table(self, name: str, products: Products, schema: tables.Schema) -> pl.DataFrame:
        return self.of_products(self.catalog.sql.plain(name, list(schema)), name, products, schema)

    def _shop_products(self, products: Products) -> pl.DataFrame:
        """Return the products' rows and every other row of their inventory items, so that a shared item shows."""
        name, schema = "shopify_shop_product", tables.SHOPIFY_SHOP_PRODUCT
        table = self.catalog.sql[name].c
        query = self.catalog.sql.plain(name, list(schema)).where(table.shop_id == self.shop)
        rows = self.of_products(query, name, products, schema)
        if products is None:
            return rows
        items = rows["shopify_inventory_item_id"].drop_nulls().unique().to_list()
        others = self.rows_of(query, table.shopify_inventory_item_id, items, schema)
        return pl.concat([rows, others]).unique()

    def queue(self, products: Products) -> pl.DataFrame:
        """Return QUEUE: the units that wait in the brokering queue."""
        query = self.if_reserving(self.catalog.sql.queue(self.store))
        return self.of_products(query, "order_item", products, tables.QUEUE)

    def if_reserving(self, query: Rows) -> Rows:
        """Return the query of the brokering queue; it has no rows where the store does not reserve."""
        return query if reserves(self.connection, self.catalog, self.store) else query.where(sa.false())

    def events(self, products: Products, recorded: Condition) -> pl.DataFrame:
        """Return EVENTS of the products that meet a condition; none where the OMS keeps no events."""
        if "inventory_item_detail" not in self.catalog:
            return tables.empty(tables.EVENTS)
        schema = tables.EVENTS | {"names_movement": tables.QUANTITY}
        rows = self.of_products(self.catalog.sql.events().where(recorded), "inventory_item", products, schema)
        return tables.conform(rows, tables.EVENTS, "events")
