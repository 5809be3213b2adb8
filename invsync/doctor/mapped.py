"""Check the mapping of HotWax's products and facilities to Shopify, and find the pairs that a run would hold."""

import polars as pl

from invsync import equation, mapping, plan, tables
from invsync.doctor.findings import Findings, counted, some
from invsync.shopify import Shopify
from invsync.vocabulary import BENIGN

ITEMS = {
    "no_oms_row": ("Without a quantity in the OMS", "nothing is sent until it counts them"),
    "unknown_item": ("Not known to Shopify", "map them again in shopify_shop_product"),
    "bundle": ("Bundles, counted by Shopify from their components", "take them out of shopify_shop_product"),
    "untracked": ("Not tracked by Shopify", "turn on Track quantity, or take them out of shopify_shop_product"),
    "fractional": ("Not a whole number of units", "correct the quantity in the OMS"),
    "too_large": ("Beyond Shopify's limits", "correct the quantity in the OMS"),
}


def pairs(findings: Findings, snapshot: tables.Snapshot, rules: mapping.Rules) -> pl.DataFrame | None:
    """Return PAIRS as a run maps them, None where they cannot be mapped; notes each fault of the mapping."""
    mapped = findings.tried("mapping", "pairs", lambda: mapping.pairs(snapshot, rules))
    if mapped is None:
        return None
    good, held = mapped
    facilities(findings, snapshot, rules)
    products(findings, snapshot)
    for reason, column, what in [
        ("unmapped_location", "facility_id", "Facilities with stock that feed no Shopify location"),
        ("unmapped_product", "sku", "Products with stock and without a Shopify inventory item"),
    ]:
        if unmapped := names(held.filter(pl.col("reason") == reason), column):
            sentence = counted(what, unmapped, "map them, or leave them out on purpose")
            findings.warn("mapping", reason.replace("_", " "), sentence)
    findings.ok("mapping", "pairs", f"{good.height} pairs of item and location.")
    return good


def facilities(findings: Findings, snapshot: tables.Snapshot, rules: mapping.Rules) -> None:
    """Note facilities whose location is ambiguous or malformed, and online locations that nothing feeds."""
    named = mapping.locations(snapshot, aggregate_location=rules.aggregate_location)
    for form, what, fix in [
        (
            "ambiguous",
            "Facilities that name two locations, or one that is online and physical at once",
            "keep one row each, or name the location in aggregate_location",
        ),
        ("malformed", "Facilities whose Shopify location is not digits", "correct it in shopify_shop_location"),
    ]:
        if wrong := names(named.filter(pl.col("form") == form), "facility_id"):
            findings.fault("mapping", "facilities", counted(what, wrong, fix))
    if not named["form"].is_in([*mapping.AGGREGATE_FORMS, "physical"]).any():
        findings.fault("mapping", "facilities", "No facility feeds a Shopify location: fill shopify_shop_location.")
    online = named.filter(pl.col("form").is_in(mapping.AGGREGATE_FORMS))
    unfed = online.join(mapping.counted_facilities(snapshot, rules), on="location_id", how="anti")
    for location in unfed["location_id"].unique().sort():
        findings.fault(
            "mapping",
            "facilities",
            f"No facility counts at location {location}, so all is 0 there: "
            f"let facilities join the group and store {rules.store}.",
        )


def products(findings: Findings, snapshot: tables.Snapshot) -> None:
    """Note products whose inventory item is ambiguous or malformed."""
    sku = snapshot.product.select("product_id", sku="internal_name").unique("product_id")
    every = mapping.product_items(snapshot).join(sku, on="product_id", how="left")
    for fault, what in [
        ("ambiguous_mapping", "Products with two inventory items, or that share one"),
        ("malformed", "Products whose inventory item is not digits"),
    ]:
        if wrong := names(every.filter(pl.col("fault") == fault), "sku"):
            findings.fault("mapping", "products", counted(what, wrong, "correct their rows in shopify_shop_product"))


def locations(findings: Findings, shopify: Shopify, snapshot: tables.Snapshot) -> None:
    """Check that the mapped locations are on Shopify, and active."""
    shown = findings.tried("mapping", "locations", shopify.locations)
    if shown is None:
        return
    named = mapping.locations(snapshot, aggregate_location=findings.shop.aggregate_location)
    compare(findings, named.drop_nulls("location_id").join(shown, on="location_id", how="left").sort("location_id"))


def compare(findings: Findings, rows: pl.DataFrame) -> None:
    """Check rows of facility_id, location_id, and Shopify's name and is_active, null where it has no such location."""
    faults = {
        "not on Shopify": rows.filter(pl.col("is_active").is_null()),
        "not active on Shopify": rows.filter(~pl.col("is_active")),
    }
    for what, wrong in faults.items():
        places = [
            f"{place} of facility {facility or 'aggregate_location'}"
            for place, facility in wrong.select("location_id", "facility_id").iter_rows()
        ]
        if places:
            findings.fault("mapping", "locations", counted(f"Locations {what}", places, "correct the mapping"))
    alive = rows.filter("is_active")["name"].unique().sort().to_list()
    findings.ok("mapping", "locations", f"Mapped and active on Shopify: {some(alive) or 'none'}.")


def items(findings: Findings, shopify: Shopify, targets: pl.DataFrame) -> None:
    """Note the pairs that a run would hold, by reason, without regard to orders in flight."""
    levels = findings.tried("items", "levels", lambda: shopify.levels(targets))
    if levels is None:
        return
    none = tables.empty(tables.IN_FLIGHT)
    decided = plan.decide(equation.variances(targets, levels, none, buffer=findings.shop.buffer.units))
    for reason, (what, fix) in ITEMS.items():
        if held := names(decided.held.filter(pl.col("held") == reason), "sku"):
            note = findings.warn if reason in BENIGN else findings.fault
            note("items", reason.replace("_", " "), counted(what, held, fix))
    inactive(findings, decided.held.filter(pl.col("held") == "inactive_level", pl.col("target") > 0))
    kept = targets.height - decided.held.height
    findings.ok("items", "pairs", f"{kept} of {targets.height} pairs can be kept right.")


def inactive(findings: Findings, rows: pl.DataFrame) -> None:
    """Note the inactive levels where the OMS has stock."""
    skus, what = names(rows, "sku"), "Stock in the OMS where Shopify's level is inactive"
    if skus and findings.shop.activate_levels:
        findings.ok("items", "inactive level", counted(what, skus, "the next run activates them"))
    elif skus:
        findings.fault("items", "inactive level", counted(what, skus, "stock them there, or set activate_levels"))


def names(rows: pl.DataFrame, column: str) -> list[str]:
    """Return the distinct values of a column, sorted; for `sku`, the product's id where it has none."""
    named = pl.coalesce(column, "product_id") if column == "sku" else pl.col(column)
    return rows.select(named).to_series().drop_nulls().unique().sort().to_list()
