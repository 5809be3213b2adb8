"""The state database that an invsync from before revisions left, and the world in which it was written."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from rehearsal import ONLINE, START, TOKEN, Rehearsal

from invsync.config import settings
from invsync.shopify import Shopify

GOLDEN = Path(__file__).parent / "golden"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
OPEN_RUN = "20261128T165940Z-660e"  # the run that was killed before its file had an answer
TABLES = ["alert", "claim", "lease", "level_memory", "order_ledger", "outbox", "run", "webhook"]


def put(folder: Path, *, ago: timedelta = HOUR) -> Path:
    """The old database in this folder, with the file that a killed run left open so long ago."""
    committed = (datetime.now(UTC) - ago).isoformat().replace("+00:00", "Z")
    text = (GOLDEN / "state-before-revisions.sql").read_text()
    text = text.replace("{folder}", str(folder)).replace("{committed_at}", committed)
    database = folder / "invsync.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(text)
    left = open_file(folder)
    left.parent.mkdir(parents=True)
    shutil.copyfile(GOLDEN / "state-before-revisions.jsonl", left)
    return database


def open_file(folder: Path) -> Path:
    """The file that the killed run left open."""
    return folder / "reports/demo/push-deltas" / OPEN_RUN / "adjustments.jsonl"


def rows(database: Path, tables: list[str] = TABLES) -> dict[str, list[dict[str, object]]]:
    """Every row of these tables."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(f"select * from {table} order by 1, 2")] for table in tables
        }


def live(rehearsal: Rehearsal) -> None:
    """What happened at the shop and in the OMS until the old database was left: four products, one order, five events."""
    rehearsal.keep_by_deltas()
    oms, shop = rehearsal.oms, rehearsal.shop
    oms.add_delta_reason("VAR_DAMAGED")
    for item, sku, shown in (1, "A", 19), (2, "B", 20), (3, "C", 17), (4, "D", 20):
        rehearsal.product(item, sku, oms=20, available=shown)
    oms.damage("P3", "WH", 1, START + MINUTE, "PI0")
    oms.damage("P1", "WH", 1, START + HOUR + MINUTE, "PI1")
    shop.place_order(1001, "#1001", START + HOUR + 6 * MINUTE, [(2, 2)], ONLINE)
    oms.damage("P3", "WH", 2, START + HOUR + 7 * MINUTE, "PI3")
    oms.adjust("P4", "WH", -0.5, START + HOUR + 11 * MINUTE, "VAR_DAMAGED")
    oms.damage("P1", "WH", 2, START + HOUR + 16 * MINUTE, "PI2")


def send(rehearsal: Rehearsal, path: Path) -> None:
    """Let the shop execute each line of this file, as it did when the run was killed before it heard the answer."""
    shop = settings.load(rehearsal.config).shop("demo")
    url = f"{shop.base_url}/admin/api/{shop.api_version}/graphql.json"
    for line in path.read_text().splitlines():
        body = {"query": Shopify.MUTATION, "variables": json.loads(line)}
        httpx.post(url, headers={"X-Shopify-Access-Token": TOKEN}, json=body).raise_for_status()
