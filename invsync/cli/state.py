"""The commands of the state database and the run folders."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from invsync.cli import output
from invsync.cli.options import CONFIG, AsJson, Config

if TYPE_CHECKING:  # it imports polars
    from invsync.upkeep.pruning import Pruned

app = typer.Typer(name="state", no_args_is_help=True, help="Check and prune the state database and the run folders.")


@app.command()
def check(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Check the state database and the run folders.

    Prints one line per check; changes nothing. Exit codes: 0 all is well; 2 wrong usage or configuration; 4 a fault
    needs attention; 5 the database failed.
    """
    from invsync import upkeep

    output.exit_with_checks(upkeep.check(config), as_json=as_json)


@app.command()
def prune(
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be removed; remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what is older than [state] and [reports] keep.

    Keeps everything that a run may still need, and leaves a shop with a run at work for the next time.
    Exit codes: 0; 2 wrong usage or configuration; 5 the database or a folder failed.
    """
    from invsync import upkeep

    pruned = upkeep.prune(config, dry_run=dry_run)
    if as_json:
        output.print_json({**asdict(pruned), "dry_run": dry_run})
    else:
        _print_pruned(pruned, "would remove" if dry_run else "removed")


def _print_pruned(pruned: "Pruned", verb: str) -> None:
    if not pruned.removed and not pruned.skipped:
        typer.echo("No shop of the configuration has run yet.")
    for shop, counts in pruned.removed.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"
        typer.echo(f"{shop}: {verb} {kinds}.")
    for shop, reason in pruned.skipped.items():
        typer.echo(f"{shop}: left for the next time. {reason}")
