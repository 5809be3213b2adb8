"""What a run takes from its environment beside its secrets: the proxy, the certificates, the pager, the collector."""

import os
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import httpx

from invsync import telemetry, web
from invsync.alerts.channels import apprise
from invsync.config import settings
from invsync.doctor.findings import Findings, counted
from invsync.errors import UsageError

GROUP = "configuration"
MOUNTED = ("/run/secrets/", "/var/run/secrets/")  # by an engine of containers, for one container alone


def environment(findings: Findings, configured: settings.Settings) -> None:
    """Check each part of the environment that a run or the webhook receiver uses."""
    findings.tried(GROUP, "certificates", web.trusted)
    proxy(findings)
    findings.tried(GROUP, "pager", partial(_check_addresses, configured.alerts_of(findings.name).url_env))
    findings.tried(GROUP, "telemetry", partial(_check_telemetry, configured.telemetry))
    findings.tried(GROUP, "webhook secret", partial(settings.secret, findings.shop.webhook_secret_env, os.environ))
    parts = (findings.shop, configured.alerts_of(findings.name), configured.telemetry)
    secret_files(findings, [variable for part in parts for variable in settings.variables(part)])


def secret_files(findings: Findings, variables: Iterable[str]) -> None:
    """Note the variables whose secrets are in files that other users of this machine can read."""
    named = {name: path for name in variables if (path := os.environ.get(f"{name}_FILE", "").strip())}
    loose = [name for name, path in named.items() if _is_open_to_others(Path(path))]
    if loose:
        findings.warn(
            GROUP, "secret files", counted("Secrets in files that other users can read", loose, "run chmod 600 on them")
        )


def _is_open_to_others(path: Path) -> bool:
    """Whether the group or others may read or write a file; False where it cannot be looked at."""
    if os.name != "posix" or str(path.absolute()).startswith(MOUNTED):
        return False
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


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


def _check_addresses(variable: str | None) -> None:
    """Raise UsageError where the secret of this variable holds an address that no alert can be sent to."""
    for address in (settings.secret(variable, os.environ) or "").split():
        if "://" not in address or (_is_of_the_web(address) and not _has_host(address)):
            raise UsageError(f"Secret {variable} holds no web address, so no alert can be sent: correct it.")
        if not _is_of_the_web(address):
            apprise.check(address)


def _check_telemetry(to: settings.TelemetrySettings) -> None:
    """Raise UsageError where traces and metrics could not be sent: a library or the secret of the headers is missing."""
    if to.otlp_endpoint:
        telemetry.exporter()
        settings.secret(to.otlp_headers_env, os.environ)


def _is_of_the_web(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _has_host(text: str) -> bool:
    try:
        return bool(httpx.URL(text).host)
    except httpx.InvalidURL:
        return False
