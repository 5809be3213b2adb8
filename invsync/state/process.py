"""Which process this is, on which machine: told apart from another one that has its number later, or elsewhere."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """Host and pid for people; `machine` (boot and pid namespace) and `started` for certainty, None where unknown."""

    host: str
    pid: int
    machine: str | None
    started: str | None


def this() -> Process:
    """The process that asks."""
    return Process(socket.gethostname(), os.getpid(), machine(), started(os.getpid()))


def machine() -> str | None:
    """The boot of this machine and the namespace in which its process numbers count."""
    with suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    return None


def started(pid: int) -> str | None:
    """When this process began, in ticks since the boot; None where it is gone or the system does not say."""
    with suppress(OSError, IndexError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    return None


def is_gone(held: Process) -> bool:
    """Whether the holder certainly ended: it ran on this machine, and no process here is it."""
    return held.machine is not None and held.machine == machine() and started(held.pid) != held.started
