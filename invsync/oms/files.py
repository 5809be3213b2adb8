"""HotWax tables exported as Parquet or CSV files, one a table, and its own feeds; read by the same SQL reader."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import fsspec
import polars as pl
import sqlalchemy as sa

from invsync import tables
from invsync.errors import OmsFailed, UsageError
from invsync.oms import memory
from invsync.oms.database import Database
from invsync.oms.feeds import Feed, feed, laid_over
from invsync.oms.statements import COLUMNS, OPTIONAL, OPTIONAL_COLUMNS, ORIGIN
from invsync.oms.touched import Window
from invsync.oms.values import column
from invsync.settings import OmsSettings

A_MOMENT = timedelta(seconds=1)
Frames = dict[str, pl.DataFrame]
SUFFIXES = (".parquet", ".csv")
STOCK_KEY = ["product_id", "facility_id"]
QUANTITIES = ["last_inventory_count", "computed_last_inventory_count"]
UNDONE = "is not whole ({}): wait until it is written, or export it again."


@dataclass(frozen=True)
class File:
    """A file of the folder."""

    fs: Any
    path: str
    size: int
    written: datetime

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Export:
    """The tables in an in-memory SQLite database, the moment up to which they are known to be whole (UTC).

    `not_in_stock` are the orders of which something was exported after the stock.
    """

    engine: sa.Engine
    known_until: datetime
    not_in_stock: pl.Series


class Exported(Database):
    """HotWax as it was exported; its clock stands at the export, and a window has no end within it."""

    def __init__(self, export: Export, oms: OmsSettings) -> None:
        super().__init__(export.engine, oms)
        self.known_until, self.not_in_stock = export.known_until, export.not_in_stock

    def now(self) -> datetime:
        """When what is here was exported, UTC."""
        return self.known_until

    def _window(self, connection: sa.Connection, from_: datetime, thru: datetime | None) -> Window:
        return super()._window(connection, from_, None)

    def _may_be_booked(self, known: pl.DataFrame) -> pl.DataFrame:
        return known.filter(~pl.col("order_id").is_in(self.not_in_stock.implode()))


def load(path: str, password: str | None = None, *, timezone: str = "UTC") -> Export:
    """The files of a folder, here or at an fsspec URL; stamps without a zone are in `timezone`."""
    folder = _folder(path, password)
    files = {name: file for name in COLUMNS if (file := _table_file(folder, name)) is not None}
    raw = {name: _read(file).rename(str.lower) for name, file in files.items()}
    stock = files.get("product_facility")
    found = laid_over(raw, _feeds(folder, files), stock.written if stock else None)
    if missing := sorted(set(COLUMNS) - OPTIONAL - set(found)):
        raise OmsFailed(f"The OMS folder {path} lacks {missing[0]}.parquet or {missing[0]}.csv: export that table.")
    frames = {name: _conformed(rows, name, files.get(name)) for name, rows in found.items()}
    changed = _stamps(frames["product_facility"], "last_updated_stamp", timezone).max()
    engine = memory.database({name: (frame.columns, frame.iter_rows()) for name, frame in frames.items()})
    oldest = min((file.written for file in files.values()), default=datetime.now(UTC))
    known_until = min(oldest, changed + A_MOMENT) if isinstance(changed, datetime) else oldest
    return Export(engine, known_until, _not_in_stock(frames, files, changed, timezone).cast(pl.String))


def _stamps(rows: pl.DataFrame, name: str, timezone: str) -> pl.Series:
    return column(name, rows[name].to_list(), tables.STAMP, timezone)


def _not_in_stock(frames: Frames, files: Mapping[str, File], changed: object, timezone: str) -> pl.Series:
    """The orders of which something was exported after the stock, so that the stock does not contain all of it.

    The stock was exported after its newest stamp, so it contains what was stamped until then. A reservation has no
    stamp: that of its stock events counts or, without those, the time of its file.
    """
    details, held = "inventory_item_detail", "order_item_ship_grp_inv_res"
    if details in frames and isinstance(changed, datetime):
        later = _stamps(frames[details], "created_stamp", timezone) > changed
        return frames[details].filter(later)["order_id"].drop_nulls().unique()
    if held in frames and files[held].written > _written(files, "product_facility"):
        return frames[held]["order_id"].drop_nulls().unique()
    return pl.Series("order_id", [], dtype=pl.String)


def _written(files: Mapping[str, File], name: str) -> datetime:
    return files[name].written if name in files else datetime.max.replace(tzinfo=UTC)


def _folder(path: str, password: str | None) -> dict[str, File]:
    """The files by their lower-case names."""
    try:
        fs, root = fsspec.core.url_to_fs(path, **({"password": password} if password else {}))
        if not fs.isdir(root):
            raise OmsFailed(f"The OMS folder {path} does not exist: correct path under the shop's oms.")
        listed = [_listed(fs, info) for info in fs.ls(root, detail=True) if info["type"] == "file"]
    except (ImportError, ValueError) as error:
        raise UsageError(f"The OMS folder {path} cannot be opened ({error}): install its fsspec driver.") from None
    except OSError as error:
        raise OmsFailed(f"The OMS folder {path} could not be read ({error}): check it and run again.") from None
    return {file.name.lower(): file for file in listed}


def _listed(fs: Any, info: dict[str, Any]) -> File:
    told = info.get("mtime") or info.get("LastModified") or info.get("created") or 0
    written = told if isinstance(told, datetime) else datetime.fromtimestamp(float(told), UTC)
    return File(fs, info["name"], int(info["size"] or 0), written if written.tzinfo else written.replace(tzinfo=UTC))


def _table_file(folder: dict[str, File], name: str) -> File | None:
    return next((folder[name + suffix] for suffix in SUFFIXES if name + suffix in folder), None)


def _feeds(folder: dict[str, File], files: dict[str, File]) -> list[Feed]:
    """The CSV files that are no table, as far as their columns are those of a feed."""
    others = [file for name, file in folder.items() if name.endswith(".csv") and file not in files.values()]
    found = (feed(file.name, file.written, _read(file)) for file in others)
    return [one for one in found if one is not None]


def _read(file: File) -> pl.DataFrame:
    """The file's rows, stamps and CSV as text; one that is not whole is refused."""
    try:
        content = file.fs.cat_file(file.path)
        if len(content) != file.size:
            raise OmsFailed(f"The OMS file {file.name} {UNDONE.format('it grew while it was read')}")
        if file.name.lower().endswith(".parquet"):
            rows = pl.read_parquet(io.BytesIO(content))
        else:
            _check_whole(file, content)
            rows = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise OmsFailed(f"The OMS file {file.name} could not be read ({error}): export it again.") from None
    return rows.select(_portable(name, dtype) for name, dtype in rows.schema.items())


