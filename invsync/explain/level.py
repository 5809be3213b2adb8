"""Explain one level from fresh reads of the OMS and Shopify, and from what earlier runs sent."""

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from invsync import mapping, plan, tables
from invsync.config import settings
from invsync.errors import UsageError
from invsync.explain import answering, history, last_run
from invsync.explain.explanation import Explanation
from invsync.explain.parts import Facility, OnlineTerms, Stock, full_title
from invsync.ledger.opened import OpenShop, opened
from invsync.ledger.reading import Reading
from invsync.oms import schemas
from invsync.tables import KEY

PARTS = ["sellable", "threshold", "queue", "closed"]
# Values of an explanation that are columns of VARIANCES.
SAME = ["sku", "product_id", *KEY, "mode", "target", "available", "set_aside", "buffer", "held", "tracked"]


def explain(shop: str, sku: str, config: str = "invsync.toml", *, location: int | None = None) -> Explanation:
    """Explain a product's level at a location, the aggregate one by default; `sku` may be its id in the OMS.

    Where a system does not answer, the explanation is what the last run saw, and says so. Raises UsageError where the
    product or the pair is unknown or held by the mapping; OmsFailed or ShopifyFailed where a system refuses the
    reading, or does not answer and no run has looked.
    """
    return explain_in(settings.load(Path(config)), shop, sku, location=location)


def explain_in(configured: settings.Settings, shop: str, sku: str, *, location: int | None = None) -> Explanation:
    """Explain a level as `explain` does, for a shop of settings that are loaded."""
    silent = answering.silent(configured.shop(shop))
    if not silent:
        with opened(configured, shop) as open_shop:
            silent = answering.silent_shops({peer.name: peer.shop for peer in open_shop.peers})
            if not silent:
                return _read(open_shop, sku, location)
    return last_run.explain(configured, shop, sku, location=location, systems=silent)


def _read(shop: OpenShop, sku: str, location: int | None) -> Explanation:
    """The level as the systems have it now."""
    everything = shop.oms.snapshot()
    pair, locations = _pair(everything, shop.rules, sku, location)
    every, _ = mapping.pairs(everything, shop.rules)
    every = every.join(pair, on="inventory_item_id", how="semi")
    read = shop.reader(everything, every).read(pair)
    snapshot = shop.oms.snapshot(pair["product_id"])
    decided = plan.decide(read.variances.collect())
    row = pl.concat([decided.adjustments, decided.already_right, decided.held]).row(0, named=True)
    stock = _stock(snapshot, shop.rules, row)
    return _explanation(shop, row, locations, stock, read)


def _explanation(
    shop: OpenShop, row: dict[str, Any], locations: tuple[int, ...], stock: Stock, read: Reading
) -> Explanation:
    past = history.of_pair(shop.state, shop.name, *(row[name] for name in KEY))
    in_flight, at = history.in_flight(read.in_flight), datetime.now(UTC)
    mine = pl.col("inventory_item_id") == row["inventory_item_id"]
    product = next(shop.shopify.products.filter(mine).iter_rows(named=True), {})
    return Explanation(
        shop=shop.name,
        **{name: row[name] for name in SAME},
        locations=locations,
        difference=row["delta"],
        oms=stock,
        in_flight=in_flight,
        active=row["is_active"],
        history=past.runs,
        at=at,
        title=full_title(product.get("title"), product.get("variant_title")),
        location_name=past.location_name,
        shopify_product_id=product.get("shopify_product_id"),
        shopify_variant_id=product.get("shopify_variant_id"),
        levels=past.levels,
        orders=history.distinct((*in_flight, *past.orders)),
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
        return Stock(row["oms"], _facilities(own.with_columns(counts=None), snapshot.facility))
    members = mapping.members(snapshot, rules).filter(at_location)
    terms = mapping.online_atp(snapshot, members).filter(pl.col("product_id") == row["product_id"])
    counted = stock.join(members, on="facility_id", how="left").with_columns(
        counts=pl.col("counts").fill_null(False) & mapping.allows_brokering()
    )
    online = OnlineTerms(**terms.select(PARTS).row(0, named=True)) if terms.height else None
    return Stock(row["oms"], _facilities(counted, snapshot.facility), online)


def _facilities(stock: pl.DataFrame, facility: pl.DataFrame) -> tuple[Facility, ...]:
    names = facility.select("facility_id", "facility_name").unique("facility_id", keep="first")
    shown = stock.join(names, on="facility_id", how="left", maintain_order="left")
    shown = shown.select(field.name for field in fields(Facility))
    return tuple(Facility(**row) for row in shown.iter_rows(named=True))
