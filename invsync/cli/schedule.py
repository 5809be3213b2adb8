"""The commands of the schedule: run it here, or hand it to another engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from invsync.cli.options import CONFIG, Config, EngineName, Shops
from invsync.cli.output import exit_with, print_json
from invsync.errors import UsageError
from invsync.schedule.export import Exporter

app = typer.Typer(name="schedule", no_args_is_help=True, help="Run the jobs by cron, here or in another engine.")

ENGINE_HELP = "Run each notebook in a warm process, or in its own kernel."
REALTIME_HELP = "Run only realtime-sync, when webhooks wait; another engine runs the rest."
OUT_HELP = "The folder to write into; standard output by default."


@contextmanager
def _extra() -> Iterator[None]:
    """Name the library that is missing, where the extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"The schedule needs {error.name}: install invsync[schedule].") from None


@app.command()
def run(
    shop: Shops = None,
    engine: Annotated[EngineName, typer.Option(help=ENGINE_HELP)] = "inprocess",
    only_realtime: Annotated[bool, typer.Option("--only-realtime", help=REALTIME_HELP)] = False,
    config: Config = CONFIG,
) -> None:
    """Run the jobs by cron in UTC until SIGTERM.

    Runs the jobs of [shops.x.schedule], and realtime-sync when webhooks wait. A job that was missed runs at the start.
    Prints each run as one line of JSON. Exit codes: 0 stopped; 2 wrong usage or configuration; 75 another scheduler
    keeps the shop.
    """
    with _extra():
        from invsync.schedule import embedded

    embedded.run(config, shop or [], engine=engine, only_realtime=only_realtime, report=print_json)


@app.command()
def export(
    to: Annotated[Exporter, typer.Option(help="The engine to write for.")],
    shop: Shops = None,
    out: Annotated[Path | None, typer.Option(help=OUT_HELP)] = None,
    image: Annotated[str, typer.Option(help="The container image, for kubernetes.")] = "invsync",
    config: Config = CONFIG,
) -> None:
    """Write the schedule for another engine.

    Writes the same schedule that `schedule run` keeps to. Exit codes: 0; 2 wrong usage or configuration.
    """
    with _extra():
        from invsync.schedule.export import files

    texts = files.export(to, config, shop or [], image=image)
    for name, text in texts.items():
        if out is None:
            typer.echo(f"# file: {name}\n{text}" if len(texts) > 1 else text)
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")


@app.command()
def check(shop: Shops = None, config: Config = CONFIG) -> None:
    """Send an alert for each job that is overdue.

    Prints each alert as one line of JSON. For engines other than `schedule run`, which checks by itself.
    Exit codes: 0 every job runs; 2 wrong usage or configuration; 4 a job does not run.
    """
    with _extra():
        from invsync.schedule import watchdog

    alerts = watchdog.check(config, shop or [])
    for alert in alerts:
        print_json(vars(alert))
    exit_with(fault=bool(alerts))


@app.command()
def health(shop: Shops = None, config: Config = CONFIG) -> None:
    """Say whether a scheduler keeps the shops, for the health check of a container.

    Prints the name of each shop that none keeps; sends no alert. Exit codes: 0 all are kept; 2 wrong usage or
    configuration; 4 a shop is not kept; 5 the database failed.
    """
    from invsync.schedule import keeping

    unkept = keeping.unkept(config, shop or [])
    for name in unkept:
        typer.echo(f"No scheduler keeps {name}.")
    exit_with(fault=bool(unkept))


@app.command()
def adopt(
    notebook: Annotated[Path, typer.Argument(help="The executed notebook that papermill wrote.")],
    config: Config = CONFIG,
) -> None:
    """Write the report of a run that papermill executed.

    For engines that call papermill themselves, as Airflow does. The exit code is the run's.
    """
    from invsync.jobs import external

    record = external.adopt(notebook, str(config))
    print_json(record)
    raise typer.Exit(record["exit_code"])
