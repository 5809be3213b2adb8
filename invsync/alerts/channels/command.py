"""Alerts on the standard input of a command."""

import subprocess
from collections.abc import Sequence

TIMEOUT_SECONDS = 20


def send(line: str, command: Sequence[str]) -> None:
    """Run the command with the line on its standard input; raise SubprocessError where it fails or is too slow."""
    subprocess.run(command, input=f"{line}\n", text=True, timeout=TIMEOUT_SECONDS, check=True)
