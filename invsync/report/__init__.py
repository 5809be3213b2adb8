"""What people read of runs: the tables of a notebook, the page of a run, the index of all runs, the week of a shop."""

from invsync.report.facts import verdict
from invsync.report.links import Links
from invsync.report.markup import Html
from invsync.report.page import files_table, minimal, render
from invsync.report.remediation import needs_a_person
from invsync.report.rows import MAX_ROWS, held_rows, largest_variances, orders_in_flight, refused_rows
from invsync.report.watched import put_back, watched, wrong_levels
from invsync.scrub import leaks, scrubbed

__all__ = [
    "MAX_ROWS",
    "Html",
    "Links",
    "files_table",
    "held_rows",
    "largest_variances",
    "leaks",
    "minimal",
    "needs_a_person",
    "orders_in_flight",
    "put_back",
    "refused_rows",
    "render",
    "scrubbed",
    "verdict",
    "watched",
    "wrong_levels",
]
