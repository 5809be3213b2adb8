"""The door for every table that enters: what a value of each column may be, declared once, and who breaks it by name.

The kind of a column says how a text is read: cleaned of what programs put around a value, null where it is a word for
null, marked where nobody can read it. A table's schema (dataframely) then names every row whose value is marked, out of
range or missing, or whose key stands twice. An unreadable value is never replaced by a default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import nan
from typing import Any

import dataframely as dy
import polars as pl

ROW = "row"  # a row's place in what was read, from 0
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
OPEN = [
    "nil",
    "undefined",
    "N/A",
    "n/a",
    "NaN",
    "nan",
]  # no words for null among quantities: they may stand for anything
AROUND = " \t\r\n\v\f\u00a0\u2007\u202f\u200b\u2060\ufeff"  # blanks that are no part of a value, seen or unseen
ERRORS = r"^#(#+|N/A|NV|REF!|NAME\?|VALUE!|WERT!|DIV/0!|NULL!|NUM!|BEZUG!)$"  # of a spreadsheet, or a column too narrow
ROUNDED = r"^[0-9]+([.,][0-9]+)?[eE]\+[0-9]+$"  # a number that a spreadsheet shortened
GROUPED = r"^[0-9]{1,3}([,' \u00a0\u202f][0-9]{3})+$"  # digits in groups of three, by any mark
DOTTED = r"^[0-9]{1,3}([.][0-9]{3})+$"
SPOILT = r'^=|["\\\x00-\x1f\x7f]'
UNUSUAL = "|".join(
    (  # an id that must be looked at
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
NEVER = datetime(1, 1, 1, tzinfo=UTC)  # stands for a moment that cannot be read
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
UNIQUE = "a key that no other row has"
FAULTS = {ROW: pl.UInt32(), "column": pl.String(), "expected": pl.String()}


@dataclass(frozen=True)
class Kind:
    """What a column holds: how its texts are read (in a time zone), and the rules that a value must keep by their words.

    `typed` reads a column of numbers or stamps as it is, where that fits.
    """

    read: Callable[[pl.Series, str], pl.Series]
    column: Callable[..., dy.Column]
    rules: Mapping[str, Callable[[pl.Expr], pl.Expr]] = field(default_factory=dict)
    typed: Callable[[pl.Series, str], pl.Series | None] = lambda column, timezone: None

    def values(self, column: pl.Series, timezone: str) -> pl.Series:
        """The column's values; NaN, NEVER or -1 where one cannot be read."""
        if (values := self.typed(column, timezone)) is not None:
            return values
        return self.read(column.cast(pl.String), timezone)


