"""Derive alerts from the record of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from urllib.parse import quote

from invsync.alerts.alert import (
    GUARD_STOPPED,
    ORDERS_LATE,
    PAIRS_UNKNOWN,
    RUN_FAILED,
    SUBSCRIPTION_LOST,
    Alert,
)
from invsync.runs.record import Record
from invsync.vocabulary import FAILED, STOPPED, UNKNOWN


def of_run(run: Record, address: str | None = None) -> list[Alert]:
    """Return the alerts of a run; none for a run that went well.

    Their facts have the `page` of the run where the address of the reports is given.
    """
    about: dict[str, object] = {"run_id": run.run_id, "job": run.job, "status": run.status, "exit_code": run.exit_code}
    if address:
        about["page"] = f"{address.rstrip('/')}/{quote(f'{run.shop}/{run.job}/{run.run_id}')}/report.html"
    return [Alert(kind, run.shop, summary, {**about, **facts}) for kind, summary, facts in _causes(run)]


def _causes(run: Record) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """The kind, the sentence and the facts of each alert."""
    last = run.messages[-1] if run.messages else "no reason was given"
    if run.status == STOPPED:
        guards = [asdict(guard) for guard in run.guards if guard.stopped]
        yield GUARD_STOPPED, f"A guard stopped {run.job} of {run.shop}: {last}", {"guards": guards}
    if run.status == FAILED:
        yield RUN_FAILED, f"{run.job} of {run.shop} failed: {last}", {}
    if since := run.orders_late_since:
        summary = f"The order import of {run.shop} is late: an order of {since} is not in the OMS yet."
        yield ORDERS_LATE, summary, {"since": since}
    if unknown := run.counts.get(UNKNOWN, 0):
        summary = f"{unknown} pairs of {run.shop} have no known outcome after {run.job} {run.run_id}: read its report."
        yield PAIRS_UNKNOWN, summary, {"unknown": unknown}
    if topics := run.subscriptions_lost:
        remedy = f"run invsync webhooks register --shop {run.shop}"
        summary = f"Shopify does not send {', '.join(topics)} to {run.shop}: {remedy}."
        yield SUBSCRIPTION_LOST, summary, {"topics": list(topics)}
