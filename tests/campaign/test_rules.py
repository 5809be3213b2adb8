"""Each rule of the ledger is needed: without it, random order lives put a sold unit back on sale."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from campaign.test_lives import Lives
from campaign.test_worlds import in_no_time
from rehearsal import TOKEN

from invsync import inflight, tables
from invsync.jobs import start
from invsync.ledger import reading
from invsync.ledger.orders import Orders
from invsync.ledger.witness import Witness
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.state import State

MOST = 150
Flight = Callable[..., pl.DataFrame]


def without(change: Callable[..., tuple[Any, ...]]) -> Callable[[pytest.MonkeyPatch], None]:
    """`inflight.in_flight` that is given other tables: (sold, unseen, snapshot) to the same three."""
    real: Flight = inflight.in_flight

    def patched(sold: pl.DataFrame, unseen: pl.DataFrame, pairs: pl.DataFrame, snapshot: Any, **more: Any) -> Any:
        sold, unseen, snapshot = change(sold, unseen, snapshot)
        return real(sold, unseen, pairs, snapshot, **more)

    return lambda patch: patch.setattr(inflight, "in_flight", patched)


def booked_whole(snapshot: tables.Snapshot, orders: pl.DataFrame) -> tables.Snapshot:
    """As if the OMS's number lacked every unit of these orders."""
    products = snapshot.product.select("product_id").join(orders.select("external_id").unique(), how="cross")
    whole = products.with_columns(facility_id=pl.lit(None, pl.String), units=pl.lit(1e6))
    return replace(snapshot, booked=tables.conform(whole, tables.BOOKED, "booked"))


def as_ordered(snapshot: tables.Snapshot) -> tables.Snapshot:
    """As if every unit of an item that is not cancelled were booked."""
    rows = snapshot.ordered.with_columns(facility_id=pl.lit(None, pl.String))
    return replace(snapshot, booked=tables.conform(rows, tables.BOOKED, "booked"))


def forgetting(patch: pytest.MonkeyPatch) -> None:
    real = Orders.remember
    patch.setattr(Orders, "remember", lambda self, in_flight, judged: real(self, in_flight.clear(), None))


def routed_only(patch: pytest.MonkeyPatch) -> None:
    for name in ("read", "read_again"):
        real = getattr(Orders, name)
        patch.setattr(Orders, name, lambda *given, real=real: real(*given).filter(pl.col("location_id").is_not_null()))


RULES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "shipped units were sold": without(lambda sold, unseen, seen: (sold.with_columns(shipped=0), unseen, seen)),
    "units that are not routed were sold": routed_only,
    "a header books nothing": without(lambda sold, unseen, seen: (sold, unseen, booked_whole(seen, seen.known_orders))),
    "an item books nothing": without(lambda sold, unseen, seen: (sold, unseen, as_ordered(seen))),
    "committed units of no visible order were sold": without(lambda sold, unseen, seen: (sold, unseen.clear(), seen)),
    "no raise over a fresh change": lambda patch: patch.setattr(
        Witness, "fresh_changes", lambda self, seen: tables.empty(tables.BUFFERS)
    ),
    "reserved units are set aside": lambda patch: patch.setattr(
        reading, "not_for_sale", lambda levels, listed: tables.empty(tables.BUFFERS)
    ),
    "orders are remembered until they are booked": forgetting,
}


@pytest.mark.parametrize("rule", RULES)
def test_without_it_a_sold_unit_goes_back_on_sale(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    monkeypatch.setattr(start, "_shopify", in_no_time)
    RULES[rule](monkeypatch)
    Oms(f"sqlite:///{tmp_path}/oms.db").create().close()
    State(f"sqlite:///{tmp_path}/invsync.db").close()
    shop = Shop(token=TOKEN)
    with serve(shop) as endpoint:
        for seed in range(MOST):
            folder = tmp_path / str(seed)
            folder.mkdir()
            lives = Lives(folder, shop, endpoint, tmp_path, seed)
            try:
                lives.live()
            except AssertionError as error:
                print(f"{rule}: world {seed} shows it ({error})")
                return
            finally:
                lives.oms.close()
    pytest.fail(f"{MOST} worlds do not need the rule")
