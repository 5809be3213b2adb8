"""When an alert may be sent: after the quiet hours of its shop, and once others had time to join it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from invsync.config.fields import span
from invsync.config.settings import AlertSettings


def is_quiet(kind: str, to: AlertSettings, zone: str, now: datetime) -> bool:
    """Whether an alert of this kind waits for the end of the quiet hours, which are in the shop's time zone."""
    if to.quiet_hours is None or kind in to.urgent:
        return False
    start, end = span(to.quiet_hours)
    clock = now.astimezone(ZoneInfo(zone)).time()
    return start <= clock < end if start < end else clock >= start or clock < end


def is_grouping(since: datetime, to: AlertSettings, now: datetime) -> bool:
    """Whether an alert that was raised at this moment still waits for others to join it."""
    return now < since + timedelta(minutes=to.group_minutes)
