"""What a database has of HotWax: its tables and columns, and the configured shop."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from invsync.config.connectors import OmsSettings
from invsync.errors import OmsFailed, UsageError
from invsync.oms import schemas
from invsync.oms.sql.statements import CHANNEL_GROUP, OPTIONAL_COLUMNS, ORIGIN, REQUIRED, Statements


@dataclass(frozen=True)
class Catalog:
    """The real names of the tables by their lower-case names, the optional columns that are there, and the SELECTs."""

    names: Mapping[str, str]
    columns: frozenset[tuple[str, str]]
    sql: Statements

    def __contains__(self, table: str) -> bool:
        return table in self.names


def catalog(connection: sa.Connection) -> Catalog:
    """Inspect a database; raises OmsFailed with the names of required tables that it lacks."""
    inspector = sa.inspect(connection)
    names = {name.lower(): name for name in [*inspector.get_table_names(), *inspector.get_view_names()]}
    if missing := sorted(REQUIRED - set(names)):
        raise OmsFailed(f"The OMS lacks the table(s) {', '.join(missing)}: check its schema.")

    def has(table: str, column: str) -> bool:
        columns = inspector.get_columns(names[table]) if table in names else []
        return column in {one["name"].lower() for one in columns}

    is_sqlite = connection.dialect.name == "sqlite"
    sql = Statements(names, has_origin=all(has(*origin) for origin in ORIGIN.items()), texts=is_sqlite)
    return Catalog(names, frozenset(one for one in OPTIONAL_COLUMNS if has(*one)), sql)


def product_store(connection: sa.Connection, catalog: Catalog, oms: OmsSettings) -> str:
    """Return the shop's product store; raises UsageError where the shop is not there, is disabled, or has none."""
    shops = catalog.sql["shopify_shop"]
    query = sa.select(shops.c.is_enabled, shops.c.product_store_id).where(shops.c.shop_id == oms.shop_id)
    row = connection.execute(query).first()
    if row is None:
        raise UsageError(f"Shop {oms.shop_id} is not in shopify_shop of the OMS: correct shop_id.")
    if not schemas.is_on(row[0], f"shopify_shop of the OMS, shop_id {oms.shop_id}: is_enabled"):
        raise UsageError(f"Shop {oms.shop_id} is disabled in the OMS (is_enabled = 'N').")
    if not (store := oms.product_store_id or row[1]):
        raise UsageError(f"Shop {oms.shop_id} has no product store in the OMS: set product_store_id.")
    stores = catalog.sql["product_store"]
    if "product_store" in catalog:
        named = sa.select(stores.c.product_store_id).where(stores.c.product_store_id == store)
        if connection.execute(named).first() is None:
            raise UsageError(
                f"Store {store} of shop {oms.shop_id} is not in product_store of the OMS: correct it, "
                "or set product_store_id."
            )
    return str(store)


def check_group(connection: sa.Connection, catalog: Catalog, name: str | None) -> None:
    """Raise UsageError for a facility group that is missing or of another type: it would make every online quantity 0."""
    groups = catalog.sql["facility_group"]
    query = sa.select(groups.c.facility_group_type_id).where(groups.c.facility_group_id == name)
    if name is None or (kind := connection.execute(query).scalar()) == CHANNEL_GROUP:
        return
    fault = "is not in facility_group" if kind is None else f"is of type {kind}, not {CHANNEL_GROUP}"
    raise UsageError(f"Facility group {name} {fault} of the OMS: correct facility_group_id.")


def reserves(connection: sa.Connection, catalog: Catalog, store: str) -> bool:
    """Whether the store reserves stock, so that its brokering queue counts."""
    if "product_store" not in catalog:
        return True
    stores = catalog.sql["product_store"]
    query = sa.select(stores.c.reserve_inventory).where(stores.c.product_store_id == store)
    place = f"product_store of the OMS, product_store_id {store}: reserve_inventory"
    return schemas.is_on(connection.execute(query).scalar(), place)
