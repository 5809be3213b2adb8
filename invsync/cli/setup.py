"""The commands of the first steps: describe a shop, check it, watch a demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from invsync.cli import output
from invsync.cli.options import CONFIG, AsJson, Config, Shop

app = typer.Typer()


@app.command()
def init(
    shop: Annotated[str, typer.Option(help="A name for the shop in the configuration, for example acme.")],
    config: Config = CONFIG,
    domain: Annotated[str, typer.Option(help="The shop's Shopify domain.")] = "",
    endpoint: Annotated[str, typer.Option(help="Another address of Shopify's API, for example the sandbox's.")] = "",
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
    """Add a shop to the configuration, and rehearse its main job.

    Asks for what is not given, then checks the shop as doctor does. Writes no secret and sends nothing.
    Exit codes: those of doctor, then those of run.
    """
    from invsync.config import sections

    options = {
        "domain": domain,
        "endpoint": endpoint,
        "token_env": token_env,
        "kind": kind,
        "url": url,
        "url_env": url_env,
        "path": path,
        "ofbiz_url": ofbiz_url,
        "username": username,
        "hotwax_env": hotwax_env,
        "shop_id": shop_id,
        "facility_group_id": facility_group_id,
    }
    sections.add(config, sections.ask(shop, options, _prompt))
    typer.echo(f"{config} describes {shop}.")
    _rehearse(shop, config)


def _prompt(question: str, default: str) -> str:
    """The answer typed at a terminal; the default where there is none."""
    return str(typer.prompt(question, default=default)) if sys.stdin.isatty() else default


def _rehearse(shop: str, config: Path) -> None:
    """Check the shop, then dry-run its main job; faults end the command before the run."""
    from invsync.config import settings
    from invsync.doctor import examine
    from invsync.jobs import launch
    from invsync.vocabulary import RECENT

    checks = examine(config, shop)
    output.print_checks(checks)
    if output.has_fault(checks):
        typer.echo(f"Fix the faults, then run: invsync doctor --shop {shop} --config {config}", err=True)
        output.exit_with(fault=True)
    record = launch.run(RECENT, {"shop": shop, "config": str(config), "dry_run": True})
    output.exit_with_run(record, Path(settings.load(config).reports.path), as_json=False)


@app.command()
def doctor(shop: Shop, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Check a shop's set-up, and say how to fix each fault.

    Checks the configuration, Shopify, HotWax, the mapping and every mapped item; changes nothing.
    Exit codes: 0 no fault; 2 wrong usage or configuration; 4 at least one fault.
    """
    from invsync.doctor import examine

    output.exit_with_checks(examine(config, shop), as_json=as_json, shop=shop)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="The folder for the demo's state and reports.")] = Path("demo"),
    hours: Annotated[int, typer.Option(help="Hours of real sales to replay.", min=1, max=48)] = 6,
    keep: Annotated[
        bool, typer.Option(help="Keep the shop alive for notebooks and commands until interrupted.")
    ] = False,
) -> None:
    """Replay real sales in the sandbox while the job runs.

    Prints the path of the last run's report.
    """
    from invsync.sandbox import demo as sandbox

    def stay(page: Path) -> None:
        typer.echo(f"Report: {page}\nThe shop stays until you interrupt: open notebooks/ in JupyterLab.")
        sandbox.wait()

    page = sandbox.play(folder, hours=hours, tell=lambda line: typer.echo(line, err=True), keep=stay if keep else None)
    if not keep:
        typer.echo(f"Report: {page}")