@dataclass(frozen=True)
class Table:
    """A table that enters: the kind of each column, and its key.

    The columns of the key, and the `required` ones, are never empty. A row that comes twice in all its columns counts
    once, unless `repeats` says that this is a fault as well.
    """

    name: str
    columns: Mapping[str, Kind]
    key: Sequence[str] = ()
    required: Sequence[str] = ()
    repeats: bool = True

    @cached_property
    def schema(self) -> type[dy.Schema]:
        """Columns, types, nullability, rules and key, with the row's place beside them."""
        made = {
            name: kind.column(primary_key=True, check=dict(kind.rules))
            if name in self.key
            else kind.column(nullable=name not in self.required, check=dict(kind.rules))
            for name, kind in self.columns.items()
        }
        return type(self.name, (dy.Schema,), made | {ROW: dy.UInt32()})

    def read(self, rows: pl.DataFrame, timezone: str = "UTC") -> pl.DataFrame:
        """The columns of these rows as values of their kinds; null where a column is not there."""
        missing = pl.repeat(None, rows.height, dtype=pl.String, eager=True)
        return pl.DataFrame(
            [
                kind.values(rows[name] if name in rows.columns else missing, timezone).rename(name)
                for name, kind in self.columns.items()
            ]
        )

    def checked(self, values: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The values, one row a key, and FAULTS: those that break a rule, by their row."""
        _, failure = self.schema.filter(values.with_row_index(ROW))
        if not len(failure):
            return values, pl.DataFrame(schema=FAULTS)
        rows = failure.details()
        faults = pl.concat([pl.DataFrame(schema=FAULTS), *self._faults(rows)]).sort(ROW, "column")
        twice = pl.col("expected") == UNIQUE
        if not faults.select(twice.any()).item():
            return values, faults
        again = self._again(rows)
        if self.repeats:
            faults = faults.join(again.filter("equal"), on=ROW, how="anti").vstack(
                faults.filter(~twice).join(again.filter("equal"), on=ROW, how="semi")
            )
        kept = values.with_row_index(ROW).join(again.filter("later"), on=ROW, how="anti").drop(ROW)
        return kept, faults

    def _again(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose key stands twice: row, whether all of that key are equal, whether another one comes before."""
        rows = rows.filter(pl.col("primary_key") == "invalid").with_columns(pl.col(pl.Float64).fill_nan(None))
        equal = pl.struct(self.columns.keys()).n_unique().over(self.key) == 1
        return rows.select(ROW, equal=equal, later=pl.col(ROW) != pl.col(ROW).min().over(self.key))

    def _faults(self, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """FAULTS rule by rule."""
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
    """The texts without blanks around them, and without words for null."""
    return texts.to_frame("x").select(_cleaned(pl.col("x"))).to_series()


def _cleaned(text: pl.Expr) -> pl.Expr:
    bare = text.str.strip_chars(AROUND)
    return pl.when(~bare.is_in(NULLS)).then(bare)


def _apply(texts: pl.Series, read: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    return texts.to_frame("x").select(read(pl.col("x"))).to_series()


def _name(texts: pl.Series, _: str) -> pl.Series:
    """A name as it stands; an empty one, or MySQL's mark of null, is none."""
    return _apply(texts, lambda text: pl.when(~text.is_in(["", r"\N"])).then(text))


def _id(texts: pl.Series, _: str) -> pl.Series:
    """An id; the digits alone where a program made a number of it, and without the marks of a text."""
    if not texts.str.contains(UNUSUAL).any():
        return texts
    return _apply(texts, lambda text: _unmarked(_cleaned(text)).str.replace(r"^([0-9]+)(\.0+|,00?)$", "$1"))


def _unmarked(text: pl.Expr) -> pl.Expr:
    """Without an apostrophe before it, and without quotes around it, as ="123"."""
    return text.str.replace('^(?:\'|=?"([^"]+)"$)', "$1").str.strip_chars(AROUND)


def _sequence(texts: pl.Series, zone: str) -> pl.Series:
    """The place of a row in its parent, in five digits as HotWax writes it, whatever zeros a program left out."""
    return _apply(
        _id(texts, zone), lambda text: pl.when(text.str.contains("^[0-9]+$")).then(text.str.zfill(5)).otherwise(text)
    )


def _text(texts: pl.Series, _: str) -> pl.Series:
    return cleaned(texts)


def _quantity(texts: pl.Series, _: str) -> pl.Series:
    """Units; NaN where the text is no finite number."""
    bare = _apply(texts, lambda text: text.str.strip_chars(AROUND))
    null = bare.is_in([word for word in NULLS if word not in OPEN]) | bare.is_null()
    number = _finite(bare.cast(pl.Float64, strict=False))
    return number.fill_null(nan).zip_with(~null, pl.Series([None], dtype=pl.Float64).new_from_index(0, len(number)))


def _finite(number: pl.Series) -> pl.Series:
    """The numbers, NaN in place of infinite ones."""
    return number.set(number.is_infinite().fill_null(False), nan)


def _number(column: pl.Series, _: str) -> pl.Series | None:
    return _finite(column.cast(pl.Float64)) if column.dtype.is_numeric() else None


def _moments(column: pl.Series, timezone: str) -> pl.Series | None:
    if not isinstance(column.dtype, pl.Datetime):
        return None
    stamps = column.cast(pl.Datetime("us", column.dtype.time_zone))
    return _in_utc(stamps, timezone) if column.dtype.time_zone is None else stamps.dt.convert_time_zone("UTC")


def _whole(texts: pl.Series, _: str) -> pl.Series:
    """Whole numbers from 0, as an id or units are; -1 where the text is none."""
    digits = _id(texts, "")
    number = digits.str.extract("^([0-9]{1,19})$").cast(pl.Int64, strict=False)
    return number.zip_with(number.is_not_null() | digits.is_null(), pl.Series([-1]).new_from_index(0, len(number)))


def _stamp(texts: pl.Series, timezone: str) -> pl.Series:
    """Moments in UTC, as ISO writes them, or milliseconds since 1970; NEVER where the text is neither."""
    bare = cleaned(texts)
    moments = _in_utc(bare.str.to_datetime(STAMP_FORMAT, time_unit="us", strict=False), timezone)
    if moments.null_count() == bare.null_count():
        return moments
    slowly = pl.Series(_unusual(bare, timezone)).fill_null(NEVER)
    return moments.zip_with(moments.is_not_null() | bare.is_null(), slowly)


def _in_utc(naive: pl.Series, timezone: str) -> pl.Series:
    """Moments of a time zone in UTC: of an hour that occurs twice the first, of one that does not occur the next."""
    here = naive.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    if here.null_count() > naive.null_count():
        later = naive.dt.offset_by("1h").dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        here = here.zip_with(here.is_not_null(), later)
    return here.dt.convert_time_zone("UTC")


def _unusual(bare: pl.Series, timezone: str) -> pl.Series:
    """Moments written with a zone, without seconds or hours, or as milliseconds; null where it is none of these."""
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


def _string(**options: Any) -> dy.Column:
    return dy.String(**options)


def _float(**options: Any) -> dy.Column:
    return dy.Float64(allow_inf=True, allow_nan=True, **options)


def _integer(**options: Any) -> dy.Column:
    return dy.Int64(**options)


def _datetime(**options: Any) -> dy.Column:
    return dy.Datetime(time_zone="UTC", time_unit="us", **options)


NAME = Kind(_name, _string)
WORD = Kind(_id, _string, {"a word": _is_id})
ID = Kind(_id, _string, {"an id in full, not a rounded number": _is_id})
SHOPIFY_ID = Kind(
    _id, _string, {"an id in full, not a rounded number": lambda value: _is_id(value) & ~value.str.contains(DOTTED)}
)
SEQUENCE = Kind(_sequence, _string, {"a sequence number": _is_id})
WHOLE = Kind(_whole, _integer, {"a whole number": lambda value: value >= 0})
INDICATOR = Kind(_text, _string, {"Y, N or empty": lambda value: value.is_in(["Y", "N"])})
QUANTITY = Kind(_quantity, _float, {"a number": lambda value: value.is_not_nan()}, _number)
AMOUNT = Kind(_quantity, _float, {"an amount from 0": lambda value: value.is_not_nan() & (value >= 0)}, _number)
MOMENT = Kind(_stamp, _datetime, {"a date as 2026-03-31 12:00:00": lambda value: value >= EARLIEST}, _moments)
