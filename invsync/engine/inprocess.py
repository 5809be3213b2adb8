"""A papermill engine that runs the cells in this process: for fleets, tests and previews, without a kernel."""

import atexit
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.engines import Engine, papermill_engines

NAME = "invsync-inprocess"


class CellHook(Protocol):
    """Called before each cell of a notebook, by this engine and by nbclient."""

    def __call__(self, cell: NotebookNode, cell_index: int) -> None:
        """Take the cell, and its place among all cells, from 0."""


class InProcessEngine(Engine):  # type: ignore[misc]
    """Runs each cell in a private IPython shell and keeps its outputs."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, on_cell_start: CellHook | None = None, **options: Any
    ) -> None:
        """Execute the notebook's cells one after another; stop at the first that fails.

        The notebook is saved before each section and at the end: papermill's saves around each cell slow a short run.
        """
        before = None
        with _saving_less(nb_man) as save, _private_shell() as shell:
            for index, cell in enumerate(nb_man.nb.cells):
                nb_man.cell_start(cell, index)
                if on_cell_start is not None:
                    on_cell_start(cell=cell, cell_index=index)
                if before == "markdown" and cell.cell_type == "code":
                    save()
                before = cell.cell_type
                error = _run(shell, cell) if cell.cell_type == "code" else None
                if error is not None:
                    nb_man.cell_exception(cell, index, exception=error)
                nb_man.cell_complete(cell, index)
                if error is not None:
                    break


@contextmanager
def _saving_less(nb_man: Any) -> Iterator[Callable[[], None]]:
    """The notebook manager's own save, in place of which the manager saves nothing until the end of the block."""
    save, nb_man.save = nb_man.save, lambda **cell: None
    try:
        yield save
    finally:
        nb_man.save = save


@contextmanager
def _private_shell() -> Iterator[InteractiveShell]:
    """A shell that is freed at the end; IPython would keep it, and every value of its cells, until the process ends."""
    HistoryManager.enabled = False  # type: ignore[assignment]
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.colors = "nocolor"
    try:
        yield shell
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.cleanup()
        InteractiveShell.clear_instance()


def _run(shell: InteractiveShell, cell: NotebookNode) -> BaseException | None:
    """Run a cell and keep its outputs in it; the error that it raised."""
    displayed: list[dict[str, Any]] = []
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=displayed)
    with capture_output() as captured:
        result = shell.run_cell(cell.source, store_history=False)
    cell.execution_count = result.execution_count
    cell.outputs = (
        [new_output("stream", name="stdout", text=captured.stdout)] if captured.stdout and result.success else []
    )
    rich = [(output.data, output.metadata) for output in captured.outputs]
    rich += [(output["data"], output.get("metadata")) for output in displayed]
    cell.outputs += [new_output("display_data", data=data, metadata=metadata or {}) for data, metadata in rich]
    error: BaseException | None = result.error_in_exec or result.error_before_exec
    if error is not None:
        lines = traceback.format_exception(error)
        cell.outputs.append(new_output("error", ename=type(error).__name__, evalue=str(error), traceback=lines))
    return error


def register() -> None:
    """Register the engine with papermill."""
    papermill_engines.register(NAME, InProcessEngine)
