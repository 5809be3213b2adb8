"""A run's folder copied to object storage, for those who cannot reach the disk that it was made on."""

import sys
from pathlib import Path
from typing import Any

import fsspec

from invsync.errors import UsageError

LAST = "run.json"


def check(to: str | None) -> None:
    """Refuse an address that cannot be used before anything is done."""
    if to is not None:
        _opened(to)


def copy(folder: Path, to: str | None) -> str | None:
    """Copy the run's files under <address>/<shop>/<job>/<run_id>, run.json last; where they are now.

    The run itself is done: what cannot be copied is told on standard error, and copied by hand from the folder.
    """
    if to is None:
        return None
    files, root = _opened(to)
    target = "/".join((root.rstrip("/"), *folder.parts[-3:]))
    try:
        files.makedirs(target, exist_ok=True)
        for path in sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: one.name == LAST):
            files.put_file(str(path), f"{target}/{path.name}")
    except Exception as error:  # any of the many errors of a storage's own library
        print(f"{folder} could not be copied to {to} ({type(error).__name__}): copy it by hand.", file=sys.stderr)
        return None
    return target


def _opened(to: str) -> tuple[Any, str]:
    try:
        found: tuple[Any, str] = fsspec.url_to_fs(to)
    except (ImportError, ValueError) as error:
        raise UsageError(f"[reports] copy_to {to} cannot be used ({error}): install its library, as s3fs.") from None
    return found
