"""A sandbox shop with the real receiver and the real scheduler beside it, each a process of its own."""

import base64
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from invsync.inbox import Inbox
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.state import State

ONLINE, DOMAIN = 7, "demo.myshopify.com"
TOKEN, SECRET = "shpat_planted_0123456789abcdef", "planted-signing-secret-0123456789"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
PATIENCE = 180.0


def burden() -> float:
    """How many times over the machine is already busy with other work: 1 when it is ours alone."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(seen: Callable[[], Any]) -> Any:
    """Look until something is seen, and give it."""
    deadline = time.monotonic() + PATIENCE * burden()
    while not (result := seen()):
        assert time.monotonic() < deadline, "it was not seen in time"
        time.sleep(0.01)
    return result


class Live:
    """The shop, its OMS, the configuration, and the processes that were started on it."""

    def __init__(self, folder: Path, shop: Shop, oms: Oms, config: Path, port: int) -> None:
        self.folder, self.shop, self.oms, self.config = folder, shop, oms, config
        self.address = f"http://127.0.0.1:{port}"
        self.port, self.state = port, State(f"sqlite:///{folder}/invsync.db")
        self.inbox = Inbox(self.state.engine)
        self.http = httpx.Client(trust_env=False, timeout=30)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "invsync.cli", *arguments, "--config", str(self.config)]
        log = (self.folder / f"process-{len(self.processes)}.log").open("wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        return self.processes[-1]

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"process-{self.processes.index(process)}.log").read_text()

    def receive(self) -> subprocess.Popen[bytes]:
        """Start the receiver, and wait until it hears."""
        process = self.start("webhooks", "serve", "--shop", "demo", "--port", str(self.port))
        until(self._hears)
        return process

    def _hears(self) -> bool:
        try:
            return self.http.get(f"{self.address}/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def schedule(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a scheduler, and wait until it has run a job."""
        process = self.start("schedule", "run", *options)
        until(lambda: '"exit_code"' in self.log(process) or process.poll() is not None)
        return process

    def event(self, product: str, number: object) -> int:
        """Tell the receiver that a product's stock moved in the OMS; its answer's status."""
        body = json.dumps({"event_id": f"event {number}", "product_id": product}).encode()
        headers = {"X-Invsync-Hmac-Sha256": signature(body)}
        return self.http.post(f"{self.address}/webhooks/oms", content=body, headers=headers).status_code

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(PATIENCE * burden())
        self.http.close()
        self.state.close()


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def stock(shop: Shop, oms: Oms, items: int) -> None:
    """One warehouse that feeds one location, 100 units of each item, both sides right."""
    shop.add_location(ONLINE, "Online")
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.stock_up([(f"P{item}", f"S{item}", item, 100) for item in range(1, items + 1)], "WH", YESTERDAY)
    for item in range(1, items + 1):
        shop.add_item(item, f"S{item}")
        shop.set_level(item, ONLINE, 100)


@contextmanager
def live(folder: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop, oms: Oms) -> Iterator[Live]:
    """Serve a shop whose webhooks are to reach a receiver of this machine; every process ends with the block."""
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    monkeypatch.setenv("PLANTED_SECRET", SECRET)
    port = free_port()
    with serve(shop) as endpoint:
        config = demo.configure(folder, endpoint)
        hears = f'webhook_secret_env = "PLANTED_SECRET"\nwebhook_url = "http://127.0.0.1:{port}"\n[shops.demo.oms]'
        config.write_text(config.read_text().replace("[shops.demo.oms]", hears))
        system = Live(folder, shop, oms, config, port)
        try:
            yield system
        finally:
            system.end()
            oms.close()


def memory(process: subprocess.Popen[bytes]) -> int:
    """The resident memory of a process, in kB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
