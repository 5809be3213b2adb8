"""The Python API: a shop read as its jobs read it, without a lease and without sending anything.

`import invsync` gives `invsync.open`, `invsync.diff` and the values that they return.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from invsync import equation, mapping, plan, tables
from invsync.config import nearest
from invsync.errors import UsageError
from invsync.explain import Explanation, explain_in
from invsync.ledger.opened import opened
from invsync.ledger.reading import unreadable
from invsync.site import folders
from invsync.vocabulary import reason_words

if TYPE_CHECKING:
    from invsync.simulate import Replay

MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}
LAG = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
# What a frame of anyone's need not have: of the OMS's numbers, and of Shopify's levels.
NOT_GIVEN = {"product_id": None, "sku": None, "mode": "aggregate", "debt": None}
LEVEL = {"is_active": True, "tracked": True, "requires_components": False}


@dataclass(frozen=True)
class Diff:
    """What Shopify should show, beside what it shows.

    `frame` is one row a pair (VARIANCES): `oms`, `in_flight`, `set_aside`, `buffer`, `target`, `available`, and the
    `delta` between the last two in units; `held` is the reason for which a job would not send the row. `in_flight` is
    one row an order and pair (IN_FLIGHT), `messages` is what a run would say of the reading.
    """

    frame: pl.DataFrame
    in_flight: pl.DataFrame
    messages: tuple[str, ...] = ()

    @property
    def changes(self) -> pl.DataFrame:
        """The rows that a job would send, the smallest target first."""
        return self.frame.filter(pl.col("held").is_null(), pl.col("delta") != 0)

    @property
    def held(self) -> pl.DataFrame:
        """The rows that a job would hold, each with its reason in `held` and in plain `words`."""
        words = pl.col("held").map_elements(reason_words, return_dtype=pl.String)
        return self.frame.filter(pl.col("held").is_not_null()).with_columns(words=words)

    def __repr__(self) -> str:
        units = self.changes["delta"]
        up, down = int(units.filter(units > 0).sum()), -int(units.filter(units < 0).sum())
        return (
            f"{self.frame.height:,} pairs: {units.len():,} would change ({up:,} units raised, {down:,} lowered), "
            f"{self.held.height:,} held, {int(self.in_flight['units'].sum()):,} units in flight."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.frame._repr_html_()}"


@dataclass(frozen=True)
class Shop:
    """A shop of a configuration, read afresh by every call; nothing is locked, changed or sent.

    A call raises OmsFailed or ShopifyFailed where a system does not answer.
    """

    name: str
    config: Path

    def diff(self) -> Diff:
        """Every mapped pair as the next hard sync would find it."""
        with opened(nearest.opened(self.config), self.name) as shop:
            snapshot = shop.oms.snapshot()
            pairs, _ = mapping.pairs(snapshot, shop.rules)
            read = shop.reader(snapshot, pairs).read(pairs)
        decided = plan.decide(read.variances, activate=shop.settings.activate_levels)
        return Diff(_every(decided), read.in_flight, (*unreadable(snapshot), *read.messages))

    def explain(self, sku: str = "", location: int | None = None) -> Explanation:
        """The number of a product, by SKU or OMS id, at a Shopify location; the aggregate one when left out.

        Without a product, that with the most units in flight is explained, else that which is most wrong.
        """
        configured = nearest.opened(self.config)
        sku = sku or self._most_in_flight()
        return explain_in(configured, self.name, sku, location=location)

    def _most_in_flight(self) -> str:
        """The id of the product with the most units in flight, then the largest delta; UsageError where none is mapped."""
        frame = self.diff().frame
        if frame.is_empty():
            raise UsageError(f"Shop {self.name} has no mapped product: map one, or name a shop that has.")
        ranked = frame.sort(pl.col("in_flight").fill_null(0), pl.col("delta").fill_null(0).abs(), descending=True)
        return str(ranked["product_id"][0])

    def runs(self, days: int = 30) -> pl.DataFrame:
        """One row a run (RUNS) of the last `days`, from the run folders on this disk, oldest first."""
        root = Path(nearest.opened(self.config).reports.path)
        listed = folders.table(root, folders.stamps(root)) if root.is_dir() else tables.empty(folders.RUNS)
        since = datetime.now(UTC) - timedelta(days=days)
        return listed.filter(pl.col("shop") == self.name, pl.col("started_at") >= since)

    def replay(self, policy: str = "reset_in_flight", lag: str = "", days: int = 0) -> "Replay":
        """The shop's own orders under a policy, whose orders reach the OMS after `lag` (`15m`, `2h`).

        Without a lag the shop's own is measured in its OMS; `days` are the last ones, 0 all. Needs `invsync[lab]`.
        """
        try:
            from invsync import lab, simulate
        except ModuleNotFoundError as error:
            raise UsageError(f"replay needs {error.name}: install invsync[lab].") from None
        minutes = simulate.lognormal(_minutes(lag)) if lag else ()
        configured = nearest.opened(self.config)
        history = lab.history(shop=self.name, config=configured, days=days)
        minutes = minutes or lab.lags(shop=self.name, config=configured)
        return simulate.replay(history, simulate.Scenario(policy=policy, lag=minutes))


def open(shop: str = "", config: str | Path | None = None) -> Shop:
    """A shop of the configuration; the only one when no name is given.

    Without `config`, `invsync.toml` is looked for in the current folder and in those above it, and in their folder
    `demo`. Relative paths in it are taken from its folder. A UsageError where there is none, or where it does not name the shop.
    """
    path = nearest.located(config)
    shop = nearest.shop_of(nearest.opened(path), shop)
    return Shop(shop, path)


def diff(
    oms_frame: pl.DataFrame, shopify_frame: pl.DataFrame, in_flight: pl.DataFrame | None = None, buffer: int = 0
) -> Diff:
    """The difference between two frames of anyone's: pure, without any system.

    Both have `inventory_item_id` and `location_id`; `oms_frame` also `oms`, the units that the OMS sells, and
    `shopify_frame` `available`. `in_flight` has the same key and `units`, as many rows a pair as there are orders;
    `buffer` is in units. Other columns of TARGETS and LEVELS are used where they are given. A SystemFailed names a
    column that is missing or of the wrong type, and a pair that stands twice.
    """
    targets = tables.conform(_with(oms_frame, NOT_GIVEN), tables.TARGETS, "oms_frame")
    levels = tables.checked(_with(shopify_frame, LEVEL), equation.SHOWN, "shopify_frame")
    flight = tables.empty(tables.IN_FLIGHT) if in_flight is None else in_flight
    flight = tables.checked(flight, equation.UNITS, "in_flight")
    decided = plan.decide(equation.variances(targets, levels, flight, buffer=buffer))
    return Diff(_every(decided), flight)


def _every(decided: plan.Plan) -> pl.DataFrame:
    return pl.concat([decided.adjustments, decided.already_right, decided.held])


def _with(frame: pl.DataFrame, defaults: Mapping[str, object]) -> pl.DataFrame:
    missing = {name: pl.lit(value) for name, value in defaults.items() if name not in frame.columns}
    return frame.with_columns(**missing)


def _minutes(lag: str) -> float:
    """A duration as `15m`, `90s`, `2h` or `1d`, in minutes."""
    stated = LAG.fullmatch(lag.strip())
    if stated is None:
        raise UsageError(f"lag is {lag!r}: write a number and its unit, as 15m, 90s or 2h.")
    return float(stated[1]) * MINUTES[stated[2]]
