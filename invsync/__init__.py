"""Keep Shopify's available right from HotWax Commerce stock, and prove it.

`open` gives a shop of a configuration to read and to analyse; `diff` compares two frames of your own.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invsync.api import Diff, Shop, diff, open
    from invsync.explain import Explanation

__version__ = "0.1.0"
__all__ = ["Diff", "Explanation", "Shop", "__version__", "diff", "open"]


def __getattr__(name: str) -> object:
    """The public names, imported when they are first asked for, so that the command line stays light to start."""
    if name not in __all__:
        raise AttributeError(f"module 'invsync' has no attribute {name!r}")
    from invsync import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
