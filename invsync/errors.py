"""The errors of the package, named for what the caller does next.

InvsyncError                 exit  what to do
├── UsageError                2    correct the command or the configuration; nothing was touched
├── GuardStopped              3    look at the numbers; nothing was sent
├── SystemFailed              5    a system could not be reached or refused us; run again
│   ├── OmsFailed             5    the OMS read is short or failed
│   ├── ShopifyFailed         5    Shopify refused the request for good
│   └── LeaseLost             5    another run took over while this one stood still; read the report of that run
└── LeaseHeld                75    another run is at work; wait
"""

from invsync import scrub


class InvsyncError(Exception):
    """An error whose message is one sentence: what is wrong, where, and what to do.

    The message is kept without the secrets that this process has read.
    """

    exit_code = 5

    def __init__(self, *args: object) -> None:
        super().__init__(*(scrub.scrubbed(arg) if isinstance(arg, str) else arg for arg in args))


class UsageError(InvsyncError):
    """The command, a parameter or the configuration is wrong."""

    exit_code = 2


class GuardStopped(InvsyncError):
    """A guard measured numbers that no healthy run has; nothing was sent."""

    exit_code = 3


class SystemFailed(InvsyncError):
    """A system could not be reached or refused us."""

    exit_code = 5


class OmsFailed(SystemFailed):
    """The OMS could not be read, or the read came up short."""


class ShopifyFailed(SystemFailed):
    """Shopify could not be reached, or refused the request for good."""


class LeaseLost(SystemFailed):
    """Another run took over the shop while this one stood still; this one sends nothing more."""


class LeaseHeld(InvsyncError):
    """Another run holds the shop's lease."""

    exit_code = 75
