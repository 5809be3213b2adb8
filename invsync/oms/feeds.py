"""HotWax's own CSV feeds beside its tables: configuration export, inventory reset, inventory variance.

A feed is known by its columns, in any case and any spelling of their separators. The configuration export stands for
product_facility; resets and variances newer than the stock they meet are laid over it in the order of their times, and
each variance is a stock event too.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import polars as pl

from invsync.errors import OmsFailed

KINDS = {
    "configuration": {"product_id", "facility_id", "atp", "minimum_stock"},
    "reset": {"facility_id", "id_type", "id_value", "available_qty"},
    "variance": {"id_type", "id_value", "available_delta", "variance_reason_id"},
}
COLUMNS = {name.replace("_", ""): name for name in {*chain(*KINDS.values()), "product_id", "external_facility_id"}}
PAIR = ["product_id", "facility_id"]
STATED = re.compile(r"\d{6,}")  # the digits of a date or time in a file's name
IDENTIFIED = {"SKU": "internal_name", "PRODUCT_ID": "product_id"}
Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Feed:
    """One feed file: its name, when it was written, its kind, its rows, all text, and what identifies its content."""

    name: str
    written: datetime
    kind: str
    rows: pl.DataFrame
    identity: str


def canonical(column: str) -> str:
    """The one name of productId, ProductID, product-id and PRODUCT_ID; another column keeps its own."""
    return COLUMNS.get("".join(filter(str.isalnum, column)).lower(), column)


def feed(name: str, written: datetime, rows: pl.DataFrame) -> Feed | None:
    """The file as a feed; None when its columns are none's."""
    rows = rows.rename(canonical)
    kind = next((kind for kind, columns in KINDS.items() if columns <= set(rows.columns)), None)
    return None if kind is None else Feed(name, written, kind, rows, identity(name, rows))


def identity(name: str, rows: pl.DataFrame) -> str:
    """What a feed is known by when it comes again: its rows, and the time of its export where its name states one.

    A file that is copied, renamed or touched stays the same feed; the next export under the same name is another.
    """
    stated = "".join(STATED.findall(name))
    content = rows.select(sorted(rows.columns)).write_csv()
    return hashlib.sha256(f"{stated}\n{content}".encode()).hexdigest()[:20]


def laid_over(found: Tables, feeds: list[Feed], stock_written: datetime | None) -> Tables:
    """The tables with the feeds laid over them, oldest first."""
    base = max((f for f in feeds if f.kind == "configuration"), key=lambda f: f.written, default=None)
    if base is not None and stock_written is None:
        found, stock_written = found | {"product_facility": _configured(base)}, base.written
    later = [f for f in feeds if f.kind != "configuration" and stock_written and f.written > stock_written]
    if later and "product" not in found:
        raise OmsFailed(f"The feed {later[0].name} needs the table product to find its products: export that table.")
    for one in sorted(later, key=lambda f: f.written):
        found = _applied(found, one)
    return found


def _configured(base: Feed) -> pl.DataFrame:
    rows = base.rows.select(*PAIR, last_inventory_count=_number("atp"), minimum_stock=_number("minimum_stock"))
    return _sellable(
        rows.with_columns(allow_brokering=pl.lit(None, pl.String), last_updated_stamp=pl.lit(None, pl.String))
    )


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64, strict=False)


def _sellable(stock: pl.DataFrame) -> pl.DataFrame:
    """The sellable count of each row: what is above the minimum stock, as HotWax computes it."""
    last, minimum = pl.col("last_inventory_count"), pl.col("minimum_stock").fill_null(0.0)
    return stock.with_columns(
        computed_last_inventory_count=pl.when(last >= minimum).then(last - minimum).otherwise(0.0)
    )


def _applied(found: Tables, one: Feed) -> Tables:
    rows = _identified(found, one)
    counted = found["product_facility"].with_columns(_number("last_inventory_count"), _number("minimum_stock"))
    stamp = f"{one.written.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    if one.kind == "reset":
        news = rows.group_by(PAIR).agg(value=_number("available_qty").last())
        value = pl.col("value")
    else:
        news = rows.group_by(PAIR).agg(value=_number("available_delta").sum())
        value = pl.col("last_inventory_count").fill_null(0.0) + pl.col("value")
        found = _with_events(found, one, rows, stamp)
    met = counted.join(news, on=PAIR).with_columns(last_inventory_count=value, last_updated_stamp=pl.lit(stamp))
    kept = found["product_facility"].join(news, on=PAIR, how="anti")
    return found | {"product_facility": pl.concat([kept, _sellable(met).select(kept.columns)], how="vertical_relaxed")}


def _identified(found: Tables, one: Feed) -> pl.DataFrame:
    """The feed's rows with product_id and facility_id; a row that names none is refused by name."""
    rows = one.rows
    for column in ("product_id", "facility_id", "external_facility_id"):
        rows = rows if column in rows.columns else rows.with_columns(pl.lit(None, pl.String).alias(column))
    names = [
        found["product"].select(pl.lit(kind).alias("id_type"), id_value=column, named="product_id")
        for kind, column in IDENTIFIED.items()
    ]
    named = pl.concat(names).drop_nulls().unique(["id_type", "id_value"], keep="none")
    rows = rows.with_columns(pl.col("id_type").str.to_uppercase())
    rows = rows.join(named, on=["id_type", "id_value"], how="left", maintain_order="left")
    facilities = found["facility"]
    outside = facilities["external_id"] if "external_id" in facilities.columns else facilities["facility_id"]
    by_outside = dict(zip(outside, facilities["facility_id"], strict=True))
    placed = rows.with_columns(
        product_id=pl.coalesce("product_id", "named"),
        facility_id=pl.coalesce("facility_id", pl.col("external_facility_id").replace_strict(by_outside, default=None)),
    )
    lost = placed.filter(pl.any_horizontal(pl.col(PAIR).is_null()))
    if lost.height:
        raise OmsFailed(f"The feed {one.name} names {lost.height} product(s) or facilities that the OMS does not have "
                        f"(first: {lost['id_value'][0]}): correct it, or export the product table again.")  # fmt: skip
    return placed


def _with_events(found: Tables, one: Feed, rows: pl.DataFrame, stamp: str) -> Tables:
    """Each variance as a stock event of its own: `feed:content#row`/1."""
    item = pl.format("feed:{}#{}", pl.lit(one.identity), pl.int_range(pl.len()))
    items = rows.select(inventory_item_id=item, product_id="product_id", facility_id="facility_id")
    events = rows.select(
        inventory_item_id=item, inventory_item_detail_seq_id=pl.lit("1"), available_to_promise_diff="available_delta",
        quantity_on_hand_diff="available_delta", reason_enum_id="variance_reason_id",
        physical_inventory_id=pl.lit(f"feed:{one.identity}"), created_stamp=pl.lit(stamp),
    )  # fmt: skip
    more = {"inventory_item": items, "inventory_item_detail": events}
    return found | {name: _joined(found.get(name), frame) for name, frame in more.items()}


def _joined(old: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    return new if old is None else pl.concat([old.cast(pl.String), new.cast(pl.String)], how="diagonal")
