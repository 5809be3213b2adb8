"""Errors as a notebook's shell shows them, without secrets, whoever executes the notebook."""

from collections.abc import Sequence

from IPython.core.getipython import get_ipython

from invsync.scrub import guard_standard_error, scrubbed

GUARDED = "invsync_guards_errors"


def guard_errors() -> None:
    """Have the shell that runs this code, if any, show no secret in an error, its traceback or on standard error."""
    shell = get_ipython()
    if shell is None or hasattr(shell, GUARDED):
        return
    guard_standard_error()
    show = shell._showtraceback  # IPython has no public hook through which a kernel sends its errors

    def show_scrubbed(kind: type[BaseException], error: BaseException, lines: Sequence[str]) -> None:
        show(kind, scrubbed(str(error)), [scrubbed(line) for line in lines])

    setattr(shell, "_showtraceback", show_scrubbed)  # noqa: B010
    setattr(shell, GUARDED, True)
