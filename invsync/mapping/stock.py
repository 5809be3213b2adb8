"""What the OMS says should be available at each pair."""

from math import nan

import polars as pl

from invsync import tables
from invsync.mapping.facilities import locations, members
from invsync.mapping.keys import beside, in_order, of, pair, rank
from invsync.mapping.rules import Rules

PAIR = ["product_id", "location_id"]
COUNTS = {"sellable": "computed_last_inventory_count", "total": "last_inventory_count"}


def allows_brokering() -> pl.Expr:
    """True where the row's allow_brokering is null or 'Y'; where it is neither of these nor 'N', the pair is held."""
    return (pl.col("allow_brokering") != "N").fill_null(True)


def is_unclear() -> pl.Expr:
    """True where the row's allow_brokering says neither Y nor N."""
    return ~pl.col("allow_brokering").is_in(["Y", "N"]).fill_null(True)


def targets(pairs: pl.DataFrame, snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    """TARGETS, by item and location: each pair with the units the OMS wants there; null where the OMS has no row.

    NaN where a value of the product's rows cannot be read.
    An aggregate's `debt` is what it comes to below 0, before the floor; null for any other pair.
    """
    found = members(snapshot, rules)
    own = locations(snapshot, aggregate_location=rules.aggregate_location).filter(pl.col("form") == "physical")
    asked, item = in_order(pairs), pl.col("inventory_item_id")
    is_first = item.ne_missing(item.shift(1))
    products = asked.filter(is_first)["product_id"]
    sites = asked.select(pl.col("location_id").unique().sort()).with_row_index("site")
    number = pair(products.len(), sites.height)
    facilities = pl.concat([own["facility_id"], found["facility_id"]]).drop_nulls().unique()
    stock = _ranked(snapshot.product_facility, products, facilities)
    online = _online(stock, products, facilities, found, snapshot.queue).join(sites.lazy(), on="location_id")
    online = online.select("online_atp", "debt", number=number)
    at_site = pl.lit(sites["location_id"]).search_sorted(pl.col("location_id"))
    both = asked.lazy().with_columns(product=is_first.cum_sum() - 1, site=at_site).with_columns(number=number)
    known = [_physical(stock, facilities, own, sites, number), online]
    both = _beside(both, known, products.len() * sites.height)
    everywhere = snapshot.unreadable.filter(pl.col("facility_id").is_null())["product_id"].drop_nulls()
    unreadable = pl.col("product_id").is_in(everywhere.implode())
    own_number = pl.when(pl.col("mode") == "aggregate").then("online_atp").otherwise("oms")
    oms = pl.when(unreadable).then(nan).otherwise(own_number)
    wanted = both.with_columns(oms=oms).select(list(tables.TARGETS)).collect(engine="streaming")
    return tables.conform(wanted, tables.TARGETS, "targets")


def _beside(pairs: pl.LazyFrame, known: list[pl.LazyFrame], below: int) -> pl.LazyFrame:
    """The numbered pairs with what is known of each; nothing else stays in memory."""
    for part in pl.collect_all(known, engine="streaming"):
        pairs = beside(pairs, part, below)
    return pairs


def _physical(
    stock: pl.LazyFrame, facilities: pl.Series, own: pl.DataFrame, sites: pl.DataFrame, number: pl.Expr
) -> pl.LazyFrame:
    """The quantity at each facility's own location among these sites: number, oms."""
    placed = own.join(sites, on="location_id")
    site = facilities.to_frame().join(placed, on="facility_id", how="left", maintain_order="left")["site"]
    counted = stock.select("product", site=of(site, "place"), oms=COUNTS["sellable"])
    return counted.select("oms", number=number).drop_nulls("number")


def _ranked(stock: pl.DataFrame, products: pl.Series, facilities: pl.Series) -> pl.LazyFrame:
    """The rows with the places of their product and facility among these, null for any other: product, place."""
    return stock.lazy().with_columns(product=rank("product_id", products), place=rank("facility_id", facilities))


def online_atp(snapshot: tables.Snapshot, found: pl.DataFrame) -> pl.DataFrame:
    """Online ATP in units, with its terms, one row an aggregate location and product that has any row there.

    max(0, sellable - threshold - queue), and 0 where the group's total is negative or the channel is closed.
    """
    products, facilities = snapshot.product_facility["product_id"].unique(), found["facility_id"].unique()
    stock = _ranked(snapshot.product_facility, products, facilities)
    terms = _online(stock, products, facilities, found, snapshot.queue)
    return terms.with_columns(product_id=of(products, "product")).drop("product").collect()


def _online(
    stock: pl.LazyFrame, products: pl.Series, facilities: pl.Series, found: pl.DataFrame, queue: pl.DataFrame
) -> pl.LazyFrame:
    """As `online_atp`, with the product as its place among these."""
    sites = found["location_id"].unique().sort()
    here = found.lazy().with_columns(
        place=rank("facility_id", facilities), site=pl.lit(sites).search_sorted(pl.col("location_id"))
    )
    number = pair(products.len(), sites.len())
    counts = pl.col("counts") & pl.col("allowed")
    sums = (
        stock.select("product", "place", allowed=allows_brokering(), **COUNTS)
        .join(here.filter("ever").select("place", "site", "counts"), on="place")
        .select(*(pl.when(counts).then(name).alias(name) for name in COUNTS), number=number)
        .group_by("number")
        .agg(pl.col(*COUNTS).sum())
        .drop_nulls("number")
    )
    rules = _channel_rules(stock.join(here.filter("rules"), on="place").with_columns(number=number))
    asked = queue.lazy().group_by(product=rank("product_id", products)).agg(queue=pl.col("quantity").sum())
    terms = (
        sums.join(rules, on="number", how="left")
        .with_columns(product=(pl.col("number") // sites.len()).cast(pl.UInt32), site=pl.col("number") % sites.len())
        .join(asked, on="product", how="left")
        .with_columns(pl.col("threshold", "queue").fill_null(0.0), pl.col("closed").fill_null(False))
    )
    total = pl.min_horizontal("sellable", "total") - pl.col("threshold") - pl.col("queue")
    left = pl.max_horizontal(pl.col("sellable") - pl.col("threshold") - pl.col("queue"), pl.lit(0.0))
    shut = pl.col("closed") | (pl.col("total") < 0)
    unreadable = pl.any_horizontal(pl.col("sellable", "total", "threshold", "queue").is_nan())
    return terms.select(
        "product",
        "sellable",
        "total",
        "threshold",
        "closed",
        "queue",
        debt=pl.when(total < 0).then(total),
        location_id=of(sites, "site"),
        online_atp=pl.when(unreadable).then(nan).otherwise(pl.when(shut).then(0.0).otherwise(left)),
    )


def _channel_rules(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Threshold in units and whether the channel is closed, by the CONFIGURATION row of largest threshold."""
    closed = (pl.col("allow_brokering") == "N").fill_null(False)
    ordered = rows.select("number", threshold="minimum_stock", closed=closed).sort(
        "threshold", "closed", descending=True, nulls_last=True
    )
    return ordered.unique("number", keep="first", maintain_order=True)
