"""The types of the configuration's keys: each checks its value and says in one sentence what is wrong with it."""

import re
from datetime import time
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOKEN = re.compile(r"shp[a-z]{2}_")
HOST = re.compile(r"[\w.:%-]+")
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Part(BaseModel):
    """A part of the configuration: frozen, and an unknown key is refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"time zone {name!r} is unknown; write one as Europe/Paris") from None
    return name


def _variable_name(name: str) -> str:
    if not VARIABLE.fullmatch(name) or TOKEN.match(name):
        raise ValueError("this is not the name of a variable; write the name alone, as ACME_TOKEN, never the secret")
    return name


def web_address(text: str) -> str:
    """The text, if it is empty or the address of a web server; raises ValueError for any other, and for plain http."""
    parts = urlsplit(text)
    if not text:
        return text
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or "") or parts.port == 0:
        raise ValueError("this is not a web address; write one as https://shop.example.com")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("plain http is refused off loopback; use https")
    return text


def _collector(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or "") or parts.port == 0:
        raise ValueError("this is no address of a collector; write one as http://collector.example.com:4318")
    return text


def _bare_domain(text: str) -> str:
    if not DOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a domain; write it alone, as acme.myshopify.com")
    return text


def _five_fields(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} is not a cron text of five fields; write one as */15 * * * *")
    return text


def span(text: str) -> tuple[time, time]:
    """Return the two times of day in a text such as 22:00-07:00; raises ValueError for any other text."""
    try:
        start, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"{text!r} is not a span of hours; write one as 22:00-07:00") from None
    if start == end:
        raise ValueError(f"{text!r} has no length; leave it out, or write one as 22:00-07:00")
    return start, end


def _hours(text: str) -> str:
    span(text)
    return text


def days(least: int) -> AfterValidator:
    """A validator of days to keep something: 0 for ever, or at least so many."""

    def long_enough(number: int) -> int:
        if number and number < least:
            raise ValueError(f"{number} days are too few; write {least} or more, or 0 to keep for ever")
        return number

    return AfterValidator(long_enough)


PRODUCT_ID = "{product_id}"


def _page_of_a_product(text: str) -> str:
    if text and PRODUCT_ID not in text:
        raise ValueError(f"write the address with {PRODUCT_ID} where HotWax's id of the product belongs")
    return web_address(text)


Share = Annotated[float, Field(ge=0, le=1)]
Variable = Annotated[str, AfterValidator(_variable_name)]
Address = Annotated[str, AfterValidator(web_address)]
Collector = Annotated[str, AfterValidator(_collector)]
ProductPage = Annotated[str, AfterValidator(_page_of_a_product)]
Domain = Annotated[str, AfterValidator(_bare_domain)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Hours = Annotated[str, AfterValidator(_hours)]
# Those of vocabulary.ALERTS, which imports polars: a command that only reads the configuration starts without it.
AlertKind = Literal["guard_stopped", "run_failed", "pairs_unknown", "orders_late", "subscription_lost", "no_run"]
Cron = Annotated[str, AfterValidator(_five_fields)]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}([_-][A-Z][a-z]{3})?([_-]([A-Z]{2}|[0-9]{3}))?$")]
