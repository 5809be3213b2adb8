"""A job: one notebook, executed once, that leaves one run folder behind."""

from invsync.jobs.run import Run
from invsync.jobs.start import open_run

__all__ = ["Run", "open_run"]
