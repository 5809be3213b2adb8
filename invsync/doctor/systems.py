"""Check that the state database, Shopify and the OMS answer as a run needs it."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

from invsync import oms, tables
from invsync.config.connectors import connector
from invsync.doctor.findings import Findings, counted
from invsync.errors import ShopifyFailed
from invsync.oms import schemas
from invsync.oms.checks import checks_of
from invsync.shopify import SCOPES, orders
from invsync.shopify.client import Client
from invsync.shopify.subscriptions import subscriptions as conditions
from invsync.state import State, iso

CLOCKS_APART = timedelta(minutes=1)


def state(findings: Findings, url: str) -> None:
    """Note which run holds the shop, and which files wait for an answer."""
    group, opened = "configuration", findings.tried("configuration", "state", lambda: State(url))
    if opened is None:
        return
    with closing(opened):
        kept_as = opened.shops.known_as(findings.shop.identity) or findings.name
        holder, pending = opened.holder(kept_as), opened.outbox.pending(kept_as)
    findings.ok(group, "lease", f"Run {holder} is at work." if holder else "No run is at work.")
    if holder or not pending:
        findings.ok(
            group, "outbox", "Every file that was sent has its answer." if not pending else "Files are on their way."
        )
    else:
        files = [f"{file.path.name} of run {file.run_id}" for file in pending]
        findings.warn(group, "outbox", counted("Files without an answer", files, "the next run settles them first"))


def shopify(findings: Findings, client: Client) -> bool:
    """Check Shopify's credentials, API version, scopes, orders and domain; return whether it answers."""
    group, shop = "Shopify", findings.shop
    try:
        installed = client.data("installation")
    except ShopifyFailed as error:
        other = client.api_version_served not in (None, shop.api_version)
        findings.fault(group, "API version" if other else "credentials", str(error))
        return False
    findings.ok(group, "credentials", f"{shop.base_url} answers.")
    findings.ok(group, "API version", f"{shop.api_version} is served.")
    scopes(findings, {scope["handle"] for scope in installed["currentAppInstallation"]["accessScopes"]})
    if (read := findings.tried(group, "orders", lambda: orders.readable(client))) is not None:
        sentence = (
            "Orders can be read with every field that a run reads." if read else "Shopify has no order to read yet."
        )
        findings.ok(group, "orders", sentence)
    domain = installed["shop"]["myshopifyDomain"]
    if domain == shop.domain:
        findings.ok(group, "domain", f"The app belongs to {domain}.")
    else:
        note = findings.warn if shop.endpoint else findings.fault
        note(group, "domain", f"The app belongs to {domain}, not to {shop.domain}: correct domain, or the token.")
    return True


def scopes(findings: Findings, granted: set[str]) -> None:
    """Check the scopes against those needed; one that may write a thing may read it too."""
    may = granted | {f"read_{scope.removeprefix('write_')}" for scope in granted if scope.startswith("write_")}
    missing = [scope for scope in SCOPES if scope not in may]
    more = sorted(granted - set(SCOPES))
    if missing:
        findings.fault("Shopify", "scopes", f"The app lacks {', '.join(missing)}: grant it and install the app again.")
    if more:
        findings.warn("Shopify", "scopes", f"The app has {', '.join(more)}, which no job needs: take it away.")
    if not missing and not more:
        findings.ok("Shopify", "scopes", f"The app has what is needed and no more: {', '.join(SCOPES)}.")


def subscriptions(findings: Findings, client: Client) -> None:
    """Check that Shopify sends the webhooks that the shop's receiver expects."""
    address, name = findings.shop.webhook_url, "webhooks"
    if address is None:
        findings.ok("Shopify", name, "No webhook_url is set: the shop is kept by its scheduled jobs alone.")
        return
    listed = findings.tried("Shopify", name, lambda: conditions(client, address))
    wrong = [f"{one.topic} is {one.condition}" for one in listed or [] if one.condition != "right"]
    if wrong:
        fix = f"run invsync webhooks register --shop {findings.name}"
        findings.fault("Shopify", name, counted("Webhook subscriptions are not as they should be", wrong, fix))
    elif listed:
        findings.ok("Shopify", name, f"All {len(listed)} subscriptions send to {address}.")


