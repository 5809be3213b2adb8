"""The checks of one shop, as they are made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from invsync.config.settings import ShopSettings
from invsync.errors import InvsyncError
from invsync.oms.checks import Answer as Answer
from invsync.oms.checks import Status as Status
from invsync.oms.checks import counted as counted
from invsync.oms.checks import some as some

GROUPS = ("configuration", "Shopify", "HotWax", "mapping", "items", "questions")
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One check: its group and name, its status, and a sentence about it."""

    group: str
    name: str
    status: Status
    message: str


@dataclass
class Findings:
    """The checks of one shop, in the order in which they were made."""

    name: str
    shop: ShopSettings
    now: datetime
    checks: list[Check] = field(default_factory=list)

    def ok(self, group: str, name: str, message: str) -> None:
        """Note that something is right."""
        self.checks.append(Check(group, name, "ok", message))

    def warn(self, group: str, name: str, message: str) -> None:
        """Note something that a person should know, though runs work."""
        self.checks.append(Check(group, name, "warning", message))

    def fault(self, group: str, name: str, message: str) -> None:
        """Note something that keeps a run, or a pair, from being right."""
        self.checks.append(Check(group, name, "fault", message))

    def note(self, group: str, name: str, answer: Answer) -> None:
        """Note an answer with its own status."""
        self.checks.append(Check(group, name, *answer))

    def tried(self, group: str, name: str, read: Callable[[], T]) -> T | None:
        """Return the result of a read; None, and a fault noted, where it raises."""
        try:
            return read()
        except InvsyncError as error:
            self.fault(group, name, str(error))
            return None
