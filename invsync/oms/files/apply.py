"""Apply HotWax's feeds to its tables.

The configuration export stands in for product_facility. Resets and variances that are newer than the stock are applied
to it in the order of their times, and each variance is a stock event too. A row that names no product of the OMS is
reported; the others apply.
"""

from datetime import datetime
from itertools import combinations
from math import nan

import polars as pl

from invsync import mapping, tables
from invsync.errors import OmsFailed
from invsync.inputs import door
from invsync.inputs.door import ROW
from invsync.oms import schemas
from invsync.oms.files.feeds import PAIR, Feed
from invsync.oms.schemas import Frames

NUMBERS = ["available_qty", "available_delta", "atp", "minimum_stock"]
BARCODES = "^(UPC|EAN|GTIN|ISBN)"  # types of ids whose leading zeros a spreadsheet drops


def with_feeds(values: Frames, feeds: list[Feed], stock_written: datetime | None) -> tuple[Frames, pl.DataFrame]:
    """Return the tables with the feeds applied, oldest first, and UNREADABLE of the feeds; raises OmsFailed."""
    unreadable = [tables.empty(tables.UNREADABLE)]
    _check_rivals(feeds)
    base = max((f for f in feeds if f.kind == "configuration"), key=lambda f: f.written, default=None)
    if base is not None and stock_written is None:
        values, stock_written = values | {"product_facility": _configured(base)}, base.written
        faults = _unreadable(base, base.rows)
        if (lost := faults.filter(pl.col("product_id").is_null())).height:
            raise OmsFailed(f"{schemas.sentence(lost)}: correct it and run again; nothing was sent.")
        unreadable.append(faults)
    later = [f for f in feeds if f.kind != "configuration" and stock_written and f.written > stock_written]
    if later and "product" not in values:
        raise OmsFailed(f"The feed {later[0].name} needs the table product to find its products: export that table.")
    for one in sorted(later, key=lambda f: f.written):
        rows = _identified(values, one)
        values = _applied(values, one, rows.filter("known"))
        unreadable += [_unreadable(one, rows), _nameless(one, rows), _contradicting(one, rows)]
    return values, pl.concat(unreadable)


def _check_rivals(feeds: list[Feed]) -> None:
    """Raise OmsFailed for two counts of the same time that disagree, as either may be meant."""
    for one, other in combinations([feed for feed in feeds if feed.kind != "variance"], 2):
        if (one.kind, one.written) != (other.kind, other.written) or one.identity == other.identity:
            continue
        key = PAIR if one.kind == "configuration" else ["facility_id", "external_facility_id", "id_type", "id_value"]
        count = "atp" if one.kind == "configuration" else "available_qty"
        both = one.rows.select(*key, count).join(other.rows.select(*key, other=count), on=key, nulls_equal=True)
        if both.filter(pl.col(count).ne_missing(pl.col("other"))).height or one.kind == "configuration":
            raise OmsFailed(
                f"The feeds {one.name} and {other.name} were written at the same time and disagree: remove one."
            )


def _configured(base: Feed) -> pl.DataFrame:
    rows = base.rows.select(*PAIR, "minimum_stock", last_inventory_count="atp").drop_nulls(PAIR)
    nothing = {"allow_brokering": pl.lit(None, tables.TEXT), "last_updated_stamp": pl.lit(None, tables.STAMP)}
    count = pl.col("last_inventory_count").fill_null(nan)
    rows = rows.with_columns(last_inventory_count=pl.when(pl.struct(PAIR).is_duplicated()).then(nan).otherwise(count))
    return _sellable(rows.unique(PAIR, keep="first", maintain_order=True).with_columns(**nothing))


def _sellable(stock: pl.DataFrame) -> pl.DataFrame:
    """Compute the sellable count of each row: what is above the minimum stock, as HotWax does."""
    last, minimum = pl.col("last_inventory_count"), pl.col("minimum_stock").fill_null(0.0)
    above = pl.when(last >= minimum).then(last - minimum).otherwise(0.0)
    computed = pl.when(last.is_nan() | minimum.is_nan()).then(nan).otherwise(above)
    return stock.with_columns(computed_last_inventory_count=computed)


