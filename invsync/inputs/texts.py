"""Text from outside: decode files that people edit, and quote other systems' error messages safely."""

import codecs
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
CONTROL = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\u2060\ufeff\ufffe\uffff{TURNING}]+")
UNPRINTABLE = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff{TURNING}]")
LONE = re.compile(r"[\ud800-\udfff]")
ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")
UNSEEN = re.compile(
    r"<!--.*?(?:-->|$)|<(script|style|svg|template|noscript)\b.*?(?:</\1\s*>|$)", re.DOTALL | re.IGNORECASE
)
TAG = re.compile(r"</?[A-Za-z!?][^<>]*>")
SECRET = re.compile(
    r"\bshp(?:at|ca|pa|ss|ua)_\w+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
)
SAID = (
    "errors",
    "error",
    "error_description",
    "message",
    "errorMessage",
    "detail",
    "_ERROR_MESSAGE_",
    "_ERROR_MESSAGE_LIST_",
    "_EVENT_MESSAGE_",
)
MOST = 300


def encoding(content: bytes) -> str:
    """Return a file's encoding, by its byte order mark or by zero bytes at its start; UTF-8 otherwise."""
    for mark, name in MARKS.items():
        if content.startswith(mark):
            return name
    return {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get(
        (content[:1] == b"\0", content[1:2] == b"\0"), "utf-8"
    )


def printable(text: str) -> str:
    """Return the text, of any number of lines, with a replacement mark for each control and direction character."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def whole(text: str) -> str:
    """Return the text with a replacement mark for each lone surrogate, which no file and no table can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if LONE.search(text) else text


def parsed(content: str | bytes) -> Any:
    """Parse JSON, with lone surrogates replaced; raises ValueError where it is not JSON."""
    written = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    value = json.loads(written.decode("utf-8-sig", "replace"))
    if ESCAPED.search(written) and LONE.search(text := json.dumps(value, ensure_ascii=False)):
        return json.loads(whole(text))
    return value


def quoted(text: str, hidden: Iterable[str] = (), *, most: int = MOST) -> str:
    """Return another system's text as one line without markup, control characters, secrets or a final full stop.

    `hidden` are secrets to replace beside those that are known by their form; the line has at most `most` characters.
    """
    bare = html.unescape(TAG.sub(" ", UNSEEN.sub(" ", text))) if TAG.search(text) else text
    line = " ".join(CONTROL.sub(" ", whole(bare)).split())
    for secret in filter(None, hidden):
        line = line.replace(secret, "[hidden]")
    line = SECRET.sub("[hidden]", line).rstrip(".")
    return line if len(line) <= most else line[:most].rstrip() + "…"


def said(content: bytes, hidden: Iterable[str] = (), *, most: int = MOST) -> str:
    """Return the error message in a response, quoted: from its JSON, or from its page."""
    try:
        parts = list(messages(parsed(content)))
    except ValueError:
        parts = [content[:200_000].decode("utf-8", "replace")]
    hidden = list(hidden)
    return quoted(
        "; ".join(dict.fromkeys(filter(None, (quoted(part, hidden, most=most) for part in parts)))), most=most
    )


def messages(answer: Any) -> Iterator[str]:
    """Yield the error messages in a JSON response, whatever its shape."""
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, list):
        for one in answer:
            yield from messages(one)
    elif isinstance(answer, dict):
        named = [answer[key] for key in SAID if answer.get(key)]
        for one in named or answer.values():
            yield from messages(one)
