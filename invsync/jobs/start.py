"""Start a run for a notebook: check its parameters, then open the shop, the OMS, the state and the folder."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invsync import charts, oms
from invsync.config import nearest, settings
from invsync.engine.shell import guard_errors
from invsync.errors import SystemFailed, UsageError
from invsync.jobs.context import Context
from invsync.jobs.job import job
from invsync.jobs.methods import review
from invsync.jobs.parameters import Parameters, parameters
from invsync.jobs.run import Run
from invsync.jobs.sending import Sending, SendingAgain
from invsync.ledger.peers import peers
from invsync.runs import record
from invsync.runs.record import Record
from invsync.runs.restored import unknown_run
from invsync.shopify import Shopify
from invsync.state import Lease, State, iso
from invsync.telemetry import Stopwatch
from invsync.vocabulary import PLANNED, SHADOW

RUN_ENV = "INVSYNC_RUN"
AnyRun = Run[Any, Any]


def new_run_id() -> str:
    """An id that sorts by time: its last four digits are the fraction of the second."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 0x10000 // 1_000_000:04x}"


def check_keeper(given: Parameters, shop: settings.ShopSettings) -> None:
    """Refuse a job that would undo the other way of keeping this shop, or send to one that is only watched."""
    keeps = job(given.job).keeps
    if given.job == SHADOW and not given.dry_run:
        raise UsageError("Job shadow sends nothing: run invsync shadow, or add --dry-run.")
    if shop.keep_by == "another" and not given.dry_run:
        raise UsageError(
            f'Shop {given.shop} is kept by another system (keep_by = "another"), so {given.job} sends nothing to it: run '
            'invsync shadow, add --dry-run, or set keep_by = "resets" to take over.'
        )
    if given.job == SHADOW and shop.keep_by != "another":
        raise UsageError(
            f"Shop {given.shop} is kept by {shop.keep_by}, so there is no other sync to watch: set "
            'keep_by = "another" to watch it and send nothing.'
        )
    if shop.keep_by not in (*keeps, "another"):
        other = "hard-sync and push-deltas" if shop.keep_by == "deltas" else "hard-sync and upload-recent-changes"
        raise UsageError(
            f"Shop {given.shop} is kept by {shop.keep_by}, which {given.job} would undo: run {other}, "
            f'or set keep_by = "{keeps[0]}".'
        )


def open_run(name: str, **given: object) -> AnyRun:
    """A run of this job, opened with the notebook's parameters.

    Without `config` it is the nearest configuration, its paths taken from its folder; without `shop` its only shop.
    A UsageError where a parameter is wrong, LeaseHeld where another run is at work, SystemFailed where the state
    database, the OMS or Shopify cannot be opened.
    """
    configured, named = _located(given.get("shop"), given.get("config"))
    checked = parameters(name, job(name).parameters, {**given, **named})
    configured = configured or settings.load(Path(checked.config))
    check_keeper(checked, configured.shop(checked.shop))
    return _opened(checked, configured, lambda context: _planned(context))


def _located(shop: object, config: object) -> tuple[settings.Settings | None, dict[str, str]]:
    """The nearest configuration with the shop and the file that the parameters leave open; None where they name both."""
    if config and shop:
        return None, {}
    if config:
        return None, {"shop": nearest.shop_of(settings.load(Path(str(config))))}
    path = nearest.located()
    configured = nearest.opened(path)
    return configured, {"shop": nearest.shop_of(configured, str(shop or "")), "config": str(path)}


def apply(run: str, *, shop: str, config: str, transport: str = "auto") -> AnyRun:
    """A run that sends the plan of the dry run `run` as it was reviewed; errors as those of `open_run`."""
    return _following(run, shop, config, transport=transport, planned=True)


def undo(run: str, *, shop: str, config: str) -> AnyRun:
    """A dry run that plans the inverse of what the run `run` changed; errors as those of `open_run`."""
    return _following(run, shop, config, planned=False)


def _following(run: str, shop: str, config: str, *, planned: bool, transport: str = "auto") -> AnyRun:
    near, named = _located(shop, config)
    shop, config = named.get("shop", shop), named.get("config", config)
    configured = near or settings.load(Path(config))
    with closing(State(configured.state.url)) as state:
        earlier = review.earlier(state, run or _choice(state, shop, planned=planned), planned=planned)
    if earlier.shop != shop:
        raise UsageError(f"Run {earlier.run_id} is one of {earlier.shop}, not of {shop}: correct the parameter shop.")
    given = {"shop": shop, "config": config, "dry_run": not planned, "transport": transport}
    checked = parameters(earlier.job, job(earlier.job).parameters, given)
    if planned:
        check_keeper(checked, configured.shop(shop))
    return _opened(checked, configured, lambda context: _reviewed(context, earlier, planned=planned))


