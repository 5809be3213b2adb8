"""Derive alerts from the record of a run, and which earlier ones it shows to be resolved."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from invsync.alerts.alert import Alert, key
from invsync.runs.record import Record
from invsync.vocabulary import (
    FAILED,
    GUARD_STOPPED,
    HARD,
    NO_RUN,
    ORDERS_LATE,
    PAIRS_UNKNOWN,
    PLANNED,
    RECENT,
    RUN_FAILED,
    SENT,
    SHADOW,
    STOPPED,
    SUBSCRIPTION_LOST,
    UNKNOWN,
)


def of_run(run: Record) -> list[Alert]:
    """Return the alerts of a run; none for a run that went well."""
    about = {"run_id": run.run_id, "job": run.job, "status": run.status, "exit_code": run.exit_code}
    return [Alert(kind, run.shop, summary, {**about, **facts}) for kind, summary, facts in _causes(run)]


def resolved(run: Record) -> list[str]:
    """Return the keys of the alerts that this run shows to be over, whether or not they were raised."""
    return [key(kind, run.job) for kind in _resolved(run)]


def _resolved(run: Record) -> Iterator[str]:
    is_over = run.status in SENT or (run.job == SHADOW and run.status == PLANNED)  # it did what its schedule is for
    if is_over or run.status == STOPPED:
        yield RUN_FAILED
    if is_over:
        yield from (GUARD_STOPPED, NO_RUN)
        if not run.counts.get(UNKNOWN, 0):
            yield PAIRS_UNKNOWN
        if run.job in (RECENT, HARD, SHADOW) and not run.applies and not run.orders_late_since:
            yield ORDERS_LATE
    if run.subscriptions_lost == ():
        yield SUBSCRIPTION_LOST


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
