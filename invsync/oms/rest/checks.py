"""What only HotWax's HTTP APIs can answer: pages, dates, tokens, shapes."""

from datetime import timedelta

from invsync.oms.checks import Answer, SourceCheck
from invsync.oms.rest import probes
from invsync.oms.rest.source import Rest

SOON = timedelta(days=14)
STAMPS = {
    "product_facility": "last_updated_stamp",
    "order_item": "last_updated_stamp",
    "inventory_item_detail": "created_stamp",
    "order_header": "order_date",
}


def token(source: Rest) -> Answer:
    """Whether the token works, on OFBiz too, and how long."""
    kind = "The long-lived token" if source.oms.token_env else f"The login of {source.oms.username}"
    hosts = "Moqui and OFBiz" if probes.ofbiz(source.api) else "Moqui"
    expires = probes.expiry(source.api)
    if not source.oms.token_env:
        return "ok", f"{kind} works on {hosts}; its token is renewed before it expires."
    if expires is None:
        return "ok", f"{kind} works on {hosts}; it does not say when it expires."
    if expires < source.api.endpoints.now() + SOON:
        return (
            "warning",
            f"{kind} expires at {expires:%Y-%m-%dT%H:%M:%SZ}: make a new one before, or set username and password_env.",
        )
    return "ok", f"{kind} works on {hosts} until {expires:%Y-%m-%dT%H:%M:%SZ}."


def page_size(source: Rest) -> Answer:
    """Whether a page holds the rows that are asked for."""
    page = probes.page(source.api, "product_facility")
    if page.held >= page.asked:
        return "ok", f"A page holds the {page.asked} rows that are asked for."
    if not page.more:
        return "ok", f"All {page.held} rows of stock come in one page; up to {page.asked} are asked for."
    return "warning", (
        f"A page holds {page.held} rows where {page.asked} are asked for: set page_size = {page.held} in "
        "the shop's oms, so that pages cannot leave rows out between them."
    )


def date_filters(source: Rest) -> Answer:
    """Whether rows can be asked for by date."""
    filters = {name: probes.dates(source.api, name, column) for name, column in STAMPS.items()}
    broken = sorted(f"{name} ({how})" for name, how in filters.items() if how in ("ignored", "misread"))
    if broken:
        return "ok", (
            f"Dates are not honoured for {', '.join(broken)}: every run reads these whole and picks what is new "
            "itself, which is right but slow; reading the database is faster."
        )
    honoured = [name for name, how in filters.items() if how]
    if not honoured:
        return "ok", "There is no row with a date yet."
    return "ok", f"Rows can be asked for by date: {', '.join(honoured)}."


def event_shape(source: Rest) -> Answer:
    """What inventoryItem/detail answers with; no run reads it."""
    return "ok", event_sentence(probes.detail(source.api))


def event_sentence(shape: str | None) -> str:
    """The sentence about this shape; None where there is no such address."""
    return f"inventoryItem/detail {f'answers with {shape}' if shape else 'is not there'}; no run needs it."


CHECKS: list[SourceCheck[Rest]] = [
    SourceCheck("token", token),
    SourceCheck("page size", page_size),
    SourceCheck("date filters", date_filters),
    SourceCheck("event shape", event_shape),
]
