"""The steps of a running job: the headings of its notebook, as papermill reaches them."""

from contextlib import suppress
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # nbformat is slow to import
    from nbformat import NotebookNode


def print_headings(cell: "NotebookNode", cell_index: int) -> None:
    """Print a cell's heading on stderr, if it is one; called by papermill's engine before each cell."""
    if cell.cell_type == "markdown" and cell.source.startswith("#"):
        with suppress(OSError):  # a stderr that is gone does not end the run
            typer.echo(f"… {cell.source.splitlines()[0].lstrip('# ')}", err=True)
