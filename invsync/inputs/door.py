"""Validation of every table that comes in: what each column may hold, declared once.

The kind of a column says how its text is read: trimmed, null where it spells null, and marked where it cannot be read.
The table's schema (dataframely) then names every row with a value that is marked, missing or out of range, or with a
duplicate key. An unreadable value is never replaced by a default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from math import nan

import polars as pl

from invsync.inputs.frames import dy

ROW = "row"  # the number of a row in what was read, from 0
NULLS = [
    "",
    r"\N",
    "NULL",
    "Null",
    "null",
    "(null)",
    "[NULL]",
    "<null>",
    "None",
    "nil",
    "undefined",
    "<NA>",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "NaT",
]
NOT_NULL_QUANTITIES = ["nil", "undefined", "N/A", "n/a", "NaN", "nan"]  # in a quantity these may mean anything
AROUND = " \t\r\n\v\f\u00a0\u2007\u202f\u200b\u2060\ufeff"  # blanks around a value, visible or not
ERRORS = r"^#(#+|N/A|NV|REF!|NAME\?|VALUE!|WERT!|DIV/0!|NULL!|NUM!|BEZUG!)$"  # error values of spreadsheets, and a column too narrow
ROUNDED = r"^[0-9]+([.,][0-9]+)?[eE]\+[0-9]+$"  # a number that a spreadsheet rounded
GROUPED = r"^[0-9]{1,3}([,' \u00a0\u202f][0-9]{3})+$"  # digits in groups of three, with any separator
DOTTED = r"^[0-9]{1,3}([.][0-9]{3})+$"
SPOILT = r'^=|["\\\x00-\x1f\x7f]'
UNUSUAL = "|".join(
    (  # ids that need cleaning
        rf"""^['"=\\(\[<{AROUND}]""",
        rf'[{AROUND}"]$',
        "[.,]0+$",
        f"^(?:{'|'.join(word for word in NULLS if word.isalpha() or '/' in word)}|)$",
    )
)
STAMP_FORMAT = "%Y-%m-%d %H:%M:%S%.f"
STAMP_PARTS = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})(?:[ T](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2}(?:[.,]\d{1,9})?))?)?"
    r" ?(?P<zone>Z|UTC|(?P<hours>[+-]\d{2})(?::?(?P<minutes>\d{2}))?)?$"
)
MILLISECONDS = r"^[0-9]{13}$"
NEVER = datetime(1, 1, 1, tzinfo=UTC)  # marks a timestamp that cannot be read
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
UNIQUE = "a key that no other row has"
FAULTS = {ROW: pl.UInt32(), "column": pl.String(), "expected": pl.String()}


@dataclass(frozen=True)
class Kind:
    """What a column holds: how its text is read in a time zone, and the rules for its values, each by its description.

    `typed` converts a column that is already of numbers or timestamps; it returns None for any other.
    """

    read: Callable[[pl.Series, str], pl.Series]
    column: Callable[..., dy.Column]
    rules: Mapping[str, Callable[[pl.Expr], pl.Expr]] = field(default_factory=dict)
    typed: Callable[[pl.Series, str], pl.Series | None] = lambda column, timezone: None

    def values(self, column: pl.Series, timezone: str) -> pl.Series:
        """Return the column's values; NaN, NEVER or -1 where one cannot be read."""
        if (values := self.typed(column, timezone)) is not None:
            return values
        return self.read(column.cast(pl.String), timezone)


