"""The command line: thin, and light to start; heavy parts are imported by the command that needs them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from invsync.errors import InvsyncError, UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Keep Shopify's available right from HotWax stock; never put a sold unit back on sale.")  # fmt: skip
sandbox = typer.Typer(no_args_is_help=True, help="A loopback shop and OMS, for rehearsals.")
app.add_typer(sandbox, name="sandbox")
Config = Annotated[Path, typer.Option(help="The configuration file.")]


def _leave(error: InvsyncError) -> None:
    typer.echo(str(error), err=True)
    raise typer.Exit(error.exit_code)


def _typed(name: str, text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text) if name == "dry_run" else text


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="The job, as upload-recent-changes.")],
    shop: Annotated[str, typer.Option(help="The shop's name in the configuration.")],
    config: Config = Path("invsync.toml"),
    dry_run: Annotated[bool, typer.Option(help="Read, plan and draw; send nothing.")] = False,
    parameter: Annotated[list[str] | None, typer.Option("-p", help="NAME=VALUE of a notebook's parameter.")] = None,
    transport: Annotated[str, typer.Option(help="auto, bulk or direct.")] = "auto",
    engine: Annotated[str, typer.Option(help="kernel or inprocess.")] = "kernel",
    at: Annotated[str, typer.Option(help="ISO 8601 time that replaces the clock.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json on the last line.")] = False,
) -> None:
    """Run a job and leave its report, its file and run.json in one folder."""
    from invsync.jobs import launch

    given: dict[str, Any] = {"shop": shop, "config": str(config), "dry_run": dry_run, "transport": transport, "at": at}
    try:
        if engine not in {"kernel", "inprocess"}:
            raise UsageError(f"Engine {engine!r} is unknown: choose kernel or inprocess.")
        for pair in parameter or []:
            name, _, value = pair.partition("=")
            given[name] = _typed(name, value)
        facts = launch.run(job, given, engine=engine)
    except InvsyncError as error:
        _leave(error)
    _tell(facts, as_json)


def _tell(facts: dict[str, Any], as_json: bool) -> None:
    for message in facts["messages"]:
        typer.echo(message, err=True)
    counts = facts["counts"]
    typer.echo(f"{facts['job']} {facts['run_id']}: {facts['status']}; " + ", ".join(
        f"{name.replace('_', ' ')} {counts[name]}" for name in counts if counts[name]))  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    raise typer.Exit(facts["exit_code"])


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's state and reports go.")] = Path("demo"),
    hours: Annotated[int, typer.Option(help="Hours of real sales to replay.", min=1, max=48)] = 6,
) -> None:
    """Start the sandbox, replay real sales, run the job as they come, and say where the report is."""
    from invsync.sandbox import demo as show

    try:
        page = show.play(folder, hours=hours, tell=lambda line: typer.echo(line, err=True))
    except InvsyncError as error:
        _leave(error)
    typer.echo(f"Report: {page}")


@sandbox.command()
def serve(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 9292,
          folder: Annotated[Path, typer.Option(help="Where the sandbox's OMS goes.")] = Path("demo")) -> None:  # fmt: skip
    """Serve a shop with real sales on loopback until interrupted."""
    from invsync.sandbox import demo as show

    show.serve(folder, port=port, tell=lambda line: typer.echo(line, err=True))


if __name__ == "__main__":
    sys.exit(app())
