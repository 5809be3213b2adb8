"""The identity of a process, which distinguishes it from a later process of the same number or one elsewhere."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process by host and pid, for people, and by `machine` and `started`, which are None where unknown."""

    host: str
    pid: int
    machine: str | None
    started: str | None


def this() -> Process:
    """Return the current process."""
    return Process(socket.gethostname(), os.getpid(), machine(), started(os.getpid()))


def machine() -> str | None:
    """Return the id of this machine's boot and of the namespace of its process numbers; None where unknown."""
    with suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    return None


def started(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None where it has ended or the system does not say."""
    with suppress(OSError, IndexError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    return None


def has_ended(process: Process) -> bool:
    """Whether the process has certainly ended: it ran on this machine, and its number is free or another's."""
    return process.machine is not None and process.machine == machine() and started(process.pid) != process.started
