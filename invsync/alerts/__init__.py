"""Alerts: derived from run records, and sent to a command or to addresses."""

from invsync.alerts.alert import Alert, Notice, key
from invsync.alerts.derivation import of_run, resolved
from invsync.alerts.sending import after, send
from invsync.vocabulary import GUARD_STOPPED, NO_RUN, ORDERS_LATE, PAIRS_UNKNOWN, RUN_FAILED, SUBSCRIPTION_LOST

__all__ = [
    "GUARD_STOPPED",
    "NO_RUN",
    "ORDERS_LATE",
    "PAIRS_UNKNOWN",
    "RUN_FAILED",
    "SUBSCRIPTION_LOST",
    "Alert",
    "Notice",
    "after",
    "key",
    "of_run",
    "resolved",
    "send",
]
