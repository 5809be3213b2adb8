"""How programs misspell one value: Excel's dates and errors, words for null, numbers and ids as people write them.

Each spelling takes a cell's value and the shop's time zone; None where it does not apply. What no reader on earth can
see is not here: a spelling that is another legal value of the same type ('1.234' for 1234, 'p1' for 'P1', a day
without its time), and a word for null where a nullable column had a value.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from campaign.drawn_worlds import Value
from campaign.exporters import naive

Spelling = Callable[[Value, str], str | None]

NULLS = (
    "\\N",
    "NULL",
    "null",
    "None",
    "NaN",
    "nan",
    "NaT",
    "<NA>",
    "(null)",
    "[NULL]",
    "<null>",
    "#N/A",
    "N/A",
    "n/a",
    "nil",
    "undefined",
    " ",
    "#REF!",
    '""',
)
NO_IDS = ("NA", "-")  # words for null that may be an id too: HotWax's own queue is called NA here and there
LOST = ("", "\\N", "NULL", "nan", " ", "#REF!")
ERRORS = ("#REF!", "#VALUE!", "#NAME?", "########")


def _stamp(pattern: str) -> Spelling:
    """A stamp by this pattern of its parts."""

    def spelt(value: Value, zone: str) -> str | None:
        if not isinstance(value, datetime):
            return None
        at = naive(value, zone)
        return pattern.format(
            at=at,
            m=at.month,
            d=at.day,
            h=at.hour,
            h12=at.hour % 12 or 12,
            u=value.astimezone(UTC),
            ampm="PM" if at.hour >= 12 else "AM",
            s=int(value.timestamp()),
            serial=(at - datetime(1899, 12, 30)).total_seconds() / 86400,
        )

    return spelt


def _instead(word: str, of: type) -> Spelling:
    """The same word for every value of this type."""
    return lambda value, zone: word if isinstance(value, of) else None


STAMPS: dict[str, Spelling] = {
    "12/31/2025 0:00": _stamp("{m}/{d}/{at:%Y} {h}:{at:%M}"),
    "12/31/2025 12:00:00 AM": _stamp("{m}/{d}/{at:%Y} {h12}:{at:%M:%S} {ampm}"),
    "12/31/25 0:00": _stamp("{m}/{d}/{at:%y} {h}:{at:%M}"),
    "31.12.2025 00:00": _stamp("{at:%d.%m.%Y %H:%M}"),
    "31/12/2025 00:00": _stamp("{at:%d/%m/%Y %H:%M}"),
    "31-12-25 00:00": _stamp("{at:%d-%m-%y %H:%M}"),
    "25-12-31 00:00:00": _stamp("{at:%y-%m-%d %H:%M:%S}"),
    "31-Dec-2025 00:00": _stamp("{at:%d-%b-%Y %H:%M}"),
    "Dec 31, 2025 12:00 AM": _stamp("{at:%b %d, %Y} {h12}:{at:%M} {ampm}"),
    "2025/12/31 00:00:00": _stamp("{at:%Y/%m/%d %H:%M:%S}"),
    "46022.0": _stamp("{serial:.5f}"),
    "46022": _stamp("{serial:.0f}"),
    "epoch seconds": _stamp("{s}"),
    "epoch milliseconds": _stamp("{s}000"),
    "2025-12-31T00:00": _stamp("{at:%Y-%m-%dT%H:%M}"),
    "2025-12-31 00:00": _stamp("{at:%Y-%m-%d %H:%M}"),
    "2025-12-31T00:00:00Z": _stamp("{u:%Y-%m-%dT%H:%M:%S}Z"),
    "2025-12-31 00:00:00+00": _stamp("{u:%Y-%m-%d %H:%M:%S}+00"),
    "2025-12-31 00:00:00 UTC": _stamp("{u:%Y-%m-%d %H:%M:%S} UTC"),
    "2025-12-31 00:00:00+0000": _stamp("{u:%Y-%m-%d %H:%M:%S}+0000"),
    "2025-12-31T00:00:00.000000000": _stamp("{at:%Y-%m-%dT%H:%M:%S}.000000000"),
    "2025-12-31 00:00:00,000": _stamp("{at:%Y-%m-%d %H:%M:%S},000"),
    "20251231T000000": _stamp("{at:%Y%m%dT%H%M%S}"),
    "20251231000000": _stamp("{at:%Y%m%d%H%M%S}"),
    "blanks around": _stamp(" {at:%Y-%m-%d %H:%M:%S} "),
    "apostrophe": _stamp("'{at:%Y-%m-%d %H:%M:%S}"),
    "2026-02-30": _stamp("2026-02-30 {at:%H:%M:%S}"),
    "2026-13-01": _stamp("2026-13-01 {at:%H:%M:%S}"),
    "0000-00-00": _instead("0000-00-00 00:00:00", datetime),
    "yesterday": _instead("yesterday", datetime),
    "infinity": _instead("infinity", datetime),
    "time alone": _stamp("{at:%H:%M:%S}"),
    **{word: _instead(word, datetime) for word in ERRORS},
}


def _of_whole(pattern: str, least: int = -(10**9), most: int = 10**9) -> Spelling:
    """A whole number within bounds by this pattern."""

    def spelt(value: Value, zone: str) -> str | None:
        if not isinstance(value, int) or not least <= value <= most:
            return None
        return pattern.format(v=value, a=abs(value), grouped=f"{value:,}")

    return spelt


def _grouped(sign: str) -> Spelling:
    """Thousands set off by a sign; a point only where there are two, else it is a decimal one."""

    def spelt(value: Value, zone: str) -> str | None:
        if not isinstance(value, int) or abs(value) < (10**6 if sign == "." else 1000):
            return None
        return f"{value:,}".replace(",", sign)

    return spelt


def _exponent(value: Value, zone: str) -> str | None:
    return f"{value // 1000}e3" if isinstance(value, int) and value and value % 1000 == 0 else None


def _exact_exponent(value: Value, zone: str) -> str | None:
    """As Java writes a BigDecimal without trailing zeros: 1E+3, 1.234567E+6."""
    if not isinstance(value, int) or value < 1000:
        return None
    digits = str(value).rstrip("0")
    return digits[0] + ("." + digits[1:] if digits[1:] else "") + f"E+{len(str(value)) - 1}"


def _in_digits(zero: str) -> Spelling:
    """In another script's digits."""
    return lambda value, zone: (
        "".join(chr(ord(zero) + int(d)) for d in str(value)) if isinstance(value, int) and value >= 0 else None
    )


