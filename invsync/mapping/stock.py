"""The quantity that the OMS wants available at each pair."""

from math import nan

import polars as pl

from invsync import tables
from invsync.mapping.facilities import locations, members
from invsync.mapping.keys import in_order, join_numbered, of, pair, rank
from invsync.mapping.rules import Rules

PAIR = ["product_id", "location_id"]
COUNTS = {"sellable": "computed_last_inventory_count", "total": "last_inventory_count"}


def allows_brokering() -> pl.Expr:
    """True where allow_brokering is null or Y; any value but these and N holds the pair."""
    return (pl.col("allow_brokering") != "N").fill_null(True)


def is_unclear() -> pl.Expr:
    """True where allow_brokering is neither null, Y nor N."""
    return ~pl.col("allow_brokering").is_in(["Y", "N"]).fill_null(True)


def is_malformed(*columns: str) -> pl.Expr:
    """True where a quantity could not be read, which the OMS reader marks as NaN."""
    return pl.any_horizontal(pl.col(column).is_nan().fill_null(False) for column in columns)


def targets(pairs: pl.DataFrame, snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    """Return TARGETS, sorted: each pair with the units that the OMS wants there.

    They are null where the OMS has no row, and NaN where a value of the product's rows cannot be read. `debt` is the
    negative sum of an aggregate pair before it is raised to 0; null for any other pair.
    """
    memberships = members(snapshot, rules)
    own = locations(snapshot, aggregate_location=rules.aggregate_location).filter(pl.col("form") == "physical")
    ordered, item = in_order(pairs), pl.col("inventory_item_id")
    is_first = item.ne_missing(item.shift(1))
    products = ordered.filter(is_first)["product_id"]
    sites = ordered.select(pl.col("location_id").unique().sort()).with_row_index("site")
    number = pair(products.len(), sites.height)
    stock = snapshot.product_facility.lazy()
    at_aggregates = online(stock, products, memberships, snapshot.queue).join(sites.lazy(), on="location_id")
    at_aggregates = at_aggregates.filter("ever").select("online_atp", "debt", number=number)
    at_site = pl.lit(sites["location_id"]).search_sorted(pl.col("location_id"))
    both = ordered.lazy().with_columns(product=is_first.cum_sum() - 1, site=at_site).with_columns(number=number)
    known = [_physical(stock, products, own, sites, number), at_aggregates]
    both = _join_all(both, known, products.len() * sites.height)
    everywhere = snapshot.unreadable.filter(pl.col("facility_id").is_null())["product_id"].drop_nulls()
    unreadable = pl.col("product_id").is_in(everywhere.implode())
    own_number = pl.when(pl.col("mode") == "aggregate").then("online_atp").otherwise("oms")
    oms = pl.when(unreadable).then(nan).otherwise(own_number)
    wanted = both.with_columns(oms=oms).select(list(tables.TARGETS)).collect(engine="streaming")
    return tables.conform(wanted, tables.TARGETS, "targets")


def _join_all(pairs: pl.LazyFrame, known: list[pl.LazyFrame], below: int) -> pl.LazyFrame:
    """Left-join the numbered pairs with what is known of them; nothing else stays in memory."""
    for part in pl.collect_all(known, engine="streaming"):
        pairs = join_numbered(pairs, part, below)
    return pairs


def _physical(
    stock: pl.LazyFrame, products: pl.Series, own: pl.DataFrame, sites: pl.DataFrame, number: pl.Expr
) -> pl.LazyFrame:
    """Return the quantity at each facility's own location, where that is among these sites: number, oms."""
    here = own.join(sites, on="location_id")
    ranked = ranks(stock, products, here["facility_id"])
    counted = ranked.select("product", site=of(here["site"], "place"), oms=COUNTS["sellable"])
    return counted.select("oms", number=number).drop_nulls("number")


def ranks(stock: pl.LazyFrame, products: pl.Series, facilities: pl.Series) -> pl.LazyFrame:
    """Add the indexes of product and facility among these, null for any other: product, place."""
    return stock.with_columns(product=rank("product_id", products), place=rank("facility_id", facilities))


def online_atp(snapshot: tables.Snapshot, memberships: pl.DataFrame) -> pl.DataFrame:
    """Return online ATP in units with its terms, one row per aggregate location and product that has any row there.

    It is max(0, sellable - threshold - queue), and 0 where the group's total is negative or the channel is closed.
    """
    products = snapshot.product_facility["product_id"].unique()
    terms = online(snapshot.product_facility.lazy(), products, memberships, snapshot.queue).filter("ever")
    return terms.with_columns(product_id=of(products, "product")).drop("product", "ever", "malformed").collect()


def online(stock: pl.LazyFrame, products: pl.Series, memberships: pl.DataFrame, queue: pl.DataFrame) -> pl.LazyFrame:
    """As `online_atp`, with the product as its index among these, and whether a value that enters is `malformed`.

    A product that has a row only where the rules are is there too, and is not `ever` at a member.
    """
    sites, facilities = memberships["location_id"].unique().sort(), memberships["facility_id"].unique()
    here = memberships.lazy().with_columns(
        place=rank("facility_id", facilities), site=pl.lit(sites).search_sorted(pl.col("location_id"))
    )
    number = pair(products.len(), sites.len())
    inside = ranks(stock.filter(pl.col("facility_id").is_in(facilities.implode())), products, facilities)
    rows = inside.join(here.filter(pl.col("ever") | pl.col("rules")), on="place").with_columns(number=number)
    queued = queue.lazy().group_by(product=rank("product_id", products)).agg(queue=pl.col("quantity").sum())
    terms = (
        _sums(rows)
        .join(_channel_rules(rows.filter("rules")), on="number", how="left")
        .with_columns(product=(pl.col("number") // sites.len()).cast(pl.UInt32), site=pl.col("number") % sites.len())
        .join(queued, on="product", how="left")
        .with_columns(pl.col("threshold", "queue").fill_null(0.0), pl.col("closed").fill_null(False))
    )
    return terms.select(
        "product",
        "ever",
        "malformed",
        "sellable",
        "total",
        "threshold",
        "closed",
        "queue",
        debt=_debt(),
        location_id=of(sites, "site"),
        online_atp=_atp(),
    )


def _sums(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The COUNTS of each number's rows, and whether one was `ever` a member's, or holds a `malformed` value."""
    counts = pl.col("counts") & allows_brokering()
    units = {name: pl.when(counts).then(column) for name, column in COUNTS.items()}
    sums = rows.select("number", "ever", _enters_malformed(), **units).group_by("number")
    return sums.agg(pl.col(*COUNTS).sum(), pl.col("ever", "malformed").any()).drop_nulls("number")


def _enters_malformed() -> pl.Expr:
    """Whether a row puts a value that cannot be read into the sum or the rules of its aggregate."""
    counted = pl.col("counts") & allows_brokering() & (is_malformed(*COUNTS.values()) | is_unclear())
    return (counted | (pl.col("rules") & (is_malformed("minimum_stock") | is_unclear()))).alias("malformed")


def _debt() -> pl.Expr:
    """What the terms of an aggregate pair come to where that is below 0, else null."""
    total = pl.min_horizontal("sellable", "total") - pl.col("threshold") - pl.col("queue")
    return pl.when(total < 0).then(total)


def _atp() -> pl.Expr:
    """The online ATP of these terms; NaN where one of them cannot be read."""
    left = pl.max_horizontal(pl.col("sellable") - pl.col("threshold") - pl.col("queue"), pl.lit(0.0))
    shut = pl.col("closed") | (pl.col("total") < 0)
    unreadable = pl.any_horizontal(pl.col("sellable", "total", "threshold", "queue").is_nan())
    return pl.when(unreadable).then(nan).otherwise(pl.when(shut).then(0.0).otherwise(left))


def _channel_rules(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the threshold in units and whether the channel is closed, from the CONFIGURATION row with the largest threshold."""
    closed = (pl.col("allow_brokering") == "N").fill_null(False)
    ordered = rows.select("number", threshold="minimum_stock", closed=closed).sort(
        "threshold", "closed", descending=True, nulls_last=True
    )
    return ordered.unique("number", keep="first", maintain_order=True)
