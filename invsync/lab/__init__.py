"""What the notebooks for people need beside the core: histories and runs, tables, charts, widgets, and a page."""

from invsync.lab import pictures, runs
from invsync.lab.causes import by_cause
from invsync.lab.data import buffer_table, history, lags, scenario
from invsync.lab.knobs import knobs
from invsync.lab.tables import cause_table, facts, largest_buffers, life_costs, measures, policy_costs

__all__ = [
    "buffer_table",
    "by_cause",
    "cause_table",
    "facts",
    "history",
    "knobs",
    "lags",
    "largest_buffers",
    "life_costs",
    "measures",
    "pictures",
    "policy_costs",
    "runs",
    "scenario",
]
