"""A papermill engine that runs the cells in this process, without a kernel; what it saves is what a kernel would."""

import atexit
import platform
import time
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

from invsync.scrub import scrubbed

NAME = "invsync-inprocess"
SAVE_AFTER = 0.5  # seconds


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

        The notebook is saved at its first section, before each one that begins SAVE_AFTER or more since, and at the
        end: papermill's saves around each cell slow a short run.
        """
        before, count = None, 0
        nb_man.nb.metadata["language_info"] = _language()
        with _saving_less(nb_man) as save, _private_shell() as shell:
            for index, cell in enumerate(nb_man.nb.cells):
                nb_man.cell_start(cell, index)
                if on_cell_start is not None:
                    on_cell_start(cell=cell, cell_index=index)
                if before == "markdown" and cell.cell_type == "code":
                    save()
                before = cell.cell_type
                runs = cell.cell_type == "code" and bool(cell.source.strip())
                count += runs
                error = _run(shell, cell, count) if runs else None
                if error is not None:
                    nb_man.cell_exception(cell, index, exception=error)
                nb_man.cell_complete(cell, index)
                if error is not None:
                    break


@contextmanager
def _saving_less(nb_man: Any) -> Iterator[Callable[[], None]]:
    """A save that is due SAVE_AFTER the last one; the manager itself saves nothing until the end of the block."""
    save, nb_man.save = nb_man.save, lambda **cell: None
    last = float("-inf")

    def save_when_due() -> None:
        nonlocal last
        if time.monotonic() - last >= SAVE_AFTER:
            save()
            last = time.monotonic()

    try:
        yield save_when_due
    finally:
        nb_man.save = save


def _language() -> dict[str, Any]:
    """What a kernel says of its language, for those who open the executed notebook."""
    return {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": platform.python_version(),
    }


class _PrivateShell(InteractiveShell):
    """A shell that prints no traceback and adds no other environment's packages to this process."""

    def _showtraceback(self, *_: object) -> None: ...

    def init_virtualenv(self) -> None: ...


@contextmanager
def _private_shell() -> Iterator[InteractiveShell]:
    """A shell that is freed at the end; IPython would keep it, and every value of its cells, until the process ends.

    The shell of a notebook that this runs in is set aside, and put back.
    """
    enabled, outer = HistoryManager.enabled, InteractiveShell._instance
    HistoryManager.enabled = False  # type: ignore[assignment]
    InteractiveShell.clear_instance()
    shell = _PrivateShell.instance()
    shell.colors = "nocolor"
    try:
        yield shell
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.cleanup()  # type: ignore[no-untyped-call]
        _PrivateShell.clear_instance()
        HistoryManager.enabled, InteractiveShell._instance = enabled, outer


def _run(shell: InteractiveShell, cell: NotebookNode, count: int) -> BaseException | None:
    """Run a cell and keep its outputs in it; the error that it raised."""
    displayed: list[dict[str, Any]] = []
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=displayed)
    with capture_output() as captured:
        result = shell.run_cell(cell.source, store_history=False)
    cell.execution_count = count
    streams = {"stdout": scrubbed(captured.stdout), "stderr": scrubbed(captured.stderr)}
    cell.outputs = [new_output("stream", name=name, text=text) for name, text in streams.items() if text]
    cell.outputs += [
        new_output("display_data", data=output.data, metadata=output.metadata or {}) for output in captured.outputs
    ]
    cell.outputs += [
        new_output("execute_result", data=output["data"], metadata=output.get("metadata") or {}, execution_count=count)
        for output in displayed
    ]
    error: BaseException | None = result.error_in_exec or result.error_before_exec
    if error is not None:
        lines = [scrubbed(line) for line in traceback.format_exception(error)]
        value = scrubbed(str(error))
        cell.outputs.append(new_output("error", ename=type(error).__name__, evalue=value, traceback=lines))
    return error


def register() -> None:
    """Register the engine with papermill."""
    papermill_engines.register(NAME, InProcessEngine)
