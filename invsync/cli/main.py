"""The Typer application: every command, and the one place where an error becomes an exit code."""

import atexit
import gc
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from invsync import __version__, scrub
from invsync.cli import completion, faults, metrics, output, reports, run, sandbox, schedule, setup, state, webhooks
from invsync.errors import InvsyncError


class RootGroup(TyperGroup):
    """The root of all commands: an InvsyncError of any of them is its message on stderr and its exit code."""

    def invoke(self, ctx: Any) -> Any:  # Typer's context class is private
        """Invoke the command that was typed."""
        atexit.register(gc.freeze)  # the end of the process need not search its modules for garbage
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal's encoding may lack a product's letters
        scrub.guard_standard_error()
        try:
            return super().invoke(ctx)
        except InvsyncError as error:
            output.print_message(str(error))
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"invsync {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def root(version: Version = False) -> None:
    """Keep Shopify's available right from HotWax stock; never put a sold unit back on sale."""


for commands in (
    run.app,
    setup.app,
    webhooks.app,
    schedule.app,
    reports.app,
    faults.app,
    metrics.app,
    state.app,
    sandbox.app,
    completion.app,
):
    app.add_typer(commands)
completion.prepare()
