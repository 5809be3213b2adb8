"""What people call the products, and what they are filtered by: from the runs of a shop, or from a file of sales."""

from pathlib import Path

import polars as pl

from invsync import tables
from invsync.config import nearest
from invsync.errors import UsageError
from invsync.lab.data import Config, checked
from invsync.runs import record
from invsync.sandbox import world
from invsync.simulate.history import History
from invsync.site import folders

CATALOGUE: tables.Schema = {
    "sku": tables.TEXT,
    "title": tables.TEXT,
    "variant_title": tables.TEXT,
    "vendor": tables.TEXT,
    "category": tables.TEXT,
    "product_type": tables.TEXT,
    "location_id": tables.ID,
    "location": tables.TEXT,
    "price": tables.QUANTITY,
    "currency": tables.TEXT,
}
RUNS = 50  # the newest runs of a shop that are read
BUNDLED = "GBP"


def catalogue(*, sales: str = "", shop: str = "", config: Config = "") -> pl.DataFrame:
    """CATALOGUE: one row a SKU and location; null is what is not known.

    A shop's come from the outcomes of its newest runs, others from the sales themselves, without vendor and location.
    """
    checked(sales=(sales, str), shop=(shop, str))
    return _of_runs(shop, config) if shop else _of_sales(pl.read_parquet(sales) if sales else world.sales(), sales)


def among(
    history: History, products: pl.DataFrame, *, vendor: str = "", category: str = "", location: str = ""
) -> History:
    """The history of the products that the filters leave; empty filters leave all.

    Case does not matter. A category is any part of the category or the product's type, a location its name or number.
    Raises a UsageError for a filter by something that is not known of any product.
    """
    filters = {"vendor": (vendor, ["vendor"]), "category": (category, ["category", "product_type"])}
    filters["location"] = (location, ["location", "location_id"])
    chosen = products
    for name, (words, columns) in filters.items():
        checked(**{name: (words, str)})
        if words:
            chosen = chosen.filter(_named(products, name, words, columns))
    return history if chosen.height == products.height else history.among(chosen["sku"].drop_nulls().unique())


def _named(products: pl.DataFrame, name: str, words: str, columns: list[str]) -> pl.Expr:
    if all(products[column].is_null().all() for column in columns):
        raise UsageError(f"No product has a known {name}, so {name} {words!r} matches none: leave {name} empty.")
    texts = [pl.col(column).cast(pl.String).str.to_lowercase().fill_null("") for column in columns]
    if name == "category":
        return pl.any_horizontal(text.str.contains(words.lower(), literal=True) for text in texts)
    return pl.any_horizontal(text == words.lower() for text in texts)


def _of_sales(sales: pl.DataFrame, file: str) -> pl.DataFrame:
    priced = sales.filter(pl.col("unit_price") > 0)
    title = pl.col("description").drop_nulls().first() if "description" in sales.columns else pl.lit(None)
    rows = priced.group_by("sku").agg(title=title, price=pl.col("unit_price").median())
    rows = rows.with_columns(currency=pl.lit(None if file else BUNDLED, dtype=pl.String))
    return tables.completed(rows.sort("sku"), CATALOGUE).select(list(CATALOGUE))


def _of_runs(shop: str, config: Config) -> pl.DataFrame:
    configured = nearest.opened(config) if isinstance(config, str) else config
    root = Path(configured.reports.path)
    runs = folders.table(root, folders.stamps(root)) if root.is_dir() else tables.empty(folders.RUNS)
    paths = [root / path for path in runs.filter(pl.col("shop") == shop)["path"].tail(RUNS).reverse()]
    parts = [part for path in paths if (part := _of_run(path)) is not None]
    whole = pl.concat([tables.empty(CATALOGUE), *parts], how="diagonal_relaxed").select(list(CATALOGUE))
    return whole.drop_nulls("sku").unique(["sku", "location_id"], keep="first", maintain_order=True)


def _of_run(folder: Path) -> pl.DataFrame | None:
    try:
        rows = pl.read_parquet(folder / "outcomes.parquet")
    except (OSError, pl.exceptions.PolarsError):
        return None
    known = record.read(folder) or record.Record()
    names = {int(place): name for place, name in known.locations.items() if place.isdigit()}
    located = rows.select([name for name in CATALOGUE if name in rows.columns])
    place = pl.col("location_id").replace_strict(names, default=None, return_dtype=pl.String)
    return located.with_columns(location=place)
