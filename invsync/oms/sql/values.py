"""Convert rows from a database driver to typed columns."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from math import isfinite, nan
from zoneinfo import ZoneInfo

import polars as pl

from invsync.inputs.door import NEVER
from invsync.tables import Schema

QUARTER, CHANGE = timedelta(minutes=15), 12  # clocks are set by at most so many quarters of an hour
STAMP_FORMAT = "%Y-%m-%d %H:%M:%S%.f"
Value = str | bytes | int | float | Decimal | datetime | None  # what drivers return


def frame(rows: Sequence[Sequence[Value]], schema: Schema, timezone: str) -> pl.DataFrame:
    """Return the rows as a frame of this schema; timestamps without a zone are in this time zone.

    A number that cannot be read becomes NaN, and a timestamp NEVER.
    """
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    made = [
        column(name, values, dtype, timezone) for (name, dtype), values in zip(schema.items(), columns, strict=True)
    ]
    return pl.DataFrame(made)


def column(name: str, values: Sequence[Value], dtype: pl.DataType, timezone: str) -> pl.Series:
    """Return one column of text, numbers or timestamps; converted at once where its values are uniform."""
    kinds = set(map(type, values)) - {type(None)}
    if dtype == pl.String:
        uniform = kinds <= {str}
        return pl.Series(name, values if uniform else [None if v is None else text(v) for v in values], dtype)
    if dtype == pl.Float64:
        plain = kinds <= {int, float}
        numbers = pl.Series(name, values if plain else [number(v) for v in values], dtype, strict=False)
        return numbers.set(numbers.is_infinite().fill_null(False), nan)
    zone = ZoneInfo(timezone)
    if kinds in ({str}, {datetime}):
        stamps = _in_utc(pl.Series(name, values), timezone)
        if stamps.null_count() == values.count(None):
            return stamps
    return pl.Series(name, [None if v is None or v == "" else stamp(v, zone) or NEVER for v in values], dtype)


def _in_utc(stamps: pl.Series, timezone: str) -> pl.Series:
    """Convert timestamps of one type to UTC; null where one has an unusual format or is ambiguous in the time zone."""
    if stamps.dtype == pl.String:
        stamps = stamps.str.to_datetime(STAMP_FORMAT, time_unit="us", strict=False)
    if stamps.dtype.time_zone is None:  # type: ignore[attr-defined]
        stamps = stamps.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    return stamps.dt.convert_time_zone("UTC")


def text(value: Value) -> str:
    """Return the value as text; a whole decimal or float without a fraction."""
    if isinstance(value, float | Decimal) and isfinite(value) and value == int(value):
        return str(int(value))
    return value.decode() if isinstance(value, bytes) else str(value)


def number(value: Value) -> float | None:
    """Return the value in units; NaN where it is not a finite number, None where it is empty."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return nan
    try:
        units = float(value)
    except (TypeError, ValueError):
        return nan
    return units if isfinite(units) else nan


def stamp(value: Value, zone: tzinfo) -> datetime | None:
    """Return the timestamp in UTC; None where it cannot be read, which counts as changed."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def earliest(moment: datetime, timezone: str) -> datetime:
    """Return the lowest local time with which any moment from this one on can be stamped.

    Where the clocks go back, a later moment may have an earlier stamp, so that a window starts an hour before.
    """
    return min(
        naive(one, timezone) for one in (moment, *(_quarter(moment) + n * QUARTER for n in range(1, CHANGE + 1)))
    )


def latest(moment: datetime, timezone: str) -> datetime:
    """Return the local time below which every moment before this one is stamped."""
    just, before = timedelta.resolution, (_quarter(moment) - n * QUARTER for n in range(CHANGE))
    return max(naive(one - just, timezone) + just for one in (moment, *before))


def _quarter(moment: datetime) -> datetime:
    """Return the start of the quarter of an hour; clocks change at no other time."""
    start = moment.astimezone(UTC)
    return start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)


def naive(moment: datetime, timezone: str) -> datetime:
    """Return the moment as local time without a zone, as the database stores it."""
    return moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def bound(local: datetime) -> str:
    """Return a local time as text that sorts correctly among stamps with and without a fraction."""
    whole = local.strftime("%Y-%m-%d %H:%M:%S")
    return f"{whole}.{local.microsecond:06d}".rstrip("0") if local.microsecond else whole
