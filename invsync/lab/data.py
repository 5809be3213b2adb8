"""A history to replay and the lag of its orders, from the bundled real sales, a file like them, or a shop's OMS."""

from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from types import UnionType

import numpy as np
import polars as pl
from cronsim import CronSim

from invsync import mapping, oms, simulate, tables
from invsync.config import nearest, settings
from invsync.errors import UsageError
from invsync.sandbox import world
from invsync.simulate import buffers
from invsync.simulate.decision import LEAST_DAYS, Decision
from invsync.simulate.history import History, Restock
from invsync.site import folders

Config = str | settings.Settings  # a configuration, or the file that holds it
NOT_OWN = ["INV_RES_CREATE", "INV_RES_RELEASE"]
LOOK_BACK = timedelta(days=400)
RULE = Restock()
MINUTES = 15.0  # the mean lag of orders where none is measured
WEEK = 7 * 24 * 60
SAMPLE = 99  # quantiles of the measured lags


def history(*, sales: str = "", shop: str = "", config: Config = "", days: int = 0, rule: Restock = RULE) -> History:
    """The last `days` (0: all) of a shop's own orders and movements, of a file of sales, or of the bundled sales.

    A shop's stock opens with what the OMS has now, less what came and plus what went since; that of sales is made by
    the rule.

    A file has the columns invoice, sku, quantity, invoiced_at and unit_price; rows without a price are the retailer's
    own variances. Raises a UsageError for a wrong parameter, or a file that cannot be read.
    """
    checked(sales=(sales, str), shop=(shop, str), config=(config, Config), days=(days, int))
    if shop:
        source, chosen = opened(shop, config)
        whole = simulate.history(*_own(source), now=_stock(source, chosen))
    else:
        whole = simulate.history(*simulate.retail(_read(Path(sales)) if sales else world.sales()), rule)
    return whole.between(max(whole.days - days, 0), whole.days) if days else whole


def lags(*, shop: str = "", config: Config = "", minutes: float = 0.0) -> tuple[float, ...]:
    """The minutes that a shop's orders took to reach its OMS; without a shop, a long-tailed lag of 15 minutes.

    `minutes` above 0 are the mean of a long-tailed lag instead. Raises a UsageError if no order of the shop has both
    stamps.
    """
    checked(shop=(shop, str), config=(config, Config), minutes=(minutes, float | int))
    if minutes > 0 or not shop:
        return simulate.lognormal(float(minutes) if minutes > 0 else MINUTES)
    headers, _ = opened(shop, config)[0].order_history()
    delay = (pl.col("created_stamp") - pl.col("order_date")).dt.total_seconds() / 60
    measured = headers.select(delay.clip(lower_bound=0).alias("minutes"))["minutes"].drop_nulls()
    if measured.is_empty():
        raise UsageError(f"Shop {shop!r} has no order with both stamps in its OMS: give the lag in minutes.")
    return tuple(float(measured.quantile((n + 0.5) / SAMPLE) or 0.0) for n in range(SAMPLE))


def scenario(*, shop: str = "", config: Config = "", minutes: float = 0.0, pos_share: float = 0.2) -> simulate.Scenario:
    """The shop as it is configured: how it is kept, how often its job runs, its buffer, and its orders' lag.

    A shop's own movements include store sales already, so `pos_share` is for sales without a shop.
    """
    checked(pos_share=(pos_share, float | int))
    lag = lags(shop=shop, config=config, minutes=minutes)
    if not shop:
        return simulate.Scenario("reset_in_flight", lag=lag, pos_share=float(pos_share))
    chosen = opened(shop, config)[1]
    deltas = chosen.keep_by == "deltas"
    cron = chosen.schedule.push_deltas if deltas else chosen.schedule.upload_recent_changes
    return simulate.Scenario(
        "deltas_and_hard_sync" if deltas else "reset_in_flight",
        lag=lag,
        cadence=cadence(cron),
        buffer=chosen.buffer.units,
        settle=chosen.orders_settle_seconds / 60,
    )


def cadence(cron: str) -> float:
    """The minutes between two runs of a cron text, on average over a week."""
    runs = CronSim(cron, datetime(2026, 1, 5))  # a Monday
    return WEEK / sum(1 for _ in takewhile(lambda at: at <= datetime(2026, 1, 12), runs))


def doubts(history: History, base: simulate.Scenario, *, shop: str = "", config: Config = "") -> list[str]:
    """What makes the answers doubtful, a sentence each: a short history, or a lag of 0 that the runs contradict."""
    sentences = []
    if history.days < LEAST_DAYS:
        sentences.append(f"The history has {history.days} days: the answers may be luck of these days.")
    if shop and np.median(base.lag) == 0 and (most := _seen_in_flight(shop, config)):
        sentences.append(
            f"The measured order lag is 0 minutes, but runs of {shop} saw up to {most:,} units in flight at once: the "
            "OMS's stamps do not say when an order arrived. Give the lag in minutes (lag_minutes)."
        )
    return sentences


def _seen_in_flight(shop: str, config: Config) -> int:
    """The most units in flight that a run of the shop saw at once."""
    configured = config if isinstance(config, settings.Settings) else nearest.opened(config)
    root = Path(configured.reports.path)
    runs = folders.table(root, folders.stamps(root)) if root.is_dir() else tables.empty(folders.RUNS)
    return int(runs.filter(pl.col("shop") == shop).select(pl.max("in_flight").fill_null(0)).item() or 0)


def buffer_table(decision: Decision, path: str, *, shop: str = "", config: Config = "") -> str:
    """Save the decision's buffers to a Parquet file: for a shop as the table that its jobs read, else by SKU.

    Nothing is saved, whatever the path, if the decision is against them. Returns a sentence that says what was saved.
    """
    checked(path=(path, str), shop=(shop, str), config=(config, Config))
    if decision.table is None:
        return "Nothing was saved: no table of buffers is suggested."
    if not path:
        return "Nothing was saved: give a path in `save`."
    table = decision.table.select("sku", "units")
    if shop:
        source, chosen = opened(shop, config)
        snapshot = source.snapshot()
        pairs, _ = mapping.pairs(snapshot, oms.mapping_rules(chosen, source, snapshot.now))
        table = buffers.for_pairs(decision.table, pairs)
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


def _stock(source: oms.Source, chosen: settings.ShopSettings) -> pl.DataFrame:
    """What the OMS would sell of each SKU now (sku, units): where there is an aggregate location, there alone."""
    snapshot = source.snapshot()
    rules = oms.mapping_rules(chosen, source, snapshot.now)
    rows = mapping.targets(mapping.pairs(snapshot, rules)[0], snapshot, rules).filter(pl.col("oms").is_finite())
    is_aggregate = pl.col("mode") == "aggregate"
    online = is_aggregate | ~is_aggregate.any().over("sku")
    return rows.filter(online).group_by("sku").agg(units=pl.col("oms").sum().floor().cast(pl.Int64))
