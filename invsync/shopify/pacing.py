"""Shopify's cost bucket: it delays calls that do not fit yet, and says how many may run at once."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from invsync.retry import Sleep

AT_FIRST = 4  # calls at once while the bucket is not known
MOST_AT_ONCE = 64
ASSUMED_COST = 20.0  # of an operation whose cost is not known: a mutation costs 10, and its selection a little


@dataclass(frozen=True)
class Usage:
    """What calls cost so far: points of Shopify's bucket, and seconds that they waited for it.

    `restore_rate` are the points that Shopify restores in a second, 0 before it has said so.
    """

    points: float = 0.0
    waited_seconds: float = 0.0
    restore_rate: float = 0.0


class Pacer:
    """A ledger of the bucket: calls are charged before they are sent, and Shopify's answers correct it.

    `share` is the part of the bucket that calls may use; the rest is left to other programs.
    """

    def __init__(self, sleep: Sleep, share: float = 1.0) -> None:
        self._sleep, self._share = sleep, share
        self._lock = threading.Lock()
        self._costs: dict[str, float] = {}  # of the last call of each operation, in points
        self._seconds: dict[str, float] = {}  # that it took
        self._open = 0  # calls that were charged and have no answer yet
        self._available, self._maximum, self._rate = float("inf"), float("inf"), 0.0
        self._at = time.monotonic()
        self.usage = Usage()

    @contextmanager
    def call(self, text: str) -> Iterator["Call"]:
        """Wait until the cost last seen for this operation fits in the bucket, and charge it for one call."""
        with self._lock:
            call = Call(self, text, self._cost(text) if self._rate else 0.0)
            seconds = self._short(call.cost)
            self._available -= call.cost
            self._open += 1
            self._use(seconds=seconds)
        try:
            if seconds > 0:
                self._sleep(seconds)
            yield call
        finally:
            with self._lock:
                self._open -= 1

    def at_once(self, text: str) -> int:
        """Return how many calls of this operation may be open: what the bucket holds, or restores during one call."""
        with self._lock:
            if not self._rate:
                return AT_FIRST
            self._restore()
            held = self._open + int(self._free() / self._cost(text))
            restored = ceil(self._rate * self._seconds.get(text, 0.0) / self._cost(text))
            return max(1, min(MOST_AT_ONCE, max(held, restored)))

    def seconds(self, text: str, calls: int) -> float:
        """Return about how long so many calls of this operation take: for what they cost, and for their answers."""
        at_once = self.at_once(text)
        with self._lock:
            short = self._restored(calls * self._cost(text))
            return max(short, self._seconds.get(text, 0.0) * ceil(calls / at_once))

    def postpone(self, seconds: float) -> float:
        """Count the seconds for which Shopify postponed a call, and return them."""
        with self._lock:
            self._use(seconds=seconds)
        return seconds

    def _use(self, points: float = 0.0, seconds: float = 0.0) -> None:
        self.usage = Usage(self.usage.points + points, self.usage.waited_seconds + seconds, self._rate)

    def _restore(self) -> None:
        now = time.monotonic()
        self._available = min(self._maximum, self._available + (now - self._at) * self._rate)
        self._at = now

    def _cost(self, text: str) -> float:
        return self._costs.get(text, ASSUMED_COST)

    def _short(self, cost: float) -> float:
        """The seconds until a call of this cost fits."""
        return self._restored(min(cost, self._maximum * self._share))

    def _restored(self, cost: float) -> float:
        """The seconds until Shopify has given these points, over what calls may use now."""
        if not self._rate:
            return 0.0
        self._restore()
        return max(0.0, (cost - self._free()) / self._rate)

    def _free(self) -> float:
        """The points that calls may use now; below 0 where more is charged than the bucket holds."""
        left = (1 - self._share) * self._maximum if isfinite(self._maximum) else 0.0
        return self._available - left

    def _learn(self, call: "Call", cost: Mapping[str, Any], seconds: float) -> None:
        """Correct the ledger by `extensions.cost` of an answer.

        While other calls are open, Shopify may not have charged them yet: then the lower number counts.
        """
        status = cost.get("throttleStatus") or {}
        actual = float(cost.get("actualQueryCost") or 0)
        with self._lock:
            self._rate = float(status.get("restoreRate") or self._rate)
            self._use(points=actual)
            if not status.get("restoreRate"):
                return
            self._maximum = float(status.get("maximumAvailable") or "inf")
            self._restore()
            shown = float(status.get("currentlyAvailable") or 0)
            kept = self._available + call.cost - actual
            self._available = min(shown, kept) if self._open > 1 else shown
            if actual:
                self._costs[call.text] = float(cost.get("requestedQueryCost") or actual)
                self._seconds[call.text] = seconds


@dataclass(frozen=True)
class Call:
    """One call under way: its operation, and the points that it was charged."""

    pacer: Pacer
    text: str
    cost: float

    def learn(self, body: Mapping[str, Any], seconds: float) -> None:
        """Read the bucket and the operation's cost from an answer, which took so long."""
        self.pacer._learn(self, cost_of(body), seconds)


def cost_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `extensions.cost` of an answer; empty where there is none."""
    extensions = body.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    return cost if isinstance(cost, dict) else {}
