"""A run's folder copied to object storage, for those who cannot reach the disk that it was made on."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from invsync import scrub
from invsync.errors import SystemFailed, UsageError
from invsync.runs import record

LAST, NEWEST = "run.json", "newest-run.txt"


def check(to: str | None) -> None:
    """Refuse an address that cannot be used before anything is done."""
    if to is not None:
        with suppress(OSError):  # a storage that does not answer now may answer when the run has ended
            _opened(to)


def copy(folder: Path, to: str | None) -> str | None:
    """Copy the run's files under <address>/<shop>/<job>/<run_id>, run.json last; where they are now.

    The run itself is done: what cannot be copied is told on standard error, and copied by hand from the folder.
    """
    if to is None:
        return None
    try:
        files, root = _opened(to)
        target = "/".join((root.rstrip("/"), *folder.parts[-3:]))
        files.makedirs(target, exist_ok=True)
        for path in sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: one.name == LAST):
            files.put_file(str(path), f"{target}/{path.name}")
        if record.has_sent(record.read(folder)):
            _mark(files, f"{root.rstrip('/')}/{folder.parts[-3]}/{NEWEST}", folder.name)
    except UsageError:
        raise
    except Exception as error:  # any of the many errors of a storage's own library
        why = f"{folder} could not be copied to {to} ({type(error).__name__}): copy it by hand."
        print(scrub.scrubbed(why), file=sys.stderr)
        return None
    return target


def newest(to: str | None, shop: str) -> str | None:
    """The newest copied run of this shop that may have sent something, as the mark beside the copies says.

    Copies from before there were marks are looked through. A storage that cannot be read is a SystemFailed.
    """
    if to is None:
        return None
    try:
        files, root = _opened(to)
        home = f"{root.rstrip('/')}/{shop}"
        return _marked(files, f"{home}/{NEWEST}") or _newest_of(files, home)
    except UsageError:
        raise
    except Exception as error:  # any of the many errors of a storage's own library
        raise SystemFailed(
            f"The copies of runs in {to} cannot be read ({type(error).__name__}): correct copy_to, or "
            "run again when the storage answers."
        ) from None


def _mark(files: Any, path: str, run_id: str) -> None:
    """Write down that this run is the newest, so that one small file answers for them all."""
    if run_id > (_marked(files, path) or ""):
        files.pipe_file(path, run_id.encode())


def _marked(files: Any, path: str) -> str | None:
    try:
        return str(files.cat_file(path).decode())
    except FileNotFoundError:
        return None


def _newest_of(files: Any, home: str) -> str | None:
    runs = sorted(files.glob(f"{home}/*/*/{LAST}"), key=lambda path: path.split("/")[-2], reverse=True)
    sent = (path.split("/")[-2] for path in runs if record.has_sent(record.Record.of(json.loads(files.cat_file(path)))))
    return next(sent, None)


def _opened(to: str) -> tuple[Any, str]:
    try:
        opened: tuple[Any, str] = fsspec.url_to_fs(to)
    except (ImportError, ValueError) as error:
        raise UsageError(f"[reports] copy_to {to} cannot be used ({error}): install its library, as s3fs.") from None
    return opened
