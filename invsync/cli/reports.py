"""The command line of what is kept: the index of all runs, the week of a shop, the state; as light to start as the rest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from invsync.cli.services import CONFIG, FAULTS, Config, Shop, show
from invsync.errors import InvsyncError

reports = typer.Typer(no_args_is_help=True, help="The index of all runs, and the week of a shop.")
state = typer.Typer(no_args_is_help=True, help="The database of what must survive, and what of it may go.")

ENDING_HELP = "The week's last day, as 2026-11-22; yesterday by default, today on a shop's first day."
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON.")]
PRICES_HELP = "Unit prices: a CSV or Parquet table with sku, price and currency."


@reports.command()
def build(config: Config = CONFIG) -> None:
    """Bring the index of all runs up to date; only what changed is rebuilt."""
    from invsync.site import index

    with _leaving():
        built = index.build(*_shelf(config))
        typer.echo(f"{built.runs} runs, {built.fresh} read afresh; {built.written} files written.\nIndex: {built.page}")


@reports.command()
def serve(
    config: Config = CONFIG, port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=0, max=65535)] = 8766
) -> None:
    """Build the index, then serve the reports on this machine until interrupted."""
    from invsync.site import index, server

    with _leaving(), suppress(KeyboardInterrupt):
        root, readers = _shelf(config)
        index.build(root, readers)
        with server.server(root, port) as http:
            typer.echo(f"Reports at http://127.0.0.1:{http.server_port}/ until interrupted.")
            http.serve_forever()


@reports.command()
def week(
    shop: Shop,
    config: Config = CONFIG,
    ending: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help=ENDING_HELP)] = None,
    prices: Annotated[Path | None, typer.Option(help=PRICES_HELP)] = None,
) -> None:
    """Write the shop's week as one file to open or to mail."""
    from invsync.site import week_page

    with _leaving():
        root, readers = _shelf(config)
        page = week_page.write(root, shop, readers, ending=ending.date() if ending else None, prices=prices)
        typer.echo(f"Week: {page}")


@state.command()
def check(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Tell how the state and the run folders are.

    One line a finding; changes nothing. Exit codes: 0 all is well; 2 wrong usage or configuration; 4 a person must act; 5 the database
    failed.
    """
    from invsync import upkeep

    with _leaving():
        checks = upkeep.check(config)
    if as_json:
        typer.echo(json.dumps({"checks": [vars(check) for check in checks]}, ensure_ascii=False))
    else:
        show(checks)
    raise typer.Exit(FAULTS if any(check.status == "fault" for check in checks) else 0)


@state.command()
def prune(
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go; remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what [state] and [reports] no longer keep.

    Nothing goes that a run may still need. A shop at work is left for the next time. Exit codes: 0; 2 wrong usage or configuration; 5 the database or a
    folder failed.
    """
    from invsync import upkeep

    with _leaving():
        pruned = upkeep.prune(config, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(vars(pruned) | {"dry_run": dry_run}, ensure_ascii=False))
        return
    if not pruned.removed and not pruned.skipped:
        typer.echo("No shop of the configuration has run yet.")
    for shop, counts in pruned.removed.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"
        typer.echo(f"{shop}: {'would remove' if dry_run else 'removed'} {kinds}.")
    for shop, why in pruned.skipped.items():
        typer.echo(f"{shop}: left for the next time. {why}")


def _shelf(config: Path) -> tuple[Path, dict[str, Any]]:
    """Where the reports are, and for whom each shop's are written."""
    from invsync import charts
    from invsync.config import settings

    configured = settings.load(config)
    readers = {name: charts.Reader(shop.locale, shop.timezone) for name, shop in configured.shops.items()}
    return Path(configured.reports.path), readers


@contextmanager
def _leaving() -> Iterator[None]:
    try:
        yield
    except InvsyncError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
