"""Activate levels, so that what is adjusted there can be sold; Shopify keeps their quantities."""

import uuid
from collections.abc import Iterator

import polars as pl

from invsync import tables
from invsync.shopify.client import Client, messages
from invsync.shopify.gids import ITEM, LOCATION

NAMESPACE = uuid.UUID("1c7a5d1e-6a0a-5f0e-8a39-0f3a0f8c5f11")
REFUSED: tables.Schema = {"inventory_item_id": tables.ID, "location_id": tables.ID, "message": tables.TEXT}


def activate(client: Client, pairs: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Activate the level of each pair; return REFUSED, one row for each pair that Shopify refused, with its message."""
    return pl.DataFrame(_refused(client, pairs, run_id), schema=REFUSED, orient="row")


def _refused(client: Client, pairs: pl.DataFrame, run_id: str) -> Iterator[tuple[int, int, str]]:
    for item, location in pairs.select("inventory_item_id", "location_id").unique(maintain_order=True).iter_rows():
        key = str(uuid.uuid5(NAMESPACE, f"{run_id}/{item}/{location}"))
        variables = {"item": f"{ITEM}{item}", "location": f"{LOCATION}{location}", "idempotencyKey": key}
        payload = client.data("activate_level", variables)["inventoryActivate"] or {}
        if payload.get("userErrors") or not payload.get("inventoryLevel"):
            yield item, location, messages(payload.get("userErrors") or "no level")
