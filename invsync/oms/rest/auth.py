"""The token that HotWax's APIs ask for."""

import base64
import json
import threading
import time
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from invsync import web
from invsync.config.secrets import secret, token
from invsync.errors import OmsFailed
from invsync.inputs import texts
from invsync.oms.rest.connector import RestSettings

TIMEOUT = 60.0
Flow = Generator[httpx.Request, httpx.Response, None]
Found = Generator[httpx.Request, httpx.Response, str | None]


def connected(oms: RestSettings, environ: Mapping[str, str]) -> httpx.Client:
    """A client of the configured APIs that logs in by itself; a secret that is not set is a usage error."""
    base = str(oms.url).rstrip("/").removesuffix("/rest/s1")
    password = secret(oms.password_env, environ)
    login = (f"{base}/rest/s1/admin/login", oms.username, password) if oms.username and password else None
    auth = Bearer(token(oms.token_env, environ), login)
    return web.client(base_url=base, auth=auth, timeout=TIMEOUT)


class Bearer(httpx.Auth):
    """A long-lived token, or one that a login gives and an expiry renews."""

    requires_response_body = True

    def __init__(self, token: str | None, login: tuple[str, str, str] | None) -> None:
        self._token, self._login, self._until = token, login, float("inf")
        self._renewing = threading.Lock()

    @property
    def hidden(self) -> list[str]:
        """What no message may repeat: the token and the password."""
        return [self._token or "", self._login[2] if self._login else ""]

    def expiry(self) -> datetime | None:
        """When the token expires, as the login or the signed token itself (JWT) tells; None where neither does."""
        if self._until < float("inf"):
            return datetime.fromtimestamp(self._until, UTC)
        try:
            claims = (self._token or "").split(".")[1]
            told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return datetime.fromtimestamp(float(told["exp"]), UTC)
        except (IndexError, KeyError, TypeError, ValueError, OverflowError):
            return None

    def auth_flow(self, request: httpx.Request) -> Flow:
        """Log in first where there is no token yet or it is about to expire; once more after a 401."""
        token = yield from self._valid()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and self._login:
            token = yield from self._valid(refused=token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def _valid(self, refused: str | None = None) -> Found:
        """A token that was not refused yet: of several requests one logs in, the others wait for it."""
        with self._renewing:
            if self._token in (None, refused) or self._until < time.time() + 30:
                yield from self._renew()
            return self._token

    def _renew(self) -> Flow:
        if self._login is None:
            return
        address, name, password = self._login
        answer = yield httpx.Request("POST", address, json={"username": name, "password": password})
        words = texts.said(answer.content, self.hidden)
        said = f"HTTP {answer.status_code}{f': {words}' if words else ''}"
        body = _object(answer)
        if answer.is_server_error or body is None:
            raise httpx.RemoteProtocolError(f"the login was answered with {said}")
        if not answer.is_success or not body.get("token"):
            raise OmsFailed(f"HotWax refused the login of {name} ({said}): correct its password.")
        self._token, self._until = body["token"], float(body.get("expirationTime") or "inf") / 1000


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of an answer, an empty one for an answer without a body; None where it is a page."""
    try:
        body = texts.parsed(answer.content or b"{}")
    except ValueError:
        return {} if answer.is_client_error else None
    return body if isinstance(body, dict) else {}
