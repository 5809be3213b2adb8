"""Replays of two systems under a policy: what the shop sold, what the OMS knew, and what Shopify showed.

The model. Each pair has a count and a queue in the OMS, a number in Shopify, and units in flight between them: those
of orders that the OMS does not know yet. A customer takes what Shopify shows. An order reaches the OMS after its lag,
whole and as it was placed, and is reserved at once as far as the stock goes. The OMS's own movements (variances,
receipts, store sales) are in the OMS at once, and in Shopify when a job or a webhook brings them; none takes more
than is really there. A job reads and writes in an instant. Sales do not say what was in stock, so the stock comes from
a rule (`Restock`).

Some orders live on after they are placed (`Lives`), each at most one life. A unit added to an order leaves Shopify
like any other sale. Units refunded, cancelled or returned are on sale in Shopify at once; the OMS learns of them a lag
later, but not before it has imported the order. A job that counts units sold and booked looks at their pair.

The order search shows an order only after `search_lag`, and the OMS imports none sooner. Real time also reads the
orders that webhooks name. The rule by header reads visible orders whatever their status. `committed` is never late:
the rule with this witness misses only orders that are closed and not visible yet, which were sold at a till or shipped
early. For `settle` minutes after such a change of what is on hand it raises no number. Other shipments, and edits of a
level by hand, defer nothing.
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
