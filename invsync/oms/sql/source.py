"""HotWax over SQL: one reader for SQLite, MySQL and PostgreSQL, each snapshot in one transaction."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.config.connectors import OmsSettings
from invsync.config.secrets import secret
from invsync.errors import OmsFailed, UsageError
from invsync.inputs.door import NEVER
from invsync.oms import schemas
from invsync.oms.sql import adhoc, known_orders
from invsync.oms.sql.changed_products import Window, moved_facilities, touched_products
from invsync.oms.sql.connector import DatabaseSettings
from invsync.oms.sql.reader import MANY, Reader, connect
from invsync.oms.sql.statements import (
    CANCELLED_UNITS,
    CHANNEL_GROUP,
    OPTIONAL_COLUMNS,
    ORIGIN,
    REQUIRED,
    STAMPS,
    Rows,
    Statements,
)
from invsync.oms.sql.values import stamp

Frames = dict[str, pl.DataFrame]
CHECKED = {
    "product_facility": "product_facility",
    "facility_group_member": "facility_group_member",
    "product_store_facility": "product_store_facility",
    "queue": "order_item",
    "events": "inventory_item_detail",
    "reserved": "order_item_ship_grp_inv_res",
    "moved": "inventory_item_detail",
    "items": "order_item",
}
OF_ORDERS = {"known_orders": tables.KNOWN_ORDERS, "ordered": tables.ORDERED, "booked": tables.BOOKED}


def open_database(oms: DatabaseSettings, tries: int | None = None) -> "Database":
    """Return the configured database; `tries` plays no part."""
    url = oms.url or secret(oms.url_env, os.environ)
    if not url:
        raise UsageError("The OMS database has no address: set url or url_env under the shop's oms.")
    return Database(connect(url, oms.timezone), oms)


class Database:
    """A HotWax database, read for one Shopify shop; `unreadable` is known already of rows that came through the door."""

    keeps_history = True
    pads_event_ids = False

    def __init__(self, engine: sa.Engine, oms: OmsSettings, unreadable: pl.DataFrame | None = None) -> None:
        self.reader, self.oms = Reader(engine, oms.timezone), oms
        self.unreadable = unreadable
        with self.reader.transaction() as connection:
            self.names = _table_names(connection)
            texts = connection.dialect.name == "sqlite"
            self.sql = Statements(self.names, has_origin=_has_origin(connection, self.names), texts=texts)
            self.has = {(name, at) for name, at in OPTIONAL_COLUMNS if _has(connection, self.names, name, at)}
            self.store = self._store(connection)
            self._check_group(connection)

    def _store(self, connection: sa.Connection) -> str:
        shops = self.sql["shopify_shop"]
        query = sa.select(shops.c.is_enabled, shops.c.product_store_id).where(shops.c.shop_id == self.oms.shop_id)
        row = connection.execute(query).first()
        if row is None:
            raise UsageError(f"Shop {self.oms.shop_id} is not in shopify_shop of the OMS: correct shop_id.")
        if not schemas.is_on(row[0], f"shopify_shop of the OMS, shop_id {self.oms.shop_id}: is_enabled"):
            raise UsageError(f"Shop {self.oms.shop_id} is disabled in the OMS (is_enabled = 'N').")
        if not (store := self.oms.product_store_id or row[1]):
            raise UsageError(f"Shop {self.oms.shop_id} has no product store in the OMS: set product_store_id.")
        stores = self.sql["product_store"]
        if "product_store" in self.names:
            named = sa.select(stores.c.product_store_id).where(stores.c.product_store_id == store)
            if connection.execute(named).first() is None:
                raise UsageError(
                    f"Store {store} of shop {self.oms.shop_id} is not in product_store of the OMS: correct it, "
                    "or set product_store_id."
                )
        return str(store)

    def _check_group(self, connection: sa.Connection) -> None:
        """A group that is none or of the wrong type would make every online quantity 0: refused."""
        groups, name = self.sql["facility_group"], self.oms.facility_group_id
        query = sa.select(groups.c.facility_group_type_id).where(groups.c.facility_group_id == name)
        if name is None or (kind := connection.execute(query).scalar()) == CHANNEL_GROUP:
            return
        told = "is not in facility_group" if kind is None else f"is of type {kind}, not {CHANNEL_GROUP}"
        raise UsageError(f"Facility group {name} {told} of the OMS: correct facility_group_id.")

    def close(self) -> None:
        """Give the connections back."""
        self.reader.engine.dispose()

    def now(self) -> datetime:
        """The database's clock, UTC."""
        with self.reader.transaction() as connection:
            return self.reader.now(connection)

    def row_count(self, near: int = 0) -> int:
        """The number of product_facility rows."""
        with self.reader.transaction() as connection:
            query = sa.select(sa.func.count()).select_from(self.sql["product_facility"])
            return int(connection.execute(query).scalar_one())

    def changed_products(
        self, from_: datetime | None, thru: datetime, *, group: str | None = None, store: str | None = None
    ) -> pl.Series | None:
        """The distinct product_id touched in [from_, thru) or without a stamp; all (None) without a from_.

        All too where a location of this shop was mapped in between.
        """
        if from_ is None:
            return None
        with self.reader.transaction() as connection:
            window = self._window(connection, from_, thru)
            if connection.execute(self._mapped_since("shopify_shop_location", "facility_id", window)).first():
                return None
            found = touched_products(connection, self.sql, window, group=group, store=store or self.store)
            mapped = connection.execute(self._mapped_since("shopify_shop_product", "product_id", window)).scalars()
            found |= {str(product) for product in mapped if product is not None}
        return pl.Series("product_id", sorted(found), dtype=pl.String)

    def _mapped_since(self, name: str, column: str, window: Window) -> Rows:
        """One column of this shop's mapping rows that were written in the window; none where they have no stamp."""
        table = self.sql[name].c
        written = [window.holds(table[at]) for at in STAMPS if (name, at) in self.has]
        return sa.select(table[column]).where(table.shop_id == self.oms.shop_id, sa.or_(sa.false(), *written))

    def moved_facilities(self, from_: datetime, thru: datetime, *, group: str | None, store: str) -> list[str]:
        """The facilities whose membership of the group or the store changed in [from_, thru)."""
        with self.reader.transaction() as connection:
            window = self._window(connection, from_, thru)
            moved = moved_facilities(self.sql, window, group=group, store=store)
            return [str(facility) for facility in connection.execute(moved).scalars()]

    def products_of(self, items: pl.Series) -> pl.Series:
        """The distinct product_id of the products that these inventory items are mapped to."""
        table, schema = self.sql["shopify_shop_product"], tables.SHOPIFY_SHOP_PRODUCT
        query = self.sql.plain("shopify_shop_product", list(schema)).where(table.c.shop_id == self.oms.shop_id)
        texts = items.drop_nulls().unique().cast(pl.String).to_list()
        with self.reader.transaction() as connection:
            rows = self.reader.rows_of(connection, query, table.c.shopify_inventory_item_id, texts, schema)
        return rows["product_id"].drop_nulls().unique().sort()

    def events(self, from_: datetime, thru: datetime | None) -> pl.DataFrame:
        """EVENTS recorded in [from_, thru), or since from_, and those without a stamp."""
        if missing := sorted({"inventory_item", "inventory_item_detail"} - set(self.names)):
            raise OmsFailed(f"The OMS lacks the table(s) {', '.join(missing)}: its stock events cannot be read.")
        with self.reader.transaction() as connection:
            return self._events(connection, None, from_, thru)

    def cancelled_orders(self, from_: datetime) -> list[int]:
        """The Shopify orders of which an item was cancelled in the OMS at or after this moment."""
        touched, header = self.sql["order_item"].c.last_updated_stamp, self.sql["order_header"].c
        with self.reader.transaction() as connection:
            query = self.sql.cancelled(in_part=CANCELLED_UNITS in self.has)
            query = query.where(self._window(connection, from_, None).touched(touched))
            orders = [str(order) for order in connection.execute(query).scalars() if order is not None]
            every = self.sql.plain("order_header", list(known_orders.HEADERS))
            headers = self.reader.rows_of(connection, every, header.order_id, orders, known_orders.HEADERS)
            schemas.check_headers(headers)
            ours = known_orders.identified(headers, self._links(connection, orders))
        return sorted(ours["external_id"].unique())

    def _links(self, connection: sa.Connection, orders: list[str]) -> pl.DataFrame:
        """HEADERS of these orders' rows in shopify_shop_order."""
        if "shopify_shop_order" not in self.names:
            return tables.empty(known_orders.HEADERS)
        link = self.sql["shopify_shop_order"].c
        query = sa.select(link.order_id, link.shopify_order_id)
        return self.reader.rows_of(connection, query, link.order_id, orders, known_orders.HEADERS)

    def delta_reasons(self) -> pl.DataFrame:
        """DELTA_REASONS: the members of SHPFY_INV_DLT_REASON; none where the OMS has no such group."""
        if "enumeration_group_member" not in self.names:
            return tables.empty(tables.DELTA_REASONS)
        with self.reader.transaction() as connection:
            reasons = self.reader.rows(connection, self.sql.delta_reasons(), tables.DELTA_REASONS)
        schemas.seen("enumeration_group_member", reasons)
        return reasons

    def remotes(self) -> frozenset[str]:
        """The system_message_remote_id of this shop; none where the OMS does not keep them."""
        if "shopify_shop_remote" not in self.names:
            return frozenset()
        table = self.sql["shopify_shop_remote"]
        query = sa.select(table.c.system_message_remote_id).where(table.c.shop_id == self.oms.shop_id)
        with self.reader.transaction() as connection:
            return frozenset(str(remote) for remote in connection.execute(query).scalars())

    def sample(
        self,
        table: str,
        schema: tables.Schema,
        limit: int,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        newest: str = "",
    ) -> pl.DataFrame:
        """Return at most `limit` rows of any table, the newest by this stamp first."""
        return adhoc.sample(self.reader, self.names, table, schema, limit, where=where or {}, newest=newest)

    def order_history(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return ORDER_HEADERS and ORDER_ITEMS of all Shopify orders."""
        return adhoc.order_history(self.reader)

    def snapshot(
        self, products: pl.Series | None = None, *, orders: Sequence[int] = (), events_from: datetime | None = None
    ) -> tables.Snapshot:
        """HotWax's rows for these products, or for all, and what it holds of these Shopify orders, whatever their age.

        With `events_from` the same transaction reads the products' stock events recorded since then.
        """
        wanted = None if products is None else products.drop_nulls().unique().to_list()
        with self.reader.transaction() as connection:
            queue = self._for(connection, self._queue(connection), self.sql["order_item"], wanted, tables.QUEUE)
            frames = self._orders(connection, orders, wanted) | self._stock(connection, wanted) | {"queue": queue}
            if events_from:
                frames["events"] = self._events(connection, wanted, events_from, None)
            newest, now = self._newest_known(connection), self.reader.now(connection)
        unreadable = self.unreadable
        if unreadable is None:
            unreadable = pl.concat(
                [schemas.seen(CHECKED[name], frame) for name, frame in frames.items() if name in CHECKED]
            )
            frames["product_facility"] = schemas.spoiled(frames["product_facility"])
        elif wanted is not None:
            mine = pl.col("product_id").is_null() | pl.col("product_id").is_in(wanted)
            unreadable = unreadable.filter(mine)
        frames = {name: frame for name, frame in frames.items() if name not in known_orders.TOLD}
        return tables.Snapshot(**frames, newest_known=newest, now=now, unreadable=unreadable)

    def _orders(self, connection: sa.Connection, asked: Sequence[int], wanted: list[str] | None) -> Frames:
        """KNOWN_ORDERS, ORDERED and BOOKED of these Shopify orders, and the rows that they are made of (`known.TOLD`)."""
        if not asked:
            return {name: tables.empty(schema) for name, schema in OF_ORDERS.items()}
        headers = self._known(connection, asked)
        sql, orders = self.sql, headers["order_id"].unique().to_list()

        def of(query: Rows, name: str, by: str, schema: tables.Schema) -> pl.DataFrame:
            """The rows of these orders and the wanted products, the product as the table `by` names it."""
            if name not in self.names:
                return tables.empty(schema)
            chunks = (orders[start : start + MANY] for start in range(0, len(orders), MANY))
            parts = [query.where(sql[name].c.order_id.in_(chunk)) for chunk in chunks]
            return pl.concat(
                [tables.empty(schema), *(self._for(connection, part, sql[by], wanted, schema) for part in parts)]
            )

        queued = of(
            self._if_reserving(connection, sql.queued(self.store)), "order_item", "order_item", known_orders.ITEMS
        )
        reserved = of(sql.reserved(), "order_item_ship_grp_inv_res", "inventory_item", known_orders.RESERVED)
        moved = of(sql.moved(), "inventory_item_detail", "inventory_item", known_orders.MOVED)
        items = of(sql.items(), "order_item", "order_item", known_orders.ITEMS)
        booked = known_orders.booked(queued, reserved, moved, self._may_be_booked(headers))
        return {
            "known_orders": known_orders.orders(headers),
            "ordered": known_orders.ordered(items, headers),
            "booked": booked,
            "reserved": reserved,
            "moved": moved,
            "items": items,
        }

    def _may_be_booked(self, known: pl.DataFrame) -> pl.DataFrame:
        """Those of KNOWN whose units the stock may lack; in one transaction all of them."""
        return known

    def _known(self, connection: sa.Connection, asked: Sequence[int]) -> pl.DataFrame:
        """KNOWN: these orders' ids in the OMS."""
        header, link = self.sql["order_header"].c, self.sql["shopify_shop_order"].c
        every = self.sql.plain("order_header", list(known_orders.HEADERS))
        headers = self._named(connection, every, header.external_id, asked)
        if "shopify_shop_order" not in self.names:
            return known_orders.identified(headers, headers.clear(), asked)
        named = self._named(connection, sa.select(link.order_id, link.shopify_order_id), link.shopify_order_id, asked)
        others = named.drop_nulls().join(headers, on="order_id", how="anti")["order_id"].unique().to_list()
        owners = self.reader.rows_of(connection, every, header.order_id, others, known_orders.HEADERS)
        return known_orders.identified(pl.concat([headers, owners]), named, asked)

    def _named(
        self, connection: sa.Connection, query: Rows, name: sa.ColumnElement[Any], asked: Sequence[int]
    ) -> pl.DataFrame:
        """HEADERS with these Shopify ids, by an index where they are few, and those spelt unusually; or every one."""
        if len(asked) > known_orders.WHOLE_FROM:
            return self.reader.rows(connection, query.where(name.is_not(None)), known_orders.HEADERS)
        unusual = name.startswith(" ") | name.endswith(" ") | name.contains("?") | name.contains(".0")
        usual = self.reader.rows_of(connection, query, name, known_orders.spellings(asked), known_orders.HEADERS)
        return pl.concat([usual, self.reader.rows(connection, query.where(unusual), known_orders.HEADERS)]).unique()

    def _window(self, connection: sa.Connection, from_: datetime, thru: datetime | None) -> Window:
        return Window(from_, thru, timezone=self.oms.timezone, dialect=connection.dialect.name)

    def _newest_known(self, connection: sa.Connection) -> datetime | None:
        """When the newest known order was placed: NEVER where no date can be read, None where no order is known."""
        newest, orders = connection.execute(known_orders.newest(self.sql)).one()
        return stamp(newest, ZoneInfo(self.oms.timezone)) or (NEVER if orders else None)

    def _events(
        self, connection: sa.Connection, wanted: list[str] | None, from_: datetime, thru: datetime | None
    ) -> pl.DataFrame:
        if "inventory_item_detail" not in self.names:
            return tables.empty(tables.EVENTS)
        recorded = self._window(connection, from_, thru).touched(self.sql["inventory_item_detail"].c.created_stamp)
        query = self.sql.events().where(recorded)
        schema = tables.EVENTS | {"names_movement": tables.QUANTITY}
        rows = self._for(connection, query, self.sql["inventory_item"], wanted, schema)
        return tables.conform(rows, tables.EVENTS, "events")

    def _stock(self, connection: sa.Connection, wanted: list[str] | None) -> Frames:
        sql, shop = self.sql, self.oms.shop_id
        at_shop = sql["shopify_shop_location"].c.shop_id == shop
        schema = tables.PRODUCT_FACILITY
        stock = sql.plain("product_facility", list(schema))
        names = sql.plain("product", list(tables.PRODUCT))
        return {
            "product_facility": self._for(connection, stock, sql["product_facility"], wanted, schema),
            "facility": self.reader.rows(connection, sql.facilities(), tables.FACILITY),
            "facility_group_member": self.reader.rows(connection, sql.group_members(), tables.FACILITY_GROUP_MEMBER),
            "product_store_facility": self._plain(connection, "product_store_facility", tables.PRODUCT_STORE_FACILITY),
            "shopify_shop_location": self.reader.rows(
                connection,
                sql.plain("shopify_shop_location", list(tables.SHOPIFY_SHOP_LOCATION)).where(at_shop),
                tables.SHOPIFY_SHOP_LOCATION,
            ),
            "shopify_shop_product": self._shop_products(connection, wanted),
            "product": self._for(connection, names, sql["product"], wanted, tables.PRODUCT),
        }

    def _shop_products(self, connection: sa.Connection, wanted: list[str] | None) -> pl.DataFrame:
        """The products' rows and every other row of the same inventory items: an item shared shows itself."""
        table, schema = self.sql["shopify_shop_product"], tables.SHOPIFY_SHOP_PRODUCT
        query = self.sql.plain("shopify_shop_product", list(schema)).where(table.c.shop_id == self.oms.shop_id)
        rows = self._for(connection, query, table, wanted, schema)
        if wanted is None:
            return rows
        items = rows["shopify_inventory_item_id"].drop_nulls().unique().to_list()
        others = self.reader.rows_of(connection, query, table.c.shopify_inventory_item_id, items, schema)
        return pl.concat([rows, others]).unique()

    def _queue(self, connection: sa.Connection) -> Rows:
        return self._if_reserving(connection, self.sql.queue(self.store))

    def _if_reserving(self, connection: sa.Connection, query: Rows) -> Rows:
        """The query of the brokering queue; it counts nothing where the store does not reserve."""
        if "product_store" not in self.names:
            return query
        stores = self.sql["product_store"]
        reserves = sa.select(stores.c.reserve_inventory).where(stores.c.product_store_id == self.store)
        place = f"product_store of the OMS, product_store_id {self.store}: reserve_inventory"
        return query if schemas.is_on(connection.execute(reserves).scalar(), place) else query.where(sa.false())

    def _plain(self, connection: sa.Connection, name: str, schema: tables.Schema) -> pl.DataFrame:
        return self.reader.rows(connection, self.sql.plain(name, list(schema)), schema)

    def _for(
        self,
        connection: sa.Connection,
        query: Rows,
        table: sa.TableClause,
        wanted: list[str] | None,
        schema: tables.Schema,
    ) -> pl.DataFrame:
        """The rows of the wanted products; an optional table that is missing is empty."""
        if table.name not in self.names.values():
            return tables.empty(schema)
        if wanted is None:
            return self.reader.rows(connection, query, schema)
        if len(wanted) > MANY:
            return self.reader.rows(connection, query, schema).filter(pl.col("product_id").is_in(wanted))
        return self.reader.rows_of(connection, query, table.c.product_id, wanted, schema)


def _table_names(connection: sa.Connection) -> dict[str, str]:
    """The real name of each table, by its lower-case name; a missing required table is refused by name."""
    inspector = sa.inspect(connection)
    names = {name.lower(): name for name in [*inspector.get_table_names(), *inspector.get_view_names()]}
    if missing := sorted(REQUIRED - set(names)):
        raise OmsFailed(f"The OMS lacks the table(s) {', '.join(missing)}: check its schema.")
    return names


def _has_origin(connection: sa.Connection, names: dict[str, str]) -> bool:
    return all(name in names and _has(connection, names, name, column) for name, column in ORIGIN.items())


def _has(connection: sa.Connection, names: dict[str, str], name: str, column: str) -> bool:
    return column in {found["name"].lower() for found in sa.inspect(connection).get_columns(names[name])}
