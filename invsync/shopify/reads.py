"""Levels and locations as Shopify holds them now."""

import tempfile
import time
from pathlib import Path

import polars as pl

from invsync import tables
from invsync.errors import ShopifyFailed
from invsync.inputs.frames import dy
from invsync.shopify import bulk, products
from invsync.shopify.client import Client, operation
from invsync.shopify.gids import ITEM, LOCATION, number
from invsync.shopify.level_nodes import QUANTITIES, STAMPED, LevelNodes

BULK_FROM = 5_000
ITEM_LINE = pl.Struct(
    {
        "id": pl.String,
        "sku": pl.String,
        "tracked": pl.Boolean,
        "variant": products.VARIANT,
    }
)
LEVEL_LINE = pl.Struct(
    {
        "isActive": pl.Boolean,
        "location": pl.Struct({"id": pl.String}),
        "quantities": pl.List(pl.Struct({"name": pl.String, "quantity": pl.Int64, "updatedAt": pl.String})),
        "__parentId": pl.String,
    }
)
ITEM_NODE: tables.Schema = {
    "inventory_item_id": tables.ID,
    "tracked": tables.FLAG,
    "sku": tables.TEXT,
    "variant": products.VARIANT,
}
ITEMS: tables.Schema = {
    "inventory_item_id": tables.ID,
    "tracked": tables.FLAG,
    "sku": tables.TEXT,
    "requires_components": tables.FLAG,
} | {name: dtype for name, dtype in tables.PRODUCTS.items() if name != "inventory_item_id"}

SELLABLE = ["inventory_item_id", "tracked", "sku", "requires_components"]


class LevelLine(dy.Schema):
    """What the line of a level must have."""

    inventory_item_id = dy.Int64(primary_key=True)
    location_id = dy.Int64(primary_key=True)
    is_active = dy.Bool()


LEVEL: tables.Schema = {
    name: dtype for name, dtype in tables.LEVELS.items() if name not in ("tracked", "requires_components", "sku")
}


def locations(client: Client) -> tuple[pl.DataFrame, str | None]:
    """Return every location, active or not (location_id, name, is_active), and the shop's currency by its ISO code."""
    rows: list[dict[str, object]] = []
    after: str | None = None
    while True:
        answer = client.data("locations", {"after": after})
        page = answer["locations"]
        rows += [
            {"location_id": number(node["id"]), "name": node["name"], "is_active": node["isActive"]}
            for node in page["nodes"]
        ]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    schema = {"location_id": tables.ID, "name": tables.TEXT, "is_active": tables.FLAG}
    return pl.DataFrame(rows, schema=schema), (answer.get("shop") or {}).get("currencyCode")


