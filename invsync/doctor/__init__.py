"""Examine a shop's set-up before a run does: each fault in one sentence, with its fix."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from invsync import mapping, oms, tables
from invsync.config import settings
from invsync.config.connectors import connector
from invsync.doctor import mapped, systems
from invsync.doctor.checks import Asked, ask
from invsync.doctor.environment import environment
from invsync.doctor.findings import GROUPS, Check, Findings
from invsync.doctor.questions import QUESTIONS
from invsync.doctor.variants import variants
from invsync.ledger import buffers
from invsync.oms.checks import checks_of
from invsync.scrub import scrubbed
from invsync.shopify import Shopify
from invsync.shopify.client import Client

__all__ = ["Check", "examine"]
TRIES = 3  # few, for somebody is waiting


def examine(config: Path, name: str) -> list[Check]:
    """Return all checks of a shop, by group; raises UsageError for a wrong configuration or a secret that is not set."""
    configured = settings.load(config)
    shop = configured.shop(name)
    variables = [*shop.api_variables, *settings.variables(shop.oms)]
    secrets = settings.by_variable(variables, os.environ)
    findings = Findings(name, shop, datetime.now(UTC))
    findings.ok("configuration", "file", f"{config} describes {shop.domain}, kept by {shop.keep_by}.")
    findings.ok("configuration", "secrets", f"{', '.join(variables)} found.")
    systems.state(findings, configured.state.url)
    environment(findings, configured)
    if not any(check.status == "fault" for check in findings.checks if check.name in ("proxy", "certificates")):
        with closing(Client.open(shop, secrets=secrets, read_only=True, tries=TRIES)) as client:
            _examine(findings, client)
    for group in GROUPS:
        if group not in {check.group for check in findings.checks}:
            findings.warn(group, "not examined", "Not examined: mend the faults above and look again.")
    checks = [replace(check, message=scrubbed(check.message)) for check in findings.checks]
    return sorted(checks, key=lambda check: GROUPS.index(check.group))


def _examine(findings: Findings, client: Client) -> None:
    answers = systems.shopify(findings, client)
    shop = findings.shop
    source = findings.tried("HotWax", connector(shop.oms.kind).label, lambda: oms.open_source(shop.oms, tries=TRIES))
    if source is None:
        return
    with closing(source):
        if (snapshot := systems.hotwax(findings, source)) is not None:
            _compare(findings, client if answers else None, source, snapshot)


def _compare(findings: Findings, client: Client | None, source: oms.Source, snapshot: tables.Snapshot) -> None:
    """Compare HotWax's snapshot with Shopify, where that answers, and check what invsync assumes about HotWax."""
    rules = oms.mapping_rules(findings.shop, source, findings.now)
    pairs = mapped.pairs(findings, snapshot, rules)
    findings.tried("configuration", "buffers", lambda: buffers.check(findings.shop.buffer, source, rules))
    asked = Asked(findings.shop, source, snapshot, rules)
    ask(findings, {name: partial(question, asked) for name, question in QUESTIONS.items()})
    own = [check for check in checks_of(connector(findings.shop.oms.kind)) if check.group == "questions"]
    ask(findings, {check.name: partial(check.answer, source) for check in own})
    if client is None:
        return
    variants(findings, client, snapshot)
    systems.order_import(findings, client, snapshot.newest_known)
    systems.subscriptions(findings, client)
    mapped.locations(findings, Shopify(client), snapshot)
    if pairs is not None:
        mapped.items(findings, Shopify(client), mapping.targets(pairs, snapshot, rules))
