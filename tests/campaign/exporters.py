"""Files as the programs write them that people export tables with: each its own nulls, stamps, quotes and line ends."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
from campaign.drawn_worlds import COLUMNS, Value, World, kind

Cell = str | None
BOM = "\ufeff"


@dataclass
class Sheet:
    """One table as text, before it is quoted: its columns, its records, a null as None."""

    table: str
    header: list[str]
    records: list[list[Cell]]

    def copy(self) -> "Sheet":
        """The same, to be damaged."""
        return Sheet(self.table, [*self.header], [[*record] for record in self.records])


def naive(moment: datetime, zone: str) -> datetime:
    """As a database without time zones keeps it."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def iso(moment: datetime, zone: str) -> str:
    return f"{naive(moment, zone):%Y-%m-%d %H:%M:%S}"


def of_mysql(moment: datetime, zone: str) -> str:
    """DATETIME(3)."""
    return f"{naive(moment, zone):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def of_polars(moment: datetime, zone: str) -> str:
    return f"{naive(moment, zone):%Y-%m-%dT%H:%M:%S.%f}"


def of_postgresql(moment: datetime, zone: str) -> str:
    """timestamptz, of a session in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00"


def of_java(moment: datetime, zone: str) -> str:
    """java.sql.Timestamp."""
    return f"{naive(moment, zone):%Y-%m-%d %H:%M:%S}.0"


def whole(units: int) -> str:
    return str(units)


def as_float(units: int) -> str:
    return f"{units}.0"


def as_decimal(units: int) -> str:
    """DECIMAL(26,6)."""
    return f"{units}.000000"


def camel(column: str) -> str:
    """Moqui's and OFBiz's name of a column."""
    head, *rest = column.split("_")
    return head + "".join(part.capitalize() for part in rest)


def entity(table: str) -> str:
    return "".join(part.capitalize() for part in table.split("_"))


@dataclass(frozen=True)
class Dialect:
    """How one program writes a table.

    `quotes`: only where needed, every text, or never (then a backslash escapes). `floats`: a column of whole numbers
    with a null in it became one of floats. `day`: a column of midnights is written as dates.
    """

    name: str
    stamp: Callable[[datetime, str], str] = iso
    number: Callable[[int], str] = whole
    delimiter: str = ","
    null: str = ""
    newline: str = "\n"
    bom: bool = False
    quotes: Literal["needed", "texts", "all", "never"] = "needed"
    backslash: bool = False
    floats: bool = False
    day: bool = False
    header: Callable[[str], str] = field(default=lambda column: column)
    title: Callable[[str], str] | None = None

    def sheet(self, world: World, table: str) -> Sheet:
        """The table's cells as this program writes them."""
        names = COLUMNS[table].split()
        rows = world.tables[table]
        columns = [self._column(name, [row[name] for row in rows], world.zone) for name in names]
        records = [list(record) for record in zip(*columns, strict=True)] if rows else []
        return Sheet(table, [self.header(name) for name in names], records)

    def _column(self, name: str, values: list[Value], zone: str) -> list[Cell]:
        if (
            self.floats
            and kind(name) == "id"
            and None in values
            and all(_is_number(v) for v in values if v is not None)
        ):
            return [None if value is None else f"{value}.0" for value in values]
        texts = [self._cell(value, zone) for value in values]
        stamps = [naive(value, zone) for value in values if isinstance(value, datetime)]
        if self.day and stamps and all(stamp.time() == datetime.min.time() for stamp in stamps):
            return [None if text is None else text[:10] for text in texts]
        return texts

    def _cell(self, value: Value, zone: str) -> Cell:
        if isinstance(value, datetime):
            return self.stamp(value, zone)
        return self.number(value) if isinstance(value, int) else value

    def text(self, sheet: Sheet) -> str:
        """The file's text."""
        lines = [
            self.line(sheet, sheet.header, is_header=True),
            *(self.line(sheet, record) for record in sheet.records),
        ]
        if self.title:
            lines.insert(0, self.title(sheet.table))
        return "".join(line + self.newline for line in lines)

    def line(self, sheet: Sheet, record: Sequence[Cell], *, is_header: bool = False) -> str:
        """One record without its end."""
        names = COLUMNS.get(sheet.table, "").split()
        names += [""] * (len(record) - len(names))
        quoted = [
            self._quoted(cell, "text" if is_header else kind(name)) for cell, name in zip(record, names, strict=False)
        ]
        return self.delimiter.join(quoted)

    def _quoted(self, cell: Cell, of: str) -> str:
        if cell is None:
            return self.null
        if self.backslash:
            cell = cell.replace("\\", "\\\\")
            for char in "\n" + (self.delimiter if self.quotes == "never" else '"'):
                cell = cell.replace(char, "\\" + char)
        needed = any(char in cell for char in self.delimiter + '"\n\r')
        texts = needed or of in ("id", "text", "indicator")
        wanted = {"needed": needed, "never": False, "all": True, "texts": texts}[self.quotes]
        return '"' + (cell if self.backslash else cell.replace('"', '""')) + '"' if wanted else cell

    def bytes(self, sheet: Sheet) -> bytes:
        """The file's bytes."""
        return ((BOM if self.bom else "") + self.text(sheet)).encode()


def _is_number(value: Value) -> bool:
    return isinstance(value, str) and value.isdigit() and not value.startswith("0")


PLAIN = Dialect("polars", stamp=of_polars, number=as_float)
DIALECTS = (
    PLAIN,
    Dialect("iso", bom=False),
    Dialect("excel", bom=True, newline="\r\n"),
    Dialect("excel semicolon", bom=True, newline="\r\n", delimiter=";"),
    Dialect("mysql comma", of_mysql, as_decimal, null="\\N", quotes="texts", backslash=True),
    Dialect("mysql tab", of_mysql, as_decimal, delimiter="\t", null="\\N", quotes="never", backslash=True),
    Dialect("postgresql", of_postgresql, as_decimal),
    Dialect("pandas", number=as_float, floats=True, day=True),
    Dialect("pandas NaN", number=as_float, floats=True, day=True, null="NaN"),
    Dialect("pandas NULL", number=as_float, floats=True, day=True, null="NULL"),
    Dialect("moqui", of_java, header=camel, title=lambda table: f"org.apache.ofbiz.{entity(table)},export"),
    Dialect("ofbiz", of_java, as_decimal, header=camel, quotes="all"),
)
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def typed(world: World, table: str) -> pl.DataFrame:
    """The table as a frame of real types, as Parquet keeps them."""
    schema = {
        name: {"quantity": pl.Float64(), "stamp": pl.Datetime("us")}.get(kind(name), pl.String())
        for name in COLUMNS[table].split()
    }
    rows = [
        {name: naive(value, world.zone) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in world.tables[table]
    ]
    return pl.DataFrame(rows, schema=schema)


def parquet(frame: pl.DataFrame) -> bytes:
    """The bytes of a Parquet file."""
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def export(world: World, dialect: Dialect, folder: Path) -> None:
    """Every table as a CSV file in a new folder."""
    folder.mkdir(parents=True)
    for table in COLUMNS:
        (folder / f"{table}.csv").write_bytes(dialect.bytes(dialect.sheet(world, table)))


def export_parquet(world: World, folder: Path) -> None:
    """Every table as a Parquet file in a new folder."""
    folder.mkdir(parents=True)
    for table in COLUMNS:
        (folder / f"{table}.parquet").write_bytes(parquet(typed(world, table)))
