"""What HotWax's tables and feeds may hold, declared once for every connector."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, nan

import polars as pl

from invsync import tables
from invsync.errors import OmsFailed
from invsync.inputs import door
from invsync.inputs.door import ID, INDICATOR, MOMENT, NAME, QUANTITY, SEQUENCE, SHOPIFY_ID, WORD, Kind, Table
from invsync.oms.sql.statements import COLUMNS, QUANTITIES

Frames = dict[str, pl.DataFrame]
Places = Callable[[Iterable[int]], list[str]]  # says where rows are, as `product.csv, line 3`
KEYS = {
    "product_facility": 2,
    "facility": 1,
    "facility_type": 1,
    "facility_group": 1,
    "shopify_shop": 1,
    "order_header": 1,
    "order_item": 2,
    "order_item_ship_group": 2,
    "product": 1,
    "product_store": 1,
    "inventory_item": 1,
    "inventory_item_detail": 2,
    "external_inventory_reset": 1,
    "order_item_ship_grp_inv_res": 4,
}
INDICATORS = ("allow_brokering", "is_enabled", "reserve_inventory")
REQUIRED = {
    "facility_group_member": "facility_id facility_group_id from_date",
    "product_store_facility": "product_store_id facility_id from_date",
    "shopify_shop_location": "shop_id facility_id",
    "shopify_shop_product": "shop_id product_id",
    "inventory_item": "product_id facility_id",
    "inventory_item_variance": "inventory_item_id physical_inventory_id",
    "enumeration_group_member": "enumeration_id enumeration_group_id",
    "shopify_shop_order": "order_id",
    "shopify_shop_remote": "shop_id system_message_remote_id",
    "good_identification": "product_id good_identification_type_id",
}
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(QUANTITIES | {"computed_last_inventory_count"}, QUANTITY),
    **dict.fromkeys(("last_updated_stamp", "created_stamp", "from_date", "thru_date", "order_date"), MOMENT),
    **dict.fromkeys(INDICATORS, INDICATOR),
    **dict.fromkeys(("internal_name", "facility_name", "id_value"), NAME),
    **dict.fromkeys(("status_id", "order_type_id", "parent_type_id", "facility_type_id"), WORD),
    **dict.fromkeys(
        ("external_id", "shopify_order_id", "shopify_location_id", "shopify_inventory_item_id"), SHOPIFY_ID
    ),
    **dict.fromkeys(("order_item_seq_id", "ship_group_seq_id"), SEQUENCE),
}
BY_TYPE: Mapping[pl.DataType, Kind] = {tables.QUANTITY: QUANTITY, tables.STAMP: MOMENT}
STOCK_KEY = ["product_id", "facility_id"]
COUNTS = ["last_inventory_count", "computed_last_inventory_count", "minimum_stock"]
PARENT = {"order_item": "order_id"}  # without it, a row may concern more than its product
AT_FACILITY = {"product_facility", "reset", "variance", "configuration"}
OWN = {("facility", "external_id"): ID}  # columns whose name means something else elsewhere
NAMED = 5  # values that a message lists


def table(name: str, columns: Iterable[str]) -> Table:
    """Return a HotWax table with these columns."""
    columns = list(columns)
    kinds = {column: OWN.get((name, column), KINDS.get(column, ID)) for column in columns}
    required = [column for column in REQUIRED.get(name, "").split() if column in columns]
    return Table(name, kinds, columns[: KEYS.get(name, 0)], required, repeats=name != "product_facility")


TABLES = {name: table(name, columns.split()) for name, columns in COLUMNS.items()}


@dataclass(frozen=True)
class Entered:
    """The validated rows of a table, one per key, and UNREADABLE with the ids of what each fault concerns."""

    values: pl.DataFrame
    faults: pl.DataFrame


def entered(table: Table, texts: pl.DataFrame, timezone: str, places: Places) -> Entered:
    """Validate the rows of a table; timestamps without a zone are in this time zone."""
    values = table.read(texts, timezone)
    kept, faults = table.checked(values)
    if faults.height:
        kept, _ = table.checked(_without(values, faults, table))
    if table.name == "product_facility":
        twice = faults.filter(expected=door.UNIQUE)
        kept = spoiled(kept, values.with_row_index(door.ROW).join(twice, on=door.ROW, how="semi"))
    return Entered(kept, unreadable(table.name, faults, texts, values, places))


def _without(values: pl.DataFrame, faults: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the values with null in place of unreadable ids, so that they match no other."""
    for (column,), rows in faults.group_by("column"):
        if table.columns.get(str(column)) in (ID, SEQUENCE, WORD):
            values = values.with_columns(values[str(column)].scatter(rows[door.ROW], None))
    return values


