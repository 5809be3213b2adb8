"""Name the links that make a mapping ambiguous: which ids stand where one should."""

import polars as pl

from invsync import tables
from invsync.mapping.facilities import AGGREGATE_FACILITY, digits

REASON = "ambiguous_mapping"
PLURAL = {"product": "products", "item": "items", "facility": "facilities", "location": "locations"}


def named(held: pl.DataFrame, snapshot: tables.Snapshot) -> pl.DataFrame:
    """Return MAPPING_HELD with a `message` on each ambiguous row, which names the ids that are linked twice."""
    ambiguous = pl.col("reason") == REASON
    if not held["reason"].eq(REASON).any():
        return held
    joined = held.join(products(snapshot), on="product_id", how="left", maintain_order="left")
    joined = joined.join(facilities(snapshot), on="facility_id", how="left", maintain_order="left")
    message = pl.when(ambiguous).then(pl.coalesce("of_product", "of_facility"))
    return joined.with_columns(message=message).drop("of_product", "of_facility")


def products(snapshot: tables.Snapshot) -> pl.DataFrame:
    """Return one row per product that is linked twice: product_id, of_product (a sentence)."""
    rows = snapshot.shopify_shop_product.select(
        product="product_id", item=digits("shopify_inventory_item_id").cast(pl.String)
    )
    sentences = pl.concat([_twice(rows, "product", "item"), _twice(rows, "item", "product")])
    return sentences.group_by(product_id="product").agg(of_product=_joined())


def facilities(snapshot: tables.Snapshot) -> pl.DataFrame:
    """Return one row per facility that is linked twice: facility_id, of_facility (a sentence)."""
    rows = snapshot.shopify_shop_location.select(
        facility="facility_id", location=digits("shopify_location_id").cast(pl.String)
    )
    online = (pl.col("facility") == AGGREGATE_FACILITY).any().over("location")
    several = _twice(rows, "facility", "location")
    sentences = pl.concat([several, _twice(rows.filter(online), "location", "facility")])
    return sentences.group_by(facility_id="facility").agg(of_facility=_joined())


def _twice(rows: pl.DataFrame, one: str, many: str) -> pl.DataFrame:
    """Return the rows whose `one` has several of `many`, with a sentence that names them all."""
    rows = rows.drop_nulls().unique().sort(pl.all())
    several = rows.filter(pl.len().over(one) > 1)
    listed = pl.col(many).str.join(" and ").over(one)
    plural = pl.lit(PLURAL[many])
    sentence = pl.format("{} {} is linked to {} {}.", pl.lit(one.capitalize()), one, plural, listed)
    return several.with_columns(sentence=sentence).select(*sorted(rows.columns), "sentence")


def _joined() -> pl.Expr:
    return pl.col("sentence").unique().sort().str.join(" ")