NUMBERS: dict[str, Spelling] = {
    "5,0": _of_whole("{v},0"),
    "5,000": _of_whole("{v},000", -999, 999),
    "5,000000": _of_whole("{v},000000"),
    "1,000": _grouped(","),
    "1.000.000": _grouped("."),
    "1 000": _grouped(" "),
    "1'000": _grouped("'"),
    "narrow blank in 1 000": _grouped("\u202f"),
    "1_000": _grouped("_"),
    "1e3": _exponent,
    "1E+3": _exact_exponent,
    "5.0": _of_whole("{v}.0"),
    "5.": _of_whole("{v}."),
    "5.000000": _of_whole("{v}.000000"),
    "005": _of_whole("00{v}", 0),
    "+5": _of_whole("+{v}", 0),
    "-0": _of_whole("-0", 0, 0),
    "unicode minus": _of_whole("\u2212{a}", most=-1),
    "(5)": _of_whole("({a})", most=-1),
    "5-": _of_whole("{a}-", most=-1),
    "blanks around": _of_whole(" {v} "),
    "no-break space": _of_whole("{v}\u00a0"),
    "zero-width space": _of_whole("{v}\u200b"),
    "apostrophe": _of_whole("'{v}"),
    "quoted twice": _of_whole('"{v}"'),
    "5 pcs": _of_whole("{v} pcs"),
    "5pcs": _of_whole("{v}pcs"),
    "$5": _of_whole("${v}"),
    "5%": _of_whole("{v}%"),
    "ca. 5": _of_whole("ca. {v}"),
    "abc": _instead("abc", int),
    "TRUE": _instead("TRUE", int),
    "1O": _of_whole("{v}O"),
    "0x5": lambda value, zone: hex(value) if isinstance(value, int) and value >= 0 else None,
    "Arabic digits": _in_digits("\u0660"),
    "full-width digits": _in_digits("\uff10"),
    "inf": _instead("inf", int),
    "-Infinity": _instead("-Infinity", int),
    "1e999": _instead("1e999", int),
    "5/2": _of_whole("{v}/2"),
    "5-Mar": _of_whole("{a}-Mar"),
    "2026-03-05": _instead("2026-03-05", int),
    "#DIV/0!": _instead("#DIV/0!", int),
    **{word: _instead(word, int) for word in ERRORS},
}


def _in_place_of(word: str, of: str) -> Spelling:
    return lambda value, zone: word if value == of else None


INDICATED: dict[str, Spelling] = {
    **{
        f"{word!r} for Y": _in_place_of(word, "Y")
        for word in (
            "y",
            "yes",
            "Yes",
            "YES",
            "true",
            "TRUE",
            "True",
            "1",
            "1.0",
            "t",
            " Y",
            "Y ",
            "Y\u00a0",
            "'Y",
            '"Y"',
            "on",
            "?",
            "-",
            *ERRORS,
        )
    },
    **{
        f"{word!r} for N": _in_place_of(word, "N")
        for word in (
            "n",
            "no",
            "No",
            "NO",
            "false",
            "FALSE",
            "False",
            "0",
            "0.0",
            "f",
            " N",
            "N ",
            "N\u00a0",
            "'N",
            '"N"',
            "off",
            "?",
            "-",
            *ERRORS,
        )
    },
}


def _of_text(pattern: str) -> Spelling:
    return lambda value, zone: pattern.format(v=value) if isinstance(value, str) else None


def _of_digits(pattern: str, least: int = 1) -> Spelling:
    """An id of so many digits, none of them a leading zero."""

    def spelt(value: Value, zone: str) -> str | None:
        if not isinstance(value, str) or not value.isdigit() or value.startswith("0") or len(value) < least:
            return None
        return pattern.format(v=value, number=int(value))

    return spelt


IDS: dict[str, Spelling] = {
    "blank before": _of_text(" {v}"),
    "blank behind": _of_text("{v} "),
    "tab behind": _of_text("{v}\t"),
    "line break behind": _of_text("{v}\n"),
    "carriage return behind": _of_text("{v}\r"),
    "no-break space behind": _of_text("{v}\u00a0"),
    "no-break space before": _of_text("\u00a0{v}"),
    "zero-width space behind": _of_text("{v}\u200b"),
    "byte order mark before": _of_text("\ufeff{v}"),
    "apostrophe before": _of_text("'{v}"),
    "quoted twice": _of_text('"{v}"'),
    '="5"': _of_text('="{v}"'),
    "5.0": _of_digits("{v}.0"),
    "5.00": _of_digits("{v}.00"),
    "5,0": _of_digits("{v},0"),
    "5.51235E+12": _of_digits("{number:.5E}", 12),
    "5.51235e12 exact": _of_digits("{number:.12E}", 13),
    "5,512,345,678,901": _of_digits("{number:,}", 5),
    **{word: _of_text(word.replace("{", "{{")) for word in ERRORS},
}
