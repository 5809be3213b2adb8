"""An alert: one thing that a person must see."""

from collections.abc import Mapping
from dataclasses import dataclass, field

GUARD_STOPPED = "guard_stopped"
RUN_FAILED = "run_failed"
ORDERS_LATE = "orders_late"
PAIRS_UNKNOWN = "pairs_unknown"
SUBSCRIPTION_LOST = "subscription_lost"
NO_RUN = "no_run"


@dataclass(frozen=True)
class Alert:
    """The kind of alert, the shop, one sentence, and the numbers behind it, which JSON can hold."""

    kind: str
    shop: str
    summary: str
    facts: Mapping[str, object] = field(default_factory=dict)
