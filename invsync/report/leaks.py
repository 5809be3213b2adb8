"""Secrets that a text must not hold, found in every form that a log or a page may give them."""

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

TOKEN = re.compile(r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{16,}")


def leaks(text: str, secrets: Mapping[str, str] | Iterable[str]) -> list[str]:
    """Names of the secrets found in the text, plain or encoded; their values are never repeated."""
    items = secrets.items() if isinstance(secrets, Mapping) else ((f"secret {n}", s) for n, s in enumerate(secrets, 1))
    leaking = [name for name, value in items if value and any(form in text for form in _forms(value))]
    return leaking + (["a Shopify access token"] if TOKEN.search(text) and not leaking else [])


def _forms(secret: str) -> set[str]:
    written = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)}
    encoded = {quote(secret, safe="")} | set(filter(None, (_inside_base64(secret, n) for n in range(3))))
    return {secret} | written | encoded


def _inside_base64(secret: str, before: int) -> str:
    """What base64 makes of the secret after `before` bytes (mod 3), without the ends its neighbours shape."""
    plain = b"\0" * before + secret.encode()
    sure = base64.b64encode(plain)[: len(plain) * 8 // 6].decode()[(before * 8 + 5) // 6 :]
    return sure if len(sure) >= 8 else ""
