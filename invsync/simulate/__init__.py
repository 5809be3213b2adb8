"""A replay of two systems: what the shop sold, what the OMS knew, and what Shopify showed, under a policy.

The model, stated. Per pair the OMS has a count and a queue, Shopify a number, and between them are the units of
orders that the OMS does not know yet. A customer takes what Shopify shows. An order reaches the OMS after its lag,
whole, and is reserved at once as far as stock goes. The OMS's own movements (variances, receipts, store sales) are in
the OMS at once and in Shopify only when a job or webhook brings them; none takes more than is really there. A job
reads and writes in an instant. Stock levels come from a stated rule (`Restock`), because sales do not tell them.
"""

from invsync.simulate.history import History, Restock, history, retail
from invsync.simulate.measures import MEASURES, Replay, grid, replay, replays
from invsync.simulate.scenario import POLICIES, Scenario, lognormal

__all__ = [
    "MEASURES", "POLICIES", "History", "Replay", "Restock", "Scenario", "grid", "history", "lognormal", "replay", "replays", "retail",
]  # fmt: skip
