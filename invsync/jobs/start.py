"""Open a run for a notebook: check what it was given, then open the shop, the OMS, the state and the folder."""

import os
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invsync import charts, oms
from invsync.config import settings
from invsync.errors import SystemFailed, UsageError
from invsync.jobs import review
from invsync.jobs.deltas import Deltas
from invsync.jobs.parameters import Parameters, parameters
from invsync.jobs.realtime import Realtime
from invsync.jobs.resets import Resets
from invsync.jobs.run import Run
from invsync.ledger.peers import peers
from invsync.runs import record
from invsync.runs.restored import unknown_run
from invsync.shopify import Shopify
from invsync.state import Lease, State, iso
from invsync.vocabulary import DELTAS, HARD, REALTIME, RECENT

RUN_ENV, APPLIES_ENV, UNDOES_ENV = "INVSYNC_RUN", "INVSYNC_APPLIES", "INVSYNC_UNDOES"
KINDS: dict[str, type[Run]] = {
    RECENT: Resets,
    HARD: Resets,
    REALTIME: Realtime,
    DELTAS: Deltas,
}
KEPT_BY = {RECENT: "resets", DELTAS: "deltas"}


def new_run_id() -> str:
    """An id that sorts by time: its last four digits are the fraction of the second."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 0x10000 // 1_000_000:04x}"


def check_keeper(given: Parameters, shop: settings.ShopSettings) -> None:
    """Refuse a job that would undo the other way of keeping this shop."""
    if KEPT_BY.get(given.job, shop.keep_by) != shop.keep_by:
        other = "hard-sync and push-deltas" if shop.keep_by == "deltas" else "hard-sync and upload-recent-changes"
        raise UsageError(
            f"Shop {given.shop} is kept by {shop.keep_by}, which {given.job} would undo: run {other}, "
            f'or set keep_by = "{KEPT_BY[given.job]}".'
        )


def open_run(job: str, **told: Any) -> Any:
    """The run of this job, opened with the notebook's parameters: Resets, Deltas, or one that follows another run."""
    given = parameters(job, told)
    configured = settings.load(Path(given.config))
    if not os.environ.get(UNDOES_ENV):
        check_keeper(given, configured.shop(given.shop))
    with ExitStack() as held:  # what is open is closed where the opening fails, and otherwise with the run
        run = _opened(given, configured, held)
        run.held = held.pop_all()
    return run


def _opened(given: Parameters, configured: settings.Settings, held: ExitStack) -> Run:
    shop, alone = configured.shop(given.shop), RUN_ENV not in os.environ
    source, state = oms.open_source(shop.oms), held.enter_context(closing(State(configured.state.url)))
    run_id = os.environ.get(RUN_ENV) or new_run_id()
    kept_as = state.shops.kept_as(given.shop, shop.identity)
    lease = held.enter_context(state.lease(kept_as, run_id)) if alone else state.joined(kept_as, run_id)
    said = _check_state(state, configured, given.shop, kept_as, run_id) if shop.keep_by == "deltas" else []
    folder = Path(configured.reports.path) / given.shop / given.job / run_id
    folder.mkdir(parents=True, exist_ok=True)
    charts.enable(locale=shop.locale, timezone=shop.timezone)
    now = source.now()
    clock = given.at or datetime.now(UTC)
    thru = min(clock, now)
    beside = list(peers(configured, given.shop, source, state, at=clock, thru=thru, given=given.at))
    for peer in beside:
        held.callback(peer.close)
    facts: dict[str, Any] = dict(
        run_id=run_id,
        given=given,
        shop=shop,
        folder=folder,
        state=state,
        oms=source,
        shopify=_shopify(shop, given, lease),
        lease=lease,
        at=clock,
        thru=thru,
        summary=record.blank(run_id, given.shop, given.job, iso(datetime.now(UTC))) | {"messages": said},
        alone=alone,
        peers=beside,
        kept=configured.state,
        names=frozenset(name for name, other in configured.shops.items() if other.identity == shop.identity),
    )
    if alone:  # nobody closes this folder for us: it has failed until it says otherwise
        record.write(folder, facts["summary"])
    return _of_its_kind(given.job, facts)


def _of_its_kind(job: str, facts: dict[str, Any]) -> Run:
    """The run of this job, or one that applies or undoes another run."""
    applies, undoes = os.environ.get(APPLIES_ENV), os.environ.get(UNDOES_ENV)
    if not (other := applies or undoes):
        run = KINDS[job](**facts)
        if run.shop.webhook_url:
            tell_subscriptions(run, run.shop.webhook_url)
        return run
    facts["summary"] |= {"applies" if applies else "undoes": other}
    kind = review.Applied if applies else review.Undone
    return kind(**facts, source=review.earlier(facts["state"], other, planned=bool(applies))[2])


def _check_state(state: State, configured: settings.Settings, shop: str, kept_as: str, run_id: str) -> list[str]:
    """Let the delta job wait for a hard sync where the state is older than the runs that it should know.

    Copies that cannot be read are no reason to stop: what the reader must know of that comes back.
    """
    try:
        other = unknown_run(state, shop, Path(configured.reports.path), configured.reports.copy_to, own=run_id)
    except SystemFailed as error:
        return [f"The copies of runs could not say whether the state database was restored. {error}"]
    if other is not None:
        why = (
            f"the state database does not know run {other}, so it was restored or newly made, and it is not known which "
            "stock events Shopify has counted since"
        )
        state.shops.require_hard_sync(kept_as, why)
    return []


def tell_subscriptions(run: Run, address: str) -> None:
    """Say whether Shopify still sends the webhooks that this shop lives by."""
    lost = [one.topic for one in run.shopify.subscriptions(address) if one.condition != "right"]
    run.summary["subscriptions_lost"] = lost
    told = f"Shopify does not send {', '.join(lost)} any more: run invsync webhooks register --shop {run.given.shop}."
    run.say(told if lost else "Every webhook subscription is in place.")


def _shopify(shop: settings.ShopSettings, given: Parameters, lease: Lease) -> Shopify:
    names = [name for name in (shop.token_env, shop.client_secret_env) if name]
    secrets = {name: settings.secret(name, os.environ) or "" for name in names}
    return Shopify.open(shop, secrets=secrets, read_only=given.dry_run, before_write=lease.check)
