"""HotWax's tables as Parquet or CSV files, one per table, beside its own feeds; read with the same SQL."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Protocol

import fsspec
import polars as pl
import sqlalchemy as sa

from invsync.config.connectors import OmsSettings
from invsync.config.secrets import secret
from invsync.errors import OmsFailed, UsageError
from invsync.inputs import tabular
from invsync.oms import schemas
from invsync.oms.files.apply import with_feeds
from invsync.oms.files.connector import FilesSettings
from invsync.oms.files.feeds import MEANT, NO_FEED, Feed, feed
from invsync.oms.schemas import Entered, Frames
from invsync.oms.sql import memory
from invsync.oms.sql.changed_products import Window
from invsync.oms.sql.source import Database
from invsync.oms.sql.statements import COLUMNS, OPTIONAL, OPTIONAL_COLUMNS, ORIGIN

A_MOMENT = timedelta(seconds=1)
SUFFIXES = (".parquet", ".csv")
OF_FEEDS = {"good_identification"}  # tables that are read only for feeds
NEVER_ENDING = datetime.max.replace(tzinfo=UTC)
Info = dict[str, Any]  # what a file system says of a file


class FileSystem(Protocol):
    """What is used of an fsspec file system."""

    def isdir(self, path: str) -> bool:
        """Whether this is a folder."""

    def ls(self, path: str, detail: bool) -> list[Info]:
        """Return what is in a folder."""

    def cat_file(self, path: str) -> bytes:
        """Return the content of a file."""


@dataclass(frozen=True)
class File:
    """A file in the folder."""

    fs: FileSystem
    path: str
    size: int
    written: datetime

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return PurePosixPath(self.path).name

    @property
    def is_parquet(self) -> bool:
        """Whether its name ends in .parquet."""
        return self.name.lower().endswith(".parquet")


@dataclass(frozen=True)
class Export:
    """The tables in an in-memory database, and the moment (UTC) up to which they are known to be complete.

    `not_in_stock` are the orders of which something was exported after the stock; `unreadable` is UNREADABLE.
    """

    engine: sa.Engine
    known_until: datetime
    not_in_stock: pl.Series
    unreadable: pl.DataFrame


def open_export(oms: FilesSettings, tries: int | None = None) -> "Exported":
    """Return the configured export; `tries` is not used."""
    if not oms.path:
        raise UsageError("The OMS is of kind files but names no folder: set path under the shop's oms.")
    return Exported(load(oms.path, secret(oms.password_env, os.environ), timezone=oms.timezone), oms)


class Exported(Database):
    """An export, whose clock stands still at the time of the export, so that windows have no end."""

    keeps_history = False
    respells_event_ids = True  # a spreadsheet drops leading zeros

    def __init__(self, export: Export, oms: OmsSettings) -> None:
        super().__init__(export.engine, oms, export.unreadable)
        self.known_until, self.not_in_stock = export.known_until, export.not_in_stock

    def now(self) -> datetime:
        """Return when the files were exported, UTC."""
        return self.known_until

    def order_history(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Raise UsageError: an export holds no history of orders."""
        raise UsageError("An export holds no history of orders: read the OMS's database.")

    def _window(self, from_: datetime, thru: datetime | None) -> Window:
        return super()._window(from_, None)

    def _may_be_booked(self, known: pl.DataFrame) -> pl.DataFrame:
        return known.filter(~pl.col("order_id").is_in(self.not_in_stock.implode()))


def load(path: str, password: str | None = None, *, timezone: str = "UTC") -> Export:
    """Read the files of a local folder or an fsspec URL; timestamps without a zone are in `timezone`.

    Raises OmsFailed where a table is missing, where a file is damaged, and for an unreadable value that may concern
    every product.
    """
    folder = _folder(path, password)
    files = {name: file for name in COLUMNS if (file := _table_file(folder, name)) is not None}
    feeds = _feeds(folder, files)
    needed = {name: file for name, file in files.items() if feeds or name not in OF_FEEDS}
    read = {name: _entered(name, file, timezone) for name, file in needed.items()}
    values, unreadable_feeds = with_feeds(
        {name: one.values for name, one in read.items()}, feeds, _written(files, "product_facility")
    )
    if missing := sorted(set(COLUMNS) - OPTIONAL - set(values)):
        raise OmsFailed(f"The OMS folder {path} lacks {missing[0]}.parquet or {missing[0]}.csv: export that table.")
    faults = pl.concat([one.faults for one in read.values()])
    _check_stamps(faults)
    changed = values["product_facility"]["last_updated_stamp"].max()
    stored = {name: schemas.stored(rows, timezone) for name, rows in values.items() if name not in OF_FEEDS}
    engine = memory.database(stored)
    oldest = min((file.written for file in files.values()), default=datetime.now(UTC))
    known_until = min(oldest, changed + A_MOMENT) if isinstance(changed, datetime) else oldest
    unreadable = pl.concat([schemas.held(faults, values), unreadable_feeds])
    return Export(engine, known_until, _not_in_stock(values, files, changed).cast(pl.String), unreadable)


def _check_stamps(faults: pl.DataFrame) -> None:
    """Raise OmsFailed for an unreadable stamp of stock, which decides which orders the stock contains."""
    lost = faults.filter(pl.col("facility_id").is_not_null(), column="last_updated_stamp")
    if lost.height:
        raise OmsFailed(f"{schemas.sentence(lost)}: correct it and run again; nothing was sent.")


