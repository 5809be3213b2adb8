"""Questions about what differs from one HotWax to another; each function returns a status and a sentence.

An answer is a warning only where invsync could be wrong because of it.
"""

import polars as pl

from invsync import delta, mapping, tables
from invsync.doctor.checks import Asked, Question, texts
from invsync.doctor.findings import Answer, some
from invsync.doctor.writers import other_writers
from invsync.oms import Lacking
from invsync.oms.sql import known_orders

RESERVES = {"INV_RES_CREATE", "INV_RES_RELEASE"}
DIGITAL = ["DIGITAL_GOOD"]


def sellable_rule(asked: Asked) -> Answer:
    """Whether computed_last_inventory_count is the count less the minimum stock, and never below 0."""
    last, least = pl.col("last_inventory_count"), pl.col("minimum_stock").fill_null(0.0)
    due = pl.when(last >= least).then(last - least).otherwise(0.0)
    stock = asked.snapshot.product_facility.drop_nulls("last_inventory_count").with_columns(due=due)
    shown = pl.col("computed_last_inventory_count").fill_null(0.0)
    wrong = stock.filter((shown - pl.col("due")).abs() > 1e-6)
    rule = "count less safety stock, and never below 0"
    if wrong.is_empty():
        return "ok", f"All {stock.height} rows of stock follow HotWax's rule for what may be sold: {rule}."
    named = wrong.join(asked.snapshot.product.unique("product_id"), on="product_id", how="left", maintain_order="left")
    first = [
        f"{sku} at {facility}: {shows or 0:g} where {wants:g} is due"
        for sku, facility, shows, wants in named.select(
            pl.coalesce("internal_name", "product_id"), "facility_id", shown, "due"
        ).iter_rows()
    ]
    return "warning", (
        f"{wrong.height} of {stock.height} rows of stock do not follow HotWax's rule ({rule}): "
        f"{some(first)}; invsync sends what HotWax computed, so let HotWax compute these rows again."
    )


def order_limits(asked: Asked) -> Answer:
    """Whether facilities that take no orders count online."""
    schema = {"facility_id": tables.TEXT, "maximum_order_limit": tables.QUANTITY}
    counted = mapping.counted_facilities(asked.snapshot, asked.rules)["facility_id"].unique().to_list()
    facilities = asked.rows("facility", schema, {"facility_id": counted}) if counted else tables.empty(schema)
    closed = sorted(facilities.filter(pl.col("maximum_order_limit") == 0)["facility_id"])
    if not closed:
        return "ok", f"No facility that counts online has an order limit of 0 ({len(counted)} looked at)."
    return "warning", (
        f"Facilities count online though their order limit is 0 ({len(closed)}): {some(closed)}; HotWax's "
        "own feed may leave them out, so let them leave the facility group if their stock is not for sale."
    )


def digital_products(asked: Asked) -> Answer:
    """Whether digital products are mapped."""
    try:
        kinds = (
            asked.rows("product_type", texts("product_type_id", "is_digital"))
            .filter(pl.col("is_digital") == "Y")["product_type_id"]
            .to_list()
        )
    except Lacking:
        kinds = DIGITAL
    schema = texts("product_id", "product_type_id")
    products = asked.rows("product", schema, {"product_type_id": kinds}) if kinds else tables.empty(schema)
    mapped = products.join(asked.snapshot.shopify_shop_product, on="product_id", how="semi")
    names = asked.snapshot.product.join(mapped, on="product_id", how="semi")
    digital = sorted(names.select(pl.coalesce("internal_name", "product_id")).to_series())
    if not digital:
        return "ok", "No mapped product is digital."
    return "warning", (
        f"Digital products are mapped ({len(digital)}): {some(digital)}; HotWax's own feed may leave them "
        "out and invsync does not, so take them out of shopify_shop_product if they have no stock."
    )


