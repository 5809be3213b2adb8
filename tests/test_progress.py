"""The steps of a run, printed as papermill reaches them."""

import io
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from invsync.cli import progress
from invsync.engine import inprocess, kernel

CELLS = [
    new_markdown_cell("# Hard sync\n\nEvery pair."),
    new_code_cell("# not a heading\nprint('read')"),
    new_markdown_cell("Prose alone."),
    new_markdown_cell("## The difference"),
    new_code_cell("raise SystemError('no')"),
    new_markdown_cell("## Never reached"),
]


@pytest.mark.parametrize("engine", ["kernel", "inprocess"])
def test_each_heading_is_printed_once_when_its_turn_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    inprocess.register()
    options = {"engine_name": inprocess.NAME} if engine == "inprocess" else kernel.options()
    notebook = new_notebook(
        cells=CELLS, metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    )
    nbformat.write(notebook, tmp_path / "job.ipynb")

    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(
            tmp_path / "job.ipynb",
            tmp_path / "report.ipynb",
            progress_bar=False,
            on_cell_start=progress.print_headings,
            **options,
        )

    assert capsys.readouterr().err == "… Hard sync\n… The difference\n"


class BrokenPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_stderr_that_is_gone_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", BrokenPipe())

    progress.print_headings(CELLS[0], 0)
