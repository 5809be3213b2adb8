"""Secrets in a text, in every form that a log or a page may give them: found by name, or removed."""

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

TOKEN = re.compile(r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{16,}")
REMOVED = "[secret removed]"


def leaks(text: str, secrets: Mapping[str, str] | Iterable[str]) -> list[str]:
    """Return the names of the secrets that stand in the text, plain or encoded; their values are never repeated."""
    items = secrets.items() if isinstance(secrets, Mapping) else ((f"secret {n}", s) for n, s in enumerate(secrets, 1))
    names = [name for name, value in items if value and any(form in text for form in _forms(value))]
    return names + (["a Shopify access token"] if TOKEN.search(text) and not names else [])


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these secrets, plain or encoded, and without Shopify's access tokens."""
    for secret in filter(None, secrets):
        for form in sorted(_forms(secret), key=len, reverse=True):
            text = text.replace(form, REMOVED)
    return TOKEN.sub(REMOVED, text)


def _forms(secret: str) -> set[str]:
    written = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)}
    encoded = {quote(secret, safe="")} | set(filter(None, (_inside_base64(secret, n) for n in range(3))))
    return {secret} | written | encoded


def _inside_base64(secret: str, before: int) -> str:
    """Return what base64 makes of the secret after `before` bytes (mod 3), without the ends its neighbours shape."""
    plain = b"\0" * before + secret.encode()
    sure = base64.b64encode(plain)[: len(plain) * 8 // 6].decode()[(before * 8 + 5) // 6 :]
    return sure if len(sure) >= 8 else ""
