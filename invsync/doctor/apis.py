"""What only HotWax's HTTP APIs can answer: pages, dates, tokens, shapes."""

from datetime import timedelta

from invsync.doctor.checks import Answer, Asked, Question
from invsync.oms.rest import probes
from invsync.oms.rest.entities import Api
from invsync.oms.rest.source import Rest
from invsync.state import iso

SOON = timedelta(days=14)
DATED = {
    "product_facility": "last_updated_stamp",
    "order_item": "last_updated_stamp",
    "inventory_item_detail": "created_stamp",
    "order_header": "order_date",
}


def _api(asked: Asked) -> Api:
    assert isinstance(asked.source, Rest)
    return asked.source.api


def token(asked: Asked) -> Answer:
    """Whether the token works, on OFBiz too, and how long."""
    kind = "The long-lived token" if asked.shop.oms.token_env else f"The login of {asked.shop.oms.username}"
    hosts = "Moqui and OFBiz" if probes.ofbiz(_api(asked)) else "Moqui"
    ends = probes.until(_api(asked))
    if not asked.shop.oms.token_env:
        return "ok", f"{kind} works on {hosts}; its token is renewed before it expires."
    if ends is None:
        return "ok", f"{kind} works on {hosts}; it does not say when it expires."
    if ends < asked.snapshot.now + SOON:
        return "warning", f"{kind} expires at {iso(ends)}: make a new one before, or set username and password_env."
    return "ok", f"{kind} works on {hosts} until {iso(ends)}."


def page_size(asked: Asked) -> Answer:
    """Whether a page holds the rows that are asked for."""
    page = probes.page(_api(asked), "product_facility")
    if page.held >= page.asked:
        return "ok", f"A page holds the {page.asked} rows that are asked for."
    if not page.more:
        return "ok", f"All {page.held} rows of stock come in one page; up to {page.asked} are asked for."
    return "warning", (
        f"A page holds {page.held} rows where {page.asked} are asked for: set page_size = {page.held} in "
        "the shop's oms, so that pages cannot leave rows out between them."
    )


def date_filters(asked: Asked) -> Answer:
    """Whether rows can be asked for by date."""
    found = {name: probes.dates(_api(asked), name, column) for name, column in DATED.items()}
    deaf = sorted(f"{name} ({how})" for name, how in found.items() if how in ("ignored", "misread"))
    if deaf:
        return "ok", (
            f"Dates are not honoured for {', '.join(deaf)}: every run reads these whole and picks what is new "
            "itself, which is right but slow; reading the database is faster."
        )
    heard = [name for name, how in found.items() if how]
    return "ok", f"Rows can be asked for by date: {', '.join(heard)}." if heard else "There is no row with a date yet."


def event_shape(asked: Asked) -> Answer:
    """What inventoryItem/detail answers with; no run reads it."""
    return "ok", event_sentence(probes.detail(_api(asked)))


def event_sentence(shape: str | None) -> str:
    """The sentence about this shape; None where there is no such address."""
    return f"inventoryItem/detail {f'answers with {shape}' if shape else 'is not there'}; no run needs it."


APIS: dict[str, Question] = {
    "token": token,
    "page size": page_size,
    "date filters": date_filters,
    "event shape": event_shape,
}
