"""A list of the sandbox's shop that acts when something is written to it."""

from collections.abc import Callable
from typing import Any

Trips = Callable[[dict[str, Any], int], bool]


class Tripwire(list[dict[str, Any]]):
    """Acts once, inside the shop's lock and before anybody is answered, on the first row and length that trip it."""

    def __init__(self, trips: Trips, act: Callable[[], None]) -> None:
        super().__init__()
        self._trips, self._act, self._armed = trips, act, True

    def append(self, row: dict[str, Any]) -> None:
        super().append(row)
        if self._armed and self._trips(row, len(self)):
            self._armed = False
            self._act()


def at_length(wanted: int) -> Trips:
    """Trips when the list has this many rows."""
    return lambda row, length: length == wanted
