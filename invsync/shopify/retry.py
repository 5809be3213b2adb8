"""How long one call to Shopify is repeated, and how long a throttled one waits."""

from collections.abc import Mapping
from typing import Any

import httpx

from invsync import retry
from invsync.errors import ShopifyFailed
from invsync.retry import TRIES, Sleep, backoff
from invsync.shopify.pacing import cost_of

BUDGET_SECONDS = 600.0


class Unanswered(ShopifyFailed):
    """Shopify gave no final answer, so the outcome of the call is unknown."""


class TooCostly(ShopifyFailed):
    """A query costs more points than one call may; ask for less."""


class Patience(retry.Patience):
    """What one call to Shopify may still wait for; `Unanswered` when that is used up."""

    def __init__(self, sleep: Sleep, *, tries: int = TRIES, about: str = "") -> None:
        super().__init__("Shopify", Unanswered, sleep, tries, BUDGET_SECONDS, backoff, about)


def throttle_seconds(response: httpx.Response, body: Mapping[str, Any]) -> float:
    """Return the seconds until a throttled call fits: by the cost in the answer, else Retry-After, else 1.

    Raises TooCostly where the call can never fit.
    """
    cost = cost_of(body)
    status = cost.get("throttleStatus") or {}
    requested = float(cost.get("requestedQueryCost") or 0)
    if requested and requested > float(status.get("maximumAvailable") or "inf"):
        raise TooCostly(f"One query costs {requested:.0f} points, more than the shop's bucket: ask for less.")
    if status.get("restoreRate") and requested:
        short = requested - float(status.get("currentlyAvailable") or 0)
        return max(short / float(status["restoreRate"]), 0.1)
    try:
        return max(float(response.headers.get("Retry-After", "1")), 0.1)
    except ValueError:
        return 1.0
