"""A run needs no kernel by default; its own is this interpreter, whatever a user, a hub or conda has installed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import pytest
from IPython.core.getipython import get_ipython
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from rehearsal import HARD, START, Rehearsal
from typer.testing import CliRunner

from invsync.cli import app
from invsync.engine import inprocess, kernel
from invsync.jobs import launch


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another environment's kernel stands first under the name python3; the folder of connection files is read-only."""
    place = tmp_path / "share" / "kernels" / "python3"
    place.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/proc/none")


def test_the_kernel_is_this_interpreter(foreign: None) -> None:
    spec = kernel.OwnKernel(kernel_name="python3").kernel_spec

    assert spec.argv[0] == sys.executable and "ipykernel_launcher" in spec.argv


def test_a_run_does_not_start_the_kernel_of_another_environment(rehearsal: Rehearsal, foreign: None) -> None:
    rehearsal.product(1, "A", oms=10, available=1)

    facts = launch.run(HARD, {"shop": "demo", "config": str(rehearsal.config), "at": START.isoformat()})

    assert (facts["status"], rehearsal.available(1)) == ("done", [10])


@pytest.fixture
def executed(tmp_path: Path) -> Callable[[str], NotebookNode]:
    """A notebook of prints, a warning, a display and an error, as an engine saves it."""
    sources = [
        "import sys\nprint('out')\nprint('err', file=sys.stderr)",
        "",
        "display('shown')\n1 + 1",
        "print(2)\n1 / 0",
    ]
    cells = [new_code_cell(source) for source in sources]
    spec = {"name": "python3", "language": "python", "display_name": "Python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": spec}), tmp_path / "job.ipynb")
    inprocess.register()

    def execute(engine: str) -> NotebookNode:
        options = {"engine_name": inprocess.NAME} if engine == "inprocess" else kernel.options()
        with pytest.raises(papermill.PapermillExecutionError):
            papermill.execute_notebook(
                tmp_path / "job.ipynb", tmp_path / f"{engine}.ipynb", progress_bar=False, **options
            )
        return nbformat.read(tmp_path / f"{engine}.ipynb", as_version=4)

    return execute


def test_both_engines_save_the_same_notebook(executed: Callable[[str], NotebookNode]) -> None:
    here, there = executed("inprocess"), executed("kernel")

    assert here.metadata.language_info == there.metadata.language_info
    assert shape(here) == shape(there)


def shape(notebook: NotebookNode) -> list[object]:
    """What each cell printed, displayed and raised; a traceback's own lines differ."""
    return [
        (
            cell.execution_count,
            [{key: value for key, value in output.items() if key != "traceback"} for output in cell.outputs],
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_shell_of_a_notebook_is_put_back(executed: Callable[[str], NotebookNode]) -> None:
    outer, history = InteractiveShell.instance(), HistoryManager.enabled
    try:
        executed("inprocess")
        assert InteractiveShell.instance() is outer and get_ipython() is outer
        assert HistoryManager.enabled is history
    finally:
        InteractiveShell.clear_instance()


def test_a_run_needs_no_kernel_by_default(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal.product(1, "A", oms=10, available=1)
    monkeypatch.delattr(kernel, "options")
    words = ["run", HARD, "--shop", "demo", "--config", str(rehearsal.config), "--at", START.isoformat()]

    assert CliRunner().invoke(app, words).exit_code == 0
    assert rehearsal.available(1) == [10]


def test_an_interrupted_run_says_so() -> None:
    assert "was interrupted" in str(launch.named("KeyboardInterrupt", ""))
