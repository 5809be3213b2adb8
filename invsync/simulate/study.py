"""The replays behind the oversell page: a grid of scenarios, the cost of order lives, the SKUs at risk, single days."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import polars as pl

from invsync.simulate.events import BATCHED
from invsync.simulate.history import DAY_MINUTES, History
from invsync.simulate.measures import Replay, Watch, grid, replays, unwatched
from invsync.simulate.scenario import LOSS, POLICIES, Lives, Scenario

LAGS, CADENCES, PEAKS, LOSSES = (5, 15, 30, 60), (15, 60), (1, 2), (0.0, LOSS)
BUFFERS = (0, 2, 6)
SEEDS = 3
LIFE_SHARE, SEARCH_LAG = 0.1, 1.0  # a share of the orders; minutes
PLAIN = tuple(name for name in POLICIES if name != "reset_by_header")  # without lives it is the same as reset_in_flight
COMPARED = ("reset", "reset_in_flight", "deltas")
COSTS = ["policy", "put_back", "oversold", "lost_to_hidden", "hidden"]
RISK = ["oversold", "put_back", "lost_to_hidden"]


def scaled(scenario: Scenario, mean: float) -> Scenario:
    """The scenario with a lag of this mean and the same shape."""
    shape = [minutes / scenario.mean_lag for minutes in scenario.lag] if scenario.mean_lag else [1.0]
    return replace(scenario, lag=tuple(mean * part for part in shape))


def scenarios(base: Scenario, *, buffers: Sequence[int] = BUFFERS) -> Iterator[Scenario]:
    """Each policy of PLAIN but the single upload under all values of its knobs: lag, cadence or loss, peak and buffer."""
    for policy in PLAIN[1:]:
        for lag in sorted({*LAGS, round(base.mean_lag, 6)}):
            for peak in PEAKS:
                for buffer in buffers:
                    one = replace(scaled(base, lag), policy=policy, peak=peak, buffer=buffer, loss=0.0)
                    if policy in BATCHED:
                        yield from (
                            replace(one, cadence=float(cadence)) for cadence in sorted({*CADENCES, base.cadence})
                        )
                    elif policy == "realtime":
                        yield from (replace(one, loss=loss) for loss in LOSSES)
                    else:
                        yield one


def knob_grid(history: History, base: Scenario, *, watch: Watch = unwatched) -> pl.DataFrame:
    """The grid of `scenarios`; a knob that does not affect a policy is null in its rows."""
    rows = grid(history, list(scenarios(base)), watch=watch)
    batched, realtime = pl.col("policy").is_in(sorted(BATCHED)), pl.col("policy") == "realtime"
    return rows.with_columns(
        lag=pl.col("lag").round(6), cadence=pl.when(batched).then("cadence"), loss=pl.when(realtime).then("loss")
    )


def policy_costs(history: History, base: Scenario) -> pl.DataFrame:
    """One row a policy with all measures, under the base's knobs."""
    runs = replays(history, [replace(base, policy=policy) for policy in PLAIN])
    knobs = ("policy", "loss")
    return pl.DataFrame(
        [
            {name: getattr(one.scenario, name) for name in knobs} | {"lag": one.scenario.mean_lag} | one.totals()
            for one in runs
        ]
    )


def life_scenarios(base: Scenario) -> dict[str, Scenario]:
    """By name: no life, each life alone in a tenth of the orders, the order search a minute behind, all of them."""
    names = [field.name for field in fields(Lives)]
    plain = replace(base, lives=Lives(), search_lag=0.0)
    alone = {name: replace(plain, lives=Lives(**{name: LIFE_SHARE})) for name in names}
    every = replace(plain, lives=Lives(**dict.fromkeys(names, LIFE_SHARE)), search_lag=SEARCH_LAG)
    return {"plain": plain, **alone, "search_lag": replace(plain, search_lag=SEARCH_LAG), "all": every}