def levels(
    client: Client, pairs: pl.DataFrame, known: frozenset[int] = frozenset()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return LEVELS with one row for each pair, and PRODUCTS of their items without a currency.

    `available` is null where Shopify has no level. Items whose products are `known` are not asked for them. Many items
    are read by a bulk query, unless the last one took longer than their levels one by one will; a read-only client
    cannot start one, as that is a mutation.
    """
    asked = pairs.select("inventory_item_id", "location_id").unique(maintain_order=True)
    items, levels = _levels_by_nodes(client, asked, known) or _levels_in_bulk(client)
    frame = asked.join(levels, on=tables.KEY, how="left", maintain_order="left")
    frame = frame.join(items.select(SELLABLE), on="inventory_item_id", how="left", maintain_order="left")
    shown = items.filter(pl.col("shopify_variant_id").is_not_null())
    return tables.conform(frame, tables.LEVELS, "levels"), shown.select(list(tables.PRODUCTS))


def _levels_by_nodes(
    client: Client, asked: pl.DataFrame, known: frozenset[int]
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The items and the levels, read by the items' ids; None where a bulk query is quicker."""
    few = client.read_only or asked["inventory_item_id"].n_unique() <= BULK_FROM
    if not few and client.bulk_query_seconds is None:
        return None
    nodes = LevelNodes(client, asked, known)
    nodes.read_first()
    if not few and nodes.seconds_left() > (client.bulk_query_seconds or 0.0):
        return None
    nodes.read_rest()
    texts = LEVEL | {f"{name}_at": tables.TEXT for name in STAMPED}
    levels = pl.DataFrame(nodes.levels, schema=texts).with_columns(_moment(f"{name}_at") for name in STAMPED)
    items = pl.DataFrame(nodes.items, schema=ITEM_NODE, strict=False)
    return items.select(**_item_columns()), levels


def _item_columns() -> dict[str, pl.Expr]:
    """The columns of ITEMS, made of ITEM_NODE."""
    components = pl.col("variant").struct.field("requiresComponents")
    same = {name: pl.col(name) for name in ITEM_NODE if name != "variant"}
    return same | {"requires_components": components} | products.columns()


def _levels_in_bulk(client: Client) -> tuple[pl.DataFrame, pl.DataFrame]:
    began, query = time.monotonic(), {"query": operation("levels_bulk")}
    started = bulk.start(client, "bulk_run_query", "bulkOperationRunQuery", query)
    done = bulk.wait(client, started)
    if done.status != "COMPLETED":
        raise ShopifyFailed(
            f"Bulk query {started} ended {done.status} ({done.error_code or 'no error code'}): run again."
        )
    if done.url is None:
        return tables.empty(ITEMS), tables.empty(LEVEL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "levels.jsonl"
        bulk.fetch(client, done.url, path)
        client.bulk_query_seconds = time.monotonic() - began
        return _parsed(path)


def parse_levels(path: Path) -> pl.DataFrame:
    """Return LEVELS of a bulk query's result file, whose lines may come in any order."""
    items, levels = _parsed(path)
    frame = levels.join(items.select(SELLABLE), on="inventory_item_id", how="left", maintain_order="left")
    return tables.conform(frame, tables.LEVELS, "levels")


def _number(column: pl.Expr, prefix: str) -> pl.Expr:
    return column.str.strip_prefix(prefix).cast(pl.Int64)


def _quantity(name: str, field: str) -> pl.Expr:
    """One field of the quantity of this name, wherever it stands in the level's list."""
    quantities = [pl.col("quantities").list.get(i, null_on_oob=True).struct for i in range(len(QUANTITIES) + 1)]
    return pl.coalesce(pl.when(each.field("name") == name).then(each.field(field)) for each in quantities)


def _moment(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%+", time_unit="us", time_zone="UTC")


def _parsed(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The items and the levels of a result file, each line decoded once; the line of a level names its parent."""
    if path.stat().st_size == 0:
        return tables.empty(ITEMS), tables.empty(LEVEL)
    lines = pl.scan_lines(path).with_columns(is_level=pl.col("line").str.contains('"__parentId":', literal=True))
    item_lines = lines.filter(~pl.col("is_level")).select(pl.col("line").str.json_decode(ITEM_LINE).struct.unnest())
    level_lines = lines.filter("is_level").select(pl.col("line").str.json_decode(LEVEL_LINE).struct.unnest())
    queries = [
        item_lines.with_columns(inventory_item_id=_number(pl.col("id"), ITEM)).select(**_item_columns()),
        level_lines.select(
            inventory_item_id=_number(pl.col("__parentId"), ITEM),
            location_id=_number(pl.col("location").struct.field("id"), LOCATION),
            is_active="isActive",
            **{name: _quantity(name, "quantity") for name in QUANTITIES},
            **{f"{name}_at": _quantity(name, "updatedAt") for name in STAMPED},
        )
        .with_columns(_moment(f"{name}_at") for name in STAMPED)
        .select(list(LEVEL)),
    ]
    try:
        items, levels = pl.collect_all(queries, engine="streaming")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0][:200]
        raise ShopifyFailed(f"Shopify's bulk result holds a garbled line ({reason}): run again.") from None
    return items.unique("inventory_item_id", maintain_order=True), _checked(levels)


def _checked(levels: pl.DataFrame) -> pl.DataFrame:
    """The levels, each once; raises ShopifyFailed where two lines differ about one, or a line lacks its ids."""
    _, failure = LevelLine.filter(levels.select(LevelLine.column_names()))
    if not len(failure):
        return levels
    levels = levels.unique(maintain_order=True)
    _, failure = LevelLine.filter(levels.select(LevelLine.column_names()))
    if len(failure):
        item, place = failure.invalid().select(tables.KEY).row(0)
        raise ShopifyFailed(
            f"Shopify's bulk result has a garbled line, or two for the level of item {item} at location "
            f"{place}: run again."
        )
    return levels
