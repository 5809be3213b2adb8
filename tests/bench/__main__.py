"""Measure the subjects named, or all; print the table; exit 1 for a missed target, 2 for packages that are not compiled."""

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench import SUBJECTS, environments
from tests.bench.measure import Measured, measured, middle


def rounds(name: str, folder: Path, count: int) -> dict[str, list[Measured]]:
    """Each variant so many times, one after another in turn; what they made must agree, but for the limits."""
    subject: Any = import_module(f"tests.bench.{name}")
    by_variant: dict[str, list[Measured]] = {variant: [] for variant in subject.VARIANTS}
    for _ in range(count):
        for variant, those in by_variant.items():
            those.append(measured(name, variant, folder))
    limits = getattr(subject, "LIMITS", [])
    made = {variant: {one.digest for one in those} for variant, those in by_variant.items() if variant not in limits}
    if len(set.union(*made.values())) > 1:
        sys.exit(f"The variants of {name} disagree: {made}.")
    return by_variant


def report(name: str, by_variant: dict[str, list[Measured]]) -> bool:
    """Print what was measured and the targets; whether all are met."""
    subject: Any = import_module(f"tests.bench.{name}")
    medians = {variant: middle(those) for variant, those in by_variant.items()}
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"\n{name}: {subject.__doc__.splitlines()[0]} ({load})")
    print(f"  {'variant':<28}{'wall':>10}{'fastest':>10}{'slowest':>10}{'CPU':>10}{'peak above base':>18}{'whole':>12}")
    for variant, one in medians.items():
        walls = [each.wall for each in by_variant[variant]]
        print(
            f"  {variant:<28}"
            + "".join(f"{seconds:>8.3f} s" for seconds in (one.wall, min(walls), max(walls), one.cpu))
            + (f"{one.peak:>15.0f} MB" if one.peak >= 0.05 else f"{'-':>18}")
            + f"{one.whole:>9.0f} MB"
        )
    whole = True
    for target in subject.TARGETS:
        number = target.number(medians)
        whole &= target.met(number)
        print(f"  {target.what}: {number:.3g}{target.verdict(number)}")
    return whole


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("names", nargs="*", metavar="SUBJECT", help=f"any of {', '.join(SUBJECTS)}; all by default")
    options.add_argument("--scale", type=float, default=1.0, help="the size of each subject, 1 for the full one")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as in any installation
    environments.require_compiled(Path(sys.prefix))
    whole = True
    for name in given.names or SUBJECTS:
        if name not in SUBJECTS:
            options.error(f"subject {name!r} is unknown: choose from {', '.join(SUBJECTS)}")
        with tempfile.TemporaryDirectory(prefix="invsync-bench-") as folder:
            import_module(f"tests.bench.{name}").prepare(Path(folder), given.scale)
            whole &= report(name, rounds(name, Path(folder), given.rounds))
            sys.stdout.flush()
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