def _check_whole(file: File, content: bytes) -> None:
    """Refuse a CSV file whose last line has no end, or fewer values than the first."""
    if not content.endswith(b"\n"):
        raise OmsFailed(f"The OMS file {file.name} {UNDONE.format('its last line has no end')}")
    first, last = (
        len(next(csv.reader([line.decode()]), [])) for line in (content.split(b"\n", 1)[0], content.splitlines()[-1])
    )
    if last < first:
        raise OmsFailed(f"The OMS file {file.name} {UNDONE.format('its last line lacks values')}")


def _conformed(rows: pl.DataFrame, name: str, file: File | None) -> pl.DataFrame:
    """The columns that are read, in order."""
    told = file.name if file else f"feed for {name}"
    columns = [one for one in COLUMNS[name].split() if one in rows.columns or ORIGIN.get(name) != one]
    lacking = [one for one in columns if one not in rows.columns]
    if needed := [one for one in lacking if (name, one) not in OPTIONAL_COLUMNS and file]:
        raise OmsFailed(f"The OMS file {told} lacks the column(s) {', '.join(needed)}: export them.")
    rows = _once(rows) if name == "product_facility" else rows
    rows = rows.with_columns(pl.lit(None, pl.String).alias(one) for one in lacking)
    return rows.select(columns)


def _once(stock: pl.DataFrame) -> pl.DataFrame:
    """One row a product and facility; where the file has two, quantities that nobody can read, so the pair is held."""
    twice = pl.struct(STOCK_KEY).is_duplicated()
    if not stock.select(twice.any()).item():
        return stock
    unclear = [pl.when(twice).then(pl.lit("two rows")).otherwise(pl.col(name).cast(pl.String)).alias(name)
               for name in QUANTITIES]  # fmt: skip
    return stock.with_columns(unclear).unique(STOCK_KEY, keep="first", maintain_order=True)


def _portable(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return (value.dt.convert_time_zone("UTC") if dtype.time_zone else value).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    return value.cast(pl.Float64) if dtype.is_decimal() else value
