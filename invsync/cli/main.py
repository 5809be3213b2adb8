"""The command line: thin, and light to start; heavy parts are imported by the command that needs them."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperCommand

from invsync.cli import reports as over_runs
from invsync.cli import services
from invsync.errors import InvsyncError, UsageError
from invsync.inputs import texts

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keep Shopify's available right from HotWax stock; never put a sold unit back on sale.",
)
sandbox = typer.Typer(no_args_is_help=True, help="A loopback shop and OMS, for rehearsals.")
app.add_typer(services.webhooks, name="webhooks")
app.add_typer(services.schedule, name="schedule")
app.add_typer(over_runs.reports, name="reports")
app.add_typer(over_runs.state, name="state")
app.add_typer(sandbox, name="sandbox")

for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a terminal may not know every letter of a name

CONFIG = Path("invsync.toml")
DEFAULTS = {"config": str(CONFIG), "dry_run": False, "transport": "auto", "at": ""}
FAULTS = 4
APART = "\0"
JOB_HELP = "A notebook's name with hyphens, as upload-recent-changes, hard-sync or push-deltas."
PARAMETER_HELP = "A parameter of the notebook by name, as -p transport direct; may be repeated."
TRANSPORT_HELP = "How changes travel: in one bulk operation, or by direct calls; auto takes the faster."
ENGINE_HELP = "Run the notebook in a kernel of its own, or faster in this process."
AT_HELP = "ISO 8601 time that replaces the clock, as 2026-11-23T13:15:00Z."
VERBOSE_HELP = "Tell each step on standard error; on a terminal that is so anyway."
Shop = Annotated[str, typer.Option(help="The shop's name in the configuration, as acme in [shops.acme].")]
Config = Annotated[Path, typer.Option(help="The configuration file; INVSYNC_ variables stand above it.")]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run, by the name of its folder.")]
Engine = Annotated[Literal["kernel", "inprocess"], typer.Option(help=ENGINE_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON, last on standard output.")]


class PairsCommand(TyperCommand):
    """A command whose -p takes two words, as papermill's does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with each KEY VALUE handed over as one word."""
        return super().parse_args(ctx, list(_paired(args)))


def _paired(words: list[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        yield word
        if word == "-p" and (pair := list(islice(rest, 2))):
            yield APART.join(pair)


def _leave(error: InvsyncError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(error.exit_code)


def _given(options: dict[str, Any], pairs: list[str]) -> dict[str, Any]:
    """The parameters as they were typed, by option or by -p; one that is given two values is refused."""
    given = {name: value for name, value in options.items() if value != DEFAULTS.get(name)}
    for pair in pairs:
        name, apart, text = pair.partition(APART)
        if not apart:
            raise UsageError(f"Parameter {name} has no value: write -p {name} VALUE.")
        value = {"true": True, "false": False}.get(text.lower(), text)
        if given.setdefault(name, value) != value:
            raise UsageError(f"Parameter {name} is given as {given[name]!r} and as {value!r}: give it once.")
    return given


@app.command(cls=PairsCommand)
def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help=JOB_HELP)],
    shop: Shop,
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, plan and draw; send nothing.")] = False,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="KEY VALUE", help=PARAMETER_HELP)] = None,
    transport: Annotated[Literal["auto", "bulk", "direct"], typer.Option(help=TRANSPORT_HELP)] = "auto",
    engine: Engine = "kernel",
    at: Annotated[str, typer.Option(metavar="TIME", help=AT_HELP)] = "",
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=VERBOSE_HELP)] = False,
) -> None:
    """Run a job once and leave one folder with its report and files.

    Exit codes: 0 every pair is right; 2 wrong usage or configuration; 3 a guard stopped it; 4 some pairs need a
    look; 5 a system failed; 75 another run holds the shop.
    """
    from invsync.cli import progress
    from invsync.config import settings
    from invsync.jobs import launch

    to = sys.stderr
    options = {"shop": shop, "config": str(config), "dry_run": dry_run, "transport": transport, "at": at}
    try:
        given = _given(options, parameter or [])
        checked = launch.check(job, given)
        reports = Path(settings.load(Path(checked.config)).reports.path)
        steps = progress.told(reports / checked.shop / job, lambda heading: typer.echo(f"… {heading}", file=to))
        with steps if verbose or to.isatty() else nullcontext():
            facts = launch.run(job, given, engine=engine)
    except InvsyncError as error:
        _leave(error)
    _tell(facts, reports, as_json)


@app.command()
def apply(run_id: RunId, config: Config = CONFIG, engine: Engine = "kernel", as_json: AsJson = False) -> None:
    """Send a dry run's plan as it was reviewed, if it is still fresh.

    Exit codes: those of run; 3 when the plan is stale, and nothing was sent.
    """
    from invsync.jobs import launch

    _again(launch.apply, run_id, config, engine, as_json)


@app.command()
def undo(run_id: RunId, config: Config = CONFIG, engine: Engine = "kernel", as_json: AsJson = False) -> None:
    """Plan the inverse of what a run sent, to be reviewed and applied.

    Nothing is sent. Exit codes: those of run.
    """
    from invsync.jobs import launch

    _again(launch.undo, run_id, config, engine, as_json)


def _again(start: Callable[..., dict[str, Any]], run_id: str, config: Path, engine: str, as_json: bool) -> NoReturn:
    from invsync.config import settings

    try:
        reports = Path(settings.load(config).reports.path)
        facts = start(run_id, str(config), engine=engine)
    except InvsyncError as error:
        _leave(error)
    _tell(facts, reports, as_json)


