"""The parts of an explanation, as values: stock, orders, steps, what runs saw and did."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Facility:
    """What the OMS holds at one facility, in units; `counts` is None where every facility of the pair counts."""

    facility_id: str
    last_inventory_count: float | None
    minimum_stock: float | None
    computed_last_inventory_count: float | None
    allow_brokering: str | None
    last_updated_stamp: datetime | None
    counts: bool | None = None
    facility_name: str | None = None

    @property
    def label(self) -> str:
        """The facility's name with its id, or the id alone."""
        named = self.facility_name and self.facility_name != self.facility_id
        return f"{self.facility_name} ({self.facility_id})" if named else self.facility_id


@dataclass(frozen=True)
class OnlineTerms:
    """The terms of an aggregate's online ATP, in units; `closed` where the channel is switched off."""

    sellable: float
    threshold: float
    queue: float
    closed: bool


@dataclass(frozen=True)
class Stock:
    """The OMS quantity of a pair and its parts; a physical location has no online terms."""

    quantity: float | None
    facilities: tuple[Facility, ...] = ()
    online: OnlineTerms | None = None


@dataclass(frozen=True)
class OrderInFlight:
    """Units of an order that are kept off sale; committed units of no visible order have no id, name or time."""

    order_id: int | None
    name: str | None
    created_at: datetime | None
    units: int
    reason: str


@dataclass(frozen=True)
class Step:
    """A step from the stock to the target: the units that it adds (or takes, below 0), and the sum after it."""

    label: str
    units: float
    after: float


@dataclass(frozen=True)
class PastRun:
    """What one run decided about a pair and did: a row of its OUTCOMES, with the file and line (0-based) it was sent on."""

    run_id: str
    job: str
    status: str
    finished_at: str
    outcome: str
    reason: str | None
    message: str | None
    available: int | None
    delta: int | None
    target: float | None
    oms: float | None
    in_flight: int | None
    after: int | None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class SeenLevel:
    """What Shopify showed when a run looked at a pair (`available`), and after it, where it was read again."""

    run_id: str
    job: str
    at: datetime
    available: int
    after: int | None = None

    @property
    def left(self) -> int:
        """What the run left in Shopify."""
        return self.available if self.after is None else self.after


@dataclass(frozen=True)
class LastLook:
    """The run whose outcomes an explanation is made of, since these systems do not answer."""

    systems: tuple[str, ...]
    run_id: str
    job: str
    at: datetime

    @property
    def cause(self) -> str:
        """Which systems do not answer, as the beginning of a sentence."""
        return f"{' and '.join(self.systems)} {'does' if len(self.systems) == 1 else 'do'} not answer"

    @property
    def sentence(self) -> str:
        """Which systems do not answer, and which run is shown instead."""
        return f"{self.cause}; this is what the run of {self.at:%Y-%m-%d %H:%M} UTC saw ({self.job} {self.run_id})."


def full_title(title: str | None, variant: str | None) -> str | None:
    """Return the title of a product with that of its variant; None where Shopify did not say."""
    return f"{title}, {variant}" if title and variant else title
