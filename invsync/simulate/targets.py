"""The two numbers of a pair: HotWax's online ATP, and the target that Shopify should show."""

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int32]


def atp(count: Units, queue: Units, safety: Units) -> Units:
    """HotWax's online ATP of one facility."""
    sellable: Units = np.maximum(np.maximum(count - safety, 0) - queue, 0)
    return sellable


def target(free: Units, buffer: Units) -> Units:
    """The number that Shopify should show of the free units; the buffer is subtracted only down to 0."""
    number: Units = np.maximum(free - buffer, np.minimum(free, 0))
    return number
