"""Which Shopify level each HotWax row feeds, and what the OMS says should be available there.

A location is named in one of these forms:

    group      by facility `_NA_` or by `aggregate_location`: online ATP over the facility group
    set        by several facilities: online ATP over exactly those, by the same formula
    physical   by one facility: that facility's own sellable quantity
"""

from datetime import datetime

import polars as pl

from invsync import tables
from invsync.errors import UsageError

AGGREGATE_FACILITY = "_NA_"
CHANNEL_GROUP = "CHANNEL_FAC_GROUP"
VIRTUAL = "VIRTUAL_FACILITY"
CONFIGURATION = "CONFIGURATION"
AGGREGATE_FORMS = ["group", "set"]
PAIR = ["product_id", "location_id"]


def digits(column: str) -> pl.Expr:
    """The id as Int64 when it is bare digits, else null."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text.str.contains(r"^[0-9]{1,19}$")).then(text).cast(pl.Int64, strict=False)


def is_effective(at: datetime) -> pl.Expr:
    """True where from_date <= at < thru_date; an open end has no bound."""
    begun = pl.col("from_date").is_null() | (pl.col("from_date") <= at)
    return begun & (pl.col("thru_date").is_null() | (pl.col("thru_date") > at))


def is_virtual() -> pl.Expr:
    """True where the facility's type, or its type's parent, is VIRTUAL_FACILITY."""
    return pl.any_horizontal(
        (pl.col(column) == VIRTUAL).fill_null(False) for column in ("facility_type_id", "parent_type_id")
    )


def allows_brokering() -> pl.Expr:
    """True where the row's allow_brokering is null or 'Y'."""
    return (pl.col("allow_brokering") == "Y").fill_null(True)


def is_malformed(*columns: str) -> pl.Expr:
    """True where a quantity was unreadable (the OMS reader hands it over as NaN)."""
    return pl.any_horizontal(pl.col(column).is_nan().fill_null(False) for column in columns)


def locations(snapshot: tables.Snapshot, *, aggregate_location: int | None) -> pl.DataFrame:
    """One row a facility that names a location: facility_id, location_id, form (see the module)."""
    named = snapshot.shopify_shop_location.filter(pl.col("shopify_location_id").str.strip_chars().fill_null("") != "")
    named = named.select("facility_id", location_id=digits("shopify_location_id")).unique()
    forms = named.with_columns(form=_form(aggregate_location)).unique("facility_id", keep="any")
    if aggregate_location is None or forms["location_id"].eq(aggregate_location).any():
        return forms
    extra = {"facility_id": [None], "location_id": [aggregate_location], "form": ["group"]}
    return pl.concat([forms, pl.DataFrame(extra, schema=forms.schema)])


def _first(*cases: tuple[pl.Expr, pl.Expr | str]) -> pl.Expr:
    """The word of the first case that holds, else null."""
    words = ((holds, pl.lit(word) if isinstance(word, str) else word) for holds, word in cases)
    return pl.coalesce(pl.when(holds).then(word) for holds, word in words)


def _form(aggregate_location: int | None) -> pl.Expr:
    online = pl.col("facility_id") == AGGREGATE_FACILITY
    configured = pl.lit(aggregate_location, dtype=pl.Int64)
    both = online.any().over("location_id") & (~online).any().over("location_id")
    return _first(
        (pl.len().over("facility_id") > 1, "ambiguous"),
        (pl.col("location_id").is_null(), "malformed"),
        (pl.col("location_id") == configured, "group"),
        (both, "ambiguous"),
        (online & configured.is_not_null(), "unused"),
        (online, "group"),
        (pl.len().over("location_id") > 1, "set"),
        (pl.lit(True), "physical"),
    )


def members(
    snapshot: tables.Snapshot, *, aggregate_location: int | None, group: str | None, store: str, at: datetime
) -> pl.DataFrame:
    """One row an aggregate location and facility: location_id, facility_id, ever, counts, rules.

    `ever`: is or was a member; `counts`: its stock is summed now; `rules`: it is the group's
    CONFIGURATION facility, whose rows carry threshold and channel switch.
    """
    named = locations(snapshot, aggregate_location=aggregate_location)
    aggregates = named.filter(pl.col("form").is_in(AGGREGATE_FORMS))
    if group is None and (aggregates["form"] == "group").any():
        raise UsageError("An aggregate location is mapped but no facility group is named: set facility_group_id.")
    in_group = _group_members(snapshot, group=group, at=at)
    by_group = aggregates.select("location_id", "form").unique().join(in_group, how="cross")
    by_group = by_group.with_columns(
        ever=pl.col("form") == "group", member=pl.col("member") & (pl.col("form") == "group")
    )
    by_set = aggregates.filter(pl.col("form") == "set").with_columns(ever=True, member=True, in_rules=False)
    both = pl.concat([by_group.select(by_set.columns), by_set]).group_by("location_id", "facility_id")
    found = both.agg(pl.col("ever", "member", "in_rules").any())
    return _counting(found, snapshot, store=store, at=at)


