"""Attacks on what listens: the webhook receiver, the metrics and the report server; and what each command may know."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from rehearsal import Rehearsal, of_shop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typer.testing import CliRunner

from invsync import serving
from invsync.cli import app
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.inbox import Inbox
from invsync.sandbox import demo
from invsync.site import server as site
from invsync.state import State
from invsync.webhooks import receiver

SECRET, DOMAIN = "planted-webhook-secret", "demo.myshopify.com"
SHOP = ShopSettings(domain=DOMAIN, token_env="T", webhook_secret_env="W", oms=OmsSettings(shop_id="X"))
BODY = json.dumps({"inventory_item_id": 1, "location_id": 7, "available": 3}).encode()
POST = "POST /webhooks/shopify HTTP/1.1\r\nHost: hooks.example.com\r\n"


@contextmanager
def listening(application: Starlette) -> Iterator[int]:
    """The application behind uvicorn as it is served; the port."""
    server = uvicorn.Server(serving.configured(application, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The receiver with short patience."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.5)
    inbox = Inbox(State(f"sqlite:///{tmp_path}/state.db").engine)
    inbox.open()
    with listening(receiver.create_app("demo", SHOP, [SECRET], inbox)) as opened:
        yield opened


def signed(body: bytes = BODY) -> str:
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    headers = {
        "X-Shopify-Topic": "inventory_levels/update",
        "X-Shopify-Shop-Domain": DOMAIN,
        "X-Shopify-Hmac-Sha256": signature,
        "Content-Length": str(len(body)),
    }
    return POST + "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def exchange(port: int, *parts: bytes, pause: float = 0.0, wait: float = 5.0) -> tuple[bytes, float]:
    """What the server answers to these parts until it closes, and after how many seconds."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        answer = b""
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while received := connection.recv(65536):
                answer += received
    return answer, time.monotonic() - began


def is_well(port: int) -> bool:
    """Whether an honest delivery is taken."""
    answer, _ = exchange(port, f"{signed()}Connection: close\r\n\r\n".encode(), BODY)
    return answer.startswith(b"HTTP/1.1 200")


def test_a_connection_that_sends_nothing_is_closed(port: int) -> None:
    answer, seconds = exchange(port)

    assert answer == b"" and seconds < 3 and is_well(port)


def test_headers_that_come_byte_by_byte_end_the_connection(port: int) -> None:
    slow = [POST.encode(), *[b"X", b"-", b"A", b":", b" ", b"1"] * 5]
    answer, seconds = exchange(port, *slow, pause=0.05)

    assert not answer.startswith(b"HTTP/1.1 200") and seconds < 3 and is_well(port)


def test_a_second_request_may_not_be_slower_than_the_first(port: int) -> None:
    answer, seconds = exchange(port, f"{signed()}\r\n".encode(), BODY, POST.encode(), pause=0.1)

    assert answer.count(b"HTTP/1.1 200") == 1 and seconds < 3


@pytest.mark.parametrize("size", [40_000, 2_000_000])
def test_headers_that_are_too_large_are_refused(port: int, size: int) -> None:
    answer, _ = exchange(port, POST.encode(), b"X-Large: " + b"a" * size, b"\r\n\r\n")

    assert b" 200 " not in answer.partition(b"\r\n")[0] and is_well(port)


def test_headers_that_never_end_are_cut(port: int) -> None:
    lines = [b"X-%d: %s\r\n" % (number, b"a" * 4000) for number in range(200)]
    answer, seconds = exchange(port, POST.encode(), *lines)

    assert b" 200 " not in answer and seconds < 3 and is_well(port)


def test_a_body_that_comes_too_slowly_is_refused_and_its_connection_closed(port: int) -> None:
    drops = [bytes([letter]) for letter in BODY[:6]]
    answer, seconds = exchange(port, f"{signed()}\r\n".encode(), *drops, pause=0.05)

    assert answer.startswith(b"HTTP/1.1 408") and b"connection: close" in answer.lower() and seconds < 5


@pytest.mark.parametrize("length", [receiver.MAX_BODY + 1, 10**12, 10**30])
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(port: int, length: int) -> None:
    head = POST + f"Content-Length: {length}\r\n\r\n"
    answer, seconds = exchange(port, head.encode())

    assert answer.partition(b" ")[2][:3] in (b"413", b"400") and seconds < 3 and is_well(port)


def test_a_body_in_chunks_without_end_is_cut(port: int) -> None:
    head = POST + "Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    answer, _ = exchange(port, head.encode(), *[chunk] * 40)

    assert answer[:12] in (b"HTTP/1.1 413", b"") and is_well(port)


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: -1\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "X\0Y: 1\r\n",
        " folded: 1\r\n",
    ],
)
def test_headers_by_which_requests_are_smuggled_are_refused(port: int, lines: str) -> None:
    smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer, _ = exchange(port, f"{POST}{lines}\r\n0\r\n\r\n{smuggled}".encode())

    assert b'"waiting"' not in answer and is_well(port)


def test_many_connections_that_sleep_keep_honest_ones_out_only_for_a_moment(port: int) -> None:
    sleepers = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    time.sleep(1)

    assert is_well(port)
    assert all(sleeper.recv(1) == b"" for sleeper in sleepers)
    for sleeper in sleepers:
        sleeper.close()


