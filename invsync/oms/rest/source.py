"""HotWax over its HTTP APIs: fetch the rows that a read needs into memory, and query them like a database.

There is no transaction over HTTP. The orders' booked units are read before and after the stock, and the smaller number
counts, so that units are subtracted twice rather than never. Stock events are read until two reads agree.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

from invsync import tables
from invsync.errors import OmsFailed, UsageError
from invsync.oms import schemas
from invsync.oms.rest.auth import connected
from invsync.oms.rest.connector import RestSettings
from invsync.oms.rest.endpoints import Filter
from invsync.oms.rest.entities import Api, Rows
from invsync.oms.rest.fetched import distinct, entered, least
from invsync.oms.source import Lacking
from invsync.oms.sql import memory
from invsync.oms.sql.known_orders import spellings
from invsync.oms.sql.source import Database
from invsync.oms.sql.statements import CANCELLED_ITEMS, CLOSED_ITEMS, COLUMNS, DELTA_GROUP, STAMPS
from invsync.oms.sql.values import earliest, frame, number
from invsync.retry import TRIES

PLACES = ("shopify_shop_location", "facility_group_member", "product_store_facility")
FACILITIES = ("facility", "facility_type")
STAMPED = ("product_facility", "order_item")
PASSES = 3
Tables = dict[str, Rows]


def open_apis(oms: RestSettings, tries: int | None = None) -> "Rest":
    """Return the configured APIs; a request is sent up to `tries` times."""
    return Rest(Api(connected(oms, os.environ), oms, tries or TRIES), oms)


class Rest:
    """A HotWax instance behind its APIs, read for one Shopify shop."""

    keeps_history = False
    respells_event_ids = False

    def __init__(self, api: Api, oms: RestSettings) -> None:
        self.api, self.oms = api, oms.model_copy(update={"timezone": "UTC"})
        self.fixed, self._places = self._read_fixed(), Tables()
        with closing(self._in_memory({})) as database:
            self.store = database.store

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def now(self) -> datetime:
        """Return the clock of the server, UTC."""
        return self.api.endpoints.now()

    def row_count(self, near: int = 0) -> int:
        """Return the number of product_facility rows; cheapest where it is still `near`."""
        return self.api.count("product_facility", near)

    def changed_products(
        self, from_: datetime | None, thru: datetime, *, group: str | None = None, store: str | None = None
    ) -> pl.Series | None:
        """Return the distinct product_id that changed in [from_, thru) or have no stamp; None for all, without a from_."""
        if from_ is None:
            return None
        name, shop = "shopify_shop_product", self._of_shop()
        changed = {name: partial(self.api.since, name, "last_updated_stamp", from_) for name in STAMPED}
        mapped = {stamp: partial(self.api.since, name, stamp, from_, shop) for stamp in STAMPS}
        rows = self.api.at_once(**changed, **mapped, **self._reads(PLACES))
        self._places = {place: rows[place] for place in PLACES}
        rows[name] = {key: row for stamp in mapped for key, row in rows.pop(stamp).items()}
        with closing(self._in_memory(rows)) as database:
            moved = database.moved_facilities(self._read_from(from_), thru, group=group, store=store or self.store)
        rows["product_facility"] |= self.api.among("product_facility", "facility_id", moved)
        with closing(self._in_memory(rows)) as database:
            return database.changed_products(self._read_from(from_), thru, group=group, store=store or self.store)

    def products_of(self, items: pl.Series) -> pl.Series:
        """Return the distinct product_id of the products that these inventory items are mapped to."""
        name, texts = "shopify_shop_product", items.drop_nulls().unique().cast(pl.String).to_list()
        rows = {name: self.api.among(name, "shopify_inventory_item_id", texts, self._of_shop())}
        with closing(self._in_memory(rows)) as database:
            return database.products_of(items)

    def events(self, from_: datetime, thru: datetime | None) -> pl.DataFrame:
        """Return EVENTS recorded in [from_, thru), or since from_, and those without a stamp."""
        detail = self.api.since("inventory_item_detail", "created_stamp", from_)
        items = self.api.among("inventory_item", "inventory_item_id", distinct(detail, "inventory_item_detail"))
        rows = {"inventory_item_detail": detail, "inventory_item": items} | self._reasons(detail)
        with closing(self._in_memory(rows)) as database:
            return database.events(self._read_from(from_), thru)

    def _read_from(self, from_: datetime) -> datetime:
        """Return the moment from which on to read, where local time is ambiguous: the first of the two hours."""
        zone = self.api.timezone
        return earliest(from_, zone).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def cancelled_orders(self, from_: datetime) -> list[int]:
        """Return the Shopify orders of which an item was cancelled in the OMS at or after this moment."""
        name = "order_item"
        status, part = (COLUMNS[name].split().index(column) for column in ("status_id", "cancel_quantity"))
        recent = self.api.since(name, "last_updated_stamp", from_)
        items = {key: row for key, row in recent.items() if row[status] in CANCELLED_ITEMS or number(row[part])}
        orders = distinct(items, name)
        rows = {name: items} | {
            other: self.api.among(other, "order_id", orders) for other in ("order_header", "shopify_shop_order")
        }
        with closing(self._in_memory(rows)) as database:
            return database.cancelled_orders(self._read_from(from_))

    def delta_reasons(self) -> pl.DataFrame:
        """Return DELTA_REASONS: the members of SHPFY_INV_DLT_REASON; none where the OMS has no such group."""
        name = "enumeration_group_member"
        rows = self.api.read(name, Filter("enumeration_group_id", among=[DELTA_GROUP]))
        with closing(self._in_memory({name: rows})) as database:
            return database.delta_reasons()

    def remotes(self) -> frozenset[str]:
        """Return the system_message_remote_id of this shop; none where the OMS does not keep them."""
        rows = self.api.read("shopify_shop_remote", self._of_shop())
        with closing(self._in_memory({"shopify_shop_remote": rows})) as database:
            return database.remotes()

    def sample(
        self,
        table: str,
        schema: tables.Schema,
        limit: int,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        newest: str = "",
    ) -> pl.DataFrame:
        """Return one page of any table's rows, those with the newest stamp first where the server sorts."""
        filters = [Filter(column, among=values) for column, values in (where or {}).items()]
        rows = self.api.sample(table, list(schema), limit, *filters, order=f"-{newest}" if newest else None)
        if rows is None:
            raise Lacking(f"table {table} over its APIs")
        sampled = frame(rows, schema, "UTC")
        return sampled.drop_nulls(newest) if newest else sampled

    def order_history(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Raise UsageError: the history of orders is not read over HTTP."""
        raise UsageError("HotWax's APIs give no history of orders: read its database.")

    def snapshot(
        self,
        products: pl.Series | None = None,
        *,
        orders: Sequence[int] = (),
        events_from: datetime | None = None,
        to_select: bool = False,
    ) -> tables.Snapshot:
        """Return these products, or all, and what HotWax holds of these Shopify orders.

        With `events_from` it has the products' stock events since then too, the same before and after the stock was
        read. Raises OmsFailed where they differ PASSES times. With `to_select`, locations and memberships may be those
        that were read before, and facilities are left out where there are no products.
        """
        wanted = None if products is None else sorted(products.drop_nulls().unique())
        known = self._known(orders)
        rows = self._mapping(wanted, to_select=to_select) | self._booked(known)
        rows["order_header"] = known["order_header"] | self.api.newest("order_header", "order_date")
        items = self._of("inventory_item", "product_id", wanted) if events_from else {}
        rows["inventory_item"] |= items
        mine = None if wanted is None else distinct(items, "inventory_item")
        booked = {name: rows[name] for name in ("inventory_item_detail", "order_item", "order_item_ship_group")}
        for _ in range(PASSES):
            detail = self._events(mine, events_from) if events_from else {}
            rows |= {"inventory_item_detail": booked["inventory_item_detail"] | detail} | self._reasons(detail)
            queue = self._queue(wanted, rows["order_header"], booked["order_item"])
            rows |= {name: booked[name] | queue[name] for name in ("order_item", "order_item_ship_group")}
            rows["order_header"] = queue["order_header"]
            rows["product_facility"] = self._of("product_facility", "product_id", wanted)
            if events_from is None or set(self._events(mine, events_from)) <= set(detail):
                break
        else:
            raise OmsFailed("HotWax's stock moved while it was read, three times over: run again in a quieter moment.")
        with closing(self._in_memory(rows)) as database:
            since = None if events_from is None else self._read_from(events_from)
            snapshot = database.snapshot(products, orders=orders, events_from=since)
        if snapshot.booked.height:  # what was released while the stock was read is not booked any more
            with closing(self._in_memory(rows | self._booked(known))) as database:
                snapshot = replace(
                    snapshot, booked=least(snapshot.booked, database.snapshot(products, orders=orders).booked)
                )
        return replace(snapshot, now=self.now())

    def _events(self, items: Sequence[str] | None, since: datetime | None) -> Rows:
        name, recorded = "inventory_item_detail", ("created_stamp", since)
        if items is None:
            return self.api.since(name, *recorded)
        return self.api.among(name, "inventory_item_id", items, since=recorded)

    def _known(self, orders: Sequence[int]) -> Tables:
        """Fetch the headers of these Shopify orders, and the rows that link one to its Shopify id."""
        texts = spellings(orders)
        headers = self.api.among("order_header", "external_id", texts)
        named = self.api.among("shopify_shop_order", "shopify_order_id", texts)
        ids = distinct(named, "shopify_shop_order", "order_id")
        others = [order for order in ids if (order,) not in headers]
        return {
            "order_header": headers | self.api.among("order_header", "order_id", others),
            "shopify_shop_order": named,
        }

    def _booked(self, known: Tables) -> Tables:
        """Fetch the items, ship groups, reservations and stock events of these orders."""
        ids = distinct(known["order_header"], "order_header")
        names = ("order_item", "order_item_ship_group", "order_item_ship_grp_inv_res", "inventory_item_detail")
        rows = known | {name: self.api.among(name, "order_id", ids) for name in names}
        stock = {item for name in names[2:] for item in distinct(rows[name], name, "inventory_item_id")}
        return rows | {"inventory_item": self.api.among("inventory_item", "inventory_item_id", sorted(stock))}

    def _queue(self, products: Sequence[str] | None, headers: Rows, known: Rows) -> Tables:
        """Fetch the open items of these products, and the known ones again, with their orders and ship groups."""
        name = "order_item"
        at = COLUMNS[name].split().index("status_id")
        every = self._of(name, "product_id", products)
        items = {key: row for key, row in every.items() if key in known or row[at] not in CLOSED_ITEMS}
        orders = distinct(items, name)
        older = [order for order in orders if (order,) not in headers]
        return {
            name: items,
            "order_header": headers | self.api.among("order_header", "order_id", older),
            "order_item_ship_group": self.api.among("order_item_ship_group", "order_id", orders),
        }

    def _mapping(self, products: Sequence[str] | None, *, to_select: bool) -> Tables:
        """Fetch what pairs are mapped from: locations, memberships, and the products with all that share their items."""
        name, shop = "shopify_shop_product", self._of_shop()
        mapped = self._of(name, "product_id", products, shop)
        if products is not None:
            items = distinct(mapped, name, "shopify_inventory_item_id")
            mapped |= self.api.among(name, "shopify_inventory_item_id", items, shop)
        known = self._places if to_select else {}
        names = PLACES if to_select and products == [] else PLACES + FACILITIES
        places = known | self.api.at_once(**self._reads([place for place in names if place not in known]))
        self._places = places
        return {name: mapped, "product": self._of("product", "product_id", products)} | places

    def _reads(self, names: Iterable[str]) -> dict[str, Callable[[], Rows]]:
        """Return the reads of these tables: of locations those of the shop, of the others every row."""
        reads = {name: partial(self.api.read, name) for name in names}
        if "shopify_shop_location" in reads:
            reads["shopify_shop_location"] = partial(self.api.read, "shopify_shop_location", self._of_shop())
        return {**reads}

    def _read_fixed(self) -> Tables:
        """Fetch what is read once: the shop, its store, and the facility groups."""
        shop = (self.oms.shop_id,)
        fixed = self.api.at_once(
            shopify_shop=partial(self.api.read, "shopify_shop", wanted=[shop]),
            facility_group=partial(self.api.read, "facility_group"),
        )
        own = fixed["shopify_shop"].get(shop, (None, None))[1]
        store = self.oms.product_store_id or own
        return fixed | {"product_store": self.api.read("product_store", wanted=[(store,)] if store else [])}

    def _reasons(self, detail: Rows) -> Tables:
        """Fetch the variances and resets that these stock events refer to."""
        name = "inventory_item_detail"
        counted = {key: row for key, row in detail.items() if row[COLUMNS[name].split().index("physical_inventory_id")]}
        resets = distinct(detail, name, "reset_item_id")
        return {
            "inventory_item_variance": self.api.among(
                "inventory_item_variance", "inventory_item_id", distinct(counted, name)
            ),
            "external_inventory_reset": self.api.among("external_inventory_reset", "reset_item_id", resets),
        }

    def _of(self, name: str, column: str, values: Sequence[str] | None, *filters: Filter) -> Rows:
        if values is None:
            return self.api.read(name, *filters)
        return self.api.among(name, column, values, *filters)

    def _of_shop(self) -> Filter:
        return Filter("shop_id", among=[self.oms.shop_id])

    def _in_memory(self, rows: Tables) -> Database:
        """Return these rows, validated, as a database in memory."""
        checked = {name: entered(name, (self.fixed | rows).get(name, {})) for name in COLUMNS}
        values = {name: one.values for name, one in checked.items()}
        faults = schemas.held(pl.concat([one.faults for one in checked.values()]), values)
        engine = memory.database({name: schemas.stored(frame, self.oms.timezone) for name, frame in values.items()})
        return Database(engine, self.oms, faults)
