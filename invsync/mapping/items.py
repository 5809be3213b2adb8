"""Which product_facility rows feed which pair of item and location, and why the others feed none."""

import polars as pl

from invsync import tables
from invsync.mapping import doubles
from invsync.mapping.facilities import AGGREGATE_FORMS, digits, first_case, locations, members
from invsync.mapping.keys import distinct, of, pair, rank
from invsync.mapping.rules import Rules
from invsync.mapping.stock import PAIR, allows_brokering, is_unclear

HELD = ["product_id", "facility_id", "product", "site", "reason"]
NO_MESSAGE = pl.lit(None, dtype=pl.String)
REASON = pl.Enum(["unmapped_product", "unmapped_location", "ambiguous_mapping", "malformed"])


def is_malformed(*columns: str) -> pl.Expr:
    """True where a quantity could not be read, which the OMS reader marks as NaN."""
    return pl.any_horizontal(pl.col(column).is_nan().fill_null(False) for column in columns)


def product_items(snapshot: tables.Snapshot) -> pl.DataFrame:
    """Return one row per product that is mapped to an item: product_id, inventory_item_id, fault (a reason, or null)."""
    rows = snapshot.shopify_shop_product.filter(
        pl.col("product_id").is_not_null() & (pl.col("shopify_inventory_item_id").str.strip_chars().fill_null("") != "")
    )
    rows = rows.select("product_id", inventory_item_id=digits("shopify_inventory_item_id")).unique()
    twice = (pl.len().over("product_id") > 1) | (
        (pl.len().over("inventory_item_id") > 1) & pl.col("inventory_item_id").is_not_null()
    )
    fault = first_case((pl.col("inventory_item_id").is_null(), "malformed"), (twice, "ambiguous_mapping"))
    one = rows.with_columns(fault=fault).group_by("product_id")
    return one.agg(pl.col("inventory_item_id").min(), pl.col("fault").max())


def malformed_online(snapshot: tables.Snapshot, memberships: pl.DataFrame) -> pl.DataFrame:
    """Return the aggregate pairs whose sum would contain an unreadable quantity: product_id, location_id."""
    stock = is_malformed("last_inventory_count", "computed_last_inventory_count") | is_unclear()
    rules = is_malformed("minimum_stock") | is_unclear()
    bad = snapshot.product_facility.filter(stock | rules).join(memberships, on="facility_id")
    enters = (pl.col("counts") & allows_brokering() & stock) | (pl.col("rules") & rules)
    return bad.filter(enters).select(PAIR).unique()


