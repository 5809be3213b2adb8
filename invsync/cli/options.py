"""Options and defaults that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

CONFIG = Path("invsync.toml")

EngineName = Literal["kernel", "inprocess"]

Shop = Annotated[str, typer.Option(help="The shop's name in the configuration: acme for [shops.acme].")]
Shops = Annotated[
    list[str] | None,
    typer.Option("--shop", help="A shop's name in the configuration; may be repeated; all shops by default."),
]
Config = Annotated[Path, typer.Option(help="The configuration file; INVSYNC_ environment variables override it.")]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id, which is the name of its folder.")]
Engine = Annotated[EngineName, typer.Option(help="Run the notebook in its own kernel, or faster in this process.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON, last on standard output.")]
