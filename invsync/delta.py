"""The OMS's own stock events as net changes of available, each event counted once.

A pair's net change is its target now less its target as if its claimed events had not happened, so safety stock,
thresholds and switched-off facilities are respected; nothing that Shopify caused itself is ever pushed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan

import polars as pl

from invsync import mapping, tables
from invsync.tables import KEY
from invsync.vocabulary import FREE

DEFAULT_REASONS = ("CYCLE_COUNT", "VAR_MANUAL", "POS_SALE")
RETURNED = ["RTN_ITM_RCPT"]  # Shopify may have restocked the same units by itself
NEVER = ["SHOPIFY_POS_SALE", "VAR_SHOPIFY_RESET"]
EVERY_LOCATION = 0
PLACES = 5  # digits of an event's place in its item, as HotWax writes it
_PLACE = "^(.*/)([0-9]{1,4})$"
MOVES = ["product_id", "facility_id", "atp"]
CLAIMABLE: tables.Schema = tables.EVENTS | {"inventory_item_id": tables.ID, "location_id": tables.ID}
EVENT: tables.Schema = {name: CLAIMABLE[name] for name in ("event_id", "location_id")}  # what a claim is known by
NET: tables.Schema = tables.TARGETS | {"net": tables.QUANTITY, "shopify_reason": tables.TEXT}
# Shopify's reason by HotWax's, as HotWax's own event types name them; an event of a physical inventory is a count.
COUNTED, CORRECTION = "cycle_count_available", "correction"
SHOPIFY_REASONS = {
    "CYCLE_COUNT": COUNTED,
    "VAR_SHIP_RECV": "received",
    "VAR_SCH_SHIP_RECV": "received",
    "RTN_ITM_RCPT": "restock",
}
Targets = Callable[[tables.Snapshot], pl.DataFrame]


def is_manual() -> pl.Expr:
    """The event belongs to a physical inventory: a manual variance or a cycle count."""
    return pl.col("physical_inventory_id").is_not_null()


def pushable(
    events: pl.DataFrame, reasons: pl.DataFrame, *, override: Sequence[str] | None, remotes: frozenset[str]
) -> pl.DataFrame:
    """The EVENTS that Shopify should hear of: an allowed reason, nothing of an order's, nothing from Shopify itself.

    `reasons` are the DELTA_REASONS of the OMS, effective at the event's stamp; the default list stands in when the
    OMS has none, `override` replaces both. `remotes` are this shop's own, whose resets are its echoes.
    """
    events = tables.checked(events, tables.EVENTS, "events")
    reasons = tables.checked(reasons, tables.DELTA_REASONS, "delta_reasons")
    echo = pl.col("origin").is_in(sorted(remotes)).fill_null(False)
    ours = ~(is_manual() & pl.col("names_movement").fill_null(False)) & ~echo
    free = events.filter(pl.col("reason").is_not_null() & ~pl.col("reason").is_in(NEVER), ours)
    if override is not None or reasons.is_empty():
        return free.filter(pl.col("reason").is_in(list(DEFAULT_REASONS if override is None else override)))
    begun = (
        pl.col("from_date").is_null() | pl.col("created_at").is_null() | (pl.col("from_date") <= pl.col("created_at"))
    )
    running = pl.col("thru_date").is_null() | (pl.col("thru_date") > pl.col("created_at")).fill_null(True)
    allowed = free.join(reasons, on="reason").filter(begun, running)
    return free.join(allowed.select("event_id"), on="event_id", how="semi")


def concerned(events: pl.DataFrame, pairs: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """CLAIMABLE: each event at each pair that it may move; one that moves none stands at location 0.

    `named` is what `mapping.locations` returns: facility_id, location_id, form.
    """
    own = named.filter(pl.col("form") == "physical").select("facility_id", "location_id")
    keys = [*KEY, "product_id"]
    physical = events.join(own, on="facility_id").join(
        pairs.filter(pl.col("mode") == "physical").select(keys), on=["product_id", "location_id"]
    )
    online = events.join(pairs.filter(pl.col("mode") == "aggregate").select(keys), on="product_id")
    rows = pl.concat([frame.select(list(CLAIMABLE)) for frame in (physical, online)])
    nowhere = events.join(rows, on="event_id", how="anti").with_columns(
        inventory_item_id=pl.lit(None, dtype=pl.Int64), location_id=pl.lit(EVERY_LOCATION, dtype=pl.Int64)
    )
    return pl.concat([rows, nowhere.select(rows.columns)])


def spellings(events: pl.Series) -> pl.Series:
    """These event ids, and how each is spelt with or without the zeros that a spreadsheet drops: 20001/00003, 20001/3."""
    ids = events.unique().to_frame("event_id")
    short, long = pl.col("event_id").str.extract(_PLACE, 1), pl.col("event_id").str.extract(_PLACE, 2)
    other = ids.select(pl.concat_str(short, long.str.zfill(PLACES)).alias("event_id"))
    return pl.concat([ids, ids.select(_plain()), other])["event_id"].drop_nulls().unique()


def _plain() -> pl.Expr:
    """An event id without the zeros before its place in the item."""
    return pl.col("event_id").str.replace(r"/0+([0-9]+)$", "/$1")


def unclaimed(claimable: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """The rows, CLAIMABLE or CLAIMS, without a claim at their location or at every one; a FREE claim is none."""
    claimable = tables.checked(claimable, EVENT, "claimable")
    taken = claims.filter(~pl.col("status").is_in(FREE)).select(_plain().alias("plain"), "location_id")
    everywhere = taken.filter(pl.col("location_id") == EVERY_LOCATION)
    left = claimable.with_columns(plain=_plain()).join(everywhere, on="plain", how="anti")
    return left.join(taken, on=["plain", "location_id"], how="anti").drop("plain")


def net_changes(
    free: pl.DataFrame, every: pl.DataFrame, pairs: pl.DataFrame, snapshot: tables.Snapshot, targets: Targets
) -> pl.DataFrame:
    """NET: one row a pair with unclaimed events, its target now and the units by which they moved it.

    `free` are the unclaimed rows of `every`, both CLAIMABLE; `targets` maps a snapshot to the TARGETS of the pairs.
    """
    now = targets(snapshot)
    parts = [
        targets(_undone(snapshot, events)).filter(here).select(*KEY, was="oms") for here, events in _worlds(free, every)
    ]
    before = pl.concat(parts) if parts else now.select(*KEY, was="oms")
    changed = mapping.matched(now, before, _reasons(free)).filter(pl.col("shopify_reason").is_not_null())
    net = (pl.col("oms") - pl.col("was").fill_null(0.0)).round(6)
    return tables.conform(changed.with_columns(net=net).collect(engine="streaming"), NET, "net")


def _worlds(free: pl.DataFrame, every: pl.DataFrame) -> list[tuple[pl.Expr, pl.DataFrame]]:
    """Which locations undo which events: all alike, but one where an event is claimed already undoes fewer."""
    at = free.filter(pl.col("location_id") != EVERY_LOCATION).select("event_id", "location_id", *MOVES)
    if at.is_empty():
        return []
    whole = at.filter(pl.col("event_id").is_first_distinct())
    if free.height == every.height:
        return [(pl.lit(True), whole)]
    lacking = (
        every.lazy()
        .join(whole.lazy(), on="event_id", how="semi")
        .join(at.lazy(), on=["event_id", "location_id"], how="anti")
    )
    partly = lacking.select(pl.col("location_id").unique().sort()).collect(engine="streaming").to_series().to_list()
    alone = [(pl.col("location_id") == place, at.filter(pl.col("location_id") == place)) for place in partly]
    return [(~pl.col("location_id").is_in(partly), whole), *alone]


def _undone(snapshot: tables.Snapshot, events: pl.DataFrame) -> tables.Snapshot:
    """The snapshot as if these events had not happened: counts put back, sellable by HotWax's rule."""
    sums = events.lazy().group_by("product_id", "facility_id").agg(moved=pl.col("atp").sum())
    last = pl.col("last_inventory_count") - pl.col("moved")
    minimum = pl.col("minimum_stock").fill_null(0.0)
    above = pl.when(last >= minimum).then(last - minimum).otherwise(0.0)
    computed = pl.when(last.is_nan() | minimum.is_nan()).then(nan).otherwise(above)
    touched = pl.col("moved").is_not_null()
    beside = snapshot.product_facility.lazy().join(
        sums, on=["product_id", "facility_id"], how="left", maintain_order="left"
    )
    stock = beside.with_columns(
        last_inventory_count=pl.when(touched).then(last).otherwise("last_inventory_count"),
        computed_last_inventory_count=pl.when(touched).then(computed).otherwise("computed_last_inventory_count"),
    )
    return replace(snapshot, product_facility=stock.drop("moved").collect(engine="streaming"))


def shopify_reason() -> pl.Expr:
    """Shopify's adjustment reason for an event."""
    named = pl.col("reason").replace_strict(SHOPIFY_REASONS, default=CORRECTION, return_dtype=pl.String)
    return pl.when(is_manual()).then(pl.lit(COUNTED)).otherwise(named)


def _reasons(claimable: pl.DataFrame) -> pl.DataFrame:
    """The reason of each pair's largest event, by item and location; of equals the one that comes first by id."""
    named = (
        claimable.lazy()
        .drop_nulls(KEY)
        .select(*KEY, "event_id", size=pl.col("atp").abs(), shopify_reason=shopify_reason())
    )
    ordered = named.sort("size", "event_id", descending=[True, False], nulls_last=True)
    largest = ordered.unique(KEY, keep="first", maintain_order=True).select(*KEY, "shopify_reason")
    return largest.collect(engine="streaming")
