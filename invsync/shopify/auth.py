"""The access token: a static one, or one fetched by client credentials and renewed before it ends."""

import threading
import time
from collections.abc import Callable, Mapping

import httpx

from invsync.config.settings import ShopSettings, secret, token
from invsync.errors import ShopifyFailed
from invsync.retry import TRIES, Busy, NoAnswer, Sleep
from invsync.shopify import refusals
from invsync.shopify.retry import Patience

MARGIN = 300.0


class StaticToken:
    """A token that never changes."""

    def __init__(self, value: str) -> None:
        self._value = value

    def value(self) -> str:
        """The token."""
        return self._value

    def renew(self, rejected: str) -> bool:
        """Whether another token than the rejected one can be had: never."""
        return False

    @property
    def hidden(self) -> list[str]:
        """What no message may repeat."""
        return [self._value]


class ClientCredentials:
    """Tokens fetched with the app's id and secret; one is shared by all threads."""

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
        self._token, self._ends = "", 0.0

    def value(self) -> str:
        """The token, fetched anew when the old one is about to end."""
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._fetch()
            return self._token

    def renew(self, rejected: str) -> bool:
        """Fetch another token than the rejected one, unless another thread already did."""
        with self._lock:
            if self._token == rejected:
                self._fetch()
            return True

    @property
    def hidden(self) -> list[str]:
        """What no message may repeat: the token and the app's secret."""
        return [self._token, self._key]

    def _fetch(self) -> None:
        response = Patience(self._sleep, tries=self._tries, about="token request").call(self._request)
        try:
            body = response.json()
            self._token, life = str(body["access_token"]), float(body.get("expires_in") or 86_399)
        except (ValueError, KeyError, TypeError):
            raise ShopifyFailed(
                f"Shopify's token endpoint {self._url} answered without access_token: check the endpoint."
            ) from None
        self._ends = self._clock() + life - min(MARGIN, life / 10)

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
    """The shop's way in; an unset variable is a usage error."""
    static = token(shop.token_env, secrets)
    if static is not None:
        return StaticToken(static)
    key = secret(shop.client_secret_env, secrets) or ""
    url = f"{shop.base_url}/admin/oauth/access_token"
    return ClientCredentials(http, url, shop.client_id or "", key, sleep=sleep, tries=tries)
