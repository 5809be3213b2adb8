"""Authorise requests to HotWax's APIs with a token."""

import base64
import json
import threading
import time
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from invsync import scrub, web
from invsync.config.secrets import secret, token
from invsync.errors import OmsFailed
from invsync.inputs import texts
from invsync.oms.rest.connector import RestSettings

TIMEOUT = 60.0
Flow = Generator[httpx.Request, httpx.Response, None]
TokenFlow = Generator[httpx.Request, httpx.Response, str | None]


def connected(oms: RestSettings, environ: Mapping[str, str]) -> httpx.Client:
    """Return a client for the configured APIs that logs in by itself; raises UsageError for a secret that is not set."""
    base = str(oms.url).rstrip("/").removesuffix("/rest/s1")
    password = secret(oms.password_env, environ)
    login = (f"{base}/rest/s1/admin/login", oms.username, password) if oms.username and password else None
    auth = Bearer(token(oms.token_env, environ), login)
    return web.client(base_url=base, auth=auth, timeout=TIMEOUT)


class Bearer(httpx.Auth):
    """A long-lived token, or one from a login that is renewed before it expires."""

    requires_response_body = True

    def __init__(self, token: str | None, login: tuple[str, str, str] | None) -> None:
        self._token, self._login, self._until = token, login, float("inf")
        self._renewing = threading.Lock()

    @property
    def hidden(self) -> list[str]:
        """The token and the password, which no message may repeat."""
        return [self._token or "", self._login[2] if self._login else ""]

    def expiry(self) -> datetime | None:
        """Return when the token expires, by the login or by the token itself (a JWT); None where neither says so."""
        if self._until < float("inf"):
            return datetime.fromtimestamp(self._until, UTC)
        try:
            claims = (self._token or "").split(".")[1]
            payload = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return datetime.fromtimestamp(float(payload["exp"]), UTC)
        except (IndexError, KeyError, TypeError, ValueError, OverflowError):
            return None

    def auth_flow(self, request: httpx.Request) -> Flow:
        """Log in where there is no token or it is about to expire, and once more after a 401."""
        token = yield from self._valid()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and self._login:
            token = yield from self._valid(refused=token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def _valid(self, refused: str | None = None) -> TokenFlow:
        """Return a token that was not refused; of several threads one logs in, and the others wait."""
        with self._renewing:
            if self._token in (None, refused) or self._until < time.time() + 30:
                yield from self._renew()
            return self._token

    def _renew(self) -> Flow:
        if self._login is None:
            return
        address, name, password = self._login
        response = yield httpx.Request("POST", address, json={"username": name, "password": password})
        words = texts.said(response.content, self.hidden)
        said = f"HTTP {response.status_code}{f': {words}' if words else ''}"
        body = _object(response)
        if response.is_server_error or body is None:
            raise httpx.RemoteProtocolError(f"the login was answered with {said}")
        if not response.is_success or not body.get("token"):
            raise OmsFailed(f"HotWax refused the login of {name} ({said}): correct its password.")
        scrub.remember(str(body["token"]))
        self._token, self._until = body["token"], float(body.get("expirationTime") or "inf") / 1000


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """Return a response's JSON object, empty where it has no body; None where it is not JSON."""
    try:
        body = texts.parsed(response.content or b"{}")
    except ValueError:
        return {} if response.is_client_error else None
    return body if isinstance(body, dict) else {}
