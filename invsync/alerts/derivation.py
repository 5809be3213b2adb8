"""Derive alerts from a run record."""

from collections.abc import Iterator, Mapping
from typing import Any

from invsync.alerts.alert import (
    GUARD_STOPPED,
    ORDERS_LATE,
    PAIRS_UNKNOWN,
    RUN_FAILED,
    SUBSCRIPTION_LOST,
    Alert,
)


def of_run(run: Mapping[str, Any]) -> list[Alert]:
    """Return the alerts of a run, from its run.json; none for a run that went well."""
    about = {name: run[name] for name in ("run_id", "job", "status", "exit_code")}
    return [Alert(kind, run["shop"], summary, about | facts) for kind, summary, facts in _causes(run)]


def _causes(run: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, object]]]:
    """The kind, the sentence and the facts of each alert."""
    job, shop = run["job"], run["shop"]
    last = (run["messages"] or ["no reason was given"])[-1]
    if run["status"] == "stopped":
        guards = [guard for guard in run["guards"] if guard["stopped"]]
        yield GUARD_STOPPED, f"A guard stopped {job} of {shop}: {last}", {"guards": guards}
    if run["status"] == "failed":
        yield RUN_FAILED, f"{job} of {shop} failed: {last}", {}
    if since := run.get("orders_late_since"):
        summary = f"The order import of {shop} is late: an order of {since} is not in the OMS yet."
        yield ORDERS_LATE, summary, {"since": since}
    if unknown := run["counts"]["unknown"]:
        summary = f"{unknown} pairs of {shop} have no known outcome after {job} {run['run_id']}: read its report."
        yield PAIRS_UNKNOWN, summary, {"unknown": unknown}
    if topics := run.get("subscriptions_lost"):
        summary = f"Shopify does not send {', '.join(topics)} to {shop}: run invsync webhooks register --shop {shop}."
        yield SUBSCRIPTION_LOST, summary, {"topics": topics}
