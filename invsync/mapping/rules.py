"""What the mapping must know beside HotWax's rows."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Rules:
    """How one shop is mapped at one moment.

    `aggregate_location` is the Shopify location of the online stock, if the configuration names one; `group` is the
    facility group that sells online, `store` the product store. Memberships count that are effective `at` this moment.
    """

    aggregate_location: int | None
    group: str | None
    store: str
    at: datetime
