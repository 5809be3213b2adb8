"""The access token: a static one, or one that client credentials fetch and renew before it expires."""

import threading
import time
from collections.abc import Callable, Mapping

import httpx

from invsync import scrub
from invsync.config.settings import ShopSettings, secret, token
from invsync.errors import ShopifyFailed
from invsync.retry import TRIES, Busy, NoAnswer, Sleep
from invsync.shopify import refusals
from invsync.shopify.retry import Patience

MARGIN_SECONDS = 300.0  # before its end, in which a token is renewed


class StaticToken:
    """A token that never changes."""

    def __init__(self, value: str) -> None:
        self._value = value

    def value(self) -> str:
        """The token."""
        return self._value

    def renew(self, rejected: str) -> bool:
        """Whether there is another token than the rejected one: never."""
        return False

    @property
    def hidden(self) -> list[str]:
        """The secrets that no message may repeat."""
        return [self._value]


class ClientCredentials:
    """Fetches tokens with the app's id and secret; all threads share one token."""

    def __init__(
        self,
        http: httpx.Client,
        url: str,
        app: str,
        key: str,
        *,
        sleep: Sleep,
        tries: int = TRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http, self._url, self._app, self._key = http, url, app, key
        self._sleep, self._tries, self._clock = sleep, tries, clock
        self._lock = threading.Lock()
        self._token, self._renew_at = "", 0.0

    def value(self) -> str:
        """The token, fetched anew when the old one is about to expire."""
        with self._lock:
            if not self._token or self._clock() >= self._renew_at:
                self._fetch()
            return self._token

    def renew(self, rejected: str) -> bool:
        """Fetch another token than the rejected one, unless another thread already did; always True."""
        with self._lock:
            if self._token == rejected:
                self._fetch()
            return True

    @property
    def hidden(self) -> list[str]:
        """The secrets that no message may repeat: the token and the app's secret."""
        return [self._token, self._key]

    def _fetch(self) -> None:
        response = Patience(self._sleep, tries=self._tries, about="token request").call(self._request)
        try:
            body = response.json()
            self._token, seconds = str(body["access_token"]), float(body.get("expires_in") or 86_399)
        except (ValueError, KeyError, TypeError):
            raise ShopifyFailed(
                f"Shopify's token endpoint {self._url} answered without access_token: check the endpoint."
            ) from None
        scrub.remember(self._token)
        self._renew_at = self._clock() + seconds - min(MARGIN_SECONDS, seconds / 10)

    def _request(self) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": self._app, "client_secret": self._key}
        response = self._http.post(self._url, data=form)
        if response.status_code == 200:
            return response
        if response.status_code == 429:
            raise Busy("429")
        reply = refusals.reply(response, self.hidden)
        if response.status_code >= 500:
            raise NoAnswer(reply)
        raise ShopifyFailed(
            f"Shopify refused a token for client_id {self._app} ({reply}): "
            "check client_id, the client secret and that the app is installed."
        )


Token = StaticToken | ClientCredentials


def token_of(shop: ShopSettings, http: httpx.Client, secrets: Mapping[str, str], sleep: Sleep, tries: int) -> Token:
    """Return the token of a shop; raise UsageError where a variable is not set."""
    static = token(shop.token_env, secrets)
    if static is not None:
        return StaticToken(static)
    key = secret(shop.client_secret_env, secrets) or ""
    url = f"{shop.base_url}/admin/oauth/access_token"
    return ClientCredentials(http, url, shop.client_id or "", key, sleep=sleep, tries=tries)
