"""Why Shopify refused a call for good: its own words, and the remedy where there is one."""

import json
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from invsync.inputs import texts

MAX_PHRASE = 500  # characters
SCOPE = re.compile(r"\b(?:read|write)_[a-z_]+")
PROTECTED = re.compile(r"not approved to|protected[ -]customer[ -]data", re.IGNORECASE)
CLOSED = {
    402: ("the shop is frozen or its bill is open", "its owner settles that in Shopify's admin"),
    404: ("no such shop or address", "check the domain"),
    407: ("a proxy asks for a password", "write it into the address of the proxy"),
    423: ("the shop is locked", "its owner asks Shopify's support why"),
    430: ("Shopify's security rejected the request", "wait, and ask Shopify's support if it stays so"),
}


def messages(errors: object, hidden: Sequence[str] = ()) -> str:
    """Return the messages of a list of errors, in one phrase without a final stop."""
    parts = (texts.quoted(part, hidden, most=MAX_PHRASE) for part in texts.messages(errors))
    return texts.quoted("; ".join(dict.fromkeys(filter(None, parts))), most=MAX_PHRASE)


def reply(response: httpx.Response, hidden: Sequence[str] = ()) -> str:
    """Return an answer in a few words: its status, its message, and the id by which Shopify's support finds it."""
    words = texts.said(response.content, hidden)
    request = texts.quoted(response.headers.get("X-Request-Id", ""), most=64)
    status = f"HTTP {response.status_code}"
    return f"{status}: {words}" + (f" (request {request})" if request else "") if words else status


def closed(domain: str, response: httpx.Response, hidden: Sequence[str]) -> str:
    """Return the sentence about a status that no later try can change."""
    words = texts.said(response.content, hidden)
    what, remedy = CLOSED.get(response.status_code, ("the request was refused", "check the domain"))
    if response.has_redirect_location:
        place = urlsplit(texts.quoted(response.headers["Location"], hidden))
        what, remedy = f"it sends us on to {place.netloc}{place.path}", "set domain to the shop's myshopify.com name"
    quoted = f" ({words})" if words else ""
    return f"Shopify answered HTTP {response.status_code} for {domain}{quoted}, {what}: {remedy}."


def denied(domain: str, errors: object, words: str, scopes: tuple[str, ...]) -> str:
    """Return the sentence about access that the app lacks: to protected data, by a scope, or for another reason."""
    if PROTECTED.search(words):
        return (
            f"Shopify denied access for {domain}: {words}: request access to protected customer data for the app "
            "in its dashboard, under API access."
        )
    named = ", ".join(dict.fromkeys(SCOPE.findall(json.dumps(errors or words))))
    if named or not words:
        missing = named or f"one of {', '.join(scopes)}"
        return f"Shopify denied access for {domain}, the app lacks the scope {missing}: grant it and install the app again."
    return f"Shopify denied access for {domain}: {words}: see that the app is installed with all its scopes."
