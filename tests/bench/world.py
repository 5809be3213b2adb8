"""A HotWax of any size, made up: products at fifty facilities, with every fault that the mapping must hold."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from invsync import mapping, tables

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
STORE, GROUP, ONLINE, CONFIGURES, PARKED = "STORE", "FAC_GRP", 70_000_000_000, "CONFIG", "PARKED"
RULES = mapping.Rules(aggregate_location=None, group=GROUP, store=STORE, at=NOW)
FACILITIES, WAREHOUSES, PRODUCTS = 50, 5, 200_000
FRAMES = {
    "product_facility": tables.PRODUCT_FACILITY,
    "facility": tables.FACILITY,
    "facility_group_member": tables.FACILITY_GROUP_MEMBER,
    "product_store_facility": tables.PRODUCT_STORE_FACILITY,
    "shopify_shop_location": tables.SHOPIFY_SHOP_LOCATION,
    "shopify_shop_product": tables.SHOPIFY_SHOP_PRODUCT,
    "product": tables.PRODUCT,
    "queue": tables.QUEUE,
    "known_orders": tables.KNOWN_ORDERS,
    "ordered": tables.ORDERED,
    "booked": tables.BOOKED,
}

USED = {"product_facility": [column for column in tables.PRODUCT_FACILITY if column != "last_updated_stamp"]}


def dice(faces: int, *seeds: str) -> pl.Expr:
    """A number from 0 to faces - 1 that looks random, by these columns."""
    return pl.concat_str(*seeds, separator="/").hash(seed=20_260) % faces


def build(folder: Path, products: int) -> tables.Snapshot:
    """Write the OMS's tables of so many products into the folder; the Snapshot."""
    names = [f"FAC_{n:03d}" for n in range(FACILITIES)]
    product = pl.select(n=pl.int_range(products)).with_columns(
        product_id=pl.format("M{}", pl.col("n") + 1_000_000),
        internal_name=pl.format("SKU-{}-BLK", pl.col("n") + 1_000_000),
    )
    frames = {
        "product_facility": _stock(product, names),
        "facility": [(name, "WAREHOUSE", name, None) for name in names]
        + [(CONFIGURES, CONFIGURES + "URATION", CONFIGURES, None), ("_NA_", "NA", "_NA_", "VIRTUAL_FACILITY")],
        "facility_group_member": [
            (name, GROUP, LONG_AGO, None, "CHANNEL_FAC_GROUP") for name in [*names[:WAREHOUSES], CONFIGURES]
        ],
        "product_store_facility": [(STORE, name, LONG_AGO, None) for name in names],
        "shopify_shop_location": [("SHOP", name, str(ONLINE + n)) for n, name in enumerate(["_NA_", *names[1:]])],
        "shopify_shop_product": _listed(product),
        "product": product,
        "queue": product.filter(dice(20, "product_id") == 0).with_columns(quantity=pl.lit(2.0)),
        "known_orders": product[::20].select(external_id=5_000_000_000 + pl.col("n")),
        "ordered": product[::20].select("product_id", external_id=5_000_000_000 + pl.col("n"), units=pl.lit(3.0)),
        "booked": product[::40].select(
            "product_id", external_id=5_000_000_000 + pl.col("n"), facility_id=pl.lit(names[1]), units=pl.lit(1.0)
        ),
    }
    for name, schema in FRAMES.items():
        made = frames[name]
        frame = made if isinstance(made, pl.DataFrame) else pl.DataFrame(made, schema=schema, orient="row")
        tables.conform(frame, schema, name).write_parquet(folder / f"{name}.parquet")
    return snapshot(folder)


