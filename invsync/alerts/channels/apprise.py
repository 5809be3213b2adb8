"""Alerts by mail, Slack, Teams, PagerDuty, ntfy and whatever else Apprise has an address for."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from invsync.alerts.alert import Notice
from invsync.errors import SystemFailed, UsageError

if TYPE_CHECKING:
    import apprise

TIMEOUT_SECONDS = 20
# An incident is opened and closed by its title, so each alert is a message of its own.
INCIDENTS = {"pagerduty": "action=map", "opsgenie": "action=map"}


def send(notices: Sequence[Notice], address: str) -> None:
    """Send the notices as one message, or one each to a service that keeps incidents.

    Raises UsageError where Apprise is not installed or knows no such address, SystemFailed where it was not delivered.
    """
    scheme = address.partition("://")[0].lower()
    service = _service(scheme, address)
    groups = [[notice] for notice in notices] if scheme in INCIDENTS else [list(notices)]
    for group in groups:
        raised = any(not notice.resolved for notice in group)
        kind = "failure" if raised else "success"
        title = group[0].title if scheme in INCIDENTS else subject(group)
        if not service.notify(title=title, body=body(group), notify_type=kind):
            raise SystemFailed(f"The alert was not delivered to {scheme}://: see that its service runs and accepts it.")


def check(address: str) -> None:
    """Raise UsageError where Apprise is not installed or knows no such address."""
    _service(address.partition("://")[0].lower(), address)


def _service(scheme: str, address: str) -> "apprise.Apprise":
    try:
        import apprise  # late: a run that sends no alert does not need it
    except ModuleNotFoundError:
        raise UsageError(f"Alerts to {scheme}:// need Apprise: install invsync[alerts].") from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its warnings may hold the address
    asset = apprise.AppriseAsset(
        app_id="invsync",
        app_desc="invsync",
        app_url="",
        async_mode=False,
        service_timeout=TIMEOUT_SECONDS,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(_with_action(scheme, address)):
        raise UsageError(f"No alert can be sent to an address that starts with {scheme}://: see Apprise's list.")
    return service


def _with_action(scheme: str, address: str) -> str:
    """Return the address with the option by which a resolved alert closes the incident that it opened."""
    action = INCIDENTS.get(scheme)
    if action is None or "action=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}{action}"


def subject(notices: Sequence[Notice]) -> str:
    """Return one line that says what the notices are about."""
    raised, resolved = _split(notices)
    if len(notices) == 1:
        return f"{'Resolved: ' if resolved else ''}{notices[0].title}"
    counts = [f"{len(raised)} alerts"] * bool(raised) + [f"{len(resolved)} resolved"] * bool(resolved)
    shops = sorted({notice.alert.shop for notice in notices})
    about = ", ".join(shops[:3]) + (f" and {len(shops) - 3} more" if len(shops) > 3 else "")
    return f"{about}: {', '.join(counts)}"


def body(notices: Sequence[Notice]) -> str:
    """Return a paragraph for each notice, those that were raised first; under its title unless it is the only one."""
    raised, resolved = _split(notices)
    if len(notices) == 1:
        return _paragraph(notices[0])
    return "\n\n".join(f"{notice.title}\n{_paragraph(notice)}" for notice in [*raised, *resolved])


def _split(notices: Sequence[Notice]) -> tuple[list[Notice], list[Notice]]:
    return [notice for notice in notices if not notice.resolved], [notice for notice in notices if notice.resolved]


def _paragraph(notice: Notice) -> str:
    summary = f"Resolved. It was: {notice.alert.summary}" if notice.resolved else notice.alert.summary
    return f"{summary}\n{notice.page}" if notice.page else summary