def unreadable(
    name: str, faults: pl.DataFrame, texts: pl.DataFrame, values: pl.DataFrame, places: Places
) -> pl.DataFrame:
    """Return UNREADABLE of a table's FAULTS, plus inventory_item_id and order_id, which lead to their products."""
    known_by = ["product_id", "inventory_item_id", "order_id", *(["facility_id"] if name in AT_FACILITY else [])]
    needed = {"product_id", PARENT.get(name, "product_id")} & set(values.columns)
    broken: dict[int, set[str]] = {}
    for row, column, _ in faults.iter_rows():
        broken.setdefault(row, set()).add(column)
    stands = dict(zip(broken, places(broken), strict=True))
    made = []
    for row, column, expected in faults.iter_rows():
        shown = [texts[one][row] if one in texts.columns else None for one in column.split(", ")]
        ids = {one: values[one][row] for one in known_by if one in values.columns and one not in broken[row]}
        made.append(
            (ids if needed.isdisjoint(broken[row]) else {})
            | {
                "place": stands[row],
                "column": column,
                "value": ", ".join("" if one is None else str(one) for one in shown),
                "expected": expected,
            }
        )
    return pl.DataFrame(made, schema=tables.UNREADABLE | {"inventory_item_id": tables.TEXT, "order_id": tables.TEXT})


def seen(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return UNREADABLE of a frame read from a database; raises OmsFailed for a value that may concern every product."""
    kinds = {
        column: kind
        for column, dtype in frame.schema.items()
        if (kind := KINDS.get(column) if column in INDICATORS else BY_TYPE.get(dtype))
    }
    nothing = tables.empty(tables.UNREADABLE)
    if frame.is_empty():
        return nothing
    _, faults = Table(name, kinds).checked(frame.select(list(kinds)))
    if faults.is_empty():
        return nothing
    ids = [column for column, dtype in frame.schema.items() if dtype == tables.TEXT and column.endswith("_id")]

    def places(rows: Iterable[int]) -> list[str]:
        return [f"{name} of the OMS, {', '.join(f'{one} {frame[one][row]}' for one in ids)}" for row in rows]

    texts = frame.select(pl.col(one) for one in INDICATORS if one in frame.columns)
    made = unreadable(name, faults, texts, frame, places)
    shown = pl.when(pl.col("column").is_in(texts.columns)).then("value")
    return held(made.with_columns(value=shown), {})


def check_headers(headers: pl.DataFrame) -> None:
    """Raise OmsFailed for an order whose Shopify id cannot be read."""
    _, faults = Table("order_header", {"external_id": SHOPIFY_ID}).checked(headers.select("external_id"))
    if faults.height:
        order, value = headers.row(faults[door.ROW][0])
        raise OmsFailed(
            f"order_header of the OMS, order_id {order}: external_id {value!r} is not a Shopify order id in "
            "full, and the order was cancelled: correct it and run again; nothing was sent."
        )


def is_on(value: object, place: str) -> bool:
    """Whether an indicator is not N; raises OmsFailed, with its place, where it is neither Y, N nor empty."""
    if value not in (None, "", "Y", "N"):
        raise OmsFailed(f"{place} {value!r} is not Y, N or empty: correct it and run again; nothing was sent.")
    return value != "N"


def spoiled(stock: pl.DataFrame, twice: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return product_facility with NaN quantities in rows with an unreadable stamp, or whose key is in `twice`."""
    bad = (pl.col("last_updated_stamp") == door.NEVER).fill_null(False)
    if twice is not None:
        bad = bad | pl.struct(STOCK_KEY).is_in(twice.select(pl.struct(STOCK_KEY)).to_series().implode())
    return stock.with_columns(pl.when(bad).then(nan).otherwise(pl.col(name)).alias(name) for name in COUNTS)


def held(faults: pl.DataFrame, values: Frames) -> pl.DataFrame:
    """Return UNREADABLE, one row per product concerned; raises OmsFailed for a value that may concern every product."""
    for name, by in (("inventory_item", "inventory_item_id"), ("order_item", "order_id")):
        rows = values.get(name, tables.empty({by: tables.TEXT, "product_id": tables.TEXT}))
        known = rows.select(by, through="product_id").drop_nulls().unique()
        faults = faults.join(known, on=by, how="left", maintain_order="left")
        faults = faults.with_columns(product_id=pl.coalesce("product_id", "through")).drop("through")
    lost = faults.filter(pl.col("product_id").is_null())
    if lost.height:
        raise OmsFailed(f"{sentence(lost)}: correct it and run again; nothing was sent.")
    return faults.select(list(tables.UNREADABLE))


def stored(values: pl.DataFrame, timezone: str) -> tuple[list[str], Iterator[tuple[object, ...]]]:
    """Return columns and rows for the in-memory database: timestamps as text in this time zone, NaN as infinity.

    A timestamp that cannot be read is null there, which counts as changed in every window.
    """
    stamp = pl.selectors.datetime()
    known = pl.when(stamp > door.NEVER).then(stamp)
    local = known.dt.convert_time_zone(timezone).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    return values.columns, values.with_columns(local, pl.selectors.float().fill_nan(inf)).iter_rows()


def sentence(faults: pl.DataFrame) -> str:
    """Return the values that cannot be read as one clause; the first NAMED in full."""
    rows = faults.unique(["place", "column"], keep="first", maintain_order=True)
    first = rows.head(NAMED).select("place", "column", "value", "expected").iter_rows()
    named = [f"{place}: {column}{_shown(value)} is not {expected}" for place, column, value, expected in first]
    more = f" and {rows.height - NAMED} more" if rows.height > NAMED else ""
    return "; ".join(named) + more


def _shown(value: str | None) -> str:
    """Return the value in quotes; empty where it is not known."""
    if value is None:
        return ""
    return f" {textwrap.shorten(value, 40)!r}" if value else " (empty)"