@dataclass(frozen=True)
class Table:
    """A table that comes in: the kind of each column, and its key.

    Key columns and `required` columns must not be empty. Where `repeats` is true, rows that are equal in all columns
    count once; otherwise they are a fault like any duplicate key.
    """

    name: str
    columns: Mapping[str, Kind]
    key: Sequence[str] = ()
    required: Sequence[str] = ()
    repeats: bool = True

    @cached_property
    def schema(self) -> type[dy.Schema]:
        """The columns, types, nullability, rules and key, plus the row's number."""
        made = {
            name: kind.column(primary_key=True, check=dict(kind.rules))
            if name in self.key
            else kind.column(nullable=name not in self.required, check=dict(kind.rules))
            for name, kind in self.columns.items()
        }
        return type(self.name, (dy.Schema,), made | {ROW: dy.UInt32()})

    def read(self, rows: pl.DataFrame, timezone: str = "UTC") -> pl.DataFrame:
        """Return the declared columns, each read as its kind; null where the rows lack one."""
        missing = pl.repeat(None, rows.height, dtype=pl.String, eager=True)
        return pl.DataFrame(
            [
                kind.values(rows[name] if name in rows.columns else missing, timezone).rename(name)
                for name, kind in self.columns.items()
            ]
        )

    def checked(self, values: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the values with one row a key, and FAULTS: the row, column and rule of each value that breaks one."""
        _, failure = self.schema.filter(values.with_row_index(ROW))
        if not len(failure):
            return values, pl.DataFrame(schema=FAULTS)
        rows = failure.details()
        faults = pl.concat([pl.DataFrame(schema=FAULTS), *self._faults(rows)]).sort(ROW, "column")
        twice = pl.col("expected") == UNIQUE
        if not faults.select(twice.any()).item():
            return values, faults
        duplicates = self._duplicates(rows)
        if self.repeats:
            faults = faults.join(duplicates.filter("equal"), on=ROW, how="anti").vstack(
                faults.filter(~twice).join(duplicates.filter("equal"), on=ROW, how="semi")
            )
        kept = values.with_row_index(ROW).join(duplicates.filter("later"), on=ROW, how="anti").drop(ROW)
        return kept, faults

    def _duplicates(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a duplicate key: row, whether all rows of the key are equal, whether it is not the first."""
        rows = rows.filter(pl.col("primary_key") == "invalid").with_columns(pl.col(pl.Float64).fill_nan(None))
        equal = pl.struct(self.columns.keys()).n_unique().over(self.key) == 1
        return rows.select(ROW, equal=equal, later=pl.col(ROW) != pl.col(ROW).min().over(self.key))

    def _faults(self, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Return FAULTS, one frame a rule."""
        broken = []
        for rule in rows.columns:
            name, _, words = rule.partition("|")
            if rule == "primary_key":
                name, words = ", ".join(self.key), UNIQUE
            elif not words:
                continue
            expected = "a value" if words == "nullability" else words.removeprefix("check__")
            bad = rows.filter(pl.col(rule) == "invalid")
            broken.append(bad.select(ROW, column=pl.lit(name), expected=pl.lit(expected)))
        return broken


def cleaned(texts: pl.Series) -> pl.Series:
    """Return the texts trimmed, with null in place of words that mean it."""
    return texts.to_frame("x").select(_cleaned(pl.col("x"))).to_series()


def _cleaned(text: pl.Expr) -> pl.Expr:
    bare = text.str.strip_chars(AROUND)
    return pl.when(~bare.is_in(NULLS)).then(bare)


def _apply(texts: pl.Series, read: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    return texts.to_frame("x").select(read(pl.col("x"))).to_series()


def _name(texts: pl.Series, _: str) -> pl.Series:
    """Read names as they are; empty ones, and MySQL's mark for null, are null."""
    return _apply(texts, lambda text: pl.when(~text.is_in(["", r"\N"])).then(text))


def _id(texts: pl.Series, _: str) -> pl.Series:
    """Read ids; bare digits where a program made a number of one, and without the marks that make it text."""
    if not texts.str.contains(UNUSUAL).any():
        return texts
    return _apply(texts, lambda text: _unmarked(_cleaned(text)).str.replace(r"^([0-9]+)(\.0+|,00?)$", "$1"))


def _unmarked(text: pl.Expr) -> pl.Expr:
    """Return the text without a leading apostrophe, and without quotes around it, as in ="123"."""
    return text.str.replace('^(?:\'|=?"([^"]+)"$)', "$1").str.strip_chars(AROUND)


def _sequence(texts: pl.Series, zone: str) -> pl.Series:
    """Read sequence numbers in five digits, as HotWax writes them, whatever zeros a program dropped."""
    return _apply(
        _id(texts, zone), lambda text: pl.when(text.str.contains("^[0-9]+$")).then(text.str.zfill(5)).otherwise(text)
    )


def _text(texts: pl.Series, _: str) -> pl.Series:
    return cleaned(texts)


def _quantity(texts: pl.Series, _: str) -> pl.Series:
    """Read units; NaN where the text is not a finite number."""
    bare = _apply(texts, lambda text: text.str.strip_chars(AROUND))
    null = bare.is_in([word for word in NULLS if word not in NOT_NULL_QUANTITIES]) | bare.is_null()
    number = _finite(bare.cast(pl.Float64, strict=False))
    return number.fill_null(nan).zip_with(~null, pl.Series([None], dtype=pl.Float64).new_from_index(0, len(number)))


def _finite(number: pl.Series) -> pl.Series:
    """Return the numbers, with NaN in place of infinite ones."""
    return number.set(number.is_infinite().fill_null(False), nan)


def _number(column: pl.Series, _: str) -> pl.Series | None:
    return _finite(column.cast(pl.Float64)) if column.dtype.is_numeric() else None


def _moments(column: pl.Series, timezone: str) -> pl.Series | None:
    if not isinstance(column.dtype, pl.Datetime):
        return None
    stamps = column.cast(pl.Datetime("us", column.dtype.time_zone))
    return _in_utc(stamps, timezone) if column.dtype.time_zone is None else stamps.dt.convert_time_zone("UTC")


def _whole(texts: pl.Series, _: str) -> pl.Series:
    """Read whole numbers from 0; -1 where the text is not one."""
    digits = _id(texts, "")
    number = digits.str.extract("^([0-9]{1,19})$").cast(pl.Int64, strict=False)
    return number.zip_with(number.is_not_null() | digits.is_null(), pl.Series([-1]).new_from_index(0, len(number)))


def _stamp(texts: pl.Series, timezone: str) -> pl.Series:
    """Read timestamps in UTC from ISO 8601 or milliseconds since 1970; NEVER where the text is neither."""
    bare = cleaned(texts)
    moments = _in_utc(bare.str.to_datetime(STAMP_FORMAT, time_unit="us", strict=False), timezone)
    if moments.null_count() == bare.null_count():
        return moments
    slowly = pl.Series(_unusual(bare, timezone)).fill_null(NEVER)
    return moments.zip_with(moments.is_not_null() | bare.is_null(), slowly)


def _in_utc(naive: pl.Series, timezone: str) -> pl.Series:
    """Convert local time to UTC: an ambiguous hour to the first of the two, a skipped hour to the one after it."""
    here = naive.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    if here.null_count() > naive.null_count():
        later = naive.dt.offset_by("1h").dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        here = here.zip_with(here.is_not_null(), later)
    return here.dt.convert_time_zone("UTC")


def _unusual(bare: pl.Series, timezone: str) -> pl.Series:
    """Read timestamps with an offset, without seconds or a time, or in milliseconds; null for any other text."""
    parts = bare.to_frame("x").select(pl.col("x"), pl.col("x").str.extract_groups(STAMP_PARTS).struct.unnest())
    second = pl.col("second").fill_null("00").str.replace(",", ".", literal=True)
    stamps = parts.with_columns(
        naive=pl.concat_str(
            "day", pl.lit(" "), pl.col("minute").fill_null("00:00"), pl.lit(":"), second
        ).str.to_datetime(STAMP_FORMAT, time_unit="us", strict=False)
    )
    sign = pl.when(pl.col("hours").str.starts_with("-")).then(-1).otherwise(1)
    east = pl.col("hours").cast(pl.Int64) * 60 + sign * pl.col("minutes").cast(pl.Int64).fill_null(0)
    zoned = (pl.col("naive") - pl.duration(minutes=east.fill_null(0))).dt.replace_time_zone("UTC")
    since = pl.when(pl.col("x").str.contains(MILLISECONDS)).then(pl.col("x").cast(pl.Int64, strict=False))
    stamps = stamps.with_columns(here=_in_utc(stamps["naive"], timezone))
    return stamps.select(
        pl.coalesce(
            pl.when(pl.col("zone").is_not_null() & pl.col("naive").is_not_null()).then(zoned),
            "here",
            pl.from_epoch(since, "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        )
    ).to_series()


def _is_id(value: pl.Expr) -> pl.Expr:
    return ~value.str.contains("|".join((ROUNDED, ERRORS, SPOILT, GROUPED)))


_float = partial(dy.Float64, allow_inf=True, allow_nan=True)
_datetime = partial(dy.Datetime, time_zone="UTC", time_unit="us")
NAME = Kind(_name, dy.String)
WORD = Kind(_id, dy.String, {"a word": _is_id})
ID = Kind(_id, dy.String, {"an id in full, not a rounded number": _is_id})
SHOPIFY_ID = Kind(
    _id, dy.String, {"an id in full, not a rounded number": lambda value: _is_id(value) & ~value.str.contains(DOTTED)}
)
SEQUENCE = Kind(_sequence, dy.String, {"a sequence number": _is_id})
WHOLE = Kind(_whole, dy.Int64, {"a whole number": lambda value: value >= 0})
INDICATOR = Kind(_text, dy.String, {"Y, N or empty": lambda value: value.is_in(["Y", "N"])})
QUANTITY = Kind(_quantity, _float, {"a number": lambda value: value.is_not_nan()}, _number)
AMOUNT = Kind(_quantity, _float, {"an amount from 0": lambda value: value.is_not_nan() & (value >= 0)}, _number)
MOMENT = Kind(_stamp, _datetime, {"a date as 2026-03-31 12:00:00": lambda value: value >= EARLIEST}, _moments)
