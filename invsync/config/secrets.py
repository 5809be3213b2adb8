"""Look up the secrets that the configuration names: in a variable, in a file, or in the system keyring.

`every_secret` lists them all, so that they can be removed from what invsync writes: the notebook, page, messages and
alerts of a run, and doctor's answers.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel

from invsync.errors import UsageError
from invsync.inputs import texts

SERVICE = "invsync"
UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
HEADER = re.compile(r"[!-~]+")
IN_A_QUERY = re.compile("pass|pwd|secret|token|key|sig", re.IGNORECASE)
HEADERS = "otlp_headers_env"
TOKEN_LENGTH = 8  # characters; a part of an alert's address or of a header that is as long may be a token
SHORTEST = 5  # characters; anything shorter would match ordinary text
QUOTES = ('"', "'", "`", "\u201c\u201d", "\u2018\u2019")


def variables(part: BaseModel) -> list[str]:
    """Return the variables that hold secrets of a part of the configuration: the values of keys that end in _env."""
    return list(dict.fromkeys(value for key, value in _texts(part) if key.endswith("_env")))


def by_variable(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secret of each variable; raises UsageError for one that is not set."""
    return {name: secret(name, environ) or "" for name in names}


def every_secret(configured: BaseModel, environ: Mapping[str, str]) -> list[str]:
    """Return the values of all secrets that a configuration names, longest first.

    They are the values of its variables, those of <variable>_PREVIOUS during a rotation, passwords in addresses, and
    whatever may be a token in the addresses of alerts or in the headers of telemetry.
    Variables that are not set here, and values shorter than SHORTEST, are left out.
    """
    held = {value for name in variables(configured) for value in _held(name, environ)}
    lists = {value for name in _of_alerts(configured) for value in _held(name, environ)}
    alerts = {address for value in lists for address in value.split()}
    written = {text for _, text in _texts(configured)}
    values = held | alerts
    values |= {word for address in (held - lists) | written | alerts for word in _in_address(address)}
    values |= {word for address in alerts for word in _in_path(address)}
    values |= {word for key, name in _texts(configured) if key == HEADERS for word in _in_headers(name, environ)}
    return sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)


def rotated(variable: str, environ: Mapping[str, str]) -> list[str]:
    """Return the variable and, during a rotation, the one with the previous secret: <variable>_PREVIOUS."""
    before = f"{variable}_PREVIOUS"
    return [variable, *([before] if {before, f"{before}_FILE"} & set(environ) else [])]


def _held(variable: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the value of a variable, and its previous one, where they are set."""
    for name in rotated(variable, environ):
        with suppress(UsageError):
            yield secret(name, environ) or ""


def _in_address(text: str) -> Iterator[str]:
    """Yield the passwords and tokens in an address, both as written and decoded."""
    if "://" not in text:
        return
    with suppress(ValueError):
        parts = urlsplit(text)
        if parts.password:
            yield from (parts.password, unquote(parts.password))
        yield from (value for key, value in parse_qsl(parts.query) if IN_A_QUERY.search(key))


def _of_alerts(part: object) -> Iterator[str]:
    """Yield the variables that hold the addresses of alerts: in every table called alerts."""
    if isinstance(part, BaseModel | Mapping):
        for name, value in dict(part).items():
            yield from variables(value) if name == "alerts" else _of_alerts(value)


def _in_headers(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be a token in headers such as `Authorization=Bearer abc,X-Scope=shops`."""
    for value in _held(name, environ):
        for header in value.split(","):
            yield from (word for word in header.partition("=")[2].split() if len(word) >= TOKEN_LENGTH)


def _in_path(address: str) -> Iterator[str]:
    """Yield what may be a token in an address of Apprise's, which has them in place of a user, a host or a path."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() in ("http", "https"):
        return
    for word in re.split(r"[/@:]", rest.partition("?")[0]):
        if len(word) >= TOKEN_LENGTH and "." not in word:
            yield from (word, unquote(word))


def _texts(part: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key and value of every string in a part of the configuration."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _texts(value, name)
    elif isinstance(part, str):
        yield key, part


def secret(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the secret of this variable, from the environment, the file that <variable>_FILE names, or the keyring.

    Blanks, invisible marks and quotes around it are removed. Raises UsageError where it is not set or unusable.
    """
    if variable is None:
        return None
    value = _bare(environ.get(variable)) or _bare(_from_file(variable, environ)) or _bare(_from_keyring(variable))
    if not value:
        how = "empty" if {variable, f"{variable}_FILE"} & set(environ) else "not set"
        raise UsageError(
            f"Secret {variable} is {how}: export {variable}, name its file in {variable}_FILE, "
            f"or keep it with `keyring set {SERVICE} {variable}`."
        )
    if UNUSABLE.search(value):
        raise UsageError(f"Secret {variable} holds a line break or another character that no secret has: copy it anew.")
    return value


def token(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """Return a secret that goes into an HTTP header; raises UsageError unless it is printable ASCII without blanks."""
    value = secret(variable, environ)
    if value is not None and not HEADER.fullmatch(value):
        raise UsageError(f"Secret {variable} holds a blank or a letter that no token has: copy it anew.")
    return value


def _bare(value: str | None) -> str:
    """Return the value without blanks, invisible marks and quotes around it."""
    before, value = None, value or ""
    while value != before:
        before, value = value, value.strip().strip(texts.INVISIBLE + "\0")
    paired = any(value[:1] == pair[0] and value[-1:] == pair[-1] for pair in QUOTES)
    return _bare(value[1:-1]) if paired and len(value) > 1 else value


def _from_file(variable: str, environ: Mapping[str, str]) -> str | None:
    if not (path := _bare(environ.get(f"{variable}_FILE"))):
        return None
    try:
        content = Path(path).read_bytes()
        return content.decode(texts.encoding(content))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The secret file {path} that {variable}_FILE names cannot be read ({type(error).__name__}): correct it."
        ) from None


def _from_keyring(variable: str) -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, variable)
    except keyring.errors.KeyringError:
        return None