def _tell(facts: dict[str, Any], reports: Path, as_json: bool) -> NoReturn:
    for message in facts["messages"]:
        typer.echo(message, err=True)
    counts, planned = facts["counts"], facts["status"] == "planned"
    counts = counts | ({"held": counts["held"] - counts["planned"]} if planned else {})
    typer.echo(
        f"{facts['job']} {facts['run_id']}: {facts['status']}; "
        + ", ".join(f"{name.replace('_', ' ')} {counts[name]}" for name in counts if counts[name])
    )
    typer.echo(f"Report: {reports / facts['shop'] / facts['job'] / facts['run_id'] / 'report.html'}")
    if planned and counts["planned"]:
        typer.echo(f"Nothing was sent; to send this plan as it is: invsync apply {facts['run_id']}")
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    raise typer.Exit(facts["exit_code"])


@app.command()
def explain(
    shop: Shop,
    sku: Annotated[str, typer.Option(help="The product's SKU, or its id in the OMS.")],
    location: Annotated[int | None, typer.Option(help="The Shopify location; the aggregate one when left out.")] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take one number apart: stock, orders in flight, what was sent.

    Reads afresh and changes nothing. Exit codes: 0; 2 wrong usage or configuration; 5 a system failed.
    """
    from invsync import explain as levels

    try:
        facts = levels.explain(shop, sku, str(config), location=location)
    except InvsyncError as error:
        _leave(error)
    told = [json.dumps(facts, ensure_ascii=False, default=str)] if as_json else levels.lines(facts)
    typer.echo(texts.printable("\n".join(told)))


@app.command()
def init(
    shop: Annotated[str, typer.Option(help="The name that the shop gets in the configuration, as acme.")],
    config: Config = CONFIG,
    domain: Annotated[str, typer.Option(help="The shop's Shopify domain.")] = "",
    endpoint: Annotated[str, typer.Option(help="Another address of Shopify's API, as the sandbox's.")] = "",
    token_env: Annotated[str, typer.Option(help="The variable that holds the Shopify token.")] = "",
    kind: Annotated[str, typer.Option(help="How HotWax is read: database, rest or files.")] = "",
    url: Annotated[str, typer.Option(help="HotWax's database or Moqui address, without a secret.")] = "",
    url_env: Annotated[str, typer.Option(help="The variable that holds the database's URL.")] = "",
    path: Annotated[str, typer.Option(help="The folder of the exported files.")] = "",
    ofbiz_url: Annotated[str, typer.Option(help="HotWax's OFBiz address.")] = "",
    username: Annotated[str, typer.Option(help="The user of HotWax's APIs.")] = "",
    hotwax_env: Annotated[str, typer.Option(help="The variable that holds HotWax's password or token.")] = "",
    shop_id: Annotated[str, typer.Option(help="HotWax's id of this Shopify shop.")] = "",
    facility_group_id: Annotated[str, typer.Option(help="The facility group that sells online.")] = "",
) -> None:
    """Write a shop into the configuration, and rehearse its main job.

    Asks for what is not given, and looks at the shop as doctor does. Writes no secret and sends nothing. Exit codes: those of doctor, then of run.
    """
    given = {name: str(value) for name, value in locals().items() if value and name not in {"shop", "config"}}
    from invsync.config import sections as first
    from invsync.config import settings
    from invsync.doctor import examine
    from invsync.jobs import launch

    try:
        first.write(config, shop, *first.answers(shop, given, _ask))
        typer.echo(f"{config} describes {shop}.")
        checks = examine(config, shop)
        services.show(checks)
        if any(check.status == "fault" for check in checks):
            typer.echo(f"Mend the faults, then: invsync doctor --shop {shop} --config {config}", err=True)
            raise typer.Exit(FAULTS)
        facts = launch.run("upload-recent-changes", {"shop": shop, "config": str(config), "dry_run": True})
        reports = Path(settings.load(config).reports.path)
    except InvsyncError as error:
        _leave(error)
    _tell(facts, reports, as_json=False)


def _ask(question: str, default: str) -> str:
    """The answer of a person at a terminal; elsewhere the default."""
    return str(typer.prompt(question, default=default)) if sys.stdin.isatty() else default


@app.command()
def doctor(shop: Shop, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Tell what is wrong with a shop's set-up, and how to mend it.

    Looks at the configuration, Shopify, HotWax, the mapping and every mapped item; changes nothing.
    Exit codes: 0 no fault; 2 wrong usage or configuration; 4 a fault was found.
    """
    from invsync.doctor import examine

    try:
        checks = examine(config, shop)
    except InvsyncError as error:
        _leave(error)
    if as_json:
        typer.echo(json.dumps({"shop": shop, "checks": [vars(check) for check in checks]}, ensure_ascii=False))
    else:
        services.show(checks)
    raise typer.Exit(FAULTS if any(check.status == "fault" for check in checks) else 0)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's state and reports go.")] = Path("demo"),
    hours: Annotated[int, typer.Option(help="Hours of real sales to replay.", min=1, max=48)] = 6,
) -> None:
    """Replay real sales in the sandbox, and run the job beside.

    Prints where the last run's report is.
    """
    from invsync.sandbox import demo as show

    try:
        page = show.play(folder, hours=hours, tell=lambda line: typer.echo(line, err=True))
    except InvsyncError as error:
        _leave(error)
    typer.echo(f"Report: {page}")


@sandbox.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 9292,
    folder: Annotated[Path, typer.Option(help="Where the sandbox's OMS goes.")] = Path("demo"),
) -> None:
    """Serve a shop with real sales on loopback until interrupted."""
    from invsync.sandbox import demo as show

    show.serve(folder, port=port, tell=lambda line: typer.echo(line, err=True))


if __name__ == "__main__":
    sys.exit(app())
