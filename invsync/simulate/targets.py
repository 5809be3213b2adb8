"""The two numbers of a pair: what HotWax sells, and what Shopify should show of it."""

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int32]


def atp(count: Units, queue: Units, safety: Units) -> Units:
    """HotWax's online ATP of one facility."""
    sellable: Units = np.maximum(np.maximum(count - safety, 0) - queue, 0)
    return sellable


def target(free: Units, buffer: Units) -> Units:
    """What Shopify should show of the units that are free; the buffer is subtracted only down to 0."""
    shown: Units = np.maximum(free - buffer, np.minimum(free, 0))
    return shown