def pairs(snapshot: tables.Snapshot, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the PAIRS that may be sent, sorted, and MAPPING_HELD: the other product_facility rows with a reason.

    A row of its own, with a null facility_id, has an aggregate pair that is held, a product with an unreadable value
    that may concern all of its pairs, and a row of a feed that names no product.
    """
    named = locations(snapshot, aggregate_location=rules.aggregate_location)
    memberships = members(snapshot, rules)
    sku = snapshot.product.select("product_id", sku="internal_name").unique("product_id")
    products = product_items(snapshot).join(sku, on="product_id", how="left").sort("inventory_item_id")
    sites = _sites(named)
    bad = _numbered(malformed_online(snapshot, memberships), products, sites)
    places = _places(named, memberships, sites)
    rows = _rows(snapshot.product_facility, products, places, sites.height)
    is_next = pl.col("product").ne_missing(pl.col("product").shift(1))
    unsent, sent, there = pl.collect_all(
        [
            rows.filter(pl.col("number").is_null()),
            rows.select("number").drop_nulls(),
            rows.select("product").filter(is_next).unique().drop_nulls(),
        ],
        engine="streaming",
    )
    held, online = _held(unsent, products, places, sites, bad), _online(there, products, sites, bad)
    is_free = pl.col("reason").is_null()
    numbers = pl.concat([sent["number"], online.filter(is_free)["number"]])
    held = pl.concat([frame.filter(~is_free).select(HELD) for frame in (held, online)]).with_columns(
        inventory_item_id=of(products["inventory_item_id"], "product"), location_id=of(sites["location_id"], "site")
    )
    held = doubles.named(held.join(sku, on="product_id", how="left").with_columns(message=NO_MESSAGE), snapshot)
    held = tables.conform(held, tables.MAPPING_HELD, "held")
    return _pairs(numbers, products, sites), _with_unreadable(held, snapshot.unreadable, sku)


def _with_unreadable(held: pl.DataFrame, unreadable: pl.DataFrame, sku: pl.DataFrame) -> pl.DataFrame:
    """Return MAPPING_HELD with the reason of unreadable products, each of them with a row of its own.

    So has each row of a feed that names no product.
    """
    products = unreadable.filter(pl.col("facility_id").is_null())["product_id"].drop_nulls()
    is_unreadable = pl.col("product_id").is_in(products.implode())
    own = held.filter(pl.col("facility_id").is_null())
    spoilt = products.unique(maintain_order=True).to_frame().join(own, on="product_id", how="anti")
    spoilt = spoilt.join(sku, on="product_id", how="left").with_columns(reason=pl.lit("malformed"))
    nameless = unreadable.filter(pl.col("product_id").is_null()).select(sku="value", reason=pl.lit("malformed"))
    held = held.with_columns(reason=pl.when(is_unreadable).then(pl.lit("malformed")).otherwise("reason"))
    return pl.concat([held, *(tables.completed(rows, tables.MAPPING_HELD) for rows in (nameless, spoilt))])


def _sites(named: pl.DataFrame) -> pl.DataFrame:
    """Return one row per location, sorted: location_id, mode (null where none of its facilities may be sent), site."""
    mode = first_case((pl.col("form").is_in(AGGREGATE_FORMS), "aggregate"), (pl.col("form") == "physical", "physical"))
    each = named.drop_nulls("location_id").group_by("location_id").agg(mode.max().cast(tables.MODE).alias("mode"))
    return each.sort("location_id").with_row_index("site")


def _places(named: pl.DataFrame, memberships: pl.DataFrame, sites: pl.DataFrame) -> pl.DataFrame:
    """Return one row per facility that is mapped to or feeds a location: facility_id, location_id, site, physical, fault."""
    feeds = (
        pl.concat(
            [
                memberships.select("facility_id", online="location_id"),
                named.filter(pl.col("form").is_in(AGGREGATE_FORMS)).select("facility_id", online="location_id"),
            ]
        )
        .group_by("facility_id")
        .agg(pl.col("online").min())
    )
    both = named.join(feeds, on="facility_id", how="full", coalesce=True).drop_nulls("facility_id")
    form = pl.col("form").fill_null("unused")
    fault = first_case(
        (form == "malformed", "malformed"),
        ((form == "unused") & pl.col("online").is_null(), "unmapped_location"),
        (form == "ambiguous", "ambiguous_mapping"),
    )
    places = both.select(
        "facility_id", pl.coalesce("location_id", "online"), physical=form == "physical", fault=fault.cast(REASON)
    )
    return places.join(sites, on="location_id", how="left")


def _numbered(frame: pl.DataFrame, products: pl.DataFrame, sites: pl.DataFrame) -> pl.Series:
    """Return the pair number of each row whose product and location are known."""
    ranked = frame.join(sites, on="location_id").with_columns(product=rank("product_id", products["product_id"]))
    return ranked.select(number=pair(products.height, sites.height))["number"].drop_nulls()


def _rows(stock: pl.DataFrame, products: pl.DataFrame, places: pl.DataFrame, sites: int) -> pl.LazyFrame:
    """Return the product_facility rows with the indexes of their product and place, and the `number` of their pair."""
    listed = products.select(pl.when(pl.col("fault").is_null()).then(pl.int_range(pl.len()))).to_series()
    sends = places.select(pl.when("physical", pl.col("fault").is_null()).then("site")).to_series()
    ranked = stock.lazy().select(
        "product_id",
        "facility_id",
        at=rank("product_id", products["product_id"]),
        place=rank("facility_id", places["facility_id"]),
        unreadable=is_malformed("computed_last_inventory_count"),
    )
    readable = pl.when(~pl.col("unreadable"))
    placed = ranked.with_columns(product=readable.then(of(listed, "at")), site=of(sends, "place"))
    numbered = placed.with_columns(number=pair(products.height, sites), product="at")
    return numbered.drop("at", "site")


def _held(
    rows: pl.DataFrame, products: pl.DataFrame, places: pl.DataFrame, sites: pl.DataFrame, bad: pl.Series
) -> pl.DataFrame:
    """Return the rows that are not a pair of their own, with a reason where that is a fault."""
    placed = rows.with_columns(site=of(places["site"], "place"), physical=of(places["physical"], "place"))
    return placed.with_columns(number=pair(products.height, sites.height)).with_columns(
        reason=pl.coalesce(
            pl.when(pl.col("product").is_null()).then(pl.lit("unmapped_product", dtype=REASON)),
            pl.when(pl.col("place").is_null()).then(pl.lit("unmapped_location", dtype=REASON)),
            of(places["fault"], "place"),
            of(products["fault"].cast(REASON), "product"),
            pl.when(pl.col("physical") & pl.col("unreadable") | pl.col("number").is_in(bad.implode())).then(
                pl.lit("malformed", dtype=REASON)
            ),
        )
    )


def _online(there: pl.DataFrame, products: pl.DataFrame, sites: pl.DataFrame, bad: pl.Series) -> pl.DataFrame:
    """Return each product with stock at every aggregate location, with a reason where the pair is held."""
    both = there.join(sites.filter(pl.col("mode") == "aggregate").select("site"), how="cross")
    both = both.with_columns(
        number=pair(products.height, sites.height), product_id=of(products["product_id"], "product")
    )
    unreadable = pl.when(pl.col("number").is_in(bad.implode())).then(pl.lit("malformed", dtype=REASON))
    reason = pl.coalesce(of(products["fault"].cast(REASON), "product"), unreadable)
    return both.with_columns(facility_id=pl.lit(None, dtype=pl.String), reason=reason)


def _pairs(numbers: pl.Series, products: pl.DataFrame, sites: pl.DataFrame) -> pl.DataFrame:
    """Return PAIRS of these numbers, sorted."""
    ordered = distinct(numbers, products.height * sites.height)
    product, site = ordered // sites.height, ordered % sites.height
    by_product = products.select(pl.col("inventory_item_id", "product_id", "sku").gather(product))
    by_site = sites.select(pl.col("location_id", "mode").gather(site))
    return tables.conform(pl.concat([by_product, by_site], how="horizontal"), tables.PAIRS, "pairs")
