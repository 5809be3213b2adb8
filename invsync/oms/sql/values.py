"""Rows as a database driver hands them over, made into typed columns."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from math import isfinite, nan
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from invsync.inputs.door import NEVER
from invsync.tables import Schema

QUARTER, CHANGE = timedelta(minutes=15), 12  # clocks are set by at most so many quarters of an hour
STAMP_FORMAT = "%Y-%m-%d %H:%M:%S%.f"


def frame(rows: Sequence[Sequence[Any]], schema: Schema, timezone: str) -> pl.DataFrame:
    """The rows as a frame of this schema; naive stamps are in this time zone.

    A number that cannot be read is NaN, and such a stamp NEVER.
    """
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    made = [
        column(name, values, dtype, timezone) for (name, dtype), values in zip(schema.items(), columns, strict=True)
    ]
    return pl.DataFrame(made)


def column(name: str, values: Sequence[Any], dtype: pl.DataType, timezone: str) -> pl.Series:
    """One column, by the kind of its type: text, number or stamp; at once when its values are uniform."""
    kinds = set(map(type, values)) - {type(None)}
    if dtype == pl.String:
        uniform = kinds <= {str}
        return pl.Series(name, values if uniform else [None if v is None else text(v) for v in values], dtype)
    if dtype == pl.Float64:
        plain = kinds <= {int, float}
        found = pl.Series(name, values if plain else [number(v) for v in values], dtype, strict=False)
        return found.set(found.is_infinite().fill_null(False), nan)
    zone = ZoneInfo(timezone)
    if kinds in ({str}, {datetime}):
        found = _in_utc(pl.Series(name, values), timezone)
        if found.null_count() == values.count(None):
            return found
    return pl.Series(name, [None if v is None or v == "" else stamp(v, zone) or NEVER for v in values], dtype)


def _in_utc(stamps: pl.Series, timezone: str) -> pl.Series:
    """Stamps of one kind in UTC, null where one is written unusually or is ambiguous in the time zone."""
    if stamps.dtype == pl.String:
        stamps = stamps.str.to_datetime(STAMP_FORMAT, time_unit="us", strict=False)
    if stamps.dtype.time_zone is None:  # type: ignore[attr-defined]
        stamps = stamps.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    return stamps.dt.convert_time_zone("UTC")


def text(value: Any) -> str:
    """The value as text; a whole decimal or float without its fraction."""
    if isinstance(value, float | Decimal) and isfinite(value) and value == int(value):
        return str(int(value))
    return value.decode() if isinstance(value, bytes) else str(value)


def number(value: Any) -> float | None:
    """The value in units; NaN when it cannot be read as a finite number."""
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return nan
    return found if isfinite(found) else nan


def stamp(value: Any, zone: tzinfo) -> datetime | None:
    """The moment in UTC; null when it cannot be read, which counts as touched."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def earliest(moment: datetime, timezone: str) -> datetime:
    """The lowest stamp without zone that any moment from this one on is written with.

    Where the clocks go back, what happens later may be stamped earlier: an hour that occurs twice widens a window.
    """
    return min(
        naive(one, timezone) for one in (moment, *(_quarter(moment) + n * QUARTER for n in range(1, CHANGE + 1)))
    )


def latest(moment: datetime, timezone: str) -> datetime:
    """The stamp without zone below which every moment before this one is written."""
    just, before = timedelta.resolution, (_quarter(moment) - n * QUARTER for n in range(CHANGE))
    return max(naive(one - just, timezone) + just for one in (moment, *before))


def _quarter(moment: datetime) -> datetime:
    """The start of the quarter of an hour; clocks change at no other time."""
    start = moment.astimezone(UTC)
    return start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)


def naive(moment: datetime, timezone: str) -> datetime:
    """The moment as a stamp without zone, as the database writes it."""
    return moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def bound(local: datetime) -> str:
    """A stamp without zone as the text that sorts right among stamps with and without a fraction."""
    whole = local.strftime("%Y-%m-%d %H:%M:%S")
    return f"{whole}.{local.microsecond:06d}".rstrip("0") if local.microsecond else whole
