"""Explain one level from fresh reads of the OMS and Shopify, and from what earlier runs sent."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from invsync import mapping, plan, tables
from invsync.config import settings
from invsync.errors import UsageError
from invsync.explain import history
from invsync.explain.explanation import Explanation, Facility, OnlineTerms, OrderInFlight, Stock
from invsync.ledger.opened import opened
from invsync.oms import schemas
from invsync.tables import KEY

PARTS = ["sellable", "threshold", "queue", "closed"]
# Values of an explanation that are columns of VARIANCES.
SAME = ["sku", "product_id", *KEY, "mode", "target", "available", "set_aside", "buffer", "held", "tracked"]


def explain(shop: str, sku: str, config: str = "invsync.toml", *, location: int | None = None) -> Explanation:
    """Explain a product's level at a location, the aggregate one by default; `sku` may be its id in the OMS.

    Raises UsageError where the product or the pair is unknown or held by the mapping; OmsFailed or ShopifyFailed where
    a system does not answer.
    """
    return explain_in(settings.load(Path(config)), shop, sku, location=location)


def explain_in(configured: settings.Settings, shop: str, sku: str, *, location: int | None = None) -> Explanation:
    """Explain a level as `explain` does, for a shop of settings that are loaded."""
    with opened(configured, shop) as open_shop:
        everything = open_shop.oms.snapshot()
        pair, locations = _pair(everything, open_shop.rules, sku, location)
        every, _ = mapping.pairs(everything, open_shop.rules)
        every = every.join(pair, on="inventory_item_id", how="semi")
        read = open_shop.reader(everything, every).read(pair)
        snapshot = open_shop.oms.snapshot(pair["product_id"])
        decided = plan.decide(read.variances)
        row = pl.concat([decided.adjustments, decided.already_right, decided.held]).row(0, named=True)
        past = history.of_pair(open_shop.state, shop, *(row[name] for name in KEY))
    return Explanation(
        shop=shop,
        **{name: row[name] for name in SAME},
        locations=locations,
        difference=row["delta"],
        oms=_stock(snapshot, open_shop.rules, row),
        in_flight=_orders(read.in_flight),
        active=row["is_active"],
        history=past,
    )


def _pair(
    everything: tables.Snapshot, rules: mapping.Rules, sku: str, location: int | None
) -> tuple[pl.DataFrame, tuple[int, ...]]:
    """PAIRS with the one row that is asked for, and every location of its product."""
    named = everything.product.filter((pl.col("internal_name") == sku) | (pl.col("product_id") == sku))
    if named.is_empty():
        raise UsageError(f"The OMS has no product whose SKU or id is {sku!r}: correct --sku.")
    pairs, held = mapping.pairs(everything, rules)
    mine = pairs.join(named, on="product_id", how="semi").sort("mode", "location_id")
    chosen = mine if location is None else mine.filter(pl.col("location_id") == location)
    unreadable = everything.unreadable.join(named, on="product_id", how="semi")
    if unreadable.filter(pl.col("facility_id").is_null() | chosen.is_empty()).height:
        raise UsageError(
            f"{sku} is held, since values of it cannot be read: {schemas.sentence(unreadable)}; correct them."
        )
    if chosen.is_empty():
        why = held.join(named, on="product_id", how="semi")["reason"].unique().sort().to_list()
        where = f"at location {location}" if location else "at any location"
        raise UsageError(
            f"{sku} is not sent {where} ({', '.join(why) or 'no pair is mapped there'}): mend its mapping."
        )
    return chosen.head(1), tuple(mine["location_id"].unique().sort())


def _stock(snapshot: tables.Snapshot, rules: mapping.Rules, row: dict[str, Any]) -> Stock:
    """The OMS quantity of a row of VARIANCES and its parts."""
    stock = snapshot.product_facility.filter(pl.col("product_id") == row["product_id"])
    at_location = pl.col("location_id") == row["location_id"]
    if row["mode"] == "physical":
        here = mapping.locations(snapshot, aggregate_location=rules.aggregate_location).filter(at_location)
        own = stock.join(here, on="facility_id", how="semi")
        return Stock(row["oms"], _facilities(own.with_columns(counts=None)))
    members = mapping.members(snapshot, rules).filter(at_location)
    terms = mapping.online_atp(snapshot, members).filter(pl.col("product_id") == row["product_id"])
    counted = stock.join(members, on="facility_id", how="left").with_columns(
        counts=pl.col("counts").fill_null(False) & mapping.allows_brokering()
    )
    online = OnlineTerms(**terms.select(PARTS).row(0, named=True)) if terms.height else None
    return Stock(row["oms"], _facilities(counted), online)


def _facilities(stock: pl.DataFrame) -> tuple[Facility, ...]:
    shown = stock.select(field.name for field in fields(Facility))
    return tuple(Facility(**row) for row in shown.iter_rows(named=True))


def _orders(in_flight: pl.DataFrame) -> tuple[OrderInFlight, ...]:
    shown = in_flight.select(field.name for field in fields(OrderInFlight))
    return tuple(OrderInFlight(**row) for row in shown.iter_rows(named=True))
