"""Which Shopify level each HotWax row feeds, and what the OMS says should be available there.

A location is named in one of these forms:

    group      by facility `_NA_` or by `aggregate_location`: online ATP over the facility group
    set        by several facilities: online ATP over exactly those, by the same formula
    physical   by one facility: that facility's own sellable quantity
"""

from invsync.mapping.facilities import (
    AGGREGATE_FACILITY,
    AGGREGATE_FORMS,
    counted_facilities,
    digits,
    is_effective,
    locations,
    members,
)
from invsync.mapping.items import pairs, product_items
from invsync.mapping.keys import matched
from invsync.mapping.rules import Rules
from invsync.mapping.stock import allows_brokering, online_atp, targets

__all__ = [
    "AGGREGATE_FACILITY",
    "AGGREGATE_FORMS",
    "Rules",
    "allows_brokering",
    "counted_facilities",
    "digits",
    "is_effective",
    "locations",
    "matched",
    "members",
    "online_atp",
    "pairs",
    "product_items",
    "targets",
]
