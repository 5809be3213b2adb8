"""`invsync run` without a change beside papermill's start of a kernel for an empty notebook, each as a command.

The job is upload-recent-changes for a shop of 10,000 pairs, with nothing touched since the last run. Both run in an
environment of invsync's dependencies alone; where JupyterLab is installed, as it is for an analyst, there too. CPU is
that of the command and its kernel.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import environments, nochange
from tests.bench.measure import ROOT, Measured, Target

EMPTY, RUN, KERNEL = "papermill, empty", "invsync run", "invsync run, own kernel"
LAB = ", JupyterLab"


def ratio(one: str, other: str, at_most: float) -> Target:
    """A command may cost this many times the CPU of another."""

    def number(medians: dict[str, Measured]) -> float:
        return medians[one].cpu / medians[other].cpu

    return Target(f"{one} / {other}, CPU", number, at_most=at_most)


def prepare(folder: Path, scale: float) -> None:
    """The OMS, an empty notebook, and the lean environment."""
    environments.lean(folder / "lean")
    environments.require_compiled(folder / "lean")
    nochange.prepare(folder, scale)


def command(folder: Path, *words: str, lean: bool) -> str:
    """What a module prints that runs as a command in one of the environments."""
    python = str(folder / "lean" / "bin" / "python") if lean else sys.executable
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, "-m", *words], cwd=folder, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


def empty(*, lean: bool) -> Callable[[Path], Callable[[], str]]:
    """The empty notebook by papermill's command."""

    def prepared(folder: Path) -> Callable[[], str]:
        words = ("papermill", "empty.ipynb", "out.ipynb", "--no-progress-bar")

        def made() -> str:
            command(folder, *words, lean=lean)
            return "done"

        return made

    return prepared


def run(engine: str, *, lean: bool) -> Callable[[Path], Callable[[], str]]:
    """The job by its command, after it has run once before."""

    def prepared(folder: Path) -> Callable[[], str]:
        options = [f"--{name}={value}" for name, value in nochange.shop_of(folder).items()]
        words = ("invsync.cli", "run", "upload-recent-changes", "--json", f"--engine={engine}", *options)

        def made() -> str:
            facts = json.loads(command(folder, *words, lean=lean).splitlines()[-1])
            assert facts["counts"].get("changed", 0) == 0, facts
            return str(facts["status"])

        made()
        return made

    return prepared


VARIANTS = {
    EMPTY: empty(lean=True),
    RUN: run("inprocess", lean=True),
    KERNEL: run("kernel", lean=True),
}
TARGETS = [ratio(RUN, EMPTY, 1.4), ratio(KERNEL, EMPTY, 2.8)]
if environments.has_jupyterlab():
    VARIANTS |= {RUN + LAB: run("inprocess", lean=False), KERNEL + LAB: run("kernel", lean=False)}
    TARGETS += [ratio(RUN + LAB, RUN, 1.2), ratio(KERNEL + LAB, KERNEL, 1.2)]


def digest(made: str) -> str:
    """How it ended."""
    return made
