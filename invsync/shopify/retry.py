"""Shopify's limits: how long one call is repeated, and how the cost bucket paces calls."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from invsync import retry
from invsync.errors import ShopifyFailed
from invsync.retry import TRIES, Sleep, backoff

BUDGET_SECONDS = 600.0


class Unanswered(ShopifyFailed):
    """Shopify gave no final answer, so the outcome of the call is unknown."""


class TooCostly(ShopifyFailed):
    """A query costs more points than one call may; ask for less."""


class Patience(retry.Patience):
    """What one call to Shopify may still wait for; `Unanswered` when that is used up."""

    def __init__(self, sleep: Sleep, *, tries: int = TRIES, about: str = "") -> None:
        super().__init__("Shopify", Unanswered, sleep, tries, BUDGET_SECONDS, backoff, about)


@dataclass(frozen=True)
class Usage:
    """What calls cost so far: points of Shopify's bucket, and seconds that they waited for it."""

    points: float = 0.0
    waited_seconds: float = 0.0


class Pacer:
    """Shopify's cost bucket, as its last answer described it; delays a call whose cost does not fit yet."""

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._lock = threading.Lock()
        self._costs: dict[str, float] = {}
        self._available, self._maximum, self._rate = float("inf"), float("inf"), 0.0
        self._at = time.monotonic()
        self.usage = Usage()

    def wait(self, text: str) -> None:
        """Wait until the cost last seen for this operation fits in the bucket, and reserve it."""
        with self._lock:
            cost = self._costs.get(text, 0.0)
            seconds = self._short(cost)
            self._available -= cost
            self._use(seconds=seconds)
        if seconds > 0:
            self._sleep(seconds)

    def postpone(self, seconds: float) -> float:
        """Count the seconds for which Shopify postponed a call, and return them."""
        with self._lock:
            self._use(seconds=seconds)
        return seconds

    def _use(self, points: float = 0.0, seconds: float = 0.0) -> None:
        self.usage = Usage(self.usage.points + points, self.usage.waited_seconds + seconds)

    def _short(self, cost: float) -> float:
        if not self._rate:
            return 0.0
        now = time.monotonic()
        self._available = min(self._maximum, self._available + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(cost, self._maximum) - self._available) / self._rate)

    def learn(self, text: str, body: Mapping[str, Any]) -> None:
        """Read the bucket and the operation's cost from `extensions.cost` of an answer."""
        cost = _cost(body)
        status = cost.get("throttleStatus") or {}
        with self._lock:
            self._use(points=float(cost.get("actualQueryCost") or 0))
        if not status.get("restoreRate"):
            return
        with self._lock:
            self._rate = float(status["restoreRate"])
            self._available = float(status.get("currentlyAvailable") or 0)
            self._maximum = float(status.get("maximumAvailable") or "inf")
            self._at = time.monotonic()
            self._costs[text] = float(cost.get("requestedQueryCost") or 0)


def throttle_seconds(response: httpx.Response, body: Mapping[str, Any]) -> float:
    """Return the seconds until a throttled call fits: by the cost in the answer, else Retry-After, else 1.

    Raises TooCostly where the call can never fit.
    """
    cost = _cost(body)
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


def _cost(body: Mapping[str, Any]) -> dict[str, Any]:
    extensions = body.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    return cost if isinstance(cost, dict) else {}
