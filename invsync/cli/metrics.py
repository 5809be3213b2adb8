"""The commands of metrics: an endpoint for Prometheus, and a dashboard for Grafana."""

from importlib.resources import files
from typing import Annotated

import typer

from invsync.cli.options import CONFIG, Config
from invsync.errors import UsageError

app = typer.Typer(name="metrics", no_args_is_help=True, help="Serve metrics to Prometheus; print a Grafana dashboard.")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 9464,
    config: Config = CONFIG,
) -> None:
    """Serve the metrics of all shops at /metrics until SIGTERM.

    Reads the state database and the run folders. Steps and API points need `[telemetry] metrics = true`.
    """
    from invsync.config import settings

    configured = settings.load(config)
    try:
        from invsync.telemetry import exposition
    except ModuleNotFoundError as error:
        raise UsageError(f"The metrics need {error.name}: install invsync[telemetry].") from None
    exposition.serve(configured, host=host, port=port)


@app.command()
def dashboard() -> None:
    """Print a Grafana dashboard of these metrics as JSON, to import."""
    typer.echo(files("invsync.telemetry").joinpath("dashboard.json").read_text(encoding="utf-8"), nl=False)
