"""How a question is asked of a merchant's own HotWax, and how its answer is noted."""

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
    """Whom a question may ask: the shop's settings, its OMS, one snapshot of it, and the rules that map it."""

    shop: ShopSettings
    source: oms.Source
    snapshot: tables.Snapshot
    rules: mapping.Rules

    def rows(
        self, name: str, schema: tables.Schema, where: Mapping[str, Sequence[str]] | None = None, newest: str = ""
    ) -> pl.DataFrame:
        """At most NEWEST rows of a table, or as many as there are values; Lacking where this HotWax has none such."""
        limit = max([NEWEST, *map(len, (where or {}).values())])
        return self.source.sample(name, schema, limit, where=where, newest=newest)

    def reasons(self) -> list[str]:
        """The reasons whose stock events are pushed as deltas now."""
        if self.shop.delta_reasons is not None:
            return list(self.shop.delta_reasons)
        listed = self.source.delta_reasons()
        now = listed.filter(mapping.is_effective(self.snapshot.now))["reason"].to_list()
        return list(delta.DEFAULT_REASONS) if listed.is_empty() else now

    def matters_to_deltas(self) -> Status:
        """A warning where the shop is kept by deltas."""
        return "warning" if self.shop.keep_by == "deltas" else "ok"


Question = Callable[[Asked], Answer]


def texts(*names: str) -> tables.Schema:
    """A schema of texts."""
    return dict.fromkeys(names, tables.TEXT)


def ask(findings: Findings, questions: Mapping[str, Callable[[], Answer | None]]) -> None:
    """Note each answer; what this HotWax does not have, or would not tell, is told as such."""
    for name, question in questions.items():
        try:
            answer = question()
        except Lacking as lack:
            answer = "ok", f"Cannot be told: this HotWax shows no {lack}."
        except InvsyncError as error:
            answer = "warning", f"Not answered: {error}"
        if answer is not None:
            findings.note(GROUP, name, answer)
