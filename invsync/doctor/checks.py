"""Ask a question about the merchant's own HotWax, and note the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from invsync import delta, mapping, oms, tables
from invsync.config.settings import ShopSettings
from invsync.doctor.findings import Answer, Findings, Status
from invsync.errors import InvsyncError
from invsync.oms import Lacking

GROUP = "questions"
NEWEST = 500


@dataclass(frozen=True)
class Asked:
    """What a question is about: the shop's settings, its OMS, a snapshot of it, and the rules that map it."""

    shop: ShopSettings
    source: oms.Source
    snapshot: tables.Snapshot
    rules: mapping.Rules

    def rows(
        self, name: str, schema: tables.Schema, where: Mapping[str, Sequence[str]] | None = None, newest: str = ""
    ) -> pl.DataFrame:
        """Return at most NEWEST rows of a table, or as many as there are values; raises Lacking where there is no such table."""
        limit = max([NEWEST, *map(len, (where or {}).values())])
        return self.source.sample(name, schema, limit, where=where, newest=newest)

    def reasons(self) -> list[str]:
        """Return the reasons whose stock events are pushed as deltas now."""
        if self.shop.delta_reasons is not None:
            return list(self.shop.delta_reasons)
        listed = self.source.delta_reasons()
        now = listed.filter(mapping.is_effective(self.snapshot.now))["reason"].to_list()
        return list(delta.DEFAULT_REASONS) if listed.is_empty() else now

    def matters_to_deltas(self) -> Status:
        """Return the status of a fault in deltas: a warning where the shop is kept by them."""
        return "warning" if self.shop.keep_by == "deltas" else "ok"


Question = Callable[[Asked], Answer]


def texts(*names: str) -> tables.Schema:
    """Return a schema of text columns."""
    return dict.fromkeys(names, tables.TEXT)


def ask(findings: Findings, questions: Mapping[str, Callable[[], Answer | None]]) -> None:
    """Ask each question and note its answer, or that this HotWax does not have it or did not answer."""
    for name, question in questions.items():
        try:
            answer = question()
        except Lacking as lack:
            answer = "ok", f"Cannot be told: this HotWax shows no {lack}."
        except InvsyncError as error:
            answer = "warning", f"Not answered: {error}"
        if answer is not None:
            findings.note(GROUP, name, answer)
