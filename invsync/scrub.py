"""The secrets that this process has read, and their removal from every text that leaves it, in whatever form.

A secret is remembered where it is read or received. `InvsyncError` removes them from its message, and the command
line from standard error, tracebacks included. A secret shorter than SHORTEST is not removed: it would match ordinary
text.
"""

import base64
import html
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

TOKEN = re.compile(r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{16,}")
REMOVED = "[secret removed]"
IN_A_QUERY = re.compile("pass|pwd|secret|token|key|sig", re.IGNORECASE)
TOKEN_LENGTH = 8  # characters; a part of an alert's address or of a header that is as long may be a token
SHORTEST = 5  # characters
DATABASES = ("sqlite", "mysql", "mariadb", "postgresql")
_remembered: set[str] = set()


def remember(secret: str) -> None:
    """Remember a secret that this process read or received, and its parts that are secrets by themselves."""
    _remembered.update(part for part in {secret, *_parts(secret)} if len(part) >= SHORTEST)


def remember_address(text: str) -> None:
    """Remember the passwords and tokens in a text, if it is an address; the rest of it is no secret."""
    _remembered.update(part for part in _in_address(text) if len(part) >= SHORTEST)


def remembered() -> list[str]:
    """Return the remembered secrets and their parts, longest first."""
    return sorted(_remembered.copy(), key=len, reverse=True)


def scrubbed(text: str, secrets: Iterable[str] | None = None) -> str:
    """Return the text without these secrets, or all remembered ones, in any form, and without Shopify's tokens."""
    for secret in filter(None, remembered() if secrets is None else secrets):
        for form in _forms(secret):
            text = text.replace(form, REMOVED)
    return TOKEN.sub(REMOVED, text)


def leaks(text: str, secrets: Mapping[str, str] | Iterable[str]) -> list[str]:
    """Return the names of the secrets that stand in the text, plain or encoded; their values are never repeated."""
    items = secrets.items() if isinstance(secrets, Mapping) else ((f"secret {n}", s) for n, s in enumerate(secrets, 1))
    names = [name for name, value in items if value and any(form in text for form in _forms(value))]
    return names + (["a Shopify access token"] if TOKEN.search(text) and not names else [])


class ScrubbedStream:
    """A text stream to which nothing is written of the secrets that this process has read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without secrets; return its length, as it was given."""
        self._stream.write(scrubbed(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line without secrets."""
        self._stream.writelines(map(scrubbed, lines))

    def __getattr__(self, name: str) -> Any:  # whatever else the stream has
        return getattr(self._stream, name)


def guard_standard_error() -> None:
    """Have this process write no secret on standard error: in no message, log or traceback, of any thread."""
    if not isinstance(sys.stderr, ScrubbedStream):
        sys.stderr = ScrubbedStream(sys.stderr)


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    """Return the forms that a log or a page may give a secret, longest first."""
    written = {
        secret,
        repr(secret)[1:-1],
        html.escape(secret),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
    }
    in_json = {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in written for ascii in (True, False)}
    in_base64 = {form for n in range(3) if (form := _inside_base64(secret, n))}
    return tuple(sorted(written | in_json | in_base64, key=len, reverse=True))


def _inside_base64(secret: str, before: int) -> str:
    """Return what base64 makes of the secret after `before` bytes (mod 3), without the ends its neighbours shape."""
    plain = b"\0" * before + secret.encode()
    sure = base64.b64encode(plain)[: len(plain) * 8 // 6].decode()[(before * 8 + 5) // 6 :]
    return sure if len(sure) >= 8 else ""


def _parts(secret: str) -> Iterator[str]:
    """Yield what may be a token within a secret that is an address, several addresses, or headers."""
    for word in secret.split():
        if "://" in word:
            yield from (word, *_in_address(word), *_in_path(word))
    headers = (part for part in secret.split(",") if "://" not in part)
    for header in headers:
        yield from (word for word in header.partition("=")[2].split() if len(word) >= TOKEN_LENGTH)


def _in_address(text: str) -> Iterator[str]:
    """Yield the passwords and tokens in an address, both as written and decoded."""
    if "://" not in text:
        return
    with suppress(ValueError):
        parts = urlsplit(text)
        if parts.password:
            yield from (parts.password, unquote(parts.password))
        yield from (value for key, value in parse_qsl(parts.query) if IN_A_QUERY.search(key))


def _in_path(address: str) -> Iterator[str]:
    """Yield what may be a token in an address of Apprise's, which has them in place of a user, a host or a path."""
    scheme, _, rest = address.partition("://")
    if scheme.lower().partition("+")[0] in ("http", "https", *DATABASES):
        return
    for word in re.split(r"[/@:]", rest.partition("?")[0]):
        if len(word) >= TOKEN_LENGTH and "." not in word:
            yield from (word, unquote(word))
