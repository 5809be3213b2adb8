"""Secrets by a variable's name: from the environment, a file that it names, or the system keyring."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from invsync.errors import UsageError
from invsync.inputs import texts

SERVICE = "invsync"
UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
HEADER = re.compile(r"[!-~]+")
QUOTES = ('"', "'", "`", "\u201c\u201d", "\u2018\u2019")


def variables(part: BaseModel) -> list[str]:
    """Return the variables that hold the secrets of a part of the configuration: the values of its keys in _env."""
    return list(dict.fromkeys(value for key, value in _texts(part) if key.endswith("_env")))


def _texts(part: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a part of the configuration with its key, in the order of the keys."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _texts(value, name)
    elif isinstance(part, str):
        yield key, part


def secret(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret of this name: the variable, else the file that <name>_FILE names, else the system keyring.

    Blanks, marks and quotes that were pasted around it are no part of it.
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
    """A secret that an HTTP header holds: printable ASCII, without a blank."""
    value = secret(variable, environ)
    if value is not None and not HEADER.fullmatch(value):
        raise UsageError(f"Secret {variable} holds a blank or a letter that no token has: copy it anew.")
    return value


def _bare(value: str | None) -> str:
    """The value without what surrounds it: blanks, invisible marks, one pair of quotes."""
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
