"""HotWax tables exported as Parquet or CSV files, one a table, read by the same SQL reader."""

from pathlib import Path

import polars as pl
import sqlalchemy as sa

from invsync.errors import OmsFailed
from invsync.oms import memory
from invsync.oms.statements import COLUMNS, OPTIONAL, ORIGIN

SUFFIXES = (".parquet", ".csv")
KEYS = {"product_facility": ["product_id", "facility_id"]}


def load(folder: Path) -> sa.Engine:
    """The folder's files as an in-memory SQLite database; a missing optional table stays missing."""
    if not folder.is_dir():
        raise OmsFailed(f"The OMS folder {folder} does not exist: correct path under the shop's oms.")
    found = {name: file for name in COLUMNS if (file := _file(folder, name)) is not None}
    if missing := sorted(set(COLUMNS) - OPTIONAL - set(found)):
        raise OmsFailed(f"The OMS folder {folder} lacks {missing[0]}.parquet or {missing[0]}.csv: export that table.")
    frames = {name: _read(file, name, COLUMNS[name].split()) for name, file in found.items()}
    return memory.database({name: (frame.columns, frame.iter_rows()) for name, frame in frames.items()})


def _file(folder: Path, name: str) -> Path | None:
    found = {path.name.lower(): path for path in folder.iterdir()}
    return next((found[name + suffix] for suffix in SUFFIXES if name + suffix in found), None)


def _read(file: Path, name: str, columns: list[str]) -> pl.DataFrame:
    """The columns that are read; stamps and text as text, numbers as they are."""
    try:
        csv = file.suffix.lower() == ".csv"
        rows = pl.read_csv(file, infer_schema=False) if csv else pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise OmsFailed(f"The OMS file {file.name} could not be read ({error}): export it again.") from None
    rows = rows.rename({column: column.lower() for column in rows.columns})
    columns = [column for column in columns if column in rows.columns or ORIGIN.get(name) != column]
    if missing := [column for column in columns if column not in rows.columns]:
        raise OmsFailed(f"The OMS file {file.name} lacks the column(s) {', '.join(missing)}: export them.")
    key = KEYS.get(name)
    if key and rows.select(key).is_duplicated().any():
        raise OmsFailed(f"The OMS file {file.name} has two rows of one {' and '.join(key)}: export it again.")
    return rows.select(_portable(column, rows.schema[column]) for column in columns)


def _portable(column: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        return (value.dt.convert_time_zone("UTC") if dtype.time_zone else value).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    return value.cast(pl.Float64) if dtype.is_decimal() else value
