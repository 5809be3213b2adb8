"""Whether buffers pay: chosen on past weeks, judged on held-out ones, in lost sales; and the table to use if they do.

The cost of a way of buffering is `weight` lost sales a unit oversold, and one a unit that was there and was not sold.
Compared are no buffer, the single buffer of least cost on the past weeks, and the table by SKU of least cost on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from invsync import tables
from invsync.errors import UsageError
from invsync.simulate import History, Scenario
from invsync.simulate.buffers import LARGEST, MEASURED, Size, candidates, evaluate
from invsync.simulate.empirical import empirical

LEAST_DAYS = 14  # to choose on one week and to judge on another
LEAST_OVERSOLD = 30  # units oversold on the held-out weeks without a buffer; fewer are luck
RATIOS, SIZES = (0.9, 0.98, 0.995, 0.999, 0.9999), (2, 8, 32)
SEEDS = (0, 1, 2)
Method = Literal["newsvendor", "empirical"]
Tables = Mapping[Size, pl.DataFrame]
METHODS: dict[Method, Callable[..., Tables]] = {"newsvendor": candidates, "empirical": empirical}
COMPARED: tables.Schema = {
    "way": tables.TEXT,
    "buffer": tables.UNITS,
    "ratio": tables.QUANTITY,
    "largest": tables.UNITS,
    **dict.fromkeys(MEASURED, tables.QUANTITY),
    "cost": tables.QUANTITY,
}


@dataclass(frozen=True)
class Decision:
    """Whether a table of buffers pays, in a sentence; the table (sku, units), None if it does not.

    `compared` is COMPARED on the held-out weeks, one row a way; `held_out` all that was measured on them.
    """

    sentence: str
    table: pl.DataFrame | None
    compared: pl.DataFrame
    held_out: pl.DataFrame


def decide(history: History, scenario: Scenario, *, weight: float = 100.0, seeds: Sequence[int] = SEEDS) -> Decision:
    """The decision on buffers by SKU for this history under this scenario.

    Raises a UsageError if the weight is not above 0.
    """
    if not weight > 0:
        raise UsageError(f"An oversold unit weighs {weight!r} lost sales: it must be above 0.")
    if history.days < LEAST_DAYS:
        return _none(
            f"{history.days} days of history are too few to choose a buffer on one part and to judge it on another "
            f"({LEAST_DAYS} are needed): nothing is suggested."
        )
    half = history.days // 2
    past, held_out = history.between(0, half), history.between(half, history.days)
    offered = {name: method(past, scenario, ratios=RATIOS, largest=SIZES) for name, method in METHODS.items()}
    before, after = (_measured(weeks, scenario, offered, weight, seeds) for weeks in (past, held_out))
    chosen = before.sort("cost", "hidden", maintain_order=True).unique("way", keep="first", maintain_order=True)
    keys = ["way", "buffer", "ratio", "largest"]
    compared = chosen.select(keys).join(after, on=keys, nulls_equal=True, maintain_order="left").select(list(COMPARED))
    best = chosen.filter(pl.col("way").is_in(list(METHODS))).row(0, named=True)
    sentence, pays = _verdict(compared, best["way"], offered[best["way"]][best["ratio"], best["largest"]])
    if not pays:
        return Decision(sentence, None, compared, after)
    whole = METHODS[best["way"]](history, scenario, ratios=[best["ratio"]], largest=[best["largest"]])
    return Decision(sentence, whole[best["ratio"], best["largest"]], compared, after)


def _none(sentence: str) -> Decision:
    return Decision(sentence, None, tables.empty(COMPARED), tables.empty(COMPARED))


def _measured(
    weeks: History, scenario: Scenario, offered: Mapping[Method, Tables], weight: float, seeds: Sequence[int]
) -> pl.DataFrame:
    """COMPARED and `hidden` of each single buffer (0 is `none`) and each table, the mean over seeds."""
    rows = [evaluate(weeks, scenario, singles=(0, *LARGEST), suggested={}, seeds=seeds)]
    named = [pl.when(pl.col("buffer") == 0).then(pl.lit("none")).otherwise(pl.lit("single"))]
    for name, suggested in offered.items():
        rows.append(evaluate(weeks, scenario, singles=(), suggested=suggested, seeds=seeds))
        named.append(pl.lit(name))
    cost = weight * pl.col("oversold") + pl.col("lost_to_hidden")
    parts = [part.with_columns(way=way, cost=cost) for part, way in zip(rows, named, strict=True)]
    return pl.concat([tables.conform(part, COMPARED, "buffers") for part in parts])


def _verdict(compared: pl.DataFrame, way: str, table: pl.DataFrame) -> tuple[str, bool]:
    """The verdict on the held-out weeks, and whether the table pays."""
    costs = dict(compared.select("way", "cost").iter_rows())
    oversold = dict(compared.select("way", "oversold").iter_rows())
    if oversold["none"] < LEAST_OVERSOLD:
        return (
            f"Without a buffer {oversold['none']:,.0f} units were oversold on the held-out weeks. That is too few to "
            f"judge a buffer by ({LEAST_OVERSOLD} are needed): nothing is suggested.",
            False,
        )
    if not (table["units"] > 0).any():
        return "On the past weeks every buffer by SKU came out as 0: hide nothing.", False
    rival = min(("none", "single"), key=lambda name: costs[name])
    against = {"none": "no buffer", "single": "the best single buffer"}[rival]
    change = 100 * (costs[way] / costs[rival] - 1)
    if change >= 0:
        return (
            f"Against buffers: on the held-out weeks the best table by SKU ({way}) cost {change:.1f} % more than "
            f"{against}: nothing is suggested.",
            False,
        )
    lost = dict(compared.select("way", "lost_to_hidden").iter_rows())
    return (
        f"The best table by SKU ({way}) cost {-change:.1f} % less on the held-out weeks than {against}: it oversold "
        f"{oversold[way]:,.0f} units instead of {oversold[rival]:,.0f}, and lost {lost[way]:,.0f} sales instead of "
        f"{lost[rival]:,.0f}.",
        True,
    )
