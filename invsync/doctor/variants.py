"""Find out which of Shopify's ids HotWax keeps as shopify_product_id."""

import polars as pl

from invsync import mapping, tables
from invsync.doctor.checks import GROUP
from invsync.doctor.findings import Answer, Findings
from invsync.shopify.client import Client
from invsync.shopify.gids import ITEM, number

SOME = 50
PRODUCT = "gid://shopify/Product/"


def variants(findings: Findings, client: Client, snapshot: tables.Snapshot) -> None:
    """Compare some rows of shopify_shop_product with the variants of their inventory items."""
    item, kept = (mapping.digits(name) for name in ("shopify_inventory_item_id", "shopify_product_id"))
    rows = (
        snapshot.shopify_shop_product.select(item=item, kept=kept).drop_nulls("item").unique().sort("item").head(SOME)
    )
    ids = {
        "items": [f"{ITEM}{one}" for one in rows["item"]],
        "products": [f"{PRODUCT}{one}" for one in rows["kept"].drop_nulls()],
    }
    nodes = findings.tried(GROUP, "variant ids", lambda: client.data("variants", ids))
    if nodes is None:
        return
    shown = {
        number(node["id"]): number(node["variant"]["id"]) for node in nodes["items"] if node and node.get("variant")
    }
    products = {number(node["id"]) for node in nodes["products"] if node}
    with_variants = rows.with_columns(variant=pl.col("item").replace_strict(shown, default=None))
    findings.note(GROUP, "variant ids", answer(with_variants, products))


def answer(rows: pl.DataFrame, products: set[int]) -> Answer:
    """Return the answer for rows of item, kept and variant (null without one), given which of the kept are products."""
    is_variant = (pl.col("kept") == pl.col("variant")).fill_null(False)
    is_product = pl.col("kept").is_in(list(products)).fill_null(False) & ~is_variant
    of_variant, of_product = rows.filter(is_variant).height, rows.filter(is_product).height
    if of_product:
        return "warning", (
            f"shopify_product_id holds the product's id in {of_product} of {rows.height} rows looked at, and "
            "there is one row for each: see that no other variant of these products lacks its row."
        )
    if of_variant == rows.height:
        return "ok", f"shopify_product_id holds the variant's id in all {rows.height} rows looked at."
    held = f"the variant's id in {of_variant} of" if of_variant else "neither the variant's nor the product's id in"
    return "ok", (
        f"shopify_product_id holds {held} {rows.height} rows looked at; "
        "invsync goes by shopify_inventory_item_id alone."
    )
