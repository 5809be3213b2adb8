"""Webhooks: a receiver that records what Shopify and the OMS name, for the next run to read again."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from invsync import serving
from invsync.config import settings
from invsync.errors import UsageError
from invsync.inbox import Inbox
from invsync.shopify import subscriptions
from invsync.shopify.client import Client
from invsync.state import State
from invsync.webhooks.receiver import create_app

__all__ = ["create_app", "register", "secrets", "serve"]


def serve(config: Path, name: str, *, host: str, port: int) -> None:
    """Receive the deliveries of one shop until SIGTERM; those under way are answered first."""
    configured = settings.load(config)
    shop = configured.shop(name)
    signing, inbox = secrets(name, shop, os.environ), Inbox(State(configured.state.url).engine)
    inbox.open()
    serving.run(create_app(name, shop, signing, inbox), host=host, port=port)


def register(config: Path, name: str, *, check_only: bool = False) -> list[subscriptions.Subscription]:
    """Create the subscriptions that a shop lacks and repair those that were changed; return every one.

    With `check_only`, nothing is changed. Raises UsageError where the shop has no address for webhooks.
    """
    shop = settings.load(config).shop(name)
    if shop.webhook_url is None:
        raise UsageError(f"Shop {name} names no address for webhooks: set webhook_url in [shops.{name}].")
    values = settings.by_variable(shop.api_variables, os.environ)
    with closing(Client.open(shop, secrets=values, read_only=check_only)) as client:
        ask = subscriptions.subscriptions if check_only else subscriptions.register
        return ask(client, shop.webhook_url)


def secrets(name: str, shop: settings.ShopSettings, environ: Mapping[str, str]) -> list[str]:
    """Return the secrets that may sign a delivery: the shop's, and that of <variable>_PREVIOUS during a rotation."""
    variable = shop.webhook_secret_env or shop.client_secret_env
    if variable is None:
        raise UsageError(f"Shop {name} names no secret for webhooks: set webhook_secret_env in [shops.{name}].")
    return list(settings.by_variable(settings.rotated(variable, environ), environ).values())