@pytest.mark.parametrize("path", ["/", "/docs", "/../etc/passwd", "/webhooks/%2e%2e/healthz", "/webhooks/shopify/x"])
def test_the_receiver_has_no_other_pages(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", "x")
    connection.endheaders()

    assert connection.getresponse().status == 404


def test_an_upgrade_to_a_websocket_is_no_way_in(port: int) -> None:
    upgrade = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n"

    assert b" 101 " not in exchange(port, upgrade.encode())[0]


def test_a_large_answer_is_not_cut_by_the_guard() -> None:
    page = Starlette(routes=[Route("/", lambda _: PlainTextResponse("a" * 3_000_000))])
    with listening(page) as port:
        answer, _ = exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.endswith(b"a" * 3_000_000)


# -- the report server


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[int]:
    """A folder with a page, beside a file that must not be served; the port."""
    root = tmp_path / "reports"
    (root / "demo").mkdir(parents=True)
    (root / "index.html").write_text("the index")
    (root / "demo" / "run.json").write_text("{}")
    (tmp_path / "invsync.toml").write_text("planted")
    (tmp_path / "reports-of-others").mkdir()
    (tmp_path / "reports-of-others" / "index.html").write_text("planted")
    (root / "link.toml").symlink_to(tmp_path / "invsync.toml")
    (root / "others").symlink_to(tmp_path / "reports-of-others")
    with site.server(root, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def asked(port: int, path: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_on_every_address_it_still_answers_to_this_machines_names_only(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the index")
    with site.server(tmp_path, 0, "0.0.0.0") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers = [asked(server.server_port, "/", host)[0] for host in ("127.0.0.1:8766", "evil.example.com")]
        server.shutdown()

    assert (server.server_address[0], answers) == ("0.0.0.0", [200, 421])


def test_a_report_is_served_with_headers_that_keep_it_to_itself(reports: int) -> None:
    status, body, headers = asked(reports, "/index.html", "localhost:8766")

    assert (status, body) == (200, b"the index")
    assert headers.items() >= site.HEADERS.items() and headers["Server"].strip() == "invsync"


@pytest.mark.parametrize(
    "path",
    [
        "/../invsync.toml",
        "/%2e%2e/invsync.toml",
        "/..%2finvsync.toml",
        "/demo/../../invsync.toml",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..%5cinvsync.toml",
        "/link.toml",
        "/others/",
        "/others/index.html",
        "/../reports-of-others/index.html",
        "/index.html%00.png",
        "/" + "a" * 5000,
        "http://127.0.0.1/../invsync.toml",
    ],
)
def test_no_path_leads_out_of_the_folder(reports: int, path: str) -> None:
    for method in ("GET", "HEAD"):
        status, body, _ = asked(reports, path, method=method)

        assert status in (400, 404, 414) and b"planted" not in body


@pytest.mark.parametrize("path", ["/demo/", "/demo"])
def test_a_folder_is_not_listed(reports: int, path: str) -> None:
    status, body, _ = asked(reports, path)

    assert status in (301, 404) and b"run.json" not in body


@pytest.mark.parametrize(
    "host", ["evil.example.com", "evil.example.com:8766", "", "127.0.0.1.evil.example.com", "[::1"]
)
def test_a_page_elsewhere_cannot_read_reports_by_a_name_of_its_own(reports: int, host: str) -> None:
    status, body, _ = asked(reports, "/index.html", host)

    assert status == 421 and b"the index" not in body


@pytest.mark.parametrize("host", ["localhost", "localhost:8766", "127.0.0.1:1", "[::1]:8766", "LOCALHOST"])
def test_this_machine_is_asked_by_each_of_its_names(reports: int, host: str) -> None:
    assert asked(reports, "/index.html", host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_reports_are_only_read(reports: int, method: str) -> None:
    assert asked(reports, "/index.html", method=method)[0] == 501


def test_a_reader_that_sleeps_is_let_go(reports: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.Guarded, "timeout", 0.5)
    answer, seconds = exchange(reports, b"GET /index.html HTTP/1.1\r\n")

    assert b"the index" not in answer and seconds < 3


# -- what each command may know


class HasStopwatch(dict[str, str]):
    """An environment that notes which variables are asked for by name."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


SECRETS = {"HOOK_SECRET", "ALERT_ADDRESSES", "OTLP_HEADERS", "OTHER_TOKEN", demo.TOKEN_ENV}


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["reports", "build"], set()),
        (["metrics", "dashboard"], set()),
        (["state", "check"], set()),
        (["state", "prune"], set()),
        (["schedule", "export", "--to", "crontab"], set()),
        (["webhooks", "serve", "--shop", "demo"], {"HOOK_SECRET"}),
        (["schedule", "check"], {"ALERT_ADDRESSES"}),
    ],
)
def test_a_command_reads_only_the_secrets_that_it_uses(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, words: list[str], read: set[str]
) -> None:
    watched = _watched(rehearsal, monkeypatch)
    monkeypatch.setattr(serving, "run", lambda *_, **__: None)
    with suppress(SystemExit):
        CliRunner().invoke(app, [*words, *([] if "dashboard" in words else ["--config", str(rehearsal.config)])])

    assert watched.asked & SECRETS == read


def _watched(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> HasStopwatch:
    of_shop(rehearsal.config, 'webhook_secret_env = "HOOK_SECRET"')
    rehearsal.config.write_text(
        '[alerts]\nurl_env = "ALERT_ADDRESSES"\n[telemetry]\notlp_headers_env = "OTLP_HEADERS"\n'
        + rehearsal.config.read_text()
        + '[shops.other]\ndomain = "o.myshopify.com"\ntoken_env = "OTHER_TOKEN"\n[shops.other.oms]\nshop_id = "O"\nurl = "sqlite:///none.db"\n'
    )
    planted = {name: f"planted-{name.lower()}" for name in SECRETS} | {"ALERT_ADDRESSES": "http://127.0.0.1:9/"}
    watched = HasStopwatch({**os.environ, **planted})
    monkeypatch.setattr(os, "environ", watched)
    return watched
