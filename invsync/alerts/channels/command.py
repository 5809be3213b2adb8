"""Alerts on the standard input of a command, one call each."""

import subprocess
from collections.abc import Sequence

from invsync.alerts.alert import Notice

TIMEOUT_SECONDS = 20


def send(notices: Sequence[Notice], command: Sequence[str]) -> None:
    """Run the command with a notice on its standard input; raise SubprocessError where it fails or is too slow."""
    for notice in notices:
        subprocess.run(command, input=f"{notice.line()}\n", text=True, timeout=TIMEOUT_SECONDS, check=True)
