"""The version, and completion in a shell: commands, options and jobs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invsync import __version__
from invsync.cli import app
from invsync.vocabulary import JOBS

PROGRAM = Path(sys.executable).with_name("invsync")
IN_BASH = """
source <({program} completion bash)
COMP_WORDS=({words}) COMP_CWORD={word}
_invsync_completion {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
IN_ZSH = "autoload -U compinit && compinit -D; source <({program} completion zsh); whence -w _invsync_completion"
IN_FISH = '{program} completion fish | source; complete --do-complete "invsync sched"'


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"invsync {__version__}\n"


def in_shell(shell: str, text: str) -> list[str]:
    """The lines that a shell prints for this text, with our program first on its path."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environment = os.environ | {"PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [shell, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["invsync", "sched"], ["schedule"]),
        (["invsync", "schedule", "export", "--to", "kub"], ["kubernetes"]),
        (["invsync", "state", "prune", "--conf"], ["--config"]),
        (["invsync", "run", "push"], ["push-deltas"]),
        (["invsync", "run", "''"], list(JOBS)),
    ],
)
def test_bash_completes(words: list[str], completed: list[str]) -> None:
    text = IN_BASH.format(program=PROGRAM, words=" ".join(words), word=len(words) - 1)

    assert in_shell("bash", text) == completed


def test_zsh_reads_its_script() -> None:
    assert in_shell("zsh", IN_ZSH.format(program=PROGRAM)) == ["_invsync_completion: function"]


def test_fish_completes() -> None:
    assert [line.split("\t")[0] for line in in_shell("fish", IN_FISH.format(program=PROGRAM))] == ["schedule"]


@pytest.mark.parametrize(("shell", "line"), [("zsh", '"schedule":'), ("fish", "schedule\t")])
def test_other_shells_are_answered_in_their_own_form(shell: str, line: str) -> None:
    asked = {"_INVSYNC_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "invsync sched"}
    environment = os.environ | asked | {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([PROGRAM], capture_output=True, text=True, env=environment, timeout=60)

    assert (done.returncode, done.stderr) == (0, "") and line in done.stdout
