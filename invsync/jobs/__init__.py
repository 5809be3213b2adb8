"""A job: one notebook, executed once, that leaves one run folder behind."""

from invsync.jobs.run import Run
from invsync.jobs.start import apply, open_run, undo

__all__ = ["Run", "apply", "open_run", "undo"]
