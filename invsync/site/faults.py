"""Follow faults over runs: each pair that needs a person once, since when, and the run that mended it.

A fault is one outcome and reason at one place: a shop, a product and a location. It is open from the first run of an
unbroken chain of runs that looked at the place and saw it. The first run after them that looks and no longer sees it
closes it; a place that no run looks at stays as it is. Rehearsals, and pairs that only a guard held, do not count.
"""

from datetime import datetime, timedelta

import polars as pl

from invsync import tables
from invsync.site.folders import LOOKED
from invsync.vocabulary import GUARD

KEEP = timedelta(days=15)  # how long a closed fault is remembered, measured from the newest look
PLACE = ["shop", "who", "location_id"]  # `who` is the product in the OMS, else the item: its item may be linked anew
IDENTITY = [*PLACE, "outcome", "reason"]
# Kept where a later look lacks them.
LASTING = ["name", "price", "currency", "shopify_product_id", "shopify_variant_id"]
LATEST = ["item", "product_id", "inventory_item_id", "oms", "target", "message"]
SEEN: tables.Schema = {
    "shop": tables.TEXT,
    "who": tables.TEXT,
    "location_id": tables.ID,
    "outcome": tables.TEXT,
    "reason": tables.TEXT,
    **{name: LOOKED[name] for name in [*LATEST, *LASTING]},
    "gap": tables.QUANTITY,  # units that Shopify shows beyond the target
    "at": tables.STAMP,
    "path": tables.TEXT,
    "since": tables.STAMP,
    "since_path": tables.TEXT,
    "runs": tables.UNITS,
}
FAULTS = SEEN | {"mended_at": tables.STAMP, "mended_path": tables.TEXT}


def followed(known: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return FAULTS brought up to these LOOKED rows: those open, and those closed within the last 15 days.

    `at` and `path` are the last run that saw the fault, `since` and `since_path` the first, `runs` how many did.
    `mended_at` and `mended_path` are the run that no longer saw it, null while it is open.
    """
    looks = rows.filter(pl.col("reason").ne_missing(GUARD)).with_columns(who=who())
    newest = known.sort("since").unique(IDENTITY, keep="last", maintain_order=True)
    older = known.join(newest, on=[*IDENTITY, "since"], how="anti", nulls_equal=True)
    sights = _sights(looks)
    identities = pl.concat([newest.select(IDENTITY), sights.select(IDENTITY)]).unique()
    visits = looks.select(*PLACE, "path", "at").unique()
    visits = identities.join(visits, on=PLACE, nulls_equal=True)
    fresh = visits.join(sights.drop("at"), on=[*IDENTITY, "path"], how="left", nulls_equal=True)
    chains = _chains(pl.concat([_steps(newest), fresh.select(list(SEEN))]))
    return _recent(pl.concat([older, chains]), _newest(rows))


def is_open() -> pl.Expr:
    """Whether a fault of FAULTS is open."""
    return pl.col("mended_at").is_null()


def mended(faults: pl.DataFrame) -> pl.DataFrame:
    """The closed FAULTS after which nothing is wrong at their place, the latest first; the others became other faults."""
    became = faults.select(*PLACE, mended_path="since_path").unique()
    closed = faults.filter(~is_open()).join(became, on=[*PLACE, "mended_path"], how="anti", nulls_equal=True)
    return closed.sort("mended_at", *IDENTITY, descending=[True, *[False] * len(IDENTITY)], nulls_last=True)


def who() -> pl.Expr:
    """What stands for a product: its id in the OMS, else its item's."""
    return pl.coalesce("product_id", pl.col("inventory_item_id").cast(pl.String), "item")


def _sights(looks: pl.DataFrame) -> pl.DataFrame:
    """Each fault once a run: the faulty looks with their `gap`."""
    gap = pl.coalesce("after", "available") - pl.col("target")
    faulty = looks.filter("fault").with_columns(gap=gap.cast(tables.QUANTITY))
    once = faulty.unique([*IDENTITY, "path"], keep="last", maintain_order=True)
    return once.select(*IDENTITY, *LATEST, *LASTING, "gap", "at", "path", since="at", since_path="path").with_columns(
        runs=pl.lit(1, dtype=pl.Int64)
    )


def _steps(known: pl.DataFrame) -> pl.DataFrame:
    """Each known fault as the look that saw it last, and the look that closed it."""
    none = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in SEEN.items() if name not in {*IDENTITY, "at", "path"}
    ]
    closed = known.filter(~is_open()).select(*IDENTITY, *none, at="mended_at", path="mended_path")
    return pl.concat([known.select(list(SEEN)), closed.select(list(SEEN))])


def _chains(steps: pl.DataFrame) -> pl.DataFrame:
    """FAULTS of looks in the order of time: one row for each unbroken chain of looks that saw the fault."""
    ordered = steps.sort(*IDENTITY, "at", "path")
    chain = pl.col("runs").is_not_null().rle_id().over(IDENTITY)
    grouped = ordered.with_columns(chain=chain).group_by(*IDENTITY, "chain", maintain_order=True)
    spans = grouped.agg(
        *(pl.col(name).last() for name in [*LATEST, "gap", "at", "path"]),
        *(pl.col(name).drop_nulls().last() for name in LASTING),
        *(pl.col(name).first() for name in ("since", "since_path")),
        pl.col("runs").sum(),
        seen=pl.col("runs").is_not_null().first(),
        begun=pl.col("at").first(),
        begun_path=pl.col("path").first(),
    )
    closed = spans.with_columns(
        mended_at=pl.col("begun").shift(-1).over(IDENTITY), mended_path=pl.col("begun_path").shift(-1).over(IDENTITY)
    )
    return closed.filter("seen").select(list(FAULTS))


def _newest(rows: pl.DataFrame) -> datetime | None:
    newest = rows["at"].max()
    return newest if isinstance(newest, datetime) else None


def _recent(faults: pl.DataFrame, newest: datetime | None) -> pl.DataFrame:
    """The faults without those that were closed long ago."""
    if newest is None:
        return faults
    return faults.filter(is_open() | (pl.col("mended_at") >= newest - KEEP))
