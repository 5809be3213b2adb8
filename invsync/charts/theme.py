"""One look for charts, pages and notebooks: the colours, the theme, and the renderer that draws offline."""

import html
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invsync.charts.labels import Reader

if TYPE_CHECKING:  # it is slow to import
    import altair as alt

SPEC_MIME = "application/vnd.vegalite.v5+json"  # the newest that JupyterLab draws; v6 specs draw well under it
NARROW_MIME = "application/vnd.invsync.narrow+svg"
VEGA_LITE = "6.4"
WIDTH, NARROW = 720, 358  # pixels, labels included: a desk and a phone
STEP, BAR = 24, 16
FONT = "Arial, Liberation Sans, Helvetica, sans-serif"  # as the drawing measures

# Each colour keeps 3:1 against the white page and the dark one; no meaning hangs on red against green.
RAISED, LOWERED, PROTECTED = "#0072B2", "#D55E00", "#2E9484"
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
AGE_COLOURS = ["#2E9484", "#3E8CC4", "#3A68B5", "#B87400", "#D55E00"]


@dataclass
class _Look:
    """The reader that `enable` was called for; None: our look was not asked for in this process."""

    reader: Reader | None = None


_look = _Look()


def enable(*, locale: str = "en", timezone: str = "UTC") -> None:
    """Draw charts with our theme and renderer, and write numbers and times as this locale and zone do.

    Altair is not imported for this: the first chart registers both with it.
    """
    _look.reader = Reader(locale, timezone)
    if "altair" in sys.modules:
        register()


def register() -> None:
    """Register the theme and the renderer with Altair, if `enable` was called."""
    import altair as alt  # late: a run without differences draws no chart

    if _look.reader is not None:
        alt.theme.register("invsync", enable=True)(theme)
        alt.renderers.register("invsync", render)
        alt.renderers.enable("invsync", locale=_look.reader.locale, timezone=_look.reader.timezone)


def reader() -> Reader:
    """The reader that `enable` was called for; English and UTC without it."""
    return _look.reader or Reader()


def render(spec: dict[str, Any], *, locale: str = "en", **_: Any) -> dict[str, Any]:
    """The MIME bundle of one Vega-Lite specification, drawn offline for a desk and for a phone."""
    spec = printable(spec)
    words = str(spec.get("description", "A chart."))
    if spec.get("usermeta", {}).get("sentence"):
        return in_words(words)
    wide, slim = draw(spec, locale=locale), draw(narrow(spec), locale=locale)
    return {SPEC_MIME: spec, "image/svg+xml": wide, NARROW_MIME: slim, "text/plain": words}


def in_words(words: str) -> dict[str, Any]:
    """The MIME bundle of a sentence in place of a chart, as text that wraps."""
    return {"text/html": f'<p class="iv-none">{html.escape(words)}</p>', "text/plain": words}


def draw(spec: dict[str, Any], *, locale: str = "en") -> str:
    """The specification as SVG, with the locale's separators on its axes."""
    import vl_convert

    form = Reader(locale).separators()
    drawn = vl_convert.vegalite_to_svg(printable(spec), vl_version=VEGA_LITE, format_locale=form)
    return drawn if isinstance(drawn, str) else "".join(drawn)


def printable(value: Any) -> Any:
    """The specification with a blank for each character that ends a line or controls something.

    Vega writes labels into code that it runs, where such a character is a fault; an SVG may not hold most of them.
    """
    if isinstance(value, str):
        return UNPRINTABLE.sub(" ", value)
    if isinstance(value, dict):
        return {printable(key): printable(one) for key, one in value.items()}
    return [printable(one) for one in value] if isinstance(value, list) else value


def narrow(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification for a phone: as wide as its page, each label above its bar, the legend in two columns."""
    config = spec["config"]
    above = {"labelAlign": "left", "labelPadding": -2, "labelOffset": -19, "labelLimit": NARROW - 40, "ticks": False}
    legend = config["legend"] | {"columns": 2}
    changed = {"config": config | {"axisYDiscrete": above, "legend": legend}, "width": NARROW}
    tall = {"height": {"step": STEP + 18}} if isinstance(spec.get("height"), dict) else {}
    return spec | changed | tall


def theme() -> "alt.theme.ThemeConfig":
    """Text in the page's own colour and no background, so that one SVG fits light, dark and paper."""
    ink = "currentColor"
    axis: Any = {
        "labelColor": ink,
        "titleColor": ink,
        "tickColor": "#888",
        "domainColor": "#888",
        "gridColor": "#8883",
    }
    size = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    legend: Any = {"labelColor": ink, "titleColor": ink, "orient": "top", "columns": 5, "symbolType": "square"}
    return {
        "config": {
            "background": None,  # type: ignore[typeddict-item]
            "font": FONT,
            "autosize": {"type": "fit-x", "contains": "padding"},
            "padding": {"left": 0, "right": 12, "top": 4, "bottom": 4},
            "view": {"stroke": None},
            "title": {"color": ink, "anchor": "start", "frame": "bounds", "fontSize": 15, "offset": 10},
            "axis": axis | size | {"labelLimit": 260},
            "legend": legend | size | {"columnPadding": 18},
            "text": {"color": ink, "fontSize": 12},
        }
    }