def _entered(name: str, file: File, timezone: str) -> Entered:
    content = _content(file)
    texts = _named(_read(file, content), name, file)
    table = schemas.table(name, _columns(texts, name, file))
    return schemas.entered(table, texts, timezone, partial(tabular.places, file.name, content))


def _not_in_stock(frames: Frames, files: Mapping[str, File], changed: object) -> pl.Series:
    """Return the orders of which something was exported after the stock, so that the stock may lack it.

    The stock contains what was stamped up to its newest stamp. A reservation has no stamp: those of its stock events
    count or, without events, the time of its file.
    """
    details, held = "inventory_item_detail", "order_item_ship_grp_inv_res"
    if details in frames and isinstance(changed, datetime):
        return frames[details].filter(pl.col("created_stamp") > changed)["order_id"].drop_nulls().unique()
    if held in frames and files[held].written > (_written(files, "product_facility") or NEVER_ENDING):
        return frames[held]["order_id"].drop_nulls().unique()
    return pl.Series("order_id", [], dtype=pl.String)


def _written(files: Mapping[str, File], name: str) -> datetime | None:
    return files[name].written if name in files else None


def _folder(path: str, password: str | None) -> list[File]:
    """Return the files in a folder, sorted by name; raises OmsFailed or UsageError where it cannot be read."""
    try:
        fs, root = fsspec.core.url_to_fs(path, **({"password": password} if password else {}))
        if not fs.isdir(root):
            raise OmsFailed(f"The OMS folder {path} does not exist: correct path under the shop's oms.")
        files = [_file(fs, info) for info in fs.ls(root, detail=True) if info["type"] == "file"]
    except (ImportError, ValueError) as error:
        raise UsageError(f"The OMS folder {path} cannot be opened ({error}): install its fsspec driver.") from None
    except OSError as error:
        raise OmsFailed(f"The OMS folder {path} could not be read ({error}): check it and run again.") from None
    return sorted(files, key=lambda file: file.name)


def _file(fs: FileSystem, info: Info) -> File:
    changed = info.get("mtime") or info.get("LastModified") or info.get("created") or 0
    written = changed if isinstance(changed, datetime) else datetime.fromtimestamp(float(changed), UTC)
    return File(fs, info["name"], int(info["size"] or 0), written if written.tzinfo else written.replace(tzinfo=UTC))


def _table_file(folder: list[File], name: str) -> File | None:
    """Return the file of a table, None without one; raises OmsFailed for two, as either may be meant."""
    files = [file for file in folder if file.name.lower() in {name + suffix for suffix in SUFFIXES}]
    if len(files) > 1:
        raise OmsFailed(
            f"The OMS folder has {' and '.join(file.name for file in files)} for one table: remove one of them."
        )
    return files[0] if files else None


def _feeds(folder: list[File], files: dict[str, File]) -> list[Feed]:
    """Return the CSV files that are feeds; raises OmsFailed for a file that was meant as one and cannot be."""
    others = [file for file in folder if file not in files.values()]
    names = [file.name.lower() for file in others]
    if twice := [file.name for file in others if names.count(file.name.lower()) > 1]:
        raise OmsFailed(
            f"The OMS folder has {' and '.join(twice[:2])}, which only their letters' case tells apart: remove one."
        )
    if strange := [file.name for file in others if file.is_parquet and MEANT.search(file.name)]:
        raise OmsFailed(NO_FEED.format(strange[0]))
    others = [file for file in others if file.name.lower().endswith(".csv")]
    read = ((file, content, _read(file, content)) for file in others for content in [_content(file)])
    feeds = (
        feed(file.name, file.written, texts, partial(tabular.places, file.name, content))
        for file, content, texts in read
    )
    return [one for one in feeds if one is not None]


def _content(file: File) -> bytes:
    try:
        content: bytes = file.fs.cat_file(file.path)
    except OSError as error:
        raise OmsFailed(f"The OMS file {file.name} could not be read ({error}): export it again.") from None
    if len(content) != file.size:
        raise OmsFailed(
            f"The OMS file {file.name} is not whole (it grew while it was read): wait until it is written, or "
            "export it again."
        )
    return content


def _read(file: File, content: bytes) -> pl.DataFrame:
    """Return the rows of a file; raises OmsFailed where it is not complete or cannot be read."""
    try:
        return tabular.read(file.name, content)
    except tabular.Damaged as error:
        raise OmsFailed(f"The OMS file {file.name} {error}.") from None


def _named(texts: pl.DataFrame, name: str, file: File) -> pl.DataFrame:
    """Rename columns to HotWax's names from any spelling: lastUpdatedStamp, LAST_UPDATED_STAMP, last-updated-stamp."""
    known = {one.replace("_", ""): one for one in COLUMNS[name].split()}
    names = [known.get("".join(filter(str.isalnum, column)), column) for column in texts.columns]
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise OmsFailed(f"The OMS file {file.name} has the column {twice[0]} twice: export it once.")
    return texts.rename(dict(zip(texts.columns, names, strict=True)))


def _columns(texts: pl.DataFrame, name: str, file: File) -> list[str]:
    """Return the columns to read, in order; raises OmsFailed for a missing one that is not optional."""
    columns = [one for one in COLUMNS[name].split() if one in texts.columns or ORIGIN.get(name) != one]
    lacking = [one for one in columns if one not in texts.columns and (name, one) not in OPTIONAL_COLUMNS]
    if lacking:
        raise OmsFailed(f"The OMS file {file.name} lacks the column(s) {', '.join(lacking)}: export them.")
    return columns
