"""HTTP clients that go by the proxies and certificates of the environment, as far as these can be read."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.request import getproxies

import httpx

from invsync.errors import UsageError

PORTS = {"http": 80, "https": 443}
ENTRY = re.compile(
    r"(?:(?P<scheme>https?|all)://)?(?:\[(?P<address>[^\]]+)\]|(?P<host>[\w.*-]*))(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
BRACKETS = re.compile(r"\[(.+)\](?!:)")
SEPARATORS = re.compile(r"[,;\s\u200b\ufeff]+")


@dataclass(frozen=True)
class Exempt:
    """Addresses that are reached without a proxy: an entry of NO_PROXY."""

    scheme: str = "all"
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None
    names: tuple[str, ...] = ()

    def matches(self, url: httpx.URL) -> bool:
        """Whether this address is among them."""
        if self.scheme not in ("all", url.scheme) or self.port not in (None, url.port or PORTS.get(url.scheme)):
            return False
        if self.network is None:
            hosts = (url.host, url.raw_host.decode())
            return any(fnmatchcase(host, name) for host in hosts for name in self.names)
        with suppress(ValueError):
            return ip_address(url.host) in self.network
        return False


class Routes(httpx.BaseTransport):
    """Each request through the proxy of its scheme, or directly where there is none or NO_PROXY names its host."""

    def __init__(self, proxies: dict[str, httpx.Proxy], exempt: list[Exempt]) -> None:
        self._exempt, self._direct = exempt, httpx.HTTPTransport(verify=trusted(), trust_env=False)
        self._proxied = {
            scheme: httpx.HTTPTransport(verify=trusted(), trust_env=False, proxy=proxy)
            for scheme, proxy in proxies.items()
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on its way."""
        exempt = any(one.matches(request.url) for one in self._exempt)
        way = self._direct if exempt else self._proxied.get(request.url.scheme, self._direct)
        return way.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        for way in (self._direct, *self._proxied.values()):
            way.close()


def client(transport: httpx.BaseTransport | None = None, **options: Any) -> httpx.Client:
    """An HTTP client; a proxy or a certificate of the environment that cannot be used is a usage error."""
    if transport is None:
        exempt, _ = no_proxy()
        transport = Routes(proxies(), exempt)
    return httpx.Client(transport=transport, trust_env=False, **options)


def proxies() -> dict[str, httpx.Proxy]:
    """The environment's proxy for each of http and https; none where NO_PROXY has a star."""
    known = getproxies()
    if "*" in SEPARATORS.split(known.get("no", "")):
        return {}
    variables = {scheme: "all" if not known.get(scheme) else scheme for scheme in PORTS}
    return {scheme: _proxy(name, known[name]) for scheme, name in variables.items() if known.get(name)}


def no_proxy() -> tuple[list[Exempt], list[str]]:
    """The entries of NO_PROXY, and those that name no host or range of addresses."""
    texts = [text for text in SEPARATORS.split(getproxies().get("no", "")) if text]
    read = {text: _exempt(text) for text in texts}
    return [one for one in read.values() if one], [text for text, one in read.items() if not one]


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that every client trusts, read once: it takes as long as a short run."""
    variable = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(name)), "")
    try:
        if variable == "SSL_CERT_DIR" and not any(map(os.path.isdir, os.environ[variable].split(os.pathsep))):
            raise NotADirectoryError(20, "Not a directory")
        return httpx.create_ssl_context()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"What {variable or 'certifi'} names cannot be used ({why}): correct or unset it.") from None


def _exempt(text: str) -> Exempt | None:
    """The addresses that an entry of NO_PROXY means; None where it means none."""
    with suppress(ValueError):
        return Exempt(network=ip_network(BRACKETS.sub(r"\1", text), strict=False))
    entry = ENTRY.fullmatch(text)
    if entry is None or int(entry["port"] or 0) > 65535:
        return None
    scheme, port = (entry["scheme"] or "all").lower(), int(entry["port"]) if entry["port"] else None
    with suppress(ValueError):
        return Exempt(scheme, port, ip_network(entry["address"] or entry["host"], strict=False))
    if entry["address"] or re.fullmatch(r"[\d.]+", entry["host"]):
        return None
    return Exempt(scheme, port, names=tuple(_names(entry["host"].lower().rstrip("."))))


def _names(host: str) -> Iterator[str]:
    """The patterns of the host names that an entry stands for: itself and those below it."""
    yield f"*{host}" if host.startswith(".") else host or "*"
    if host and "*" not in host and not host.startswith("."):
        yield f"*.{host}"


def _proxy(scheme: str, address: str) -> httpx.Proxy:
    address = address.strip()
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        if not proxy.url.host or not 0 < (proxy.url.port or 80) < 65536:
            raise ValueError("no host or no such port")
    except (ValueError, httpx.InvalidURL):
        raise UsageError(
            f"{_variable(scheme)} does not name a proxy that can be used: write it as http://proxy.example.com:3128, "
            "with http, https or socks5 in front."
        ) from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise UsageError(f"{_variable(scheme)} names a SOCKS proxy: install httpx[socks], or name an HTTP proxy.")
    return proxy


def _variable(scheme: str) -> str:
    """The variable that gives the proxy of a scheme; of two spellings the lower one counts."""
    names = [name for name, value in os.environ.items() if name.lower() == f"{scheme}_proxy" and value]
    return max(names, default=f"The system's {scheme} proxy")
