"""Which Shopify location each facility feeds, and in which form (see the package)."""

from datetime import datetime

import polars as pl

from invsync import tables
from invsync.errors import UsageError
from invsync.mapping.rules import Rules

AGGREGATE_FACILITY = "_NA_"
CHANNEL_GROUP = "CHANNEL_FAC_GROUP"
VIRTUAL = "VIRTUAL_FACILITY"
CONFIGURATION = "CONFIGURATION"
AGGREGATE_FORMS = ["group", "set"]


def digits(column: str) -> pl.Expr:
    """The id in this column as Int64 where it is bare digits, else null."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text.str.contains(r"^[0-9]{1,19}$")).then(text).cast(pl.Int64, strict=False)


def is_effective(at: datetime) -> pl.Expr:
    """True where from_date <= at < thru_date; a null date is no bound."""
    begun = pl.col("from_date").is_null() | (pl.col("from_date") <= at)
    return begun & (pl.col("thru_date").is_null() | (pl.col("thru_date") > at))


def is_virtual() -> pl.Expr:
    """True where the facility's type, or its type's parent, is VIRTUAL_FACILITY."""
    return pl.any_horizontal(
        (pl.col(column) == VIRTUAL).fill_null(False) for column in ("facility_type_id", "parent_type_id")
    )


def locations(snapshot: tables.Snapshot, *, aggregate_location: int | None) -> pl.DataFrame:
    """Return one row per facility that is mapped to a location: facility_id, location_id, form (see the package)."""
    named = snapshot.shopify_shop_location.filter(pl.col("shopify_location_id").str.strip_chars().fill_null("") != "")
    named = named.select("facility_id", location_id=digits("shopify_location_id")).unique()
    forms = (
        named.with_columns(form=_form(aggregate_location))
        .sort("location_id")
        .unique("facility_id", keep="first", maintain_order=True)
    )
    if aggregate_location is None or forms["location_id"].eq(aggregate_location).any():
        return forms
    extra = {"facility_id": [None], "location_id": [aggregate_location], "form": ["group"]}
    return pl.concat([forms, pl.DataFrame(extra, schema=forms.schema)])


def first_case(*cases: tuple[pl.Expr, pl.Expr | str]) -> pl.Expr:
    """The value of the first case whose condition holds, else null."""
    words = ((holds, pl.lit(word) if isinstance(word, str) else word) for holds, word in cases)
    return pl.coalesce(pl.when(holds).then(word) for holds, word in words)


def _form(aggregate_location: int | None) -> pl.Expr:
    online = pl.col("facility_id") == AGGREGATE_FACILITY
    configured = pl.lit(aggregate_location, dtype=pl.Int64)
    both = online.any().over("location_id") & (~online).any().over("location_id")
    return first_case(
        (pl.len().over("facility_id") > 1, "ambiguous"),
        (pl.col("location_id").is_null(), "malformed"),
        (pl.col("location_id") == configured, "group"),
        (both, "ambiguous"),
        (online & configured.is_not_null(), "unused"),
        (online, "group"),
        (pl.len().over("location_id") > 1, "set"),
        (pl.lit(True), "physical"),
    )


def members(snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    """Return one row per aggregate location and facility: location_id, facility_id, ever, counts, rules.

    `ever`: the facility is or was a member; `counts`: its stock is in the sum now; `rules`: it is the group's
    CONFIGURATION facility, whose rows hold the threshold and the channel switch. Raises UsageError where a location
    needs a facility group and none is configured.
    """
    named = locations(snapshot, aggregate_location=rules.aggregate_location)
    aggregates = named.filter(pl.col("form").is_in(AGGREGATE_FORMS))
    if rules.group is None and (aggregates["form"] == "group").any():
        raise UsageError("An aggregate location is mapped but no facility group is named: set facility_group_id.")
    in_group = _group_members(snapshot, rules)
    by_group = aggregates.select("location_id", "form").unique().join(in_group, how="cross")
    by_group = by_group.with_columns(
        ever=pl.col("form") == "group", member=pl.col("member") & (pl.col("form") == "group")
    )
    by_set = aggregates.filter(pl.col("form") == "set").with_columns(ever=True, member=True, in_rules=False)
    both = pl.concat([by_group.select(by_set.columns), by_set]).group_by("location_id", "facility_id")
    memberships = both.agg(pl.col("ever", "member", "in_rules").any())
    return _counting(memberships, snapshot, rules)


def _group_members(snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    rows = snapshot.facility_group_member.filter(pl.col("facility_group_id") == pl.lit(rules.group, dtype=pl.String))
    channel = (pl.col("facility_group_type_id") == CHANNEL_GROUP).fill_null(False)
    return rows.group_by("facility_id").agg(
        member=(is_effective(rules.at) & channel).any(), in_rules=is_effective(rules.at).any()
    )


def _counting(memberships: pl.DataFrame, snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    at_store = (pl.col("product_store_id") == rules.store) & is_effective(rules.at)
    in_store = snapshot.product_store_facility.filter(at_store)
    in_store = in_store.select("facility_id", in_store=True).unique()
    configures = (pl.col("facility_type_id") == CONFIGURATION).fill_null(False)
    facility = snapshot.facility.select("facility_id", real=~is_virtual(), configures=configures)
    every = memberships.join(in_store, on="facility_id", how="left").join(facility, on="facility_id", how="left")
    counts = (pl.col("member") & pl.col("in_store") & pl.col("real")).fill_null(False)
    configured = (pl.col("in_rules") & pl.col("configures")).fill_null(False)
    return every.select("location_id", "facility_id", "ever", counts=counts, rules=configured)


def counted_facilities(snapshot: tables.Snapshot, rules: Rules) -> pl.DataFrame:
    """Return the facilities whose stock is summed at each aggregate location now: location_id, facility_id."""
    return members(snapshot, rules).filter("counts").select("location_id", "facility_id")
