"""Nine real months under five policies and four order lags: the time, the memory, and every unit accounted for."""

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from test_million import peak

from invsync import simulate
from invsync.simulate.measures import replays
from invsync.simulate.study import LAGS, scaled

SALES = Path(__file__).parents[3] / "shared" / "data" / "online_retail.parquet"
POLICIES = ("reset", "reset_in_flight", "deltas", "deltas_and_hard_sync", "realtime")


@pytest.mark.skipif(not SALES.exists(), reason="the nine months of UCI Online Retail are not beside the project")
def test_nine_months_under_five_policies_and_four_lags() -> None:
    before, began = peak(), time.monotonic()
    history = simulate.history(*simulate.retail(pl.read_parquet(SALES)))
    base = simulate.Scenario(lag=simulate.lognormal(15.0), pos_share=0.2)
    many = [replace(scaled(base, lag), policy=policy) for policy in POLICIES for lag in LAGS]
    rows = [
        one.totals() | {"policy": one.scenario.policy, "lag": round(one.scenario.mean_lag)}
        for one in replays(history, many)
    ]
    took = time.monotonic() - began
    with pl.Config(tbl_rows=-1, tbl_cols=-1):
        print(pl.DataFrame(rows).select("policy", "lag", "sold", "oversold", "put_back", "lost_to_hidden", "drift_end"))
    print(
        f"{history.days} days, {history.lines.height} order lines, {len(many)} replays: {took:.1f} s, "
        f"peak {peak() - before} MB above the start"
    )

    for row in rows:
        assert row["put_back"] == 0 or row["policy"] == "reset", row
        assert row["requested"] == row["sold"] + row["lost_to_hidden"] + row["lost_to_empty"], row
    assert len(rows) == 20
