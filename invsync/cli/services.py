"""The command line of what runs by itself: the receiver of webhooks and the schedule; as light to start as the rest."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from invsync.errors import InvsyncError, UsageError

schedule = typer.Typer(no_args_is_help=True, help="Run the jobs by cron, or hand the table to another engine.")
webhooks = typer.Typer(no_args_is_help=True, help="Hear from Shopify and the OMS in real time.")

CONFIG = Path("invsync.toml")
FAULTS = 4
ENGINE_HELP = "Run each notebook in a warm process, or in a kernel of its own."
REALTIME_HELP = "Only run realtime-sync when webhooks wait; another engine runs the rest."
SHOPS_HELP = "A shop by its name in the configuration; may be repeated; every shop when left out."
Shop = Annotated[str, typer.Option(help="The shop's name in the configuration, as acme in [shops.acme].")]
Config = Annotated[Path, typer.Option(help="The configuration file; INVSYNC_ variables stand above it.")]

Shops = Annotated[list[str] | None, typer.Option("--shop", help=SHOPS_HELP)]


def _leave(error: InvsyncError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(error.exit_code)


def show(checks: list[Any]) -> None:
    """Print checks group by group, one line each."""
    signs = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "red")}
    group = None
    for check in checks:
        if check.group != group:
            typer.echo(check.group)
        group, (sign, colour) = check.group, signs[check.status]
        typer.echo(f"  {typer.style(sign, fg=colour)} {check.name:<14} {check.message}")


@webhooks.command("serve")
def serve_webhooks(
    shop: Shop,
    host: Annotated[str, typer.Option(help="The address to listen on; put TLS in front of it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8765,
    config: Config = CONFIG,
) -> None:
    """Receive webhooks at /webhooks/shopify and /webhooks/oms, and write down what they name, until SIGTERM.

    A delivery is answered once it is on disk: 200 accepted or duplicate, 400 malformed, 401 not signed by this
    shop's secret or of another shop, 413 too large. GET /healthz tells how many wait for a run.
    """
    from invsync import webhooks as receiver

    try:
        receiver.serve(config, shop, host=host, port=port)
    except InvsyncError as error:
        _leave(error)


@webhooks.command()
def register(
    shop: Shop,
    check: Annotated[bool, typer.Option("--check", help="Only look; change nothing.")] = False,
    config: Config = CONFIG,
) -> None:
    """Create the subscriptions that are missing at Shopify, and repair those that were changed.

    They send to webhook_url of the shop's configuration. Exit codes: 0; 2 wrong usage or configuration; 4 with
    --check, a subscription is not as it should be; 5 Shopify failed.
    """
    from invsync import webhooks as receiver

    try:
        found = receiver.register(config, shop, only_look=check)
    except InvsyncError as error:
        _leave(error)
    for one in found:
        typer.echo(f"{one.topic:<24} {one.condition:<8} {one.uri}")
    raise typer.Exit(FAULTS if any(one.condition in ("lost", "changed") for one in found) else 0)


@schedule.command("run")
def run_schedule(
    shop: Shops = None,
    engine: Annotated[Literal["kernel", "inprocess"], typer.Option(help=ENGINE_HELP)] = "inprocess",
    only_realtime: Annotated[bool, typer.Option("--only-realtime", help=REALTIME_HELP)] = False,
    config: Config = CONFIG,
) -> None:
    """Run the jobs of [shops.x.schedule] by cron in UTC, and realtime-sync when webhooks wait, until SIGTERM.

    A job that was missed runs at the start. Each run is told as one line of JSON. Exit codes: 0 stopped;
    2 wrong usage or configuration; 75 another scheduler keeps the shop.
    """
    try:
        embedded = _extra("embedded")
        embedded.run(
            config,
            shop or [],
            engine=engine,
            only_realtime=only_realtime,
            tell=lambda line: typer.echo(json.dumps(line, ensure_ascii=False)),
        )
    except InvsyncError as error:
        _leave(error)


@schedule.command()
def export(
    to: Annotated[
        Literal["crontab", "systemd", "airflow", "kubernetes"], typer.Option(help="The engine to write for.")
    ],
    shop: Shops = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write into; standard output when left out.")] = None,
    image: Annotated[str, typer.Option(help="The container image, for kubernetes.")] = "invsync",
    config: Config = CONFIG,
) -> None:
    """Write the schedule for another engine, from the same table that `schedule run` keeps to.

    Exit codes: 0; 2 wrong usage or configuration.
    """
    try:
        files = _extra("export").export(to, config, shop or [], image=image)
    except InvsyncError as error:
        _leave(error)
    for name, text in files.items():
        if out is None:
            typer.echo(f"# file: {name}\n{text}" if len(files) > 1 else text)
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")


@schedule.command()
def check(shop: Shops = None, config: Config = CONFIG) -> None:
    """Tell the pager of each job that has not finished for too long, and print it as one line of JSON.

    For an engine other than `schedule run`, which looks by itself. Exit codes: 0 every job runs; 2 wrong usage or
    configuration; 4 a job does not run.
    """
    try:
        found = _extra("silence").check(config, shop or [])
    except InvsyncError as error:
        _leave(error)
    for alert in found:
        typer.echo(json.dumps(vars(alert), ensure_ascii=False))
    raise typer.Exit(FAULTS if found else 0)


@schedule.command()
def adopt(
    notebook: Annotated[Path, typer.Argument(help="The executed notebook that papermill wrote.")],
    config: Config = CONFIG,
) -> None:
    """Give a run that papermill executed by itself, as Airflow does, its report page; its exit code is the run's."""
    from invsync.jobs import external

    try:
        facts = external.adopt(notebook, str(config))
    except InvsyncError as error:
        _leave(error)
    typer.echo(json.dumps(facts, ensure_ascii=False))
    raise typer.Exit(facts["exit_code"])


def _extra(name: str) -> Any:
    try:
        return import_module(f"invsync.schedule.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"The schedule needs {error.name}: install invsync[schedule].") from None
