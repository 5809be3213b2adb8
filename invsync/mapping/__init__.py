"""Map HotWax's stock to Shopify's inventory levels: which rows feed which level, and the quantity it should have.

A Shopify location is mapped in one of these forms:

    group      by facility `_NA_`, or by `aggregate_location`: online ATP over the facility group
    set        by several facilities: online ATP over exactly those, with the same formula
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
from invsync.mapping.items import all_targets, pairs, product_items
from invsync.mapping.keys import matched
from invsync.mapping.rules import Rules
from invsync.mapping.stock import allows_brokering, online_atp, targets

__all__ = [
    "AGGREGATE_FACILITY",
    "AGGREGATE_FORMS",
    "Rules",
    "all_targets",
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
