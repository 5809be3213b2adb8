"""HTTP clients that use the proxies and certificates that the environment names."""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.request import getproxies

import httpx

from invsync.errors import UsageError

PORTS = {"http": 80, "https": 443}
DEFAULT_SECONDS = 5.0
GATEWAY = (502, 503, 504)  # a server in front of the one that is asked, which does not answer
ENTRY = re.compile(
    r"(?:(?P<scheme>https?|all)://)?(?:\[(?P<address>[^\]]+)\]|(?P<host>[\w.*-]*))(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
BRACKETS = re.compile(r"\[(.+)\](?!:)")
SEPARATORS = re.compile(r"[,;\s\u200b\ufeff]+")


@dataclass(frozen=True)
class Exempt:
    """An entry of NO_PROXY: addresses that are reached without a proxy."""

    scheme: str = "all"
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None
    names: tuple[str, ...] = ()

    def matches(self, url: httpx.URL) -> bool:
        """Whether this address is one of them."""
        if self.scheme not in ("all", url.scheme) or self.port not in (None, url.port or PORTS.get(url.scheme)):
            return False
        if self.network is None:
            hosts = (url.host, url.raw_host.decode())
            return any(fnmatchcase(host, name) for host in hosts for name in self.names)
        with suppress(ValueError):
            return ip_address(url.host) in self.network
        return False


class Routes(httpx.BaseTransport):
    """Sends each request through the proxy of its scheme, or directly where there is none or NO_PROXY names its host."""

    def __init__(self, proxies: dict[str, httpx.Proxy], exempt: list[Exempt]) -> None:
        self._exempt, self._direct = exempt, httpx.HTTPTransport(verify=trusted(), trust_env=False)
        self._proxied = {
            scheme: httpx.HTTPTransport(verify=trusted(), trust_env=False, proxy=proxy)
            for scheme, proxy in proxies.items()
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        exempt = any(entry.matches(request.url) for entry in self._exempt)
        transport = self._direct if exempt else self._proxied.get(request.url.scheme, self._direct)
        return transport.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        for transport in (self._direct, *self._proxied.values()):
            transport.close()


def client(
    transport: httpx.BaseTransport | None = None,
    *,
    base_url: str = "",
    timeout: float | httpx.Timeout = DEFAULT_SECONDS,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
) -> httpx.Client:
    """Return an HTTP client; raise UsageError where a proxy or a certificate of the environment cannot be used."""
    if transport is None:
        exempt, _ = no_proxy()
        transport = Routes(proxies(), exempt)
    return httpx.Client(
        transport=transport, trust_env=False, base_url=base_url, timeout=timeout, headers=headers, auth=auth
    )


def answers(url: str, seconds: float) -> bool:
    """Return whether an address gives a response within about these seconds that is not a gateway's excuse."""
    with client(timeout=seconds) as http:
        try:
            return http.get(url).status_code not in GATEWAY
        except httpx.RequestError:
            return False


def proxies() -> dict[str, httpx.Proxy]:
    """Return the environment's proxy for each of http and https; none where NO_PROXY has a star."""
    known = getproxies()
    if "*" in SEPARATORS.split(known.get("no", "")):
        return {}
    variables = {scheme: "all" if not known.get(scheme) else scheme for scheme in PORTS}
    return {scheme: _proxy(name, known[name]) for scheme, name in variables.items() if known.get(name)}


def no_proxy() -> tuple[list[Exempt], list[str]]:
    """Return the entries of NO_PROXY, and the texts in it that name no host or range of addresses."""
    texts = [text for text in SEPARATORS.split(getproxies().get("no", "")) if text]
    entries = {text: _exempt(text) for text in texts}
    return [entry for entry in entries.values() if entry], [text for text, entry in entries.items() if not entry]


@cache
def trusted() -> ssl.SSLContext:
    """Return the certificates that every client trusts, read once because that takes as long as a short run."""
    variable = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(name)), "")
    try:
        if variable == "SSL_CERT_DIR" and not any(map(os.path.isdir, os.environ[variable].split(os.pathsep))):
            raise NotADirectoryError(20, "Not a directory")
        return httpx.create_ssl_context()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"What {variable or 'certifi'} names cannot be used ({why}): correct or unset it.") from None


def _exempt(text: str) -> Exempt | None:
    """The entry of NO_PROXY that a text means; None where it means none."""
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
    """The patterns of the host names that an entry means: the host and those below it."""
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
    """The name of the variable that gives the proxy of a scheme; of two spellings the lower-case one counts."""
    names = [name for name, value in os.environ.items() if name.lower() == f"{scheme}_proxy" and value]
    return max(names, default=f"The system's {scheme} proxy")
