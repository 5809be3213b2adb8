"""One variant in a process of its own: `python -m tests.bench.measure SUBJECT VARIANT FOLDER`."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Measured:
    """Seconds of wall and CPU, megabytes above what the process held before and as a whole, and what came out."""

    wall: float
    cpu: float
    peak: float
    whole: float
    digest: str


@dataclass(frozen=True)
class Target:
    """A number made of the medians by variant, and the bound that it must keep; without a bound it is only printed."""

    what: str
    number: Callable[[dict[str, Measured]], float]
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, number: float) -> str:
        """The bound in words, and whether this number keeps it; nothing without a bound."""
        bounds = [("at least", self.at_least), ("at most", self.at_most)]
        words = [f"{side} {bound:g}" for side, bound in bounds if bound is not None]
        return f" ({' and '.join(words)}): {'met' if self.met(number) else 'MISSED'}" if words else ""

    def met(self, ratio: float) -> bool:
        """Whether this number keeps the bound."""
        low, high = self.at_least, self.at_most
        return (low is None or ratio >= low) and (high is None or ratio <= high)


def faster(ours: str, peer: str, at_least: float) -> Target:
    """Ours must be this many times faster than the peer, by the clock on the wall."""
    return Target(f"{peer} / {ours}, wall", lambda m: m[peer].wall / m[ours].wall, at_least=at_least)


def leaner(ours: str, peer: str, at_most: float) -> Target:
    """Ours must peak at no more than this part of the peer's memory."""
    return Target(f"{ours} / {peer}, peak", lambda m: m[ours].peak / m[peer].peak, at_most=at_most)


def beside(ours: str, peer: str) -> list[Target]:
    """How many times the wall and CPU of ours the peer takes, without a bound."""
    return [
        Target(f"{peer} / {ours}, wall", lambda m: m[peer].wall / m[ours].wall),
        Target(f"{peer} / {ours}, CPU", lambda m: m[peer].cpu / m[ours].cpu),
    ]


def measured(subject: str, variant: str, folder: Path) -> Measured:
    """This variant in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.measure", subject, variant, str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def middle(rounds: list[Measured]) -> Measured:
    """The median of each number."""
    names = ("wall", "cpu", "peak", "whole")
    return Measured(*(median(getattr(one, name) for one in rounds) for name in names), digest=rounds[0].digest)


def _memory(name: str) -> float:
    """VmRSS or VmHWM of this process in megabytes."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) / 1000 for row in rows if row.startswith(name))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _here(name: str, variant: str, folder: Path) -> Measured:
    subject: Any = import_module(f"tests.bench.{name}")
    run = subject.VARIANTS[variant](folder)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    base, wall, cpu = _memory("VmRSS"), time.perf_counter(), _cpu()
    made = run()
    wall, cpu, whole = time.perf_counter() - wall, _cpu() - cpu, _memory("VmHWM")
    return Measured(wall, cpu, whole - base, whole, subject.digest(made))


if __name__ == "__main__":
    name, variant, folder = sys.argv[1:]
    print(json.dumps(vars(_here(name, variant, Path(folder)))))
