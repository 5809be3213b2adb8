"""Explain one level by what the last run that looked at it saw, where a system does not answer."""

from contextlib import closing
from datetime import datetime

import polars as pl

from invsync.config.settings import Settings
from invsync.errors import OmsFailed, ShopifyFailed, SystemFailed
from invsync.explain import history
from invsync.explain.answering import HOTWAX
from invsync.explain.explanation import Explanation
from invsync.explain.history import Row
from invsync.explain.parts import LastLook, OrderInFlight, Stock, full_title
from invsync.state import State
from invsync.tables import KEY

MOST_RUNS = 500  # that are looked through: some days of runs, in less than a second
COUNTED = "in flight, as the run counted"


def explain(
    configured: Settings, shop: str, sku: str, *, location: int | None, systems: tuple[str, ...]
) -> Explanation:
    """Return the level as the last run saw it; `systems` do not answer.

    Raises OmsFailed or ShopifyFailed where no run of the last ones looked at the product there.
    """
    with closing(State(configured.state.url)) as state:
        row, locations = _row(state, shop, sku, location)
        if row is None:
            raise _failure(systems, sku)
        item, place = (row[name] for name in KEY)
        past = history.of_pair(state, shop, item, place)
    look = LastLook(systems, row["run_id"], row["job"], datetime.fromisoformat(row["finished_at"]))
    return _explanation(shop, row, locations, past, look)


def _row(state: State, shop: str, sku: str, location: int | None) -> tuple[Row | None, tuple[int, ...]]:
    """The newest row of the product at the location, by default the aggregate one, and all locations of it."""
    named = (pl.col("sku") == sku) | (pl.col("product_id") == sku)
    seen = history.rows(state, shop, named, last=history.MOST_LOOKS, runs=MOST_RUNS)
    known = [row for row in seen if location in (None, row["location_id"])]
    known.sort(key=lambda row: (row["target"] is None, row["mode"] != "aggregate", row["location_id"]))
    return next(iter(known), None), tuple(sorted({row["location_id"] for row in seen}))


def _failure(systems: tuple[str, ...], sku: str) -> SystemFailed:
    failure = OmsFailed if HOTWAX in systems else ShopifyFailed
    verb = "does" if len(systems) == 1 else "do"
    return failure(
        f"{' and '.join(systems)} {verb} not answer, and no run of the last {MOST_RUNS} looked at {sku} there: "
        "run again later."
    )


def _explanation(shop: str, row: Row, locations: tuple[int, ...], past: history.Past, look: LastLook) -> Explanation:
    available = row["available"] if row.get("after") is None else row["after"]
    target = row["target"]
    return Explanation(
        shop=shop,
        **{name: row[name] for name in ("sku", "product_id", *KEY, "mode", "target")},
        locations=locations,
        available=available,
        difference=None if target is None or available is None else round(target - available),
        oms=Stock(row["oms"]),
        in_flight=_in_flight(row),
        set_aside=row.get("set_aside") or 0,
        buffer=row.get("buffer") or 0,
        held=row.get("held"),
        tracked=row.get("tracked"),
        active=row.get("is_active"),
        history=past.runs,
        at=look.at,
        title=full_title(row.get("title"), row.get("variant_title")),
        location_name=past.location_name,
        shopify_product_id=row.get("shopify_product_id"),
        shopify_variant_id=row.get("shopify_variant_id"),
        levels=past.levels,
        orders=past.orders,
        last_look=look,
    )


def _in_flight(row: Row) -> tuple[OrderInFlight, ...]:
    """The orders that the run kept, or one row of all units where it kept none."""
    units = row.get("in_flight") or 0
    orders = history.orders(history.folder_of(row), *(row[name] for name in KEY))
    if sum(order.units for order in orders) == units:
        return orders
    return (OrderInFlight(None, None, None, units, COUNTED),)
