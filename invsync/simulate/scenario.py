"""A scenario: the policy that keeps Shopify right, and the knobs of the two systems."""

import math
from dataclasses import astuple, dataclass, fields
from statistics import NormalDist

from invsync.errors import UsageError

POLICIES = {
    "none": "The stock is uploaded once and never again.",
    "reset": "The classic way: pairs that changed in the OMS are set to the OMS's number.",
    "reset_by_header": "The same, with the units of visible orders whose header the OMS does not know subtracted first.",
    "reset_in_flight": "The same, with the units sold and not booked subtracted first; a fresh change defers a raise.",
    "deltas": "The net of the OMS's own events is added; Shopify's own sales are never sent back.",
    "deltas_and_hard_sync": "Deltas, and every night each pair is reset with the orders in flight subtracted.",
    "realtime": "Each order and each OMS event is a webhook that resets its pair, orders in flight subtracted.",
}
LOSS = 0.1  # the share of webhooks that are lost, unless a scenario says otherwise
VISIBLE_AFTER = 10  # minutes after which the order search shows every order
Rules = list[tuple[str, bool, str]]  # a knob, whether its value is wrong, and what it must be


def _check(owner: object, rules: Rules) -> None:
    for name, wrong, rule in rules:
        if wrong:
            raise UsageError(f"Knob {name} is {getattr(owner, name)!r}: it must be {rule}.")


@dataclass(frozen=True)
class Lives:
    """Shares of the shop's orders that change after they are placed, between 0 and 1.

    An order that is drawn for several lives has the first of them. The OMS learns of each change a lag later.

    edited         one unit is added to the first line a while after the import
    till           sold at a Shopify till and closed at once: its units are never committed
    shipped_early  shipped soon after it was placed, mostly before its import: committed no longer
    refunded       one unit is refunded and restocked before it ships
    cancelled      the same with all units
    returned       one unit is returned and restocked days after the import
    """

    edited: float = 0.0
    till: float = 0.0
    shipped_early: float = 0.0
    refunded: float = 0.0
    cancelled: float = 0.0
    returned: float = 0.0

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self)]
        _check(self, [(name, not 0 <= getattr(self, name) <= 1, "between 0 and 1") for name in names])

    @property
    def any(self) -> bool:
        """Whether some orders have a life."""
        return any(astuple(self))


@dataclass(frozen=True)
class Scenario:
    """The knobs. Times are minutes, shares are between 0 and 1. A value out of its range raises a UsageError.

    lag        the delays of orders on their way to the OMS, each equally likely
    cadence    the time between two runs of the scheduled job (`none` and `realtime` have no job)
    loss       the share of webhooks that are lost; the others take `delivery`
    buffer     units hidden from Shopify at each pair, unless a table of buffers is given
    safety     units of safety stock that the OMS holds back at each pair
    peak       orders an hour as a multiple of the real ones; the stock is planned for the real ones
    pos_share  the share of orders that a store sells from the same stock: the OMS knows them at once
    edits      manual edits in Shopify's admin a day, each of one pair by up to 10 units
    seed       the seed of all random draws
    lives      the shares of orders that change after they are placed
    search_lag the time until the order search shows an order; no import is sooner
    settle     for this long after a change that no visible order explains, no number is raised
    """

    policy: str = "reset"
    lag: tuple[float, ...] = (15.0,)
    cadence: float = 15.0
    loss: float = LOSS
    delivery: float = 1.0
    buffer: int = 0
    safety: int = 0
    peak: float = 1.0
    pos_share: float = 0.0
    edits: float = 0.0
    seed: int = 0
    lives: Lives = Lives()
    search_lag: float = 0.0
    settle: float = 1.0

    def __post_init__(self) -> None:
        rules: Rules = [
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
            ("search_lag", not 0 <= self.search_lag <= VISIBLE_AFTER, f"minutes between 0 and {VISIBLE_AFTER}"),
            ("settle", not self.settle >= 0, "minutes, not below 0"),
        ]
        _check(self, rules)

    @property
    def mean_lag(self) -> float:
        """Minutes from order to OMS, on average."""
        return sum(self.lag) / len(self.lag)


def lognormal(mean: float, spread: float = 1.0, parts: int = 40) -> tuple[float, ...]:
    """A lag of this mean with a long tail, as `parts` equally likely minutes.

    `spread` is the standard deviation of the logarithm.
    """
    if mean == 0 or spread == 0:
        return (float(mean),)
    quantiles = [math.exp(spread * NormalDist().inv_cdf((n + 0.5) / parts)) for n in range(parts)]
    return tuple(mean * parts * value / sum(quantiles) for value in quantiles)
