"""What a run takes from its environment beside its secrets: the proxy, the certificates, the pager."""

import os
from collections.abc import Callable

import httpx

from invsync import web
from invsync.config import settings
from invsync.doctor.findings import Findings, counted
from invsync.errors import UsageError

GROUP = "configuration"


def environment(findings: Findings, configured: settings.Settings) -> None:
    """Check each part of the environment that a run or the webhook receiver uses."""
    findings.tried(GROUP, "certificates", web.trusted)
    proxy(findings)
    optional = {"pager": configured.alerts.url_env, "webhook secret": findings.shop.webhook_secret_env}
    for name, variable in optional.items():
        if variable:
            findings.tried(GROUP, name, _reads(variable, is_address=name == "pager"))


def proxy(findings: Findings) -> None:
    """Note which proxies requests go through, and entries of NO_PROXY that name no host."""
    used = findings.tried(GROUP, "proxy", web.proxies)
    if used:
        named = ", ".join(f"{scheme} by {proxy.url.host}" for scheme, proxy in used.items())
        findings.ok(GROUP, "proxy", f"Requests go through a proxy: {named}, except to what NO_PROXY names.")
    _, unread = web.no_proxy()
    if unread:
        findings.warn(
            GROUP, "proxy", counted("Entries of NO_PROXY that name no host", unread, "correct or remove them")
        )


def _reads(variable: str, *, is_address: bool) -> Callable[[], str | None]:
    def read() -> str | None:
        value = settings.secret(variable, os.environ)
        if is_address and not _is_address(value or ""):
            raise UsageError(f"Secret {variable} holds no web address, so no alert can be sent: correct it.")
        return value

    return read


def _is_address(text: str) -> bool:
    try:
        address = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return address.scheme in ("http", "https") and bool(address.host)
