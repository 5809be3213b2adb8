"""The units to hide by the unseen demand that past windows really had, SKU by SKU, without a distribution."""

from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
import polars as pl

from invsync import tables
from invsync.simulate import History, Scenario
from invsync.simulate.buffers import LARGEST, RATIOS, SUGGESTED, Size
from invsync.simulate.events import orders

LATE = 0.9  # the share of orders that have reached the OMS by the end of a window


def unseen(history: History, scenario: Scenario) -> tuple[pl.DataFrame, int]:
    """The pair, window and units of the demand that Shopify did not see, and how many windows were open.

    A window is one cadence long. What the OMS lost and what stores sold is unseen in its own window; under the classic
    reset an order is unseen in each window until most orders of its time have reached the OMS.
    """
    lines, stores = orders(history, scenario)
    losses = pl.concat([history.moves, stores]).filter(pl.col("units") < 0)
    lag = float(np.quantile(scenario.lag, LATE)) if scenario.policy == "reset" else 0.0
    parts = [losses] + [
        lines.with_columns(pl.col("at") + n * scenario.cadence) for n in range(ceil(lag / scenario.cadence))
    ]
    window = (pl.col("at") // scenario.cadence).cast(pl.Int64)
    every = pl.concat([part.select("pair", window=window, units=pl.col("units").abs()) for part in parts])
    return every.group_by("pair", "window").agg(pl.col("units").sum()), max(1, every["window"].n_unique())


def empirical(
    history: History, scenario: Scenario, *, ratios: Iterable[float] = RATIOS, largest: Sequence[int] = LARGEST
) -> dict[Size, pl.DataFrame]:
    """SUGGESTED of each ratio, capped at each largest buffer: the fewest units that covered that share of the windows."""
    demand, windows = unseen(history, scenario)
    ranked = demand.sort("pair", "units", descending=[False, True]).with_columns(
        rank=pl.int_range(pl.len()).over("pair")
    )
    whole = {ratio: _covering(history, ranked, windows, int((1 - ratio) * windows + 1e-9)) for ratio in ratios}
    return {
        (ratio, most): table.with_columns(pl.col("units").clip(upper_bound=most))
        for ratio, table in whole.items()
        for most in largest
    }


def _covering(history: History, ranked: pl.DataFrame, windows: int, left_out: int) -> pl.DataFrame:
    """SUGGESTED that covers all but the `left_out` largest windows of each SKU."""
    rows = ranked.group_by("pair").agg(
        units=pl.col("units").filter(pl.col("rank") == left_out).first(),
        mean=pl.col("units").sum() / windows,
        beyond=pl.col("units").filter(pl.col("rank") < left_out).sum() / windows,
    )
    every = history.stock.select("sku", pair=pl.int_range(pl.len()).cast(pl.Int64))
    joined = every.join(rows, on="pair", how="left", maintain_order="left").fill_null(0)
    return tables.conform(joined, SUGGESTED, "suggested")