def hotwax(findings: Findings, source: oms.Source) -> tables.Snapshot | None:
    """One snapshot of the OMS, its clock and its stamps looked at."""
    group, wanted = "HotWax", findings.shop.oms
    declared = connector(wanted.kind)
    named = f"group {wanted.facility_group_id}" if wanted.facility_group_id else "no facility group"
    findings.ok(
        group,
        declared.label,
        f"Every table that a run needs is there; shop {wanted.shop_id}, store {source.store}, {named}.",
    )
    for check in checks_of(declared):
        if check.group == group and (answer := findings.tried(group, check.name, partial(check.answer, source))):
            findings.note(group, check.name, answer)
    snapshot = findings.tried(group, "stock", source.snapshot)
    if snapshot is None:
        return None
    clock(findings, snapshot.now - datetime.now(UTC))
    findings.tried(group, "orders", lambda: source.cancelled_orders(snapshot.now - timedelta(days=1)))
    stock = snapshot.product_facility
    newest = stock["last_updated_stamp"].max()
    if isinstance(newest, datetime) and newest > max(snapshot.now, findings.now) + CLOCKS_APART:
        findings.fault(
            group,
            "stock",
            f"A product_facility row is stamped {iso(newest)}, in the future: "
            f"set timezone in [shops.{findings.name}.oms] to the database's own.",
        )
    elif stock.is_empty():
        findings.fault(group, "stock", "The table product_facility is empty: check the database or the export.")
    else:
        findings.ok(group, "stock", f"{stock.height} rows of product_facility.")
    if snapshot.unreadable.height:
        findings.fault(
            group,
            "values",
            f"Some values cannot be read, and the pairs that they feed are held: "
            f"{schemas.sentence(snapshot.unreadable)}; correct them.",
        )
    return snapshot


def clock(findings: Findings, ahead: timedelta) -> None:
    """Check how far the OMS's clock is ahead of this machine's."""
    if abs(ahead) <= CLOCKS_APART:
        findings.ok("HotWax", "clock", "Its clock and this machine's agree within a minute.")
        return
    difference = f"{abs(ahead).total_seconds():.0f} seconds {'ahead of' if ahead > timedelta(0) else 'behind'}"
    findings.warn("HotWax", "clock", f"Its clock is {difference} this machine's: set both by a time server.")


def order_import(findings: Findings, client: Client, known: datetime | None) -> None:
    """Check that the OMS imports Shopify's orders, by the oldest order after the newest that it knows."""
    since = known or findings.now - timedelta(days=findings.shop.orders_lookback_days)
    query = {"afterTheKnown": f"created_at:>'{since:%Y-%m-%dT%H:%M:%SZ}'"}
    dates = findings.tried("HotWax", "order import", lambda: client.data("order_dates", query))
    if dates is None:
        return
    unknown = dates["oldestUnknown"]["nodes"]
    last = f"the OMS's newest is of {iso(known)}" if known else "the OMS has none"
    limit = findings.now - timedelta(minutes=findings.shop.late_after_minutes)
    if unknown and datetime.fromisoformat(unknown[0]["createdAt"]) < limit:
        findings.warn(
            "HotWax",
            "order import",
            f"Order {unknown[0]['name']} of {unknown[0]['createdAt']} was not "
            f"imported ({last}): look at the job that downloads orders.",
        )
    else:
        shown = [f"Shopify's newest order is of {order['createdAt']}" for order in dates["newest"]["nodes"]]
        findings.ok("HotWax", "order import", f"{(*shown, 'Shopify has no order')[0]}, {last}.")
