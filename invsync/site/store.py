"""The tables of the history on disk: each a Parquet file that carries its checksum in its name, and a list of them.

The list is put in place last, in one step, so a build that is killed leaves the tables as they were. What the list
names and is damaged, missing, or of another version is not used: the history is then made anew from the run folders.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from invsync.tables import Schema

LIST, LOCK, VERSION = "tables.json", "lock", 1
Files = dict[str, str]  # the file of each table


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from building here; waits until none does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        with suppress(OSError):  # a network file system may have no locks; files are replaced in one step all the same
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load(folder: Path) -> Files:
    """The tables that were committed here; none where the list or a file of it is missing, damaged, or of another version."""
    try:
        listed = json.loads((folder / LIST).read_bytes())
    except (OSError, ValueError):
        return {}
    files = listed.get("files") if isinstance(listed, dict) and listed.get("version") == VERSION else None
    if not isinstance(files, dict) or not all(_is_whole(folder, name) for name in files.values()):
        return {}
    return files


def write(folder: Path, table: str, frame: pl.DataFrame) -> str:
    """Write a table beside those that are there; the name of its file, which counts once it is committed."""
    part = folder / f"{table}.{os.getpid()}.part"
    frame.write_parquet(part)
    name = f"{table}.{_checksum(part)}.parquet"
    part.replace(folder / name)
    return name


def commit(folder: Path, files: Mapping[str, str]) -> None:
    """Make these the tables, in one step, and remove all others."""
    part = folder / f"{LIST}.{os.getpid()}.part"
    part.write_text(json.dumps({"version": VERSION, "files": dict(files)}), encoding="utf-8")
    part.replace(folder / LIST)
    for path in [*folder.glob("*.parquet"), *folder.glob("*.part")]:
        if path.name not in files.values():
            path.unlink()


def has(folder: Path, files: Mapping[str, str], table: str, schema: Schema) -> bool:
    """Whether there is a table of this name and schema."""
    return table in files and dict(pl.read_parquet_schema(folder / files[table])) == schema


def _is_whole(folder: Path, name: object) -> bool:
    """Whether a file of this name is in the folder, and its content is that of its checksum."""
    if not isinstance(name, str) or Path(name).name != name or name.count(".") != 2:
        return False
    try:
        return _checksum(folder / name) == name.split(".")[1]
    except OSError:
        return False


def _checksum(path: Path) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}"