def _choice(state: State, shop: str, *, planned: bool) -> str:
    """The run to undo where none is named: the newest that sent something. A plan to apply must be named."""
    rows = state.runs.every(shop)
    rows = [row for row in rows if (row["status"] == PLANNED if planned else row["sent"])]
    names = [row["run_id"] for row in sorted(rows, key=lambda row: row["run_id"], reverse=True)]
    if names and not planned:
        return names[0]
    if names:
        raise UsageError(f"Set run to the dry run whose plan is sent, the newest first: {', '.join(names[:5])}.")
    what = "no dry run whose plan could be sent" if planned else "no run that sent something"
    raise UsageError(f"Shop {shop} has {what}: run a job first.")


def _planned(context: Context) -> AnyRun:
    method = job(context.job).method(context)
    return Run(context, method, Sending(context, method), Record())


def _reviewed(context: Context, earlier: review.Earlier, *, planned: bool) -> AnyRun:
    if planned:
        applied = review.Applied(context, earlier)
        return Run(context, applied, SendingAgain(context, applied), Record(applies=earlier.run_id))
    undone = review.Undone(context, earlier)
    return Run(context, undone, Sending(context, undone), Record(undoes=earlier.run_id))


def _opened(given: Parameters, configured: settings.Settings, made: Callable[[Context], AnyRun]) -> AnyRun:
    """The run that `made` gives of an open context; what is open is closed where that fails, else with the run."""
    guard_errors()
    with ExitStack() as resources:
        context, alone, messages = _context(given, configured, resources)
        run = made(context)
        opened = replace(
            run.opened,
            run_id=context.run_id,
            shop=context.name,
            job=context.job,
            started_at=iso(datetime.now(UTC)),
            messages=messages,
        )
        if alone:  # nobody closes this folder for us: it has failed until it says otherwise
            record.write(context.folder, opened)
        if context.shop.webhook_url and run.opened == Record():
            opened = _with_subscriptions(opened, context, context.shop.webhook_url)
        watch = Stopwatch(context.folder if configured.telemetry.measures else None, lambda: context.shopify.usage)
        return replace(run, opened=opened, alone=alone, stopwatch=watch, resources=resources.pop_all())


def _context(
    given: Parameters, configured: settings.Settings, resources: ExitStack
) -> tuple[Context, bool, tuple[str, ...]]:
    """The surroundings of a run, whether papermill executes it by itself, and what is to be said of the state."""
    shop, alone = configured.shop(given.shop), RUN_ENV not in os.environ
    source, state = oms.open_source(shop.oms), resources.enter_context(closing(State(configured.state.url)))
    run_id = os.environ.get(RUN_ENV) or new_run_id()
    kept_as = state.shops.kept_as(given.shop, shop.identity)
    lease = resources.enter_context(state.lease(kept_as, run_id)) if alone else state.joined(kept_as, run_id)
    messages = _check_state(state, configured, given.shop, kept_as, run_id) if shop.keep_by == "deltas" else ()
    folder = Path(configured.reports.path) / given.shop / given.job / run_id
    folder.mkdir(parents=True, exist_ok=True)
    charts.enable(locale=shop.locale, timezone=shop.timezone)
    clock = given.at or datetime.now(UTC)
    thru = min(clock, source.now())
    beside = tuple(peers(configured, given.shop, source, state, at=clock, thru=thru, given=given.at))
    for peer in beside:
        resources.callback(peer.close)
    context = Context(
        run_id=run_id,
        parameters=given,
        shop=shop,
        folder=folder,
        state=state,
        oms=source,
        shopify=_shopify(shop, given, lease),
        lease=lease,
        at=clock,
        thru=thru,
        peers=beside,
        names=frozenset(name for name, other in configured.shops.items() if other.identity == shop.identity),
        kept=configured.state,
    )
    return context, alone, messages


def _check_state(state: State, configured: settings.Settings, shop: str, kept_as: str, run_id: str) -> tuple[str, ...]:
    """Let the delta job wait for a hard sync where the state is older than the runs that it should know.

    Copies that cannot be read are no reason to stop: what the reader must know of that comes back.
    """
    try:
        other = unknown_run(state, shop, Path(configured.reports.path), configured.reports.copy_to, own=run_id)
    except SystemFailed as error:
        return (f"The copies of runs could not say whether the state database was restored. {error}",)
    if other is not None:
        why = (
            f"the state database does not know run {other}, so it was restored or newly made, and it is not known which "
            "stock events Shopify has counted since"
        )
        state.shops.require_hard_sync(kept_as, why)
    return ()


def _with_subscriptions(opened: Record, context: Context, address: str) -> Record:
    """The record, which says whether Shopify still sends the webhooks that this shop lives by."""
    lost = tuple(each.topic for each in context.shopify.subscriptions(address) if each.condition != "right")
    message = "Every webhook subscription is in place."
    if lost:
        message = (
            f"Shopify does not send {', '.join(lost)} any more: run invsync webhooks register --shop {context.name}."
        )
    return replace(opened, subscriptions_lost=lost, messages=opened.with_message(message))


def _shopify(shop: settings.ShopSettings, given: Parameters, lease: Lease) -> Shopify:
    secrets = settings.by_variable(shop.api_variables, os.environ)
    return Shopify.open(shop, secrets=secrets, read_only=given.dry_run, before_write=lease.check)
