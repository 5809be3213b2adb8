"""The image: made by Docker, or else by its Dockerfile's steps in a root of its own; then the services of compose.yaml.

Every service runs as the image's user in a root that nobody may write, with its secrets in files, on PostgreSQL.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import sqlalchemy as sa
from dockerfile import DEPLOY
from image import Docker, Image, built, built_by_docker, has_docker, interpreter, is_possible
from live import SECRET, TOKEN, free_port, signature, stock, until
from test_deploy import COMPOSE, OURS

from invsync import __version__
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

PASSWORD, ITEMS = "planted-database-password", 30
USER = 10001 if os.geteuid() == 0 else os.geteuid()  # who is not root cannot give files away: Docker runs as them
STOPPED = {0, -signal.SIGTERM, 128 + signal.SIGTERM}  # a web server ends by the signal that it was sent
ON_DISK = ("/", "/etc", "/home", "/opt/invsync/bin", "/run", "/usr/bin", "/var/tmp")
WRITES = """
import os, sys, tempfile
def may(folder):
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
print(os.getuid(), *(folder for folder in sys.argv[1:] if may(folder)))
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image | Docker]:
    """The image, and how long it took to make."""
    began = time.monotonic()
    if has_docker():
        made: Image | Docker = built_by_docker("invsync-campaign", USER)
        _say("made by Docker", made, began)
        yield made
        return
    (version,) = set(re.findall(r"^FROM python:(\d+\.\d+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    python = interpreter(version)
    if python is None or not is_possible() or not Path("/dev/shm").is_dir():
        pytest.skip(f"neither Docker nor overlays as root with Python {version} are to be had")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="invsync-image-") as folder:
        made = built(Path(folder), python)
        _say("made step by step, without its base", made, began)
        yield made


def _say(how: str, image: Image | Docker, began: float) -> None:
    print(f"The image, {how}: {image.size() / 1e6:.0f} MB, {time.monotonic() - began:.0f} s.")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A new volume, which the image's user owns."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o750)
    give(folder)
    return folder


def give(path: Path) -> None:
    """Let the user who runs the image own it."""
    if os.geteuid() == 0:
        os.chown(path, USER, USER)


def ran(image: Image | Docker, data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = image.command(words, {"/data": (data, "rw")})
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_it_starts(image: Image | Docker, data: Path) -> None:
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        done = ran(image, data, "invsync", "--version")
        seconds.append(time.monotonic() - began)
        assert (done.returncode, done.stdout) == (0, f"invsync {__version__}\n"), done.stderr

    print(f"invsync --version: {min(seconds):.2f} s at best, {max(seconds):.2f} s at worst of {len(seconds)}.")


def test_it_may_write_to_its_data_and_tmp_only(image: Image | Docker, data: Path) -> None:
    done = ran(image, data, "python", "-c", WRITES, *ON_DISK, "/data", "/tmp")

    assert done.stdout.split() == [str(USER), "/data", "/tmp"], done.stderr


def test_it_plays_the_demo_with_a_kernel_too(image: Image | Docker, data: Path) -> None:
    done = ran(image, data, "invsync", "demo", "--hours", "1")

    assert done.returncode == 0, done.stderr
    assert (data / done.stdout.strip().removeprefix("Report: ")).stat().st_uid == USER


# -- the services of compose.yaml


@dataclass
class Stack:
    """The services, and what compose.yaml gives them."""

    image: Image | Docker
    folder: Path
    data: Path
    variables: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        words = self._command(name, ["invsync", *OURS[name]["command"], *options])
        self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log)

    def health(self, name: str, port: int | None = None) -> int:
        """The exit code of a service's own check."""
        (words,) = [OURS[name]["healthcheck"]["test"][1:]]
        words = [re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", word) for word in words]
        return subprocess.run(self._command(name, words), capture_output=True, timeout=60).returncode

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, name: str) -> int:
        """Stop a service as compose does, and give its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.Signals[OURS[name].get("stop_signal", "SIGTERM")])
        return process.wait(60)

    def _command(self, name: str, words: list[str]) -> list[str]:
        service = OURS[name]
        (config,) = service["configs"]
        mounts = {config["target"]: (DEPLOY / COMPOSE["configs"][config["source"]]["file"], "ro")}
        mounts |= {f"/run/secrets/{one}": (self.folder / one, "ro") for one in service.get("secrets", [])}
        mounts |= {path: (self.data, "rw") for _, path in (one.split(":") for one in service.get("volumes", []))}
        return self.image.command(words, mounts, service.get("environment", {}) | self.variables)


def secret(folder: Path, name: str, value: str) -> None:
    """A secret as docs/deploying.md keeps it: a file that the image's user alone may read."""
    path = folder / name
    path.write_text(value)
    give(path)
    path.chmod(0o400)


def state(url: str) -> str:
    """A database of the role `invsync`, who must give a password; its URL without it."""
    address = sa.make_url(url).set(username="invsync", database="invsync")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE ROLE invsync LOGIN PASSWORD '{PASSWORD}'"))
        connection.execute(sa.text("CREATE DATABASE invsync OWNER invsync"))
        rules = Path(str(connection.execute(sa.text("SHOW hba_file")).scalar()))
        rules.write_text(f"host invsync invsync 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()
    return f"{address}?passfile=/run/secrets/state_pgpass"


@contextmanager
def started(image: Image | Docker, data: Path, shop: Shop, url: str) -> Iterator[Stack]:
    """The services' files and variables; every process ends with the block."""
    with serve(shop) as endpoint, tempfile.TemporaryDirectory(prefix="invsync-stack-") as name:
        folder = Path(name)
        secret(folder, "acme_token", TOKEN)
        secret(folder, "acme_webhook_secret", SECRET)
        secret(folder, "hotwax_url", url)
        secret(folder, "state_pgpass", f"*:*:*:invsync:{PASSWORD}\n")
        elsewhere = {"ENDPOINT": endpoint, "DOMAIN": shop.domain, "OMS__SHOP_ID": "SANDBOX"}
        variables = {f"INVSYNC_SHOPS__ACME__{key}": value for key, value in elsewhere.items()}
        stack = Stack(image, folder, data, variables | {"INVSYNC_STATE__URL": state(url)})
        try:
            yield stack
        finally:
            for service in [*stack.processes]:
                stack.stop(service)


def deliver(port: int, product: str) -> int:
    body = f'{{"event_id": "1", "product_id": "{product}"}}'.encode()
    headers = {"X-Invsync-Hmac-Sha256": signature(body)}
    return httpx.post(f"http://127.0.0.1:{port}/webhooks/oms", content=body, headers=headers).status_code


def runs(stack: Stack) -> list[str]:
    return [line for line in stack.log("scheduler").splitlines() if '"run_id"' in line and '"exit_code"' in line]


def test_the_services_of_the_compose_file_keep_a_shop(image: Image | Docker, data: Path) -> None:
    shop, ports = Shop(token=TOKEN), {"receiver": free_port(), "reports": free_port()}
    with servers.postgresql() as url:
        oms = Oms(url).create()
        stock(shop, oms, ITEMS)
        shop.set_level(1, 7, 110)
        with started(image, data, shop, url) as stack:
            times = play(stack, shop, oms, ports)
            logs = "".join(log.read_text() for log in stack.folder.glob("*.log"))
        oms.close()

    print("Seconds until: " + ", ".join(f"{what} {seconds:.1f}" for what, seconds in times.items()))
    assert not [planted for planted in (TOKEN, SECRET, PASSWORD) if planted in logs]
    assert {path.stat().st_uid for path in data.rglob("*")} == {USER}


def play(stack: Stack, shop: Shop, oms: Oms, ports: dict[str, int]) -> dict[str, float]:
    """Start every service, let a webhook set a pair right, and stop them; the seconds that each took to be healthy."""
    times: dict[str, Any] = {}

    def healthy(name: str) -> None:
        began = time.monotonic()
        stack.start(name, *(["--port", str(ports[name])] if name in ports else []))
        until(lambda: stack.health(name, ports.get(name)) == 0 or stack.processes[name].poll() is not None)
        times[name] = time.monotonic() - began
        assert stack.processes[name].poll() is None, stack.log(name)

    assert stack.health("scheduler") == 4
    healthy("scheduler")
    until(lambda: len(runs(stack)) == 2)
    assert all('"exit_code": 0' in line for line in runs(stack)), stack.log("scheduler")
    assert shop.available(1, 7) == 100  # from 110
    healthy("receiver")
    healthy("reports")
    oms.set_stock("P2", "WH", 80, shop.clock())
    assert deliver(ports["receiver"], "P2") == 200
    began = time.monotonic()
    until(lambda: shop.available(2, 7) == 80)
    times["a webhook's pair is right"] = time.monotonic() - began
    assert "invsync" in httpx.get(f"http://127.0.0.1:{ports['reports']}/").text
    assert {stack.stop(name) for name in ("receiver", "reports", "scheduler")} <= STOPPED
    assert stack.health("scheduler") == 4
    return times
