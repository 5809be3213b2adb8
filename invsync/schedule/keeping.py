"""Which shops a scheduler keeps: it holds a lease for each."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from invsync.config import settings
from invsync.errors import UsageError
from invsync.state import State


def lease_name(shop: str) -> str:
    """Return the name of the lease by which a scheduler keeps a shop."""
    return f"{shop} scheduler"


def unkept(config: Path, shops: Sequence[str]) -> list[str]:
    """Return those of these shops, or of all, that no scheduler keeps: none runs, or it has been silent for a minute.

    Raises UsageError where the configuration has no such shop, or none at all.
    """
    configured = settings.load(config)
    names = [name for name in shops or configured.shops if configured.shop(name)]
    if not names:
        raise UsageError("The configuration names no shop: add one as [shops.acme].")
    with closing(State(configured.state.url)) as state:
        return [name for name in names if state.holder(lease_name(name)) is None]
