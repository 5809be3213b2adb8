"""What the notebooks for people need beside the core: histories and runs, tables, charts, widgets, and a page."""

from invsync.lab import pictures, runs
from invsync.lab.answers import ab_table, currency, decision_table, export, named, next_week_table
from invsync.lab.catalogue import among, catalogue
from invsync.lab.causes import by_cause
from invsync.lab.data import buffer_table, doubts, history, lags, scenario
from invsync.lab.knobs import knobs
from invsync.lab.progress import progress
from invsync.lab.tables import cause_table, facts, largest_buffers, life_costs, measures, policy_costs

__all__ = [
    "ab_table",
    "among",
    "buffer_table",
    "by_cause",
    "catalogue",
    "cause_table",
    "currency",
    "decision_table",
    "doubts",
    "export",
    "facts",
    "history",
    "knobs",
    "lags",
    "largest_buffers",
    "life_costs",
    "measures",
    "named",
    "next_week_table",
    "pictures",
    "policy_costs",
    "progress",
    "runs",
    "scenario",
]
