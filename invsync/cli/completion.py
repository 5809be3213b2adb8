"""Completion of commands and options in a shell."""

import os
from typing import Annotated, Literal

import typer

PROGRAM, VARIABLE = "invsync", "_INVSYNC_COMPLETE"

app = typer.Typer()


def prepare() -> None:
    """Let Typer answer a shell that asks for completions, which it marks by a variable."""
    if VARIABLE in os.environ:
        # Typer does this with add_completion, which adds two options that write into a shell's start-up file.
        from typer._completion_classes import completion_init

        completion_init()


def jobs(incomplete: str) -> list[str]:
    """Return the jobs whose names begin so."""
    from invsync.vocabulary import JOBS

    return [job for job in JOBS if job.startswith(incomplete)]


@app.command()
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print the script that completes commands and options in a shell."""
    from typer._completion_shared import get_completion_script  # what typer.completion imports, and does not export

    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell))
