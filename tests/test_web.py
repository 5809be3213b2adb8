"""HTTP clients use the proxies and certificates that the environment names, and refuse those that cannot be used."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from invsync import web
from invsync.errors import UsageError

VARIABLES = [f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")]
CERTIFICATES = ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"]


class Answer(BaseHTTPRequestHandler):
    """Says which target was asked of it: a whole address where it is asked as a proxy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that names no proxy and no certificate, and certificates that are read anew."""
    for name in [*VARIABLES, *CERTIFICATES]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    web.trusted.cache_clear()
    yield
    web.trusted.cache_clear()


@pytest.fixture
def server() -> Iterator[str]:
    """A server on loopback that serves as proxy and as target."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.mark.parametrize(
    "entry", ["", "fd07:b51a:cc66:f0::/64", "[::1]", "<local>", "10.0.0.0/8", "shop.example:81", ".test"]
)
def test_a_request_goes_through_the_proxy_unless_its_host_is_exempt(
    entry: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f" http://{server}\n")
    monkeypatch.setenv("NO_PROXY", entry)

    with web.client() as http:
        assert http.get("http://shop.example/a").text == "http://shop.example/a"


@pytest.mark.parametrize(
    "entry", ["127.0.0.1", "127.0.0.0/8", "[::1], 127.*", "*", "<local>;127.0.0.1", "http://127.0.0.1"]
)
def test_an_exempt_host_is_reached_directly(entry: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", entry)

    with web.client() as http:
        assert http.get(f"http://{server}/a").text == "/a"


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("example.com", "https://shop.example.com", "https://badexample.com"),
        ("example.com", "https://example.com", "https://example.com.net"),
        (".example.com", "https://shop.example.com", "https://example.com"),
        ("*.example.com", "https://shop.example.com", "https://example.com"),
        ("example.com:8443", "https://example.com:8443", "https://example.com"),
        ("example.com:443", "https://example.com", "http://example.com"),
        ("http://example.com", "http://example.com", "https://example.com"),
        ("fd07::/16", "https://[fd07:1::2]", "https://[fd08::2]"),
        ("[fd07::]/16", "https://[fd07:1::2]", "https://[fd08::2]"),
        ("[::1]:8080", "http://[::1]:8080", "http://[::1]"),
        ("192.168.7.9/16", "https://192.168.1.1", "https://192.169.1.1"),
        ("b\u00fccher.example", "https://b\u00fccher.example", "https://bucher.example"),
    ],
)
def test_an_entry_means_what_curl_and_go_read_in_it(
    entry: str, inside: str, outside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", entry)
    [[exempt], unread] = web.no_proxy()

    assert exempt.matches(httpx.URL(inside)) and not exempt.matches(httpx.URL(outside))
    assert unread == []


@pytest.mark.parametrize("entry", ["<local>", "[::1", "10.", "10.0.0.0/99", "a/b", "a:99999", "http://[", "\u2603!"])
def test_an_entry_that_names_no_host_is_listed_as_unread(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", f"localhost, {entry}")

    exempt, unread = web.no_proxy()

    assert (len(exempt), unread) == (1, [entry])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "address", ["ftp://user:secret-word@proxy", "http://", "http://[::1", "socks://a:1", "proxy:99999"]
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(UsageError, match=f"^{variable} does not name a proxy") as refusal:
        web.client()

    assert "secret-word" not in str(refusal.value)


def test_a_socks_proxy_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")

    with pytest.raises(UsageError, match=r"^all_proxy names a SOCKS proxy: install httpx\[socks\]"):
        web.client()


def test_all_proxy_is_not_read_where_both_schemes_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"http_proxy": "http://a:1", "https_proxy": "http://a:1", "all_proxy": "socks://a:1"}.items():
        monkeypatch.setenv(name, value)

    web.client().close()


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_certificates_that_cannot_be_read_are_named_by_their_variable(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "none" / "none.pem"))

    with pytest.raises(UsageError, match=f"^What {variable} names cannot be used"):
        web.client()
