"""One way of keeping Shopify: the policy and the knobs of the two systems, as a value."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from invsync.errors import UsageError

POLICIES = {
    "none": "The stock is uploaded once and never again.",
    "reset": "The classic way: pairs that changed in the OMS are set to the OMS's number.",
    "reset_in_flight": "The same, with the units of orders that the OMS does not know subtracted first.",
    "deltas": "The net of the OMS's own events is added; Shopify's own sales are never sent back.",
    "deltas_and_hard_sync": "Deltas, and every night each pair is reset with the orders in flight subtracted.",
    "realtime": "Each order and each OMS event is a webhook that resets its pair, orders in flight subtracted.",
}


@dataclass(frozen=True)
class Scenario:
    """The knobs. Times are minutes, shares between 0 and 1.

    lag        each order reaches the OMS this long after it was placed: one of these minutes, with equal chance
    cadence    the scheduled job runs every so often (none and realtime have no job)
    loss       share of webhooks that never come; those that come take `delivery`
    buffer     units hidden from Shopify at each pair, where no table of buffers is given
    safety     units of safety stock that the OMS keeps back at each pair
    peak       orders an hour against the real ones; the stock is planned for the real ones
    pos_share  share of the orders that a store takes from the same stock: the OMS knows them at once
    edits      manual edits in Shopify's admin a day, each of one pair by up to 10 units
    """

    policy: str = "reset"
    lag: tuple[float, ...] = (15.0,)
    cadence: float = 15.0
    loss: float = 0.0
    delivery: float = 1.0
    buffer: int = 0
    safety: int = 0
    peak: float = 1.0
    pos_share: float = 0.0
    edits: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, wrong, rule in [
            ("policy", self.policy not in POLICIES, f"one of {', '.join(POLICIES)}"),
            ("lag", not self.lag or min(self.lag) < 0, "minutes, none below 0"),
            ("cadence", not self.cadence > 0, "minutes above 0"),
            ("loss", not 0 <= self.loss <= 1, "between 0 and 1"),
            ("pos_share", not 0 <= self.pos_share <= 1, "between 0 and 1"),
            ("peak", not 0 <= self.peak <= 100, "between 0 and 100"),
            ("delivery", not self.delivery >= 0, "minutes, not below 0"),
            ("buffer", self.buffer < 0, "units, not below 0"),
            ("safety", self.safety < 0, "units, not below 0"),
            ("edits", not self.edits >= 0, "a number, not below 0"),
        ]:
            if wrong:
                raise UsageError(f"Knob {name} is {getattr(self, name)!r}: it must be {rule}.")

    @property
    def mean_lag(self) -> float:
        """Minutes from order to OMS, on average."""
        return sum(self.lag) / len(self.lag)


def lognormal(mean: float, spread: float = 1.0, parts: int = 40) -> tuple[float, ...]:
    """A lag of this mean with a long tail, as `parts` equally likely minutes; `spread` is the log's deviation."""
    if mean == 0 or spread == 0:
        return (float(mean),)
    drawn = [math.exp(spread * NormalDist().inv_cdf((n + 0.5) / parts)) for n in range(parts)]
    return tuple(mean * parts * value / sum(drawn) for value in drawn)
