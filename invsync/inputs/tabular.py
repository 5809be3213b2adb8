"""Read CSV and Parquet files completely, or refuse them with what is wrong and where.

CSV values come as text; Parquet numbers and timestamps keep their types.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from invsync.errors import UsageError
from invsync.inputs import texts
from invsync.inputs.door import Table

csv.field_size_limit(2**31 - 1)  # a description may be long
SEPARATORS = ",;\t|"
BOM = b"\xef\xbb\xbf"


class Damaged(Exception):
    """The file cannot be read; the message is a clause to put after its name: what is wrong, and how to repair it."""


def read(name: str, content: bytes) -> pl.DataFrame:
    """Return the rows of a file, with column names in lower case; raises Damaged.

    A name that ends in .parquet means Parquet, any other CSV.
    """
    try:
        rows = _parquet(content) if name.lower().endswith(".parquet") else _csv(content)
    except pl.exceptions.PolarsError as error:
        raise Damaged(f"could not be read ({str(error).splitlines()[0]}): export it again") from None
    columns = [column.strip().lower() for column in rows.columns]
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise Damaged(f"has the column {twice[0]} twice: export it once")
    rows.columns = columns
    return rows


def entered(what: str, path: Path, table: Table) -> pl.DataFrame:
    """Read and validate a file that the user names; raises UsageError with the row of the first invalid value.

    `what` is the file's description at the start of the message, as "The buffer table".
    """
    try:
        content = path.read_bytes()
        rows = read(path.name, content)
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read ({error.strerror}): correct its path.") from None
    except Damaged as error:
        raise UsageError(f"{what} {path} {error}.") from None
    if lacking := [name for name in table.columns if name not in rows.columns]:
        raise UsageError(
            f"{what} {path} lacks the column(s) {', '.join(lacking)}: it needs {', '.join(table.columns)}."
        )
    values, faults = table.checked(table.read(rows))
    if faults.height:
        row, column, expected = faults.row(0)
        value = ", ".join(str(rows[name][row] or "") for name in column.split(", "))
        (place,) = places(str(path), content, [row])
        more = f", and {faults.height - 1} more values are wrong" if faults.height > 1 else ""
        raise UsageError(f"{what} {place}: {column} {value!r} is not {expected}{more}; correct it.")
    return values


def places(name: str, content: bytes, records: Iterable[int]) -> list[str]:
    """Return where records (from 0) of a file are, as `product.csv, line 3`, or for Parquet as `product.parquet, row 2`."""
    if name.lower().endswith(".parquet"):
        return [f"{name}, row {record + 1}" for record in records]
    begins = _lines(content.removeprefix(BOM))
    return [f"{name}, line {begins[record + 1]}" for record in records]


def _lines(content: bytes) -> list[int]:
    """Return the line (from 1) on which each record of a CSV file begins; the first is the header's."""
    reader = _records(content)
    begins, line = [], 1
    for values in reader:
        if any(values):
            begins.append(line)
        line = reader.line_num + 1
    return begins


def _parquet(content: bytes) -> pl.DataFrame:
    rows = pl.read_parquet(io.BytesIO(content))
    return rows.select(_plain(name, dtype) for name, dtype in rows.schema.items())


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if isinstance(dtype, pl.Datetime) or dtype.is_numeric():
        return value
    if isinstance(dtype, pl.Boolean):
        return pl.when(value).then(pl.lit("true")).when(~value).then(pl.lit("false")).alias(name)
    if dtype.is_nested() or isinstance(dtype, pl.Object):
        raise Damaged(f"has lists or objects in the column {name}: export plain values")
    return value.cast(pl.String)


