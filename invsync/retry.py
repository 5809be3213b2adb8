"""Repeat a call to another system until it is answered, within limits.

A call that got no answer is tried a few times. A call that the system asks to postpone is repeated within a time
budget, however often. An attempt says which of the two it met by raising `NoAnswer` or `Busy`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from invsync.errors import SystemFailed

Sleep = Callable[[float], None]
Answer = TypeVar("Answer")
TRIES = 6
LONGEST_BACKOFF = 30.0  # seconds


class NoAnswer(Exception):
    """An attempt ended without a final answer; the text says how."""


class Busy(Exception):
    """The system asks to wait, for `seconds` where it says how long."""

    def __init__(self, what: str, seconds: float | None = None) -> None:
        super().__init__(what)
        self.seconds = seconds


def backoff(tries: int) -> float:
    """Seconds to wait after this many failed tries: exponential, with jitter."""
    return float(min(LONGEST_BACKOFF, 0.5 * 2**tries) * random.uniform(0.5, 1.0))


@dataclass
class Patience:
    """What one call may still wait for: `tries` without an answer, `budget` seconds while the system is busy.

    `failure` is raised when either is used up; its sentence names the system and, where given, what was asked `about`.
    """

    system: str
    failure: type[SystemFailed]
    sleep: Sleep
    tries: int = TRIES
    budget: float = 600.0
    backoff: Callable[[int], float] = backoff
    about: str = ""
    _failed: int = 0
    _postponed: int = 0
    _waited: float = 0.0

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """Return what the attempt returns, repeating it after a wait while it raises NoAnswer, Busy or a request error."""
        while True:
            try:
                return attempt()
            except Busy as error:
                self.after_refusal(str(error), error.seconds)
            except NoAnswer as error:
                self.after_cut(str(error))
            except httpx.RequestError as error:
                self.after_cut(type(error).__name__)

    def after_cut(self, what: str) -> None:
        """Wait before the next try of a call that got no answer; raise `failure` when the tries are used up."""
        self._failed += 1
        if self._failed >= self.tries:
            raise self.failure(
                f"{self.system} gave no answer in {self.tries} tries ({self._on(what)}): run again later."
            ) from None
        self.sleep(self.backoff(self._failed))

    def after_refusal(self, what: str, seconds: float | None = None) -> None:
        """Wait these seconds, or growing ones; raise `failure` when the time budget is used up."""
        self._postponed += 1
        seconds = self.backoff(self._postponed) if seconds is None else seconds
        if self._waited + seconds > self.budget:
            raise self.failure(
                f"{self.system} was busy for {self.budget:.0f} seconds ({self._on(what)}): run again later."
            ) from None
        self._waited += seconds
        self.sleep(seconds)

    def _on(self, what: str) -> str:
        return f"{self.about}: {what}" if self.about else what
