"""Ask whether HotWax's APIs answer, without a secret."""

from invsync import web
from invsync.oms.rest.connector import RestSettings


def answers(oms: RestSettings, seconds: float) -> bool:
    """Return whether Moqui, or a proxy that reaches it, gives any response."""
    return web.answers(f"{str(oms.url).rstrip('/').removesuffix('/rest/s1')}/rest/s1", seconds)