def _stock(product: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """product_facility by its key: every product at every facility, one in ten with a channel rule, a few parked."""
    everywhere = product.select("product_id").join(pl.DataFrame({"facility_id": names}), how="cross")
    rules = product.filter(dice(10, "product_id") == 1).select("product_id", facility_id=pl.lit(CONFIGURES))
    parked = product.filter(dice(100, "product_id") == 2).select("product_id", facility_id=pl.lit(PARKED))
    both = pl.concat([everywhere, rules, parked]).sort("product_id", "facility_id")
    draw, units = dice(10_000, "facility_id", "product_id"), dice(60, "product_id", "facility_id").cast(pl.Float64)
    return both.with_columns(
        last_inventory_count=units,
        computed_last_inventory_count=pl.when(draw == 7).then(float("nan")).otherwise(units),
        minimum_stock=pl.when(pl.col("facility_id") == CONFIGURES).then(5.0).otherwise(0.0),
        allow_brokering=pl.when(draw % 50 == 3).then(pl.lit("N")).otherwise(pl.lit("Y")),
        last_updated_stamp=pl.lit(NOW),
    )


def _listed(product: pl.DataFrame) -> pl.DataFrame:
    """shopify_shop_product, items in no order of the products: one in 200 is not listed, one in 2,000 twice."""
    item = 44_000_000_000_000 + pl.col("n").shuffle(seed=7)
    rows = product.with_columns(item=item, draw=dice(2_000, "internal_name")).filter(pl.col("draw") >= 10)
    twice = rows.filter(pl.col("draw") == 11).with_columns(item=pl.col("item") + 1_000_000_000)
    return pl.concat([rows, twice]).select(
        "product_id",
        shop_id=pl.lit("SHOP"),
        shopify_product_id=pl.format("8{}", "n"),
        shopify_inventory_item_id=pl.col("item").cast(pl.String),
    )


def snapshot(folder: Path, *, without: Sequence[str] = ()) -> tables.Snapshot:
    """The Snapshot of the tables in this folder, with the columns that matter; the tables `without` are empty."""
    frames = {name: tables.empty(FRAMES[name]) for name in without}
    frames |= {
        name: pl.read_parquet(folder / f"{name}.parquet", columns=USED.get(name))
        for name in FRAMES
        if name not in without
    }
    return tables.Snapshot(**frames, newest_known=None, now=NOW)


def levels(seen: tables.Snapshot) -> pl.DataFrame:
    """LEVELS of every pair as Shopify would show them: one in twenty differs, one in fifty is not there."""
    pairs, _ = mapping.pairs(seen, RULES)
    wanted = mapping.targets(pairs, seen, RULES)
    draw = dice(100, "product_id", "location_id")
    available = pl.when(draw >= 2).then(pl.col("oms").cast(pl.Int64) + (draw < 7).cast(pl.Int64) * 3)
    there = pl.col("available").is_not_null()
    nothing = [name for name in tables.LEVELS if name not in wanted.columns]
    shown = wanted.with_columns(pl.lit(None).alias(name) for name in nothing).with_columns(available=available)
    shown = shown.with_columns(is_active=pl.when(there).then(True), tracked=True, requires_components=False)
    return tables.conform(shown, tables.LEVELS, "levels")


def orders(seen: tables.Snapshot) -> pl.DataFrame:
    """SOLD: an order for every tenth product, half of them known to the OMS, half of these booked in part."""
    pairs, _ = mapping.pairs(seen, RULES)
    items = pairs.select("product_id", "inventory_item_id").unique()
    rows = seen.product[::10].with_row_index("n").join(items, on="product_id", maintain_order="left")
    order = 5_000_000_000 + pl.col("n").cast(pl.Int64) * 10
    made = rows.select(
        "inventory_item_id",
        order_id=order,
        name=pl.format("#{}", order),
        created_at=pl.lit(NOW),
        updated_at=pl.lit(NOW),
        open=pl.lit(3),
        shipped=pl.lit(0),
        removed=pl.lit(0),
        location_id=ONLINE + 1 + pl.col("n").cast(pl.Int64) % 8,
    )
    return tables.conform(made, tables.SOLD, "orders")


def places(seen: tables.Snapshot, folder: Path) -> None:
    """Write what the mapping says of the few locations: their forms, and the members of the online one."""
    mapping.locations(seen, aggregate_location=None).write_parquet(folder / "locations.parquet")
    mapping.members(seen, RULES).write_parquet(folder / "members.parquet")
