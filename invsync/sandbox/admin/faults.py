"""Faults on purpose: each fires a number of times on the requests that it matches.

A GraphQL request is matched by its document, an upload by `/_upload`, a result file by `/_results/…`.
"""

from dataclasses import dataclass, field
from typing import Required, TypedDict

KINDS = (
    "error_before",  # HTTP 502, nothing executed
    "error_after",  # executed, then HTTP 502
    "cut_before",  # connection closed without an answer, nothing executed
    "cut_after",  # executed, then the connection is closed without an answer
    "throttle",  # HTTP 200 with THROTTLED, nothing executed
    "throttle_429",  # the same as HTTP 429 with Retry-After
    "garbage",  # executed, then HTTP 200 with a page that repeats the token, as a proxy's may
    "concurrent",  # IDEMPOTENCY_CONCURRENT_REQUEST, nothing executed
    "key_forgotten",  # the idempotency key of an adjustment is forgotten, as after 24 hours
    "bulk_stuck",  # a bulk operation that executes half and then stands still in RUNNING
    "bulk_partial",  # a bulk operation that FAILS half-way; its last executed line is not answered
    "garbage_line",  # one result line of a bulk operation is cut in the middle
)


@dataclass
class Fault:
    """One kind of fault, how often it still fires, and the text that a request must contain."""

    kind: str
    times: int
    match: str = ""


class FaultSpec(TypedDict, total=False):
    """A fault as JSON."""

    kind: Required[str]
    times: int
    match: str


@dataclass
class Faults:
    """The faults that are armed."""

    armed: list[Fault] = field(default_factory=list)

    def arm(self, kind: str, times: int = 1, match: str = "") -> None:
        """Arm a fault for the next `times` requests whose text contains `match`.

        Raises a ValueError for an unknown kind.
        """
        if kind not in KINDS:
            raise ValueError(f"Fault {kind!r} is unknown: use one of {', '.join(KINDS)}.")
        self.armed.append(Fault(kind, times, match))

    def arm_all(self, body: FaultSpec | list[FaultSpec]) -> None:
        """Arm one fault, or a list of them, from JSON."""
        for fault in body if isinstance(body, list) else [body]:
            self.arm(str(fault["kind"]), int(fault.get("times", 1)), str(fault.get("match", "")))

    def take(self, kind: str, text: str = "") -> bool:
        """Whether a fault of this kind fires on this text; it then fires once less."""
        for fault in self.armed:
            if fault.kind == kind and fault.times > 0 and fault.match in text:
                fault.times -= 1
                return True
        return False

    def clear(self) -> None:
        """Disarm everything."""
        self.armed.clear()
