"""A job: one notebook, executed once, that leaves one run folder behind."""

from invsync.jobs.opening import open_run
from invsync.jobs.run import Run

__all__ = ["Run", "open_run"]
