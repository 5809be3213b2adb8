"""Measure a scheduler from outside: its processes' memory and time, and when each run of a shop began."""

import os
import re
import statistics
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from invsync.schedule.table import Entry

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


def _stat(pid: int) -> list[str] | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None


def descendants(pid: int) -> list[int]:
    """The processes that this one started, at any depth."""
    parents = {int(name): stat for name in os.listdir("/proc") if name.isdigit() and (stat := _stat(int(name)))}
    tree = [pid]
    for parent in tree:
        tree += [child for child, stat in parents.items() if int(stat[1]) == parent]
    return tree[1:]


def workers(pid: int) -> list[int]:
    """The processes of a scheduler that run jobs, the busiest first."""
    running = []
    for child in descendants(pid):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                stat = _stat(child)
                running.append((int(stat[11]) + int(stat[12]) if stat else 0, child))
    return [child for _, child in sorted(running, reverse=True)]


@dataclass
class Watch:
    """What the trees of the schedulers took: resident bytes and processes at most, and CPU seconds by process."""

    pid: int = 0
    most_bytes: int = 0
    most_processes: int = 0
    seconds: dict[tuple[int, str], float] = field(default_factory=dict)
    of_parent: dict[tuple[int, str], float] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Look every second while the block lasts."""
        ended = threading.Event()

        def look_until_ended() -> None:
            while not ended.wait(1):
                self.look()

        thread = threading.Thread(target=look_until_ended, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def look(self) -> None:
        """Note what the tree holds and has used now."""
        resident, pid = 0, self.pid
        tree = [pid, *descendants(pid)] if pid else []
        for one in tree:
            if (stat := _stat(one)) is not None:
                resident += int(stat[21]) * PAGE
                used = (int(stat[11]) + int(stat[12])) / TICKS
                self.seconds[one, stat[19]] = used
                if one == pid:
                    self.of_parent[one, stat[19]] = used
        self.most_bytes, self.most_processes = max(self.most_bytes, resident), max(self.most_processes, len(tree))


def begun(run_id: str) -> datetime:
    """When a run began, to a fraction of a second."""
    second = datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return second + timedelta(seconds=int(run_id[-4:], 16) / 0x10000)


def starts(reports: Path, shop: str, job: str) -> list[datetime]:
    """When the runs of a job began, by the folders that they left."""
    folders = (reports / shop / job).glob("*")
    return sorted(begun(folder.name) for folder in folders if RUN_ID.fullmatch(folder.name))


def lateness(entry: Entry, begins: list[datetime], since: datetime, until: datetime) -> list[tuple[datetime, float]]:
    """Of each time that a job was due in this span: the time, and the seconds until a run began."""
    late, due = [], entry.after(since)
    while due < until:
        first = next((at for at in begins if at >= due), until)
        late.append((due, (first - due).total_seconds()))
        due = entry.after(due)
    return late


def spread(seconds: Iterable[float]) -> str:
    """Median, 95th percentile and maximum."""
    ordered = sorted(seconds)
    if not ordered:
        return f"{'-':>7} {'-':>7} {'-':>7}"
    return f"{statistics.median(ordered):7.1f} {ordered[int(len(ordered) * 0.95)]:7.1f} {ordered[-1]:7.1f}"
