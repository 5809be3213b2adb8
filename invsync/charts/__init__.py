"""The report's charts: tables in, Altair charts out, each with a text alternative in `description`."""

from invsync.charts.days import drift, protected
from invsync.charts.labels import NONE, Reader, clean
from invsync.charts.run import (
    MAX_BARS,
    classed,
    in_flight,
    named,
    titled,
    variances_by_location,
    variances_by_product,
    what_happened,
)
from invsync.charts.sentence import Chart, Sentence, sentence
from invsync.charts.theme import (
    AGE_COLOURS,
    FONT,
    LOWERED,
    NARROW_MIME,
    PROTECTED,
    RAISED,
    SPEC_MIME,
    draw,
    enable,
    narrow,
    reader,
    render,
    theme,
)

__all__ = [
    "AGE_COLOURS",
    "FONT",
    "LOWERED",
    "MAX_BARS",
    "NARROW_MIME",
    "NONE",
    "PROTECTED",
    "RAISED",
    "SPEC_MIME",
    "Chart",
    "Reader",
    "Sentence",
    "classed",
    "clean",
    "draw",
    "drift",
    "enable",
    "in_flight",
    "named",
    "narrow",
    "protected",
    "reader",
    "render",
    "sentence",
    "theme",
    "titled",
    "variances_by_location",
    "variances_by_product",
    "what_happened",
]
