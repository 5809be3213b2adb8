"""The command line of what runs by itself: the receiver of webhooks and the schedule; as light to start as the rest."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from invsync.errors import InvsyncError

webhooks = typer.Typer(no_args_is_help=True, help="Hear from Shopify and the OMS in real time.")

CONFIG = Path("invsync.toml")
Shop = Annotated[str, typer.Option(help="The shop's name in the configuration, as acme in [shops.acme].")]
Config = Annotated[Path, typer.Option(help="The configuration file; INVSYNC_ variables stand above it.")]


def _leave(error: InvsyncError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(error.exit_code)


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
