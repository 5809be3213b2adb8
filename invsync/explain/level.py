"""Why a pair's number is what it is: every part of it, taken apart from fresh reads and from what was sent."""

from pathlib import Path
from typing import Any

import polars as pl

from invsync import mapping, plan, tables
from invsync.config import settings
from invsync.errors import UsageError
from invsync.explain import history
from invsync.ledger.opened import opened
from invsync.oms import schemas
from invsync.tables import KEY

Facts = dict[str, Any]


def explain(shop: str, sku: str, config: str = "invsync.toml", *, location: int | None = None) -> Facts:
    """One pair's number: target, available, oms, in_flight, buffer, mapping, held, and what runs did to it.

    Without a location the aggregate one is explained; `locations` names the others that the product has. A UsageError
    where the product or the pair is unknown; OmsFailed or ShopifyFailed where a system does not answer.
    """
    return explain_in(settings.load(Path(config)), shop, sku, location=location)


def explain_in(configured: settings.Settings, shop: str, sku: str, *, location: int | None = None) -> Facts:
    """One pair's number, as `explain`, of a shop of this configuration."""
    with opened(configured, shop) as open_shop:
        everything = open_shop.oms.snapshot()
        pair, others = _pair(everything, open_shop.rules, sku, location)
        every, _ = mapping.pairs(everything, open_shop.rules)
        every = every.join(pair, on="inventory_item_id", how="semi")
        read = open_shop.reader(everything, every).read(pair)
        snapshot = open_shop.oms.snapshot(pair["product_id"])
        decided = plan.decide(read.variances.collect())
        row = pl.concat([decided.adjustments, decided.already_right, decided.held]).row(0, named=True)
        past = history.of_pair(open_shop.state, shop, *(row[name] for name in KEY))
    return {
        "shop": shop,
        **{name: row[name] for name in ("sku", "product_id", *KEY, "mode")},
        "locations": others,
        "target": row["target"],
        "available": row["available"],
        "difference": row["delta"],
        "oms": _oms(snapshot, open_shop.rules, row),
        "in_flight": _orders(read.in_flight),
        "set_aside": row["set_aside"],
        "buffer": row["buffer"],
        "held": row["held"],
        "tracked": row["tracked"],
        "active": row["is_active"],
        "history": past,
        "moved_since": _moved(row, past),
    }


def _pair(
    everything: tables.Snapshot, rules: mapping.Rules, sku: str, location: int | None
) -> tuple[pl.DataFrame, list[int]]:
    """PAIRS with the one row that is asked for, and the other locations of its product."""
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
    return chosen.head(1), mine["location_id"].unique().sort().to_list()


def _oms(snapshot: tables.Snapshot, rules: mapping.Rules, row: Facts) -> Facts:
    """The OMS quantity and its parts: facilities with their stock, threshold, queue, channel switch."""
    stock = snapshot.product_facility.filter(pl.col("product_id") == row["product_id"])
    shown = pl.col(
        "facility_id",
        "last_inventory_count",
        "minimum_stock",
        "computed_last_inventory_count",
        "allow_brokering",
        "last_updated_stamp",
    )
    if row["mode"] == "physical":
        named = mapping.locations(snapshot, aggregate_location=rules.aggregate_location)
        here = stock.join(named.filter(pl.col("location_id") == row["location_id"]), on="facility_id", how="semi")
        return {"quantity": row["oms"], "facilities": here.select(shown).to_dicts()}
    members = mapping.members(snapshot, rules).filter(pl.col("location_id") == row["location_id"])
    terms = mapping.online_atp(snapshot, members).filter(pl.col("product_id") == row["product_id"])
    parts = terms.select("sellable", "threshold", "queue", "closed").to_dicts()
    counted = stock.join(members, on="facility_id", how="left").with_columns(
        counts=pl.col("counts").fill_null(False) & mapping.allows_brokering()
    )
    return {
        "quantity": row["oms"],
        **(parts[0] if parts else {}),
        "facilities": counted.select(shown, "counts").to_dicts(),
    }


def _orders(flight: pl.DataFrame) -> list[Facts]:
    return flight.select("order_id", "name", "created_at", "units", "reason").to_dicts()


def _moved(row: Facts, past: list[Facts]) -> int | None:
    """Units by which Shopify's number differs from what the last run left there; None where no run wrote it."""
    left = next((one["after"] for one in past if one["after"] is not None), None)
    return None if left is None or row["available"] is None else row["available"] - left


def lines(facts: Facts) -> list[str]:
    """The explanation in words, for a terminal."""
    part, shown = facts["oms"], facts["available"]
    words = [
        f"{facts['sku']} ({facts['product_id']}) at location {facts['location_id']}: Shopify shows "
        f"{'nothing' if shown is None else shown}, it should show {_number(facts['target'])}.",
        f"  OMS quantity          {_number(part['quantity'])}",
    ]
    for one in part["facilities"]:
        aside = "" if one.get("counts", True) else ", not counted"
        words.append(
            f"    {one['facility_id']:<18}  {_number(one['computed_last_inventory_count'])}"
            f" ({_number(one['last_inventory_count'])} less safety stock {_number(one['minimum_stock'])}{aside})"
        )
    for name in ("threshold", "queue"):
        if part.get(name):
            words.append(f"    less {name:<13}  {_number(part[name])}")
    units = sum(one["units"] for one in facts["in_flight"])
    words.append(f"  less in flight        {units}")
    words += [_order(one) for one in facts["in_flight"]]
    if facts["set_aside"]:
        words.append(f"  less set aside        {facts['set_aside']} (reserved by draft orders or other apps)")
    words.append(f"  less buffer           {facts['buffer']}")
    if facts["held"]:
        words.append(f"  Nothing is sent: {facts['held'].replace('_', ' ')}.")
    if facts["moved_since"]:
        words.append(f"  Moved by {facts['moved_since']:+} since the last run.")
    return words + [_past(one) for one in facts["history"]]


def _order(one: Facts) -> str:
    if one["order_id"] is None:
        return f"    committed units       {one['units']}, {one['reason']}"
    return (
        f"    order {one['name']:<12}  {one['units']}, placed {one['created_at']:%Y-%m-%d %H:%M} UTC: {one['reason']}"
    )


def _past(one: Facts) -> str:
    line = f", line {one['line'] + 1} of {one['file']}" if one["file"] else ""
    words = f": {one['message']}" if one["message"] else f" ({one['reason']})" if one["reason"] else ""
    change = f" {one['available']} {one['delta']:+}" if one["file"] and one["delta"] else ""
    return f"  {one['finished_at'][:16].replace('T', ' ')}  {one['job']} {one['run_id']}{line}:{change} {one['outcome']}{words}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