def _applied(values: Frames, one: Feed, rows: pl.DataFrame) -> Frames:
    if one.kind == "reset":
        count = pl.col("available_qty").fill_null(nan)
        agreed = pl.when(count.n_unique() == 1).then(count.first()).otherwise(nan)
        news = rows.group_by(PAIR).agg(value=agreed)
        value = pl.col("value")
    else:
        news = rows.group_by(PAIR).agg(value=pl.col("available_delta").fill_null(nan).sum())
        value = pl.col("last_inventory_count").fill_null(0.0) + pl.col("value")
        values = _with_events(values, one, rows)
    stock = values["product_facility"]
    stamp = pl.lit(one.written).dt.convert_time_zone("UTC").cast(tables.STAMP)
    met = stock.join(news, on=PAIR).with_columns(last_inventory_count=value, last_updated_stamp=stamp)
    kept = stock.join(news, on=PAIR, how="anti")
    return values | {"product_facility": pl.concat([kept, _sellable(met).select(kept.columns)])}


def _identified(values: Frames, one: Feed) -> pl.DataFrame:
    """Return the feed's rows with the product and facility that each names; several where an id is ambiguous.

    `known` is true where a row names exactly one of each.
    """
    kind = _kind("id_type")
    rows = one.rows.with_columns(id_type=kind, wanted=_plain("id_value", kind))
    names = _names(values, one.written)
    names = names.rename({"id_value": "wanted"})
    rows = rows.join(names, on=["id_type", "wanted"], how="left", maintain_order="left")
    known = values["product"]["product_id"]
    here, by_external_id = values["facility"]["facility_id"], _by_external_id(values["facility"])
    outside = pl.coalesce("facility_id", "external_facility_id").replace_strict(by_external_id, default=None)
    rows = rows.with_columns(
        product_id=pl.coalesce(pl.when(pl.col("product_id").is_in(known.implode())).then("product_id"), "named"),
        facility_id=pl.when(pl.col("facility_id").is_in(here.implode())).then("facility_id").otherwise(outside),
    )
    alone = pl.col("product_id").n_unique().over(ROW) == 1
    return rows.with_columns(known=alone & pl.all_horizontal(pl.col(PAIR).is_not_null())).unique(
        [ROW, "product_id"], keep="first", maintain_order=True
    )


def _kind(column: str) -> pl.Expr:
    """A type of ids without separators and in upper case, from any spelling: Shopify_Prod_ID, UPC-A."""
    return pl.col(column).str.replace_all("[^A-Za-z0-9]", "").str.to_uppercase()


def _plain(column: str, kind: pl.Expr) -> pl.Expr:
    """An id without blanks around it and, for a barcode, without leading zeros."""
    bare = pl.col(column).str.strip_chars(door.AROUND)
    return pl.when(kind.str.contains(BARCODES)).then(bare.str.strip_chars_start("0")).otherwise(bare)


def _names(values: Frames, at: datetime) -> pl.DataFrame:
    """Return the ids of all products by their type: id_type, id_value, named."""
    product = values["product"]
    parts = [
        product.select(pl.lit("PRODUCTID").alias("id_type"), id_value="product_id", named="product_id"),
        *(
            product.select(pl.lit(kind).alias("id_type"), id_value="internal_name", named="product_id")
            for kind in ("SKU", "INTERNALNAME")
        ),
    ]
    if "good_identification" in values:
        rows = values["good_identification"].filter(mapping.is_effective(at))
        parts.append(rows.select(id_type=_kind("good_identification_type_id"), id_value="id_value", named="product_id"))
    names = pl.concat(parts)
    return names.with_columns(id_value=_plain("id_value", pl.col("id_type"))).drop_nulls().unique()


