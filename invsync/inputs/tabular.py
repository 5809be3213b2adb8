"""Rows of CSV and Parquet files: whole and counted, or refused with what is wrong and where.

A value is a text, or, in Parquet, the number or the stamp that it is there.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from invsync.errors import UsageError
from invsync.inputs import texts
from invsync.inputs.door import Table

csv.field_size_limit(2**31 - 1)  # a description may be long
SEPARATORS = ",;\t|"
BOM = b"\xef\xbb\xbf"


class Damaged(Exception):
    """What is wrong with the file, and how to mend it: a clause that follows its name."""


def read(name: str, content: bytes) -> pl.DataFrame:
    """The rows of this file, its columns in lower case; a name that ends in .parquet says Parquet, any other CSV."""
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
    """The values of a file that a user gives, through the door; what breaks a rule is refused with its row."""
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
    """Where these records (from 0) of a file stand, as `product.csv, line 3`; of Parquet the rows are counted."""
    if name.lower().endswith(".parquet"):
        return [f"{name}, row {record + 1}" for record in records]
    begins = _lines(content.removeprefix(BOM))
    return [f"{name}, line {begins[record + 1]}" for record in records]


def _lines(content: bytes) -> list[int]:
    """The line (from 1) on which each record of a CSV file begins, the header's first."""
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
    """Rows of CSV text; a second count of its records and values must agree with them."""
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
    """The text without a byte order mark and with plain line ends; another encoding is refused by its name."""
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
    """CSV text without blank lines, and its parts that stand outside quotes."""

    content: bytes
    outside: list[bytes]

    def count(self, character: str) -> int:
        """How often a character stands outside quotes."""
        return sum(part.count(character.encode()) for part in self.outside)


def _counted(content: bytes) -> Counted:
    """The text without blank lines, cut at its quotes; quotes that do not pair are refused."""
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
    """Whether quotes are where CSV has them; looked at where a backslash stands before one, as MySQL writes it."""
    if b'\\"' not in content:
        return True
    try:
        deque(_records(content, strict=True), maxlen=0)
    except csv.Error:
        return False
    return True


def _separator(head: bytes) -> str:
    """What separates the values: what the header has most of."""
    return max(SEPARATORS, key=lambda one: head.count(one.encode()))


def _records(content: bytes, *, strict: bool = False) -> Any:
    """The records of CSV text by Python's own reader, which knows their lines."""
    separator = _separator(content.split(b"\n", 1)[0])
    return csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, strict=strict)


def _uneven(content: bytes, values: int) -> str | None:
    """Which line has more or fewer values than the header."""
    reader = _records(content)
    for row in reader:
        if row and len(row) != values:
            has = "lacks values" if len(row) < values else "has more values than the header"
            return f"line {reader.line_num} {has}"
    return None
