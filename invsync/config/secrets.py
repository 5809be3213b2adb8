"""Look up the secrets that the configuration names: in a variable, in a file, or in the system keyring.

A command reads those that it uses, and no other. Each that is read is remembered (`invsync.scrub`), so that it can be
removed from what invsync writes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from invsync import scrub
from invsync.errors import UsageError
from invsync.inputs import texts

SERVICE = "invsync"
UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
HEADER = re.compile(r"[!-~]+")
QUOTES = ('"', "'", "`", "\u201c\u201d", "\u2018\u2019")


def variables(part: BaseModel) -> list[str]:
    """Return the variables that hold secrets of a part of the configuration: the values of keys that end in _env."""
    return list(dict.fromkeys(value for key, value in texts_of(part) if key.endswith("_env")))


def by_variable(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secret of each variable; raises UsageError for one that is not set."""
    return {name: secret(name, environ) or "" for name in names}


def read(names: Iterable[str], environ: Mapping[str, str]) -> None:
    """Read the secrets of these variables, so that they are removed from what this process writes.

    Variables that are not set here are left out.
    """
    for name in names:
        with suppress(UsageError):
            secret(name, environ)


def rotated(variable: str, environ: Mapping[str, str]) -> list[str]:
    """Return the variable and, during a rotation, the one with the previous secret: <variable>_PREVIOUS."""
    before = f"{variable}_PREVIOUS"
    return [variable, *([before] if {before, f"{before}_FILE"} & set(environ) else [])]


def texts_of(part: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key and value of every string in a part of the configuration."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from texts_of(value, name)
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
    scrub.remember(value)
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