def own_orders(asked: Asked) -> Answer:
    """Whether HotWax reserves Shopify's own orders, and whether deltas would push such a reservation."""
    reserved = asked.rows(
        "order_item_ship_grp_inv_res", {"order_id": tables.TEXT, "created_stamp": tables.STAMP}, newest="created_stamp"
    )
    orders = {"order_id": reserved["order_id"].unique().to_list()}
    headers = asked.rows("order_header", texts("order_id", "external_id"), orders)
    native = headers.filter(known_orders.shopify_order().is_not_null())
    own = reserved.join(native, on="order_id", how="semi").height
    count = (
        f"{own} of the newest {reserved.height} reservations are of Shopify's own orders"
        if reserved.height
        else "HotWax has reserved nothing yet"
    )
    pushed = sorted(RESERVES & set(asked.reasons()))
    if pushed and own:
        return asked.matters_to_deltas(), (
            f"{count}, and {', '.join(pushed)} is pushed as a delta, which takes their units "
            "off Shopify twice: take it out of SHPFY_INV_DLT_REASON, or set delta_reasons."
        )
    return (
        "ok",
        f"{count}." if not own else f"{count}: HotWax has taken those units off itself, and no run does so again.",
    )


def reset_ids(asked: Asked) -> Answer:
    """Whether a reset_item_id names one reset."""
    schema = {"reset_item_id": tables.TEXT, "created_stamp": tables.STAMP}
    newest = asked.rows("external_inventory_reset", schema, newest="created_stamp")
    shared = sorted(newest.filter(pl.col("reset_item_id").is_duplicated())["reset_item_id"].unique())
    if not shared:
        return "ok", (
            f"Each reset by another system has an id of its own ({newest.height} looked at)."
            if newest.height
            else "No other system has reset HotWax's stock yet."
        )
    return asked.matters_to_deltas(), (
        f"Resets share a reset_item_id ({len(shared)}): {some(shared)}; deltas cannot tell "
        "which system such a reset came from, so keep the shop by resets."
    )


def delta_column(asked: Asked) -> Answer:
    """Whether the events that deltas push change what may be promised and what is on hand alike."""
    item, number = pl.col("inventory_item_id"), pl.col("inventory_item_detail_seq_id")
    schema = texts("inventory_item_id", "inventory_item_detail_seq_id") | {
        "available_to_promise_diff": tables.QUANTITY,
        "quantity_on_hand_diff": tables.QUANTITY,
        "created_stamp": tables.STAMP,
    }
    newest = asked.rows("inventory_item_detail", schema, newest="created_stamp")
    since = newest["created_stamp"].min()
    if since is None:
        return "ok", "HotWax has recorded no stock event yet."
    events = asked.source.events(since, None)  # type: ignore[arg-type]
    pushed = delta.pushable(
        events, asked.source.delta_reasons(), override=asked.shop.delta_reasons, remotes=asked.source.remotes()
    )
    both = newest.with_columns(event_id=item + "/" + number).join(pushed, on="event_id", how="semi")
    atp, on_hand = (pl.col(name).fill_null(0.0) for name in ("available_to_promise_diff", "quantity_on_hand_diff"))
    differ = both.filter(atp != on_hand)
    if both.is_empty():
        return "ok", f"None of the newest {newest.height} stock events has a reason that deltas push."
    count = f"{both.height} of the newest {newest.height} stock events have a reason that deltas push"
    if differ.is_empty():
        return "ok", f"{count}, and each changes ATP and QOH alike."
    first = [
        f"{event} (ATP {a or 0:+g}, QOH {q or 0:+g})"
        for event, a, q in differ.select("event_id", "available_to_promise_diff", "quantity_on_hand_diff").iter_rows()
    ]
    return asked.matters_to_deltas(), (
        f"{count}, and in {differ.height} of them ATP and QOH change differently: {some(first)}; invsync "
        "pushes ATP, so compare these with what HotWax's own job pushed."
    )


QUESTIONS: dict[str, Question] = {
    "other writers": other_writers,
    "sellable rule": sellable_rule,
    "order limits": order_limits,
    "digital goods": digital_products,
    "reservations": own_orders,
    "resets": reset_ids,
    "delta events": delta_column,
}