def life_costs(history: History, base: Scenario) -> pl.DataFrame:
    """One row a life and policy, without the single upload: put_back, oversold, lost_to_hidden and hidden."""
    policies = [policy for policy in POLICIES if policy != "none"]
    parts = [
        grid(history, [replace(one, policy=policy) for policy in policies]).select(pl.lit(name).alias("life"), *COSTS)
        for name, one in life_scenarios(base).items()
    ]
    return pl.concat(parts)


def under(base: Scenario, policy: str) -> Scenario:
    """The scenario under another policy, without a buffer: a baseline to compare with.

    Raises a UsageError for an unknown policy.
    """
    return replace(base, policy=policy, buffer=0)


def skus_at_risk(history: History, base: Scenario, *, top: int = 12, watch: Watch = unwatched) -> pl.DataFrame:
    """The SKUs that oversell most, by policy and lag: units a day, the mean over three seeds."""
    seeded = [
        replace(scaled(base, lag), policy=policy, seed=base.seed + seed)
        for policy in PLAIN
        for lag in sorted({*LAGS, round(base.mean_lag, 6)})
        for seed in range(SEEDS)
    ]
    each = [
        one.pairs().select(
            "sku", *RISK, policy=pl.lit(one.scenario.policy), lag=pl.lit(round(one.scenario.mean_lag, 6))
        )
        for one in watch(replays(history, seeded), len(seeded))
    ]
    daily = pl.col(RISK).sum() / (SEEDS * history.days)
    sums = pl.concat(each).group_by("policy", "lag", "sku").agg(daily).filter(pl.col("oversold") > 0)
    ordered = sums.sort("oversold", "put_back", "sku", descending=[True, True, False])
    return ordered.group_by("policy", "lag", maintain_order=True).head(top)


def worst_days(history: History, base: Scenario, *, top: int = 4) -> pl.DataFrame:
    """The worst day of each SKU that the classic reset serves worst, under three policies.

    One row an event: sku, policy, at (minute of the day), the units left, the OMS's number, Shopify's number, units in
    flight, and units oversold in the event. The worst day has the most units oversold, or put back if none are
    oversold.
    """
    replayed = list(replays(history, [replace(base, policy=policy) for policy in COMPARED]))
    day = (pl.col("at") // DAY_MINUTES).cast(pl.Int64)
    sums = replayed[0].ledger.group_by("pair", day=day).agg(pl.col("oversold", "put_back").sum())
    ordered = sums.filter(pl.col("put_back") > 0).sort("oversold", "put_back", "pair", descending=[True, True, False])
    worst = ordered.unique("pair", keep="first", maintain_order=True).head(top).select("pair", "day")
    return pl.concat([_day(one, worst) for one in replayed])


def _day(replayed: Replay, worst: pl.DataFrame) -> pl.DataFrame:
    """The events of each pair's day, with a row at its beginning and one at its end."""
    start = pl.col("day") * DAY_MINUTES
    rows = replayed.ledger.join(worst, on="pair").filter(pl.col("at") < start + DAY_MINUTES)
    before = rows.filter(pl.col("at") < start).group_by("pair", maintain_order=True).last()
    within = rows.filter(pl.col("at") >= start)
    after = rows.group_by("pair", maintain_order=True).last()
    parts = [
        before.with_columns(at=start.cast(pl.Float64), oversold=0),
        within.with_columns(pl.col("oversold").cast(pl.Int32)),
        after.with_columns(at=(start + DAY_MINUTES).cast(pl.Float64), oversold=0),
    ]
    skus = replayed.stock.select("sku", pair=pl.int_range(pl.len(), dtype=pl.Int32))
    whole = pl.concat([part.select(rows.columns) for part in parts], how="vertical_relaxed").join(skus, on="pair")
    return whole.sort("pair", "at", maintain_order=True).select(
        "sku",
        "left",
        "shown",
        "in_flight",
        "oversold",
        policy=pl.lit(replayed.scenario.policy),
        at=pl.col("at") - start,
        oms=pl.col("count") - pl.col("queue"),
    )
