"""Build the package's frames from literal rows, with defaults for the columns that a test leaves out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from invsync import mapping, tables
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.world import sales

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
STORE, GROUP, SHOP = "STORE", "FAC_GRP", "SHOP"
ONLINE, FIRST, SECOND = 900, 901, 902  # locations
RULES = mapping.Rules(aggregate_location=None, group=GROUP, store=STORE, at=NOW)
Row = dict[str, Any]


def exported(connection: sa.Connection, folder: Path, suffix: str = "csv") -> Path:
    """The OMS's tables as CSV or Parquet files in a new folder."""
    folder.mkdir()
    for table in METADATA.sorted_tables:
        records = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        frame = pl.DataFrame(records, infer_schema_length=None) if records else pl.DataFrame(schema=table.c.keys())
        write = frame.write_csv if suffix == "csv" else frame.write_parquet
        write(folder / f"{table.name}.{suffix}")
    return folder


def best_sellers(path: Path) -> Path:
    """Four days of real sales of the forty products that sell most, in a Parquet file."""
    sold = sales(4)
    most = sold.group_by("sku").agg(pl.col("quantity").sum()).top_k(40, by="quantity")["sku"]
    sold.filter(pl.col("sku").is_in(most.implode())).write_parquet(path)
    return path


def rows(schema: tables.Schema, *values: tuple[Any, ...], **defaults: Any) -> pl.DataFrame:
    """A frame of this schema from positional rows; what a row leaves out is the default, else null."""
    made = []
    for value in values:
        given = dict(zip(schema, value, strict=False))
        made.append({column: given.get(column, defaults.get(column)) for column in schema})
    return pl.DataFrame(made, schema=schema)


def stock(*values: tuple[Any, ...]) -> pl.DataFrame:
    """product_facility from (product, facility, atp, minimum=0, allow_brokering=None), sellable computed."""
    made: list[Row] = []
    for product, facility, atp, *rest in values:
        minimum = rest[0] if rest else 0
        sellable = None if atp is None else max(atp - minimum, 0)
        allow = rest[1] if len(rest) > 1 else None
        made.append(
            dict(
                zip(
                    tables.PRODUCT_FACILITY,
                    (product, facility, atp, sellable, minimum, allow, NOW),
                    strict=True,
                )
            )
        )
    return pl.DataFrame(made, schema=tables.PRODUCT_FACILITY)


def facilities(*values: tuple[Any, ...]) -> pl.DataFrame:
    """facility from (facility, type='WAREHOUSE', parent=None)."""
    made = [(v[0], v[1] if len(v) > 1 else "WAREHOUSE", v[0], v[2] if len(v) > 2 else None) for v in values]
    return rows(tables.FACILITY, *made)


DEFAULT_FACILITIES = facilities(
    ("W1",), ("W2",), ("W3",), ("CONFIG", "CONFIGURATION"), ("_NA_", "NA", "VIRTUAL_FACILITY")
)


def group(*names: Any) -> pl.DataFrame:
    """facility_group_member from names, or (name, group, from, thru, type)."""
    made = [(name,) if isinstance(name, str) else name for name in names]
    return rows(
        tables.FACILITY_GROUP_MEMBER,
        *made,
        facility_group_id=GROUP,
        from_date=LONG_AGO,
        facility_group_type_id="CHANNEL_FAC_GROUP",
    )


def in_store(*names: Any) -> pl.DataFrame:
    """product_store_facility from names, or (name, from, thru)."""
    made = [(STORE, name, LONG_AGO) if isinstance(name, str) else (STORE, *name) for name in names]
    return rows(tables.PRODUCT_STORE_FACILITY, *made)


def mapped(**places: Any) -> pl.DataFrame:
    """shopify_shop_location from facility=location; `NA` stands for `_NA_`."""
    made = [(SHOP, "_NA_" if name == "NA" else name, str(location)) for name, location in places.items()]
    return rows(tables.SHOPIFY_SHOP_LOCATION, *made)


def listed(*values: tuple[str, Any]) -> pl.DataFrame:
    """shopify_shop_product from (product, inventory item)."""
    made = [(SHOP, product, f"v{n}", None if item is None else str(item)) for n, (product, item) in enumerate(values)]
    return rows(tables.SHOPIFY_SHOP_PRODUCT, *made)


def snapshot(**frames: Any) -> tables.Snapshot:
    """A Snapshot: product A (item 1) on Shopify, W1..W3 in the group and the store, `_NA_` at ONLINE."""
    defaults: Row = {
        "product_facility": stock(("A", "W1", 10)),
        "facility": DEFAULT_FACILITIES,
        "facility_group_member": group("W1", "W2", "W3", "CONFIG"),
        "product_store_facility": in_store("W1", "W2", "W3"),
        "shopify_shop_location": mapped(NA=ONLINE),
        "shopify_shop_product": listed(("A", 1)),
        "product": rows(tables.PRODUCT, ("A", "SKU-A")),
        "queue": tables.empty(tables.QUEUE),
        "known_orders": tables.empty(tables.KNOWN_ORDERS),
        "ordered": tables.empty(tables.ORDERED),
        "booked": tables.empty(tables.BOOKED),
        "newest_known": None,
        "now": NOW,
    }
    return tables.Snapshot(**(defaults | frames))


def levels(*values: tuple[Any, ...]) -> pl.DataFrame:
    """LEVELS from (item, location, available, ...)."""
    return rows(tables.LEVELS, *values, is_active=True, tracked=True, requires_components=False, sku="SKU-A")


def sold(*values: tuple[Any, ...]) -> pl.DataFrame:
    """SOLD from (order, item, location, open=0, shipped=0, removed=0)."""
    made = [
        (order, f"#{order}", NOW, NOW, item, location, *units, *[0] * (3 - len(units)))
        for order, item, location, *units in values
    ]
    return rows(tables.SOLD, *made)


def booked(*values: tuple[Any, ...]) -> dict[str, pl.DataFrame]:
    """What the OMS holds of orders from (order, product, facility or None for the queue, units, ordered=units)."""
    ordered = {(order, product): float(more[0] if more else units) for order, product, _, units, *more in values}
    return {
        "known_orders": rows(tables.KNOWN_ORDERS, *((order,) for order in {value[0] for value in values})),
        "ordered": rows(tables.ORDERED, *((*key, units) for key, units in ordered.items())),
        "booked": rows(tables.BOOKED, *((o, p, f, float(units)) for o, p, f, units, *_ in values if units)),
    }


def known(*orders: int) -> pl.DataFrame:
    """KNOWN_ORDERS of these."""
    return rows(tables.KNOWN_ORDERS, *((order,) for order in orders))