def _by_external_id(facility: pl.DataFrame) -> dict[str, str]:
    """Return the facilities by their id in other systems, or by their own where they have none."""
    names = [name for name in ("external_id", "facility_id") if name in facility.columns]
    outside = facility.select(outside=pl.coalesce(names), facility_id="facility_id").drop_nulls()
    return dict(outside.unique("outside", keep="none").iter_rows())


def _nameless(one: Feed, rows: pl.DataFrame) -> pl.DataFrame:
    """Return UNREADABLE of the rows that name no product or facility of the OMS, or several."""
    no_product = pl.col("product_id").is_null()
    no_facility = pl.col("facility_id").is_null() & ~no_product
    lost = rows.filter(~pl.col("known")).with_columns(
        column=pl.when(no_facility).then(pl.lit("facility_id")).otherwise(pl.lit("id_value")),
        expected=pl.when(no_product)
        .then(pl.lit("an id of a product of the OMS"))
        .when(no_facility)
        .then(pl.lit("a facility of the OMS"))
        .otherwise(pl.lit("the id of one product alone")),
    )
    texts = one.texts.with_row_index(ROW)
    value = pl.coalesce(
        pl.when(column=name).then(pl.col(name)) for name in ("facility_id", "id_value") if name in texts.columns
    )
    shown = lost.select(ROW, "product_id", "column", "expected").join(
        texts, on=ROW, maintain_order="left", suffix="_text"
    )
    places = pl.Series("place", one.places(lost[ROW]), dtype=tables.TEXT)
    return tables.completed(shown.select("product_id", "column", "expected", places, value=value), tables.UNREADABLE)


def _contradicting(one: Feed, rows: pl.DataFrame) -> pl.DataFrame:
    """Return UNREADABLE of the rows of a reset whose count differs from that of an earlier row of the same pair."""
    if one.kind != "reset":
        return tables.empty(tables.UNREADABLE)
    count = pl.col("available_qty")
    lost = rows.filter("known").filter(count.ne_missing(count.first().over(PAIR)))
    places = pl.Series("place", one.places(lost[ROW]), dtype=tables.TEXT)
    shown = lost.select(
        *PAIR,
        places,
        column=pl.lit("available_qty"),
        value=count.cast(tables.TEXT),
        expected=pl.lit("the count that another row gives for the same product and facility"),
    )
    return tables.conform(shown, tables.UNREADABLE, "unreadable")


def _unreadable(one: Feed, rows: pl.DataFrame) -> pl.DataFrame:
    """Return UNREADABLE of the feed's FAULTS, with the product of each row, and its facility where a number is wrong."""
    faults = schemas.unreadable(one.kind, one.faults, one.texts, one.rows, one.places).drop(PAIR)
    named = one.faults.select(ROW).with_columns(faults).join(rows.select(ROW, *PAIR), on=ROW, how="left")
    product = pl.when(pl.col("column") != "product_id").then("product_id")
    facility = pl.when(pl.col("column").is_in(NUMBERS)).then("facility_id")
    return named.with_columns(product_id=product, facility_id=facility).select(list(tables.UNREADABLE))


def _with_events(values: Frames, one: Feed, rows: pl.DataFrame) -> Frames:
    """Add each variance as a stock event with the id `feed:identity#row`/1."""
    item = pl.format("feed:{}#{}", pl.lit(one.identity), ROW)
    items = rows.select(inventory_item_id=item, product_id="product_id", facility_id="facility_id")
    events = rows.select(
        inventory_item_id=item,
        inventory_item_detail_seq_id=pl.lit("1"),
        available_to_promise_diff="available_delta",
        quantity_on_hand_diff="available_delta",
        reason_enum_id="variance_reason_id",
        physical_inventory_id=pl.lit(f"feed:{one.identity}"),
        created_stamp=pl.lit(one.written).dt.convert_time_zone("UTC").cast(tables.STAMP),
    )
    more = {"inventory_item": items, "inventory_item_detail": events}
    return values | {
        name: frame if name not in values else pl.concat([values[name], frame], how="diagonal")
        for name, frame in more.items()
    }
