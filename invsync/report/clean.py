"""Keep only harmless HTML of a cell: known tags and attributes, and links to files beside the page."""

import re

import nh3

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
LISTS = {"dd", "dl", "dt", "li", "ol", "ul"}
TABLES = {"caption", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
BLOCKS = {"blockquote", "details", "div", "figcaption", "figure", "hr", "p", "pre", "section", "summary"}
INLINE = {"a", "b", "br", "code", "em", "i", "small", "span", "strong", "sub", "sup", "time"}
WITH_CONTENT = {"script", "style", "template", "iframe", "object", "noscript", "title", "svg", "math"}  # removed whole
ATTRIBUTES = {
    "class",
    "colspan",
    "datetime",
    "href",
    "id",
    "open",
    "role",
    "rowspan",
    "scope",
    "start",
    "tabindex",
    "title",
}
RELATIVE = re.compile(r"(#[\w.-]*|(?!/)[\w./ %~-]+)")  # no scheme, no host


def _attribute(_tag: str, name: str, value: str) -> str | None:
    """The value of an attribute that may stay: of links those that stay in the run's folder."""
    if name == "href" and (".." in value or not RELATIVE.fullmatch(value)):
        return None
    return None if name == "tabindex" and value != "0" else value


_cleaner = nh3.Cleaner(
    tags=HEADINGS | LISTS | TABLES | BLOCKS | INLINE,
    clean_content_tags=WITH_CONTENT,
    attributes={"*": ATTRIBUTES},
    attribute_filter=_attribute,
    generic_attribute_prefixes={"aria-"},
    url_schemes=set(),
    link_rel=None,
)


def clean(fragment: str) -> str:
    """Return the fragment with balanced, harmless tags only; the text of other tags is kept and escaped."""
    return _cleaner.clean(fragment)


def clean_svg(svg: str, prefix: str) -> str:
    """Return a chart without scripts, handlers and links; `prefix` makes its ids unique on the page."""
    svg = re.sub(r"<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", "", svg)
    svg = re.sub(r"(?is)<(script|foreignObject|iframe|a|image|use)\b.*?(</\1\s*>|/>|$)", "", svg)
    svg = re.sub(r"(?i)\s(on\w+|xlink:href|href)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", "", svg)
    svg = re.sub(r'(\bid="|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub(r"(?<=<svg)([^>]*?)\s(?:width|height)=\"([\d.]+)\"", r"\1", svg, count=2)
    return svg
