"""Bulk operations: each poll moves one on by some lines, and a fault may stop it or spoil its result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from invsync.sandbox.admin.search import Fields, Node, gid, stamp

BUSY = ("CREATED", "RUNNING", "CANCELING")


class Host(Protocol):
    """The shop that runs an operation, as far as the operation needs it."""

    results: dict[str, bytes]
    bulk_lines_per_poll: int

    @property
    def clock(self) -> Callable[[], datetime]:
        """The shop's own time."""

    def emit(self, topic: str, *ids: int) -> None:
        """Record an event for the subscribers of its topic."""


@dataclass
class Operation:
    """One bulk operation: lines that still wait, lines answered, and the faults that it was started with."""

    shop: Host
    number: int
    kind: str
    query: str
    base_url: str
    waiting: list[Callable[[], str]]
    created_at: datetime
    stuck: bool = False
    partial: bool = False
    garbage: bool = False
    status: str = "CREATED"
    error: str | None = None
    done: list[str] = field(default_factory=list)
    completed_at: datetime | None = None
    address: str | None = None
    counted: int = 0

    def fields(self) -> Fields:
        """What the search may filter on."""
        return {
            "id": self.number,
            "status": self.status.lower(),
            "operation_type": self.kind.lower(),
            "created_at": self.created_at,
        }

    def poll(self) -> Node:
        """Execute the next `bulk_lines_per_poll` lines and return the operation."""
        if self.status == "CANCELING":
            self._finish("CANCELED", publish=False)
        elif self.status in BUSY:
            self.status = "RUNNING"
            self._advance()
        return self.answer()

    def answer(self) -> Node:
        """The operation as it stands."""
        body = self.shop.results.get(str(self.number))
        return {
            "__typename": "BulkOperation",
            "id": gid("BulkOperation", self.number),
            "type": self.kind,
            "status": self.status,
            "errorCode": self.error,
            "query": self.query,
            "createdAt": stamp(self.created_at),
            "completedAt": stamp(self.completed_at),
            "objectCount": str(self.counted),
            "rootObjectCount": str(self.counted),
            "fileSize": str(len(body)) if body is not None else None,
            "url": self.address if self.status == "COMPLETED" else None,
            "partialDataUrl": self.address if self.status == "FAILED" else None,
        }

    def cancel(self) -> None:
        """Start to cancel the operation; lines already executed stay executed."""
        if self.status in BUSY:
            self.status = "CANCELING"

    def _advance(self) -> None:
        halfway = len(self.waiting) // 2 + len(self.waiting) % 2
        if self.stuck:
            self._execute(halfway if not self.done else 0)
        elif self.partial:
            self._execute(halfway)
            self.done = self.done[:-1] if len(self.done) > 1 else self.done
            self.error = "INTERNAL_SERVER_ERROR"
            self._finish("FAILED")
        else:
            self._execute(self.shop.bulk_lines_per_poll)
            self.counted = len(self.done)
            if not self.waiting:
                self._finish("COMPLETED")

    def _execute(self, count: int) -> None:
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        self.done += [line() for line in batch]

    def _finish(self, status: str, publish: bool = True) -> None:
        self.status, self.completed_at, self.counted = status, self.shop.clock(), len(self.done)
        if self.garbage and self.done:
            self.done[0] = self.done[0][: len(self.done[0]) // 2]
        if publish and self.done:
            self.shop.results[str(self.number)] = "".join(f"{line}\n" for line in self.done).encode()
            self.address = f"{self.base_url}/_results/{self.number}.jsonl"
        self.shop.emit("BULK_OPERATIONS_FINISH", self.number)
