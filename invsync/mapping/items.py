"""Which product_facility rows feed which pair of item and location, and why the others feed none."""

from math import nan

import polars as pl

from invsync import tables
from invsync.mapping import doubles
from invsync.mapping.facilities import AGGREGATE_FORMS, digits, first_case, locations, members
from invsync.mapping.keys import distinct, join_numbered, of, pair
from invsync.mapping.rules import Rules
from invsync.mapping.stock import is_malformed, online, ranks

HELD = ["product_id", "facility_id", "product", "site", "reason"]
NO_MESSAGE = pl.lit(None, dtype=pl.String)
REASON = pl.Enum(["unmapped_product", "unmapped_location", "ambiguous_mapping", "malformed"])


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


def pairs(snapshot: tables.Snapshot, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the PAIRS that may be sent, sorted, and MAPPING_HELD: the other product_facility rows with a reason.

    A row of its own, with a null facility_id, has an aggregate pair that is held, a product with an unreadable value
    that may concern all of its pairs, and a row of a feed that names no product.
    """
    targets, held = all_targets(snapshot, rules)
    return targets.select(list(tables.PAIRS)).collect(engine="streaming"), held


def all_targets(
    snapshot: tables.Snapshot, rules: Rules, *, stock: pl.LazyFrame | None = None
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Return TARGETS of all pairs, sorted and not collected, and MAPPING_HELD, as `pairs` and `targets` give them.

    The rows of product_facility are read once. `stock` takes their place where they are too many for a frame.
    """
    named = locations(snapshot, aggregate_location=rules.aggregate_location)
    memberships = members(snapshot, rules)
    sku = snapshot.product.select("product_id", sku="internal_name").unique("product_id")
    products = product_items(snapshot).join(sku, on="product_id", how="left").sort("inventory_item_id")
    sites = _sites(named)
    places = _places(named, memberships, sites)
    number = pair(products.height, sites.height)
    stock = snapshot.product_facility.lazy() if stock is None else stock
    rows = _rows(stock, products, places, number)
    is_next = pl.col("product").ne_missing(pl.col("product").shift(1))
    unsent, sent, there, terms = pl.collect_all(
        [
            rows.filter(pl.col("number").is_null()).drop("oms"),
            rows.select("number", "oms").drop_nulls("number"),
            rows.select("product").filter(is_next).unique().drop_nulls(),
            online(stock, products["product_id"], memberships, snapshot.queue)
            .join(sites.lazy(), on="location_id")
            .select("ever", "malformed", "debt", oms="online_atp", number=number),
        ],
        engine="streaming",
    )
    bad = terms.filter("malformed")["number"]
    held, aggregates = _held(unsent, products, places, sites, bad), _online(there, products, sites, bad)
    is_free = pl.col("reason").is_null()
    atp = aggregates.filter(is_free).select("number").join(terms.filter("ever"), on="number", how="left")
    held = pl.concat([frame.filter(~is_free).select(HELD) for frame in (held, aggregates)]).with_columns(
        inventory_item_id=of(products["inventory_item_id"], "product"), location_id=of(sites["location_id"], "site")
    )
    held = doubles.named(held.join(sku, on="product_id", how="left").with_columns(message=NO_MESSAGE), snapshot)
    held = tables.conform(held, tables.MAPPING_HELD, "held")
    unreadable = snapshot.unreadable.filter(pl.col("facility_id").is_null())["product_id"].drop_nulls()
    targets = _targets([sent, atp.select("number", "oms")], atp.select("number", "debt"), products, sites, unreadable)
    return targets, _with_unreadable(held, snapshot.unreadable, sku)


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


def _rows(stock: pl.LazyFrame, products: pl.DataFrame, places: pl.DataFrame, number: pl.Expr) -> pl.LazyFrame:
    """Return the product_facility rows with the indexes of their product and place, and the `number` of their pair."""
    listed = products.select(pl.when(pl.col("fault").is_null()).then(pl.int_range(pl.len()))).to_series()
    sends = places.select(pl.when("physical", pl.col("fault").is_null()).then("site")).to_series()
    rows = ranks(stock, products["product_id"], places["facility_id"]).select(
        "product_id",
        "facility_id",
        "place",
        at="product",
        oms="computed_last_inventory_count",
        unreadable=is_malformed("computed_last_inventory_count"),
    )
    readable = pl.when(~pl.col("unreadable"))
    placed = rows.with_columns(product=readable.then(of(listed, "at")), site=of(sends, "place"))
    return placed.with_columns(number=number, product="at").drop("at", "site")


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


def _targets(
    oms: list[pl.DataFrame], debt: pl.DataFrame, products: pl.DataFrame, sites: pl.DataFrame, unreadable: pl.Series
) -> pl.LazyFrame:
    """Return TARGETS of the pairs of these numbers, sorted; the names are looked up where they are read."""
    known, below = pl.concat(oms), products.height * sites.height
    numbers = distinct(known["number"], below).alias("number").to_frame().lazy()
    rows = join_numbered(join_numbered(numbers, known, below), debt.drop_nulls("debt"), below)
    rows = rows.with_columns(product=pl.col("number") // sites.height, site=pl.col("number") % sites.height)
    bad = products["product_id"].is_in(unreadable.implode())
    wanted = rows.with_columns(
        *(of(products[name], "product") for name in ("inventory_item_id", "product_id", "sku")),
        *(of(sites[name], "site") for name in ("location_id", "mode")),
        oms=pl.when(of(bad, "product")).then(nan).otherwise("oms"),
    )
    return wanted.select(pl.col(name).cast(dtype) for name, dtype in tables.TARGETS.items())
