"""A history to replay and the lag of its orders, from the bundled real sales, a file like them, or a shop's OMS."""

from datetime import timedelta
from pathlib import Path
from types import UnionType

import polars as pl

from invsync import mapping, oms, simulate
from invsync.config import nearest, settings
from invsync.errors import UsageError
from invsync.sandbox import world
from invsync.simulate import buffers
from invsync.simulate.history import History, Restock

Config = str | settings.Settings  # a configuration, or the file that holds it
NOT_OWN = ["INV_RES_CREATE", "INV_RES_RELEASE"]
LOOK_BACK = timedelta(days=400)
RULE = Restock()
SAMPLE = 99  # quantiles of the measured lags


def history(*, sales: str = "", shop: str = "", config: Config = "", days: int = 0, rule: Restock = RULE) -> History:
    """The last `days` (0: all) of a shop's own orders and movements, of a file of sales, or of the bundled sales.

    A file has the columns invoice, sku, quantity, invoiced_at and unit_price; rows without a price are the retailer's
    own variances. Raises a UsageError for a wrong parameter, or a file that cannot be read.
    """
    checked(sales=(sales, str), shop=(shop, str), config=(config, Config), days=(days, int))
    if shop:
        whole = simulate.history(*_own(opened(shop, config)[0]), rule)
    else:
        whole = simulate.history(*simulate.retail(_read(Path(sales)) if sales else world.sales()), rule)
    return whole.between(max(whole.days - days, 0), whole.days) if days else whole


def lags(*, shop: str = "", config: Config = "", minutes: float = 15.0) -> tuple[float, ...]:
    """The minutes that a shop's orders took to reach its OMS; without a shop, a long-tailed lag of this mean.

    Raises a UsageError if no order of the shop has both stamps.
    """
    checked(shop=(shop, str), config=(config, Config), minutes=(minutes, float | int))
    if not shop:
        return simulate.lognormal(float(minutes))
    headers, _ = opened(shop, config)[0].order_history()
    delay = (pl.col("created_stamp") - pl.col("order_date")).dt.total_seconds() / 60
    measured = headers.select(delay.clip(lower_bound=0).alias("minutes"))["minutes"].drop_nulls()
    if measured.is_empty():
        raise UsageError(f"Shop {shop!r} has no order with both stamps in its OMS: give the lag in minutes.")
    return tuple(float(measured.quantile((n + 0.5) / SAMPLE) or 0.0) for n in range(SAMPLE))


def scenario(*, shop: str = "", config: str = "", minutes: float = 15.0, pos_share: float = 0.2) -> simulate.Scenario:
    """The scenario to vary: the lag, and the share of store sales, which a shop's own movements include already."""
    checked(pos_share=(pos_share, float | int))
    lag = lags(shop=shop, config=config, minutes=minutes)
    return simulate.Scenario(lag=lag, pos_share=0.0 if shop else float(pos_share))


def buffer_table(suggested: pl.DataFrame, path: str, *, shop: str = "", config: str = "") -> str:
    """Save suggested buffers to a Parquet file: for a shop as the table that its jobs read, else by SKU.

    Returns a sentence that says what was saved.
    """
    checked(path=(path, str), shop=(shop, str), config=(config, str))
    if not path:
        return "Nothing was saved: give a path in `save`."
    table = suggested.select("sku", "units")
    if shop:
        source, chosen = opened(shop, config)
        snapshot = source.snapshot()
        pairs, _ = mapping.pairs(snapshot, oms.mapping_rules(chosen, source, snapshot.now))
        table = buffers.for_pairs(suggested, pairs)
    table.write_parquet(path)
    kind = f'set table = "{path}" under [shops.{shop}.buffer]' if shop else "by SKU; a shop's table needs `shop`"
    return f"{table.height} buffers were saved to {path}: {kind}."


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"The sales file {path} cannot be read ({type(error).__name__}): correct `sales`.") from None


def checked(**parameters: tuple[object, type | UnionType]) -> None:
    """Raise a UsageError for the first parameter whose value is not of its type."""
    for name, (value, kind) in parameters.items():
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"Parameter {name} is {value!r}, of the wrong type: correct it.")


def opened(shop: str, config: Config) -> tuple[oms.Source, settings.ShopSettings]:
    """The OMS and the settings of a shop.

    Raises a UsageError if its OMS keeps no history.
    """
    configured = config if isinstance(config, settings.Settings) else nearest.opened(config)
    chosen = configured.shops[nearest.shop_of(configured, shop)]
    source = oms.open_source(chosen.oms)
    if not source.keeps_history:
        raise UsageError(
            f"Shop {shop!r} reads its OMS by {chosen.oms.kind}: its history is read from a database alone."
        )
    return source, chosen


def _own(source: oms.Source) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ORDER_LINES and MOVEMENTS of the OMS: Shopify's orders, and stock events other than reservations."""
    headers, items = source.order_history()
    skus = source.snapshot().product.rename({"internal_name": "sku"})
    lines = (
        items.join(headers, on="order_id")
        .join(skus, on="product_id")
        .select(at=pl.col("order_date").dt.replace_time_zone(None), order="order_id", sku="sku", units="quantity")
    )
    events = source.events(source.now() - LOOK_BACK, None)
    own = events.filter(pl.col("reason").is_not_null() & ~pl.col("reason").is_in(NOT_OWN))
    moved = own.join(skus, on="product_id").select(
        at=pl.col("created_at").dt.replace_time_zone(None), sku="sku", units="atp"
    )
    return lines.drop_nulls().filter(pl.col("units") >= 1), moved.drop_nulls()
