"""A job: one notebook, executed once, that leaves one run folder behind."""

from invsync.startup import quick_imports

with quick_imports():  # a notebook imports invsync here first
    from invsync.jobs.run import Run
    from invsync.jobs.start import apply, open_run, undo

__all__ = ["Run", "apply", "open_run", "undo"]
