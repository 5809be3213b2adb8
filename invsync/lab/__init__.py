"""What the notebooks for people need around the core: histories and runs from files and systems, widgets, and a page."""

from invsync.lab import pictures, runs
from invsync.lab.causes import by_cause
from invsync.lab.data import buffer_table, history, lags, scenario
from invsync.lab.knobs import knobs
from invsync.lab.tables import cause_table, facts, largest_buffers, lives, policies, words

__all__ = [
    "buffer_table",
    "by_cause",
    "cause_table",
    "facts",
    "history",
    "knobs",
    "lags",
    "largest_buffers",
    "lives",
    "pictures",
    "policies",
    "runs",
    "scenario",
    "words",
]
