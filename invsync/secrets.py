"""Secrets by a variable's name: from the environment, a file that it names, or the system keyring."""

from collections.abc import Mapping
from pathlib import Path

from invsync.errors import UsageError

SERVICE = "invsync"


def secret(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret of this name: the variable, else the file that <name>_FILE names, else the system keyring."""
    if variable is None:
        return None
    value = environ.get(variable) or _from_file(variable, environ) or _from_keyring(variable)
    if not value:
        raise UsageError(
            f"Secret {variable} is not set: export {variable}, name its file in {variable}_FILE, "
            f"or keep it with `keyring set {SERVICE} {variable}`."
        )
    return value


def _from_file(variable: str, environ: Mapping[str, str]) -> str | None:
    if not (path := environ.get(f"{variable}_FILE")):
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
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
