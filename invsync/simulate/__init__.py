"""A replay of two systems: what the shop sold, what the OMS knew, and what Shopify showed, under a policy.

The model, stated. Per pair the OMS has a count and a queue, Shopify a number, and between them are the units of
orders that the OMS does not know yet. A customer takes what Shopify shows. An order reaches the OMS after its lag,
whole, as it was placed, and is reserved at once as far as stock goes. The OMS's own movements (variances, receipts,
store sales) are in the OMS at once and in Shopify only when a job or webhook brings them; none takes more than is
really there. A job reads and writes in an instant. Stock levels come from a stated rule (`Restock`), because sales do
not tell them.

Some orders live (`Lives`), each at most one life. A unit added to an order leaves Shopify like any other sale. Units
refunded, cancelled or returned are on sale in Shopify at once, and in the OMS a lag later but not before the order's
import; a job that counts units sold and booked looks at their pair. The order search shows an order only after
`search_lag`, and the OMS imports none sooner; real time also reads the orders that webhooks name. The rule by header
reads visible orders whatever their status. `committed` is never late: the rule that has this witness misses only
orders that are closed and not visible yet, sold at a till or shipped early. For `settle` minutes after such a change
of what is on hand it raises no number. Other shipments, and edits of a level by hand, defer nothing.
"""

from invsync.simulate.history import History, Restock, history, retail
from invsync.simulate.measures import MEASURES, Replay, grid, replay, replays
from invsync.simulate.scenario import POLICIES, Lives, Scenario, lognormal

__all__ = [
    "MEASURES",
    "POLICIES",
    "History",
    "Lives",
    "Replay",
    "Restock",
    "Scenario",
    "grid",
    "history",
    "lognormal",
    "replay",
    "replays",
    "retail",
]
