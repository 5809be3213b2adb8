"""An alert, which is one thing that a person must see, and the notice that it was raised or resolved."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from invsync.vocabulary import ALERTS, JOB_ALERTS


def key(kind: str, job: object = None) -> str:
    """Return what identifies an alert of a shop: its kind, and its job where each job has its own."""
    return f"{kind} {job}" if kind in JOB_ALERTS and job else kind


@dataclass(frozen=True)
class Alert:
    """The kind of alert, the shop, one sentence, and the numbers behind it, which JSON can hold."""

    kind: str
    shop: str
    summary: str
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the alert among those of its shop."""
        return key(self.kind, self.facts.get("job"))

    def page(self, reports: str | None) -> str | None:
        """Return the address of the run's page under that of all reports, or of the index if the alert names no run."""
        if not reports:
            return None
        job, run_id = self.facts.get("job"), self.facts.get("run_id")
        return f"{reports.rstrip('/')}/" + (f"{self.shop}/{job}/{run_id}/report.html" if run_id else "index.html")


@dataclass(frozen=True)
class Notice:
    """An alert on its way: when it was raised or resolved (ISO 8601), and the address of its page."""

    alert: Alert
    at: str
    page: str | None = None
    resolved: bool = False

    @property
    def title(self) -> str:
        """The shop, the job, and the kind in words: the same when the alert is raised and when it is resolved."""
        job = self.alert.facts.get("job")
        about = f"{self.alert.shop}, {job}" if job and self.alert.kind in JOB_ALERTS else self.alert.shop
        return f"{about}: {ALERTS.get(self.alert.kind, self.alert.kind)}"

    def line(self) -> str:
        """Return the notice as one line of JSON; `page` and `resolved` only where they are set."""
        alert = self.alert
        line = {"alert": alert.kind, "shop": alert.shop, "at": self.at, "summary": alert.summary, "facts": alert.facts}
        extra = ({"page": self.page} if self.page else {}) | ({"resolved": True} if self.resolved else {})
        return json.dumps(line | extra, ensure_ascii=False)
