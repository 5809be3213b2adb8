"""When the available of a level last changed, by which a run judges whether an old file was counted."""

import polars as pl

from invsync import tables
from invsync.shopify.client import Client, Node
from invsync.shopify.gids import number
from invsync.shopify.level_nodes import chunks, levels_text, levels_variables

CHANGED: tables.Schema = {
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "changed_at": tables.STAMP,
}


def changed_at(client: Client, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return CHANGED of these pairs, to the second, without the pairs that Shopify does not know."""
    asked = pairs.select("inventory_item_id", "location_id").unique()
    rows: list[dict[str, object]] = []
    for ids, places in chunks(asked):
        nodes = client.data("levels", levels_variables(ids, places), text=levels_text(len(places)))["nodes"]
        rows += [
            {"inventory_item_id": number(node["id"]), "location_id": place, "changed_at": stamp}
            for node in nodes
            if node
            for i, place in enumerate(places)
            for stamp in _stamps(node[f"level{i}"])
        ]
    texts = pl.DataFrame(rows, schema=CHANGED | {"changed_at": tables.TEXT})
    changes = texts.with_columns(pl.col("changed_at").str.to_datetime("%+", time_unit="us", time_zone="UTC"))
    return changes.join(asked, on=tables.KEY, how="semi")


def _stamps(level: Node | None) -> list[str]:
    quantities = (level or {}).get("quantities", [])
    return [each["updatedAt"] for each in quantities if each["name"] == "available" and each["updatedAt"]]
