"""What Shopify calls the items of levels, as it answers in the requests that read the levels."""

import polars as pl

from invsync import tables

ONLY_VARIANT = "Default Title"  # Shopify's title of the variant of a product that has no options
VARIANT = pl.Struct(
    {
        "requiresComponents": pl.Boolean,
        "id": pl.String,
        "title": pl.String,
        "price": pl.String,
        "product": pl.Struct(
            {
                "id": pl.String,
                "title": pl.String,
                "vendor": pl.String,
                "productType": pl.String,
                "category": pl.Struct({"fullName": pl.String}),
                "featuredMedia": pl.Struct({"preview": pl.Struct({"image": pl.Struct({"url": pl.String})})}),
            }
        ),
    }
)


def columns() -> dict[str, pl.Expr]:
    """The columns of PRODUCTS but the item's id, made of a column `variant`; the currency is null.

    No number that is sent hangs on them: what cannot be read is null.
    """
    product = _of("variant", "product")
    title = _of("variant", "title")
    return {
        "shopify_product_id": _number(_field(product, "id")),
        "shopify_variant_id": _number(_of("variant", "id")),
        "title": _field(product, "title"),
        "variant_title": pl.when(title != ONLY_VARIANT).then(title),
        "vendor": _text(_field(product, "vendor")),
        "product_type": _text(_field(product, "productType")),
        "category": _field(product, "category", "fullName"),
        "image_url": _field(product, "featuredMedia", "preview", "image", "url"),
        "price": _of("variant", "price").cast(tables.MONEY, strict=False),
        "currency": pl.lit(None, dtype=tables.TEXT),
    }


def _of(column: str, *names: str) -> pl.Expr:
    return _field(pl.col(column), *names)


def _field(value: pl.Expr, *names: str) -> pl.Expr:
    for name in names:
        value = value.struct.field(name)
    return value


def _number(gid: pl.Expr) -> pl.Expr:
    return gid.str.extract(r"(\d+)$").cast(tables.ID, strict=False)


def _text(value: pl.Expr) -> pl.Expr:
    """A text that Shopify leaves empty where nobody wrote one."""
    return pl.when(value != "").then(value)
