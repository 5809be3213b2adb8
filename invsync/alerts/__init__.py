"""Alerts: derived from run records, and sent to a command or an address."""

from invsync.alerts.alert import (
    GUARD_STOPPED,
    NO_RUN,
    ORDERS_LATE,
    PAIRS_UNKNOWN,
    RUN_FAILED,
    SUBSCRIPTION_LOST,
    Alert,
)
from invsync.alerts.derivation import of_run
from invsync.alerts.sending import send

__all__ = [
    "GUARD_STOPPED",
    "NO_RUN",
    "ORDERS_LATE",
    "PAIRS_UNKNOWN",
    "RUN_FAILED",
    "SUBSCRIPTION_LOST",
    "Alert",
    "of_run",
    "send",
]
