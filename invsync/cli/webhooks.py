"""The commands of webhooks: the receiver, and the subscriptions at Shopify."""

from typing import Annotated

import typer

from invsync.cli import output
from invsync.cli.options import CONFIG, Config, Shop

app = typer.Typer(name="webhooks", no_args_is_help=True, help="Receive webhooks from Shopify and the OMS.")


@app.command()
def serve(
    shop: Shop,
    host: Annotated[str, typer.Option(help="The address to listen on; put TLS in front of it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8765,
    config: Config = CONFIG,
) -> None:
    """Receive webhooks and store them for the next run.

    Listens at /webhooks/shopify and /webhooks/oms until SIGTERM. Answers a delivery once it is on disk: 200 accepted
    or duplicate, 400 malformed, 401 not signed by this shop's secret or of another shop, 413 too large.
    GET /healthz says how many deliveries wait for a run.
    """
    from invsync import webhooks

    webhooks.serve(config, shop, host=host, port=port)


@app.command()
def register(
    shop: Shop,
    check: Annotated[bool, typer.Option("--check", help="Only check the subscriptions; change nothing.")] = False,
    config: Config = CONFIG,
) -> None:
    """Create missing subscriptions at Shopify, repair changed ones.

    They send to webhook_url of the shop's configuration. Exit codes: 0; 2 wrong usage or configuration; 4 with
    --check, a subscription is missing or was changed; 5 Shopify failed.
    """
    from invsync import webhooks

    subscriptions = webhooks.register(config, shop, check_only=check)
    for one in subscriptions:
        typer.echo(f"{one.topic:<24} {one.condition:<8} {one.uri}")
    output.exit_with(fault=any(one.condition in ("lost", "changed") for one in subscriptions))
