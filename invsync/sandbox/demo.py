"""Real sales in a loopback shop: a demo that runs the job beside them, and a shop to try things on."""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from invsync.config import nearest
from invsync.errors import UsageError
from invsync.sandbox.admin.webhooks import Webhooks
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import hosting
from invsync.sandbox.server import serve as serving
from invsync.sandbox.shop import Shop
from invsync.sandbox.world import World, sales
from invsync.vocabulary import RECENT

JOB = RECENT
TOKEN_ENV, HOTWAX_ENV = "INVSYNC_DEMO_TOKEN", "INVSYNC_DEMO_HOTWAX"
OPENS, AFTERNOON = timedelta(hours=8), timedelta(hours=14)
EVERY, SPEED = timedelta(minutes=15), 10
Tell = Callable[[str], None]

CONFIG = """\
[state]
url = "sqlite:///{folder}/invsync.db"
[reports]
path = "{folder}/reports"
[shops.demo]
domain = "demo.myshopify.com"
endpoint = "{endpoint}"
token_env = "{token_env}"
[shops.demo.oms]
kind = "database"
url = "sqlite:///{folder}/oms.db"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
"""


def build(folder: Path, *, start: datetime | None = None, speed: int = 1) -> World:
    """A world of real sales whose OMS is a new SQLite file in this folder; orders arrive there 15 minutes late."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("oms.db", "invsync.db"):
        (folder / name).unlink(missing_ok=True)
    if not os.environ.get(TOKEN_ENV):
        os.environ[TOKEN_ENV] = secrets.token_hex(16)
    shop = Shop(token=os.environ[TOKEN_ENV])
    return World(shop, Oms(f"sqlite:///{folder}/oms.db").create(), sales(), start=start, speed=speed)


def live(folder: Path) -> World:
    """A world where it is the first afternoon and no job has run yet; ten minutes of sales pass in one."""
    now = datetime.now(UTC)
    world = build(folder, start=now - AFTERNOON / SPEED, speed=SPEED)
    world.advance(now)
    return world


def configure(folder: Path, endpoint: str) -> Path:
    """Write a configuration for this sandbox and return its path."""
    path = folder / nearest.CONFIG
    path.write_text(CONFIG.format(folder=folder.resolve(), endpoint=endpoint, token_env=TOKEN_ENV), encoding="utf-8")
    return path


def leave_variables(folder: Path) -> None:
    """Write the sandbox's token beside its configuration, for notebooks that other processes open."""
    path = folder / nearest.VARIABLES
    path.touch(mode=0o600)
    path.chmod(0o600)  # where the file was there already
    path.write_text(f"{TOKEN_ENV}={os.environ[TOKEN_ENV]}\n", encoding="utf-8")


def wait() -> None:
    """Return when the person interrupts."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


def play(folder: Path, *, hours: int, tell: Tell, keep: Callable[[Path], None] | None = None) -> Path:
    """Replay the first hours of a shop's day with the job every 15 minutes; return the last run's page.

    `keep` is called with that page while the shop is still served. Raises a UsageError if a run does not end well.
    """
    from invsync.jobs import launch  # late, as the notebook engine is slow to load and `serve` needs none

    world = build(folder)
    at, end = world.start + OPENS, world.start + OPENS + timedelta(hours=hours)
    with serving(world.shop) as endpoint:
        config = str(configure(folder, endpoint))
        while at <= end:
            world.advance(at)
            parameters = {"shop": "demo", "config": config, "at": at.isoformat()}
            record = launch.run(JOB, parameters, engine="kernel" if at + EVERY > end else "inprocess")
            tell(_line(at, record))
            if record["exit_code"]:
                raise UsageError(f"The demo's run {record['run_id']} ended as {record['status']}: read its report.")
            at += EVERY
        page = Path(folder) / "reports" / "demo" / JOB / str(record["run_id"]) / "report.html"
        if keep is not None:
            leave_variables(folder)
            keep(page)
    return page


def _line(at: datetime, record: Mapping[str, Any]) -> str:
    counts, flight = record["counts"], record["in_flight"]
    return (
        f"{at:%H:%M}  {record['status']}: {counts['selected']:>5} pairs looked at, {counts['applied']:>3} adjusted, "
        f"{flight['units']:>5} units in {flight['orders']:>2} orders in flight kept off sale"
    )


def serve(folder: Path, *, port: int, tell: Tell) -> None:
    """Serve a shop on loopback from its first afternoon on, ten minutes of real sales a minute, until interrupted.

    It sends webhooks to subscribers on this machine, signed with the secret of its app.
    """
    world = live(folder)
    webhooks = Webhooks(world.shop, world.shop.domain)
    hotwax = create_app(HotWax(world.oms.url, os.environ.get(HOTWAX_ENV, "")))
    leave_variables(folder)
    with serving(world.shop, port) as endpoint, hosting(hotwax, port + 1 if port else 0) as apis, webhooks.sending():
        tell(f"Shop at {endpoint}, configuration {configure(folder, endpoint)}, token in ${TOKEN_ENV}.")
        tell(f"HotWax's APIs at {apis}, user {HotWax.user}, password in ${HOTWAX_ENV}.")
        tell(f"Webhooks of {world.shop.domain} are signed with {world.shop.client_secret}.")
        try:
            while True:
                time.sleep(1)
                world.advance(datetime.now(UTC))
        except KeyboardInterrupt:
            tell("Stopped.")
