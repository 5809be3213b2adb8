"""The command line's help in a process of its own, beside an import of polars."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import ROOT, Target

HEAVY = ["polars", "altair", "papermill"]
HELP = (
    "import sys; from typer.testing import CliRunner; from invsync.cli import app; "
    "done = CliRunner().invoke(app, ['--help']); assert done.exit_code == 0, done.output; "
    f"assert not {set(HEAVY)!r} & set(sys.modules), sys.modules"
)
TARGETS = [Target("seconds to the help", lambda m: m["invsync --help"].wall, at_most=1)]


def prepare(folder: Path, scale: float) -> None:
    """Nothing."""


def a_process(text: str) -> Callable[[Path], Callable[[], str]]:
    """A fresh interpreter that runs this text."""
    command = [sys.executable, "-c", text]
    return lambda folder: lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


VARIANTS = {"invsync --help": a_process(HELP), "import polars": a_process("import polars")}


def digest(made: str) -> str:
    """What was printed: nothing."""
    return made