def _csv(content: bytes) -> pl.DataFrame:
    """Parse CSV text; raises Damaged unless an independent count of its records and values agrees."""
    content = _utf8(content)
    if not content.endswith(b"\n"):
        raise Damaged("is not whole (its last line has no end): wait until it is written, or export it again")
    counted = _counted(content)
    head = counted.content.split(b"\n", 1)[0]
    separator, records = _separator(head), counted.count("\n") - 1
    names = next(csv.reader([head.decode()], delimiter=separator), [])
    try:
        rows = pl.read_csv(io.BytesIO(counted.content), separator=separator, infer_schema=False)
    except pl.exceptions.ComputeError:
        why = _uneven(content, len(names)) or "a quote stands where CSV has none"
        raise Damaged(f"could not be read ({why}): export it again, with every quote doubled") from None
    if len(rows.columns) != len(names) or len(set(names)) < len(names):
        raise Damaged("has a column twice, or a line break in its header: export each once")
    if rows.height != records:
        raise Damaged(
            f"has {records} records, but {rows.height} can be read (a quote stands alone): "
            "export it with every quote doubled"
        )
    if counted.count(separator) != (records + 1) * (len(names) - 1):
        why = _uneven(content, len(names)) or "a line lacks values"
        raise Damaged(f"is not whole ({why}): wait until it is written, or export it again")
    empty = pl.all_horizontal(pl.all().is_null() | (pl.all() == ""))
    return rows.filter(~empty)


def _utf8(content: bytes) -> bytes:
    """Return the text without a byte order mark and with plain line ends; raises Damaged if it is not UTF-8."""
    if not (encoding := texts.encoding(content)).startswith("utf-8"):
        raise Damaged(f"is in {encoding.upper()}, not in UTF-8: export it as CSV in UTF-8")
    content = content.removeprefix(BOM)
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            at = content.count(b"\n", 0, error.start) + 1
            raise Damaged(
                f"is not in UTF-8 (byte 0x{content[error.start]:02x} in line {at}, as Windows-1252 or Latin-1 "
                "writes an accent): export it as CSV in UTF-8"
            ) from None
    if (nul := content.find(b"\0")) >= 0:
        at = content.count(b"\n", 0, nul) + 1
        raise Damaged(f"holds a NUL byte in line {at}: export it again")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
        if b"\n" not in content:
            raise Damaged("has lines that end in a carriage return alone: export it with plain line ends")
    return content


@dataclass(frozen=True)
class Counted:
    """CSV text without blank lines, and the parts of it that are outside quotes."""

    content: bytes
    outside: list[bytes]

    def count(self, character: str) -> int:
        """Return how often a character occurs outside quotes."""
        return sum(part.count(character.encode()) for part in self.outside)


def _counted(content: bytes) -> Counted:
    """Remove blank lines and split the text at its quotes; raises Damaged where they do not pair."""
    parts = content.split(b'"')
    if len(parts) % 2 == 0 or not _is_strict(content):
        lines = enumerate(content.split(b"\n"), 1)
        at = next((number for number, line in lines if line.count(b'"') % 2 or b'\\"' in line), 1)
        raise Damaged(
            f"has a quote that stands alone, or one behind a backslash (look at line {at}): export it with "
            "every quote doubled"
        )
    parts[::2] = [re.sub(rb"\n\n+", b"\n", part) if b"\n\n" in part else part for part in parts[::2]]
    parts[0] = parts[0].lstrip(b"\n")
    return Counted(b'"'.join(parts), parts[::2])


def _is_strict(content: bytes) -> bool:
    """Whether every quote is where CSV allows it; checked only where a backslash precedes one, as MySQL writes it."""
    if b'\\"' not in content:
        return True
    try:
        deque(_records(content, strict=True), maxlen=0)
    except csv.Error:
        return False
    return True


def _separator(head: bytes) -> str:
    """Return the separator: the one that the header has most of."""
    return max(SEPARATORS, key=lambda one: head.count(one.encode()))


class Records(Protocol):
    """The records of a CSV text, and the line that was read last."""

    @property
    def line_num(self) -> int:
        """The line, from 1."""

    def __iter__(self) -> Iterator[list[str]]:
        """Return the records."""


def _records(content: bytes, *, strict: bool = False) -> Records:
    """Parse CSV text with Python's own reader, which keeps count of the lines."""
    separator = _separator(content.split(b"\n", 1)[0])
    return csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, strict=strict)


def _uneven(content: bytes, values: int) -> str | None:
    """Return a clause that names the first line with more or fewer values than the header; None without one."""
    reader = _records(content)
    for row in reader:
        if row and len(row) != values:
            has = "lacks values" if len(row) < values else "has more values than the header"
            return f"line {reader.line_num} {has}"
    return None
