"""HotWax over SQL: one reader for SQLite, MySQL and PostgreSQL, each snapshot in one transaction."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.config.connectors import OmsSettings
from invsync.config.secrets import secret
from invsync.errors import OmsFailed, UsageError
from invsync.inputs.door import NEVER
from invsync.oms import schemas
from invsync.oms.schemas import Frames
from invsync.oms.sql import adhoc, known_orders
from invsync.oms.sql.catalog import catalog, check_group, product_store
from invsync.oms.sql.changed_products import Window, moved_facilities, touched_products
from invsync.oms.sql.connector import DatabaseSettings
from invsync.oms.sql.known_orders import OrderRows
from invsync.oms.sql.reader import Reader, connect
from invsync.oms.sql.statements import STAMPS, Rows
from invsync.oms.sql.transaction import Transaction
from invsync.oms.sql.values import stamp

CHECKED = {
    "product_facility": "product_facility",
    "facility_group_member": "facility_group_member",
    "product_store_facility": "product_store_facility",
    "queue": "order_item",
    "events": "inventory_item_detail",
}


def open_database(oms: DatabaseSettings, tries: int | None = None) -> "Database":
    """Return the configured database; `tries` is not used."""
    url = oms.url or secret(oms.url_env, os.environ)
    if not url:
        raise UsageError("The OMS database has no address: set url or url_env under the shop's oms.")
    return Database(connect(url, oms.timezone), oms)


class Database:
    """A HotWax database, read for one Shopify shop.

    `unreadable` is UNREADABLE of rows that were validated before they came into the database; None where the database
    is HotWax's own, so that each read is checked.
    """

    keeps_history = True
    respells_event_ids = False

    def __init__(self, engine: sa.Engine, oms: OmsSettings, unreadable: pl.DataFrame | None = None) -> None:
        self.reader, self.oms = Reader(engine, oms.timezone), oms
        self.unreadable = unreadable
        with self.reader.transaction() as connection:
            self.catalog = catalog(connection)
            self.store = product_store(connection, self.catalog, oms)
            check_group(connection, self.catalog, oms.facility_group_id)
        self.sql = self.catalog.sql

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self.reader.transaction() as connection:
            yield Transaction(self.reader, connection, self.catalog, self.oms.shop_id, self.store)

    def close(self) -> None:
        """Close the connections."""
        self.reader.engine.dispose()

    def now(self) -> datetime:
        """Return the database's clock, UTC."""
        with self.reader.transaction() as connection:
            return self.reader.now(connection)

    def row_count(self, near: int = 0) -> int:
        """Return the number of product_facility rows."""
        with self.reader.transaction() as connection:
            query = sa.select(sa.func.count()).select_from(self.sql["product_facility"])
            return int(connection.execute(query).scalar_one())

    def changed_products(
        self, from_: datetime | None, thru: datetime, *, group: str | None = None, store: str | None = None
    ) -> pl.Series | None:
        """Return the distinct product_id that changed in [from_, thru) or have no stamp; None for all.

        All count where there is no from_, and where a location of this shop was mapped in the window.
        """
        if from_ is None:
            return None
        with self.reader.transaction() as connection:
            window = self._window(from_, thru)
            if connection.execute(self._mapped_since("shopify_shop_location", "facility_id", window)).first():
                return None
            products = touched_products(connection, self.sql, window, group=group, store=store or self.store)
            mapped = connection.execute(self._mapped_since("shopify_shop_product", "product_id", window)).scalars()
            products |= {str(product) for product in mapped if product is not None}
        return pl.Series("product_id", sorted(products), dtype=pl.String)

    def _mapped_since(self, name: str, column: str, window: Window) -> Rows:
        """Return one column of this shop's mapping rows that were written in the window; none without stamps."""
        table = self.sql[name].c
        written = [window.holds(table[at]) for at in STAMPS if (name, at) in self.catalog.columns]
        return sa.select(table[column]).where(table.shop_id == self.oms.shop_id, sa.or_(sa.false(), *written))

    def moved_facilities(self, from_: datetime, thru: datetime, *, group: str | None, store: str) -> list[str]:
        """Return the facilities whose membership of the group or the store changed in [from_, thru)."""
        moved = moved_facilities(self.sql, self._window(from_, thru), group=group, store=store)
        with self.reader.transaction() as connection:
            return [str(facility) for facility in connection.execute(moved).scalars()]

    def products_of(self, items: pl.Series) -> pl.Series:
        """Return the distinct product_id of the products that these inventory items are mapped to."""
        table, schema = self.sql["shopify_shop_product"], tables.SHOPIFY_SHOP_PRODUCT
        query = self.sql.plain("shopify_shop_product", list(schema)).where(table.c.shop_id == self.oms.shop_id)
        texts = items.drop_nulls().unique().cast(pl.String).to_list()
        with self._transaction() as read:
            rows = read.rows_of(query, table.c.shopify_inventory_item_id, texts, schema)
        return rows["product_id"].drop_nulls().unique().sort()

    def events(self, from_: datetime, thru: datetime | None) -> pl.DataFrame:
        """Return EVENTS recorded in [from_, thru), or since from_, and those without a stamp."""
        if missing := sorted({"inventory_item", "inventory_item_detail"} - set(self.catalog.names)):
            raise OmsFailed(f"The OMS lacks the table(s) {', '.join(missing)}: its stock events cannot be read.")
        with self._transaction() as read:
            return read.events(None, self._recorded(from_, thru))

    def _recorded(self, from_: datetime, thru: datetime | None) -> sa.ColumnElement[bool]:
        return self._window(from_, thru).touched(self.sql["inventory_item_detail"].c.created_stamp)

    def cancelled_orders(self, from_: datetime) -> list[int]:
        """Return the Shopify orders of which an item was cancelled in the OMS at or after this moment."""
        touched = self._window(from_, None).touched(self.sql["order_item"].c.last_updated_stamp)
        with self._transaction() as read:
            return known_orders.read_cancelled(read, touched)

    def delta_reasons(self) -> pl.DataFrame:
        """Return DELTA_REASONS: the members of SHPFY_INV_DLT_REASON; none where the OMS has no such group."""
        if "enumeration_group_member" not in self.catalog:
            return tables.empty(tables.DELTA_REASONS)
        with self._transaction() as read:
            reasons = read.rows(self.sql.delta_reasons(), tables.DELTA_REASONS)
        schemas.seen("enumeration_group_member", reasons)
        return reasons

    def remotes(self) -> frozenset[str]:
        """Return the system_message_remote_id of this shop; none where the OMS does not keep them."""
        if "shopify_shop_remote" not in self.catalog:
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
        """Return at most `limit` rows of any table, those with the newest stamp first."""
        return adhoc.sample(self.reader, self.catalog.names, table, schema, limit, where=where or {}, newest=newest)

    def order_history(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return ORDER_HEADERS and ORDER_ITEMS of all Shopify orders."""
        return adhoc.order_history(self.reader)

    def snapshot(
        self,
        products: pl.Series | None = None,
        *,
        orders: Sequence[int] = (),
        events_from: datetime | None = None,
        to_select: bool = False,
    ) -> tables.Snapshot:
        """Return these products, or all, and what HotWax holds of these Shopify orders, read in one transaction.

        With `events_from` it has the products' stock events since then too; `to_select` makes no difference here.
        """
        wanted = None if products is None else products.drop_nulls().unique().to_list()
        with self._transaction() as read:
            queue = {"queue": read.queue(wanted)}
            known = known_orders.read_known(read, orders) if orders else tables.empty(known_orders.KNOWN)
            rows = known_orders.read_rows(read, known["order_id"].unique().to_list(), wanted) if orders else OrderRows()
            frames = read.stock(wanted) | queue
            if events_from:
                frames["events"] = read.events(wanted, self._recorded(events_from, None))
            newest, now = self._newest_known(read.connection), self.reader.now(read.connection)
        frames, unreadable = self._checked(frames, rows, wanted)
        return tables.Snapshot(
            **frames,
            known_orders=known_orders.orders(known),
            ordered=known_orders.ordered(rows.items, known),
            booked=known_orders.booked(rows.queued, rows.reserved, rows.moved, self._may_be_booked(known)),
            newest_known=newest,
            now=now,
            unreadable=unreadable,
        )

    def _checked(self, frames: Frames, rows: OrderRows, wanted: list[str] | None) -> tuple[Frames, pl.DataFrame]:
        """Return the frames, and UNREADABLE of these products; unreadable stock is marked."""
        if self.unreadable is not None:
            of_wanted = pl.col("product_id").is_null() | pl.col("product_id").is_in(wanted or [])
            return frames, self.unreadable if wanted is None else self.unreadable.filter(of_wanted)
        checked = [
            ("order_item_ship_grp_inv_res", rows.reserved),
            ("inventory_item_detail", rows.moved),
            ("order_item", rows.items),
            *((CHECKED[name], frame) for name, frame in frames.items() if name in CHECKED),
        ]
        unreadable = pl.concat([schemas.seen(name, frame) for name, frame in checked])
        return frames | {"product_facility": schemas.spoiled(frames["product_facility"])}, unreadable

    def _may_be_booked(self, known: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of KNOWN whose units the stock may lack: in one transaction all of them."""
        return known

    def _window(self, from_: datetime, thru: datetime | None) -> Window:
        return Window(from_, thru, timezone=self.oms.timezone, dialect=self.reader.engine.dialect.name)

    def _newest_known(self, connection: sa.Connection) -> datetime | None:
        """Return when the newest known order was placed: NEVER where no date can be read, None without orders."""
        newest, orders = connection.execute(known_orders.newest(self.sql)).one()
        return stamp(newest, ZoneInfo(self.oms.timezone)) or (NEVER if orders else None)