def _group_members(snapshot: tables.Snapshot, *, group: str | None, at: datetime) -> pl.DataFrame:
    rows = snapshot.facility_group_member.filter(pl.col("facility_group_id") == pl.lit(group, dtype=pl.String))
    channel = (pl.col("facility_group_type_id") == CHANNEL_GROUP).fill_null(False)
    return rows.group_by("facility_id").agg(member=(is_effective(at) & channel).any(), in_rules=is_effective(at).any())


def _counting(found: pl.DataFrame, snapshot: tables.Snapshot, *, store: str, at: datetime) -> pl.DataFrame:
    in_store = snapshot.product_store_facility.filter((pl.col("product_store_id") == store) & is_effective(at))
    in_store = in_store.select("facility_id", in_store=True).unique()
    configures = (pl.col("facility_type_id") == CONFIGURATION).fill_null(False)
    facility = snapshot.facility.select("facility_id", real=~is_virtual(), configures=configures)
    every = found.join(in_store, on="facility_id", how="left").join(facility, on="facility_id", how="left")
    counts = (pl.col("member") & pl.col("in_store") & pl.col("real")).fill_null(False)
    rules = (pl.col("in_rules") & pl.col("configures")).fill_null(False)
    return every.select("location_id", "facility_id", "ever", counts=counts, rules=rules)


def counted_facilities(
    snapshot: tables.Snapshot, *, aggregate_location: int | None, group: str | None, store: str, at: datetime
) -> pl.DataFrame:
    """The facilities whose stock each aggregate location sums now: location_id, facility_id."""
    found = members(snapshot, aggregate_location=aggregate_location, group=group, store=store, at=at)
    return found.filter("counts").select("location_id", "facility_id")


def product_items(snapshot: tables.Snapshot) -> pl.DataFrame:
    """One row a product on Shopify: product_id, inventory_item_id, fault (reason or null)."""
    rows = snapshot.shopify_shop_product.filter(
        pl.col("product_id").is_not_null() & (pl.col("shopify_inventory_item_id").str.strip_chars().fill_null("") != "")
    )
    rows = rows.select("product_id", inventory_item_id=digits("shopify_inventory_item_id")).unique()
    twice = (pl.len().over("product_id") > 1) | (
        (pl.len().over("inventory_item_id") > 1) & pl.col("inventory_item_id").is_not_null()
    )
    fault = _first((pl.col("inventory_item_id").is_null(), "malformed"), (twice, "ambiguous_mapping"))
    one = (
        rows.with_columns(fault=fault)
        .group_by("product_id")
        .agg(
            pl.col("inventory_item_id").min(),
            pl.col("fault").max(),
        )
    )
    return one.select("product_id", "inventory_item_id", "fault")


def malformed_online(snapshot: tables.Snapshot, found: pl.DataFrame) -> pl.DataFrame:
    """The aggregate pairs that an unreadable quantity would enter: product_id, location_id."""
    stock = is_malformed("last_inventory_count", "computed_last_inventory_count")
    rules = is_malformed("minimum_stock")
    bad = snapshot.product_facility.filter(stock | rules).join(found, on="facility_id")
    enters = (pl.col("counts") & allows_brokering() & stock) | (pl.col("rules") & rules)
    return bad.filter(enters).select(PAIR).unique()


