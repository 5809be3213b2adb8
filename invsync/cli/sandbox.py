"""The commands of the sandbox."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="sandbox", no_args_is_help=True, help="A shop and an OMS on this machine, for rehearsals.")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 9292,
    folder: Annotated[Path, typer.Option(help="The folder for the sandbox's OMS.")] = Path("demo"),
) -> None:
    """Serve a shop with real sales on loopback until interrupted."""
    from invsync.sandbox import demo

    demo.serve(folder, port=port, tell=lambda line: typer.echo(line, err=True))
