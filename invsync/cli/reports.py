"""The commands of the report site: the index of all runs, and a shop's week."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invsync.cli.options import CONFIG, Config, Shop

if TYPE_CHECKING:  # it imports polars
    from invsync.charts import Reader
    from invsync.report.links import Links
    from invsync.site.fleet import Dues

app = typer.Typer(
    name="reports", no_args_is_help=True, help="Build and serve the index of all runs; write a shop's week."
)

ENDING_HELP = "The week's last day, for example 2026-11-22; yesterday by default, today on a shop's first day."
HOST_HELP = "The address to listen on; requests must name 127.0.0.1 or localhost in any case."
EVERY_HELP = "Update the index again this often; 0 only at the start."
PRICES_HELP = "Unit prices: a CSV or Parquet table with sku, price and currency."


@app.command()
def build(config: Config = CONFIG) -> None:
    """Update the index of all runs; only what changed is rebuilt."""
    from invsync.site import index

    built = index.build(*site(config), dues=dues(config))
    typer.echo(f"{built.runs} runs, {built.fresh} read afresh; {built.written} files written.\nIndex: {built.page}")


@app.command()
def serve(
    config: Config = CONFIG,
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8766,
    host: Annotated[str, typer.Option(help=HOST_HELP)] = "127.0.0.1",
    every: Annotated[int, typer.Option(metavar="MINUTES", help=EVERY_HELP, min=0)] = 0,
) -> None:
    """Update the index, then serve the reports.

    Runs until interrupted.
    """
    from invsync.site import index, server

    with suppress(KeyboardInterrupt):
        root, readers, links = site(config)
        index.build(root, readers, links, dues=dues(config))
        with server.server(root, port, host) as http:
            if every:
                server.repeat(lambda: index.build(root, readers, links, dues=dues(config)), every * 60)
            typer.echo(f"Reports at http://{host}:{http.server_port}/ until interrupted.")
            http.serve_forever()


@app.command()
def week(
    shop: Shop,
    config: Config = CONFIG,
    ending: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help=ENDING_HELP)] = None,
    prices: Annotated[Path | None, typer.Option(help=PRICES_HELP)] = None,
) -> None:
    """Write a shop's week as one file, to open or to mail."""
    from invsync.site import week_page

    root, readers, links = site(config)
    day = ending.date() if ending else None
    page = week_page.write(root, shop, readers, links, ending=day, prices=prices, dues=dues(config))
    typer.echo(f"Week: {page}")


def site(config: Path) -> tuple[Path, dict[str, "Reader"], dict[str, "Links"]]:
    """The folder of all reports, each shop's locale and time zone, and where each shop's links lead."""
    from invsync import charts
    from invsync.config import settings
    from invsync.report.links import Links

    configured = settings.load(config)
    readers = {name: charts.Reader(shop.locale, shop.timezone) for name, shop in configured.shops.items()}
    links = {name: Links.of(shop) for name, shop in configured.shops.items()}
    return Path(configured.reports.path), readers, links


def dues(config: Path) -> "Dues":
    """When the jobs of each shop of the configuration are due; unknown where invsync[schedule] is not installed."""
    from invsync.config import settings

    configured = settings.load(config)
    try:
        from invsync.schedule import table
    except ModuleNotFoundError:
        return dict.fromkeys(configured.shops, ())
    return table.dues(configured, datetime.now(UTC))