def pairs(
    snapshot: tables.Snapshot, *, aggregate_location: int | None, group: str | None, store: str, at: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The PAIRS that may be sent, and MAPPING_HELD: every other product_facility row with its reason.

    A held aggregate pair has a row of its own with a null facility_id.
    """
    named = locations(snapshot, aggregate_location=aggregate_location)
    found = members(snapshot, aggregate_location=aggregate_location, group=group, store=store, at=at)
    bad = malformed_online(snapshot, found).with_columns(bad=True)
    rows = _rows(snapshot, named, found, bad).with_columns(reason=_row_reason())
    online = _online_pairs(rows, named, bad)
    physical = rows.filter(pl.col("form") == "physical").with_columns(mode=pl.lit("physical"))
    sku = snapshot.product.select("product_id", sku="internal_name").unique("product_id")
    good = pl.concat([frame.filter(pl.col("reason").is_null()).select(*PAIR, "inventory_item_id", "mode")
                      for frame in (physical, online)])  # fmt: skip
    columns = ["product_id", "facility_id", "inventory_item_id", "location_id", "reason"]
    held = pl.concat([frame.filter(pl.col("reason").is_not_null()).select(columns) for frame in (rows, online)])
    return (
        tables.conform(good.join(sku, on="product_id", how="left"), tables.PAIRS, "pairs"),
        tables.conform(held.join(sku, on="product_id", how="left"), tables.MAPPING_HELD, "held"),
    )


def _rows(snapshot: tables.Snapshot, named: pl.DataFrame, found: pl.DataFrame, bad: pl.DataFrame) -> pl.DataFrame:
    feeds = pl.concat([
        found.select("facility_id", online="location_id"),
        named.filter(pl.col("form").is_in(AGGREGATE_FORMS)).select("facility_id", online="location_id"),
    ]).group_by("facility_id").agg(pl.col("online").min())  # fmt: skip
    return (
        snapshot.product_facility.select(
            "product_id", "facility_id", unreadable=is_malformed("computed_last_inventory_count")
        )
        .join(product_items(snapshot).with_columns(listed=True), on="product_id", how="left")
        .join(named, on="facility_id", how="left")
        .join(feeds, on="facility_id", how="left")
        .with_columns(location_id=pl.coalesce("location_id", "online"))
        .join(bad, on=PAIR, how="left")
    )


def _row_reason() -> pl.Expr:
    """Why a product_facility row feeds no pair: what makes it irrelevant first, then what is wrong."""
    form = pl.col("form").fill_null("unused")
    unreadable = ((form == "physical") & pl.col("unreadable")) | pl.col("bad").fill_null(False)
    return _first(
        (pl.col("listed").is_null(), "unmapped_product"),
        (form == "malformed", "malformed"),
        ((form == "unused") & pl.col("online").is_null(), "unmapped_location"),
        (form == "ambiguous", "ambiguous_mapping"),
        (pl.col("fault").is_not_null(), pl.col("fault")),
        (unreadable, "malformed"),
    )


def _online_pairs(rows: pl.DataFrame, named: pl.DataFrame, bad: pl.DataFrame) -> pl.DataFrame:
    """Every listed product with any row, at every aggregate location, with a reason where it is held."""
    products = rows.filter("listed").unique("product_id").select("product_id", "inventory_item_id", "fault")
    where = named.filter(pl.col("form").is_in(AGGREGATE_FORMS)).select("location_id").unique()
    both = products.join(where, how="cross").join(bad, on=PAIR, how="left")
    return both.with_columns(
        facility_id=pl.lit(None, dtype=pl.String),
        mode=pl.lit("aggregate"),
        reason=pl.coalesce("fault", pl.when("bad").then(pl.lit("malformed"))),
    )


def targets(
    pairs: pl.DataFrame, snapshot: tables.Snapshot, *,
    aggregate_location: int | None = None, group: str | None, store: str, at: datetime,
) -> pl.DataFrame:  # fmt: skip
    """TARGETS: each pair with the units the OMS wants there; null where the OMS has no row."""
    found = members(snapshot, aggregate_location=aggregate_location, group=group, store=store, at=at)
    named = locations(snapshot, aggregate_location=aggregate_location).filter(pl.col("form") == "physical")
    physical = snapshot.product_facility.join(named, on="facility_id").select(
        *PAIR, mode=pl.lit("physical"), oms="computed_last_inventory_count"
    )
    online = online_atp(snapshot, found).select(*PAIR, mode=pl.lit("aggregate"), oms="online_atp")
    both = pl.concat([physical, online])
    return tables.conform(pairs.join(both, on=[*PAIR, "mode"], how="left"), tables.TARGETS, "targets")


def online_atp(snapshot: tables.Snapshot, found: pl.DataFrame) -> pl.DataFrame:
    """Online ATP in units, with its terms, one row an aggregate location and product that has any row there.

    max(0, sellable - threshold - queue), and 0 where the group's total is negative or the channel is closed.
    """
    rows = snapshot.product_facility.join(found, on="facility_id")
    counts = pl.col("counts") & allows_brokering()
    sums = (
        rows.with_columns(
            sellable=pl.when(counts).then("computed_last_inventory_count"),
            total=pl.when(counts).then("last_inventory_count"),
        )
        .group_by(PAIR)
        .agg(pl.col("sellable", "total").sum(), pl.col("ever").any())
        .filter("ever")
    )
    queue = snapshot.queue.group_by("product_id").agg(queue=pl.col("quantity").sum())
    terms = (
        sums.join(_channel_rules(rows), on=PAIR, how="left")
        .join(queue, on="product_id", how="left")
        .with_columns(pl.col("threshold", "queue").fill_null(0.0), pl.col("closed").fill_null(False))
    )
    left = pl.max_horizontal(pl.col("sellable") - pl.col("threshold") - pl.col("queue"), pl.lit(0.0))
    shut = pl.col("closed") | (pl.col("total") < 0)
    return terms.with_columns(online_atp=pl.when(shut).then(0.0).otherwise(left))


def _channel_rules(rows: pl.DataFrame) -> pl.DataFrame:
    """Threshold in units and whether the channel is closed, by the CONFIGURATION row of largest threshold."""
    closed = (pl.col("allow_brokering") == "N").fill_null(False)
    ordered = (
        rows.filter("rules")
        .select(*PAIR, threshold="minimum_stock", closed=closed)
        .sort("threshold", "closed", descending=True, nulls_last=True)
    )
    return ordered.unique(PAIR, keep="first", maintain_order=True)
