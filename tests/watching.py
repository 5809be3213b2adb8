"""Real sales in a shop that a plain reset keeps, watched by shadow mode; what the reset did, recomputed in plain loops."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rehearsal import TOKEN, of_shop

from invsync.config.settings import ShopSettings
from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.server import serve
from invsync.sandbox.world import LOCATION, World
from invsync.vocabulary import SHADOW

MINUTE = timedelta(minutes=1)
BATCH = 250
ADMIN = f"/admin/api/{ShopSettings.model_fields['api_version'].default}/graphql.json"
ADJUST = """mutation ($input: InventoryAdjustQuantitiesInput!, $key: String!) {
  inventoryAdjustQuantities(input: $input) @idempotent(key: $key) { userErrors { field message } }
}"""


@dataclass
class Watch:
    """A shop whose levels another sync sets to HotWax's numbers, and the runs that look at it."""

    world: World
    endpoint: str
    config: Path
    put_back: dict[int, int] = field(default_factory=dict)  # item -> sold units that a reset put on sale
    wrong_since: dict[int, datetime] = field(default_factory=dict)
    hours: dict[int, float] = field(default_factory=dict)  # item -> how long looks saw its level wrong

    def reset(self) -> None:
        """Set every level to HotWax's number, as a plain sync does, and note the sold units that this puts on sale."""
        shop, flight = self.world.shop, self.in_flight()
        changes = []
        for item, oms in self.oms().items():
            shown = shop.available(item, LOCATION)
            assert shown is not None
            if oms != shown:
                changes.append({"delta": oms - shown, "inventoryItemId": f"gid://shopify/InventoryItem/{item}"})
            right, raised = oms - flight.get(item, 0), oms - shown
            if raised > 0 and oms > right:
                self.put_back[item] = self.put_back.get(item, 0) + min(raised, oms - right)
        for start in range(0, len(changes), BATCH):
            self._send(changes[start : start + BATCH])

    def oms(self) -> dict[int, int]:
        """HotWax's number of every item: what is counted, less the queue of orders."""
        with closing(sqlite3.connect(self.config.parent / "oms.db")) as connection:
            counted = dict(connection.execute("SELECT product_id, last_inventory_count FROM product_facility"))
            queue = dict(connection.execute("SELECT product_id, SUM(quantity) FROM order_item GROUP BY product_id"))
        stock = {product: int(units - queue.get(product, 0)) for product, units in counted.items()}
        return {item: stock[f"P{sku}"] for sku, item in self.world.items.items()}

    def in_flight(self) -> dict[int, int]:
        """The units of each item in orders that HotWax has not imported yet."""
        units: dict[int, int] = {}
        for order in self.world.shop.orders.values():
            if order.created_at + self.world.lag > self.world.now:
                for line in order.lines:
                    units[line.item_id] = units.get(line.item_id, 0) + line.quantity
        return units

    def look(self) -> dict[str, Any]:
        """Look once, and note which levels are wrong."""
        now = self.world.now
        given = {"shop": "demo", "config": str(self.config), "at": now.isoformat()}
        facts = launch.run(SHADOW, given, engine="inprocess")
        oms, flight = self.oms(), self.in_flight()
        for item in oms:
            wrong = self.world.shop.available(item, LOCATION) != oms[item] - flight.get(item, 0)
            if wrong:
                self.wrong_since.setdefault(item, now)
            elif item in self.wrong_since:
                self._ended(item, now)
        return facts

    def _ended(self, item: int, now: datetime) -> None:
        lasted = (now - self.wrong_since.pop(item)) / timedelta(hours=1)
        self.hours[item] = self.hours.get(item, 0) + lasted

    def hours_wrong(self) -> dict[int, float]:
        """How long each level was wrong, with those that still are."""
        now = self.world.now
        open_now = {item: (now - since) / timedelta(hours=1) for item, since in self.wrong_since.items()}
        items = {*self.hours, *open_now}
        return {item: self.hours.get(item, 0) + open_now.get(item, 0) for item in items}

    def _send(self, changes: list[dict[str, Any]]) -> None:
        location = f"gid://shopify/Location/{LOCATION}"
        rows = [{**change, "locationId": location, "changeFromQuantity": None} for change in changes]
        given = {"reason": "correction", "name": "available", "changes": rows}
        key = f"reset-{len(self.world.shop.journal)}"
        body = {"query": ADJUST, "variables": {"input": given, "key": key}}
        answer = httpx.post(f"{self.endpoint}{ADMIN}", json=body, headers={"X-Shopify-Access-Token": TOKEN}).json()
        assert answer["data"]["inventoryAdjustQuantities"]["userErrors"] == [], answer


@contextmanager
def watching(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A watched shop on the first morning of the sales, before it opens."""
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    world = demo.build(folder)
    world.advance(world.start + demo.OPENS)
    with serve(world.shop) as endpoint:
        config = of_shop(demo.configure(folder, endpoint), 'keep_by = "another"')
        yield Watch(world, endpoint, config)
    world.oms.close()
