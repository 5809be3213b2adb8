"""How charts and pages put reasons, numbers and times into words, for the locale and zone of the shop."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel import dates as written
from babel import numbers as counted

NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Reader:
    """For whom numbers and times are written: a CLDR locale and an IANA time zone."""

    locale: str = "en"
    timezone: str = "UTC"

    def number(self, value: float | None, *, signed: bool = False, decimals: int = 0) -> str:
        """A number with the locale's separators and at least so many decimals, or a dash; `signed` marks a gain."""
        if value is None:
            return NONE
        if value != value or value in (float("inf"), float("-inf")):
            return str(value)
        plus = "+" if signed and value > 0 else ""
        pattern = f"#,##0.{'0' * decimals}{'#' * (3 - decimals)}"
        return plus + _minus(counted.format_decimal(value, pattern, locale=_locale(self.locale)))

    def many(self, value: int, noun: str) -> str:
        """A count with its noun, as `1 pair` or `2,000 pairs`."""
        return f"{self.number(value)} {noun}" if value == 1 else f"{self.number(value)} {noun}s"

    def share(self, value: float | None) -> str:
        """A share of 1 as a percentage with at most three significant digits, or a dash; only all of it is 100 %."""
        if value is None:
            return NONE
        near = min(rounded(value), 0.999) if value < 1 else rounded(value)
        return _minus(counted.format_percent(near, "#,##0.##\N{NO-BREAK SPACE}%", locale=_locale(self.locale)))

    def money(self, amount: float | None, currency: str) -> str:
        """An amount with at most three significant digits, or a dash; the smallest with the decimals of its currency."""
        if amount is None:
            return NONE
        locale, near = _locale(self.locale), rounded(amount)
        if 0 < abs(near) < 10:
            return _minus(counted.format_currency(near, currency, locale=locale))
        pattern = locale.currency_formats["standard"].pattern.replace(".00", "")
        return _minus(counted.format_currency(round(near), currency, pattern, locale, currency_digits=False))

    def day(self, at: datetime | date | None) -> str:
        """A day, or the day of a moment in the reader's zone, or a dash."""
        if at is None:
            return NONE
        local = self.local(at) if isinstance(at, datetime) else at
        return str(written.format_date(local, "medium", _locale(self.locale)))

    def short_day(self, at: date) -> str:
        """Day and month, for an axis."""
        return str(written.format_skeleton("MMMd", at, locale=_locale(self.locale)))

    def clock(self, at: datetime) -> str:
        """The time of the day of a moment, in the reader's zone."""
        return str(written.format_time(self.local(at), "short", locale=_locale(self.locale)))

    def moment(self, at: datetime | None) -> str:
        """Day, time and zone of a moment, or a dash."""
        return NONE if at is None else f"{self.day(at)}, {self.clock(at)} {self.local(at):%Z}"

    def span(self, time: timedelta) -> str:
        """A length of time in its largest unit, as `34 minutes`."""
        return str(written.format_timedelta(time, threshold=1.5, locale=_locale(self.locale)))

    def separators(self) -> dict[str, Any]:
        """How Vega writes the numbers of an axis for this reader."""
        point, group = (f(_locale(self.locale)) for f in (counted.get_decimal_symbol, counted.get_group_symbol))
        return {"decimal": point, "thousands": group, "grouping": [3], "currency": ["", ""]}

    def local(self, at: datetime) -> datetime:
        """The moment in the reader's zone; without an offset it is taken as UTC."""
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(self.timezone))


@cache
def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def rounded(value: float, digits: int = 3) -> float:
    """The value with this many significant digits."""
    return float(f"{value:.{digits}g}")


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def clean(label: str) -> str:
    """A label of at most 80 characters that cannot turn or break the text around it."""
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", label)[:80]
    return shown or "(no name)"
