"""Why Shopify and the OMS were apart in a run: each pair's difference, split by cause."""

import polars as pl

from invsync import tables
from invsync.vocabulary import DELTAS, LANDED, RIGHT

PAIR_OF_SHOP = ["shop", *tables.KEY]
OWN_EVENTS: tables.Schema = {
    "inventory_item_id": tables.ID,
    "location_id": tables.ID,
    "at": tables.STAMP,
    "units": tables.QUANTITY,
}
EDITS: tables.Schema = OWN_EVENTS | {"app": tables.TEXT}
CAUSES = {
    "in_flight": "Orders that the OMS did not know: subtracted, not drift.",
    "buffer": "Units hidden on purpose.",
    "news": "The OMS's own events since the previous look: what the job is for.",
    "lost_event": "The OMS's own events that delta runs should have brought and had not.",
    "manual_edit": "Edits by hand in Shopify's admin, from the table of edits.",
    "another_app": "Changes by another app, from the table of edits.",
    "changed_in_shopify": "Changes in Shopify that are in no table of edits: by hand or by another app.",
    "not_settled": "Left over from the previous look, which did not settle the pair.",
    "rounding": "Fractions of a unit in the OMS.",
    "unmapped": "Pairs that are not linked; there is no number to compare.",
    "inactive": "Pairs that are not stocked at the location in Shopify.",
    "first_look": "The pair's first look: nothing is known of the time before.",
    "not_told_apart": "Without the OMS's events of that time, its news and changes in Shopify look alike.",
}
EXPLAINED = ["first_look", "news", "lost_event", "manual_edit", "another_app", "not_settled"]


def by_cause(
    looked: pl.DataFrame, events: pl.DataFrame | None = None, edits: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One row a run and cause: path, at, cause, pairs, and the units apart (absolute), from LOOKED rows of any jobs.

    `events` (OWN_EVENTS) are the OMS's own events by pair. `edits` (EDITS) are changes by others in Shopify's inventory
    history, with the name of the app, or null for a person. Without them the causes that need them are one cause.
    """
    looks = looked.sort("at", "path").with_row_index("look")
    compared = looks.filter(~_is_delta_run())
    moves = _moves(compared, looks.filter(_is_delta_run()), events, edits)
    parts = [_standing(compared), _held(compared), moves]
    whole = pl.concat([part.select("look", "cause", "units") for part in parts]).filter(pl.col("units") != 0)
    named = whole.join(looks.select("look", "path", "at"), on="look")
    sums = named.group_by("path", "at", "cause").agg(pairs=pl.len(), units=pl.col("units").abs().sum())
    return sums.with_columns(units=pl.when(pl.col("cause") != "unmapped").then("units").otherwise(0.0)).sort(
        "at", "cause"
    )


def _is_delta_run() -> pl.Expr:
    return pl.col("path").str.split("/").list.get(1) == DELTAS


def _standing(looks: pl.DataFrame) -> pl.DataFrame:
    """The units between the OMS's number and the target by rule: orders in flight, the buffer, fractions."""
    hidden = pl.col("oms") - pl.col("in_flight").fill_null(0) - pl.col("target")
    parts = looks.select(
        "look",
        in_flight=pl.col("in_flight").cast(pl.Float64),
        buffer=hidden.round(6),
        rounding=pl.col("target") - pl.col("target").round(),
    )
    long = parts.unpivot(index="look", variable_name="cause", value_name="units")
    return long.with_columns(pl.col("units").fill_null(0.0))


def _held(looks: pl.DataFrame) -> pl.DataFrame:
    """Pairs that a run could not compare or write, with the units apart, or 1 if there is no number."""
    reason = pl.col("reason").fill_null("")
    cause = (
        pl.when(reason.str.starts_with("unmapped"))
        .then(pl.lit("unmapped"))
        .when(reason == "inactive_level")
        .then(pl.lit("inactive"))
    )
    apart = (pl.col("target") - pl.col("available").fill_null(0)).fill_null(1.0)
    held = looks.select("look", cause=cause, units=apart).drop_nulls("cause")
    return held.with_columns(units=pl.when(pl.col("cause") == "unmapped").then(1.0).otherwise("units"))


def _moves(
    looks: pl.DataFrame, delta_runs: pl.DataFrame, events: pl.DataFrame | None, edits: pl.DataFrame | None
) -> pl.DataFrame:
    """The units by cause since a pair's previous look, for each look at which the pair was off its target."""
    known = looks.filter(pl.all_horizontal(pl.col("delta", *tables.KEY).is_not_null()))
    pushes = delta_runs.select("shop", "at", last_push="at").unique().sort("at")
    rows = known.sort("at").join_asof(pushes, on="at", by="shop", check_sortedness=False)
    pushed = delta_runs.filter(pl.col("outcome").is_in(LANDED)).select(*tables.KEY, "at", units="delta")
    by_hand = None if edits is None else edits.filter(pl.col("app").is_null())
    by_app = None if edits is None else edits.filter(pl.col("app").is_not_null())
    for name, moved in {"own": events, "old": events, "pushed": pushed, "by_hand": by_hand, "by_app": by_app}.items():
        sums = _between(rows, moved, name, until="last_push" if name == "old" else "at")
        rows = rows.join(sums, on="look", how="left").with_columns(pl.col(name).fill_null(0.0))
    apart = rows.sort(*PAIR_OF_SHOP, "at").with_columns(_explained()).filter(pl.col("delta") != 0)
    rest = "not_told_apart" if events is None else "changed_in_shopify"
    left = (pl.col("delta") - pl.sum_horizontal(EXPLAINED)).alias(rest)
    return (
        apart.with_columns(left)
        .select("look", *EXPLAINED, rest)
        .unpivot(index="look", variable_name="cause", value_name="units")
    )


def _explained() -> list[pl.Expr]:
    """The known parts of a look's delta; the delta of a pair's first look is one part."""
    first = pl.int_range(pl.len()).over(PAIR_OF_SHOP) == 0
    settled = pl.col("outcome").is_in(RIGHT)
    left_over = pl.when(~settled).then(pl.col("target") - pl.coalesce("after", "available")).shift(1).over(PAIR_OF_SHOP)
    by_deltas = pl.col("last_push").is_not_null()
    parts = {
        "news": pl.col("own") - pl.when(by_deltas).then("old").otherwise(0.0),
        "lost_event": pl.when(by_deltas).then(pl.col("old") - pl.col("pushed")),
        "manual_edit": -pl.col("by_hand"),
        "another_app": -pl.col("by_app"),
        "not_settled": left_over,
    }
    since = [pl.when(~first).then(part).fill_null(0.0).alias(name) for name, part in parts.items()]
    return [*since, pl.when(first).then("delta").otherwise(0).cast(pl.Float64).alias("first_look")]


def _between(looks: pl.DataFrame, moved: pl.DataFrame | None, name: str, *, until: str) -> pl.DataFrame:
    """The units moved between the pair's previous look and this look's `until`: look, and a column of this name."""
    if moved is None or moved.is_empty():
        return pl.DataFrame(schema={"look": pl.UInt32, name: pl.Float64})
    ends = looks.sort("at").select("look", "at", *tables.KEY, until=until)
    matched = (
        moved.sort("at")
        .join_asof(ends, on="at", by=tables.KEY, strategy="forward", check_sortedness=False)
        .filter(pl.col("at") <= pl.col("until"))
    )
    return matched.group_by("look").agg(pl.col("units").sum().cast(pl.Float64).alias(name))
