"""The commands that run a job, send or reverse what it planned, and explain one level."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from invsync.cli import output, parameters, progress
from invsync.cli.completion import jobs
from invsync.cli.options import CONFIG, AsJson, Config, Engine, RunId, Shop

app = typer.Typer()

JOB_HELP = "The job: upload-recent-changes, hard-sync, push-deltas, realtime-sync or shadow."
DRY_RUN_HELP = "Read, plan and draw; send nothing."
PARAMETER_HELP = "Set a parameter of the notebook, for example -p transport direct; may be repeated."
TRANSPORT_HELP = "Send changes in one bulk operation or by direct calls; auto chooses the faster."
AT_HELP = "Use this ISO 8601 time instead of the clock, for example 2026-11-23T13:15:00Z."
VERBOSE_HELP = "Print each step on standard error; on a terminal this is the default."
DAYS_HELP = "How many days of looks the report covers."
LOCATION_HELP = "The Shopify location's id; the aggregate location by default."


@app.command(cls=parameters.PairsCommand)
def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP, autocompletion=jobs)],
    shop: Shop,
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=DRY_RUN_HELP)] = False,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="KEY VALUE", help=PARAMETER_HELP)] = None,
    transport: Annotated[Literal["auto", "bulk", "direct"], typer.Option(help=TRANSPORT_HELP)] = "auto",
    engine: Engine = "inprocess",
    at: Annotated[str, typer.Option(metavar="TIME", help=AT_HELP)] = "",
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=VERBOSE_HELP)] = False,
) -> None:
    """Run a job once; its report and files are in one folder.

    Exit codes: 0 every pair is right; 2 wrong usage or configuration; 3 a guard stopped the run; 4 some pairs need
    attention; 5 a system failed; 75 another run holds the shop.
    """
    from invsync.jobs import launch
    from invsync.jobs.job import job as known
    from invsync.jobs.parameters import COMMON

    options: dict[str, parameters.Value] = {
        "shop": shop,
        "config": str(config),
        "dry_run": dry_run,
        "transport": transport,
        "at": at,
    }
    given = parameters.merge(options, parameter or [], COMMON | dict(known(job).parameters))
    reports = _reports(Path(launch.check(job, given).config))
    steps = progress.print_headings if verbose or sys.stderr.isatty() else None
    output.exit_with_run(launch.run(job, given, engine=engine, on_cell_start=steps), reports, as_json=as_json)


@app.command()
def shadow(
    shop: Shop,
    config: Config = CONFIG,
    days: Annotated[int, typer.Option(min=1, max=366, help=DAYS_HELP)] = 7,
    engine: Engine = "inprocess",
    at: Annotated[str, typer.Option(metavar="TIME", help=AT_HELP)] = "",
    as_json: AsJson = False,
) -> None:
    """Look at what another sync did to the shop; send nothing.

    The shop needs keep_by = "another"; invsync schedule run then looks every 15 minutes. Exit codes: those of run.
    """
    from invsync.jobs import launch
    from invsync.vocabulary import SHADOW

    given = {"shop": shop, "config": str(config), "days": str(days), "at": at}
    output.exit_with_run(launch.run(SHADOW, given, engine=engine), _reports(config), as_json=as_json)


@app.command()
def apply(run_id: RunId, config: Config = CONFIG, engine: Engine = "inprocess", as_json: AsJson = False) -> None:
    """Send a dry run's plan as reviewed, if it is still fresh.

    Exit codes: those of run; 3 if the plan is stale, in which case nothing was sent.
    """
    from invsync.jobs import launch

    reports = _reports(config)
    output.exit_with_run(launch.apply(run_id, str(config), engine=engine), reports, as_json=as_json)


@app.command()
def undo(run_id: RunId, config: Config = CONFIG, engine: Engine = "inprocess", as_json: AsJson = False) -> None:
    """Plan the inverse of what a run sent, to review and apply.

    Sends nothing. Exit codes: those of run.
    """
    from invsync.jobs import launch

    reports = _reports(config)
    output.exit_with_run(launch.undo(run_id, str(config), engine=engine), reports, as_json=as_json)


def _reports(config: Path) -> Path:
    """The folder of all reports; raises UsageError for a wrong configuration before anything runs."""
    from invsync.config import settings

    return Path(settings.load(config).reports.path)


@app.command()
def explain(
    shop: Shop,
    sku: Annotated[str, typer.Option(help="The product's SKU, or its id in the OMS.")],
    location: Annotated[int | None, typer.Option(help=LOCATION_HELP)] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the explanation as a page too.")] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Explain one level: stock, orders in flight, what was sent.

    Reads fresh data and changes nothing; where HotWax or Shopify does not answer, it shows what the last run saw. Exit
    codes: 0; 2 wrong usage or configuration; 5 a system failed.
    """
    from invsync import explain as levels
    from invsync.config import settings
    from invsync.inputs import texts

    configured = settings.load(config)
    level = levels.explain_in(configured, shop, sku, location=location)
    if html:
        from invsync.explain import drawing  # it imports the charts

        drawing.write(level, html, configured.shop(shop))
    width = shutil.get_terminal_size().columns
    words = json.dumps(level.to_dict(), ensure_ascii=False, default=str) if as_json else level.text(width)
    typer.echo(texts.printable(words))
    if html and not as_json:
        typer.echo(f"Page: {html}")
