"""Only harmless HTML of a cell reaches the page: known tags, known attributes, relative links."""

import html
import re
from html.parser import HTMLParser

TAGS = {
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "code",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "small",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "ul",
}
VOID = {"br", "hr"}
SILENT = {"script", "style", "template", "iframe", "object", "noscript", "title", "svg", "math"}
ATTRIBUTES = {
    "class",
    "colspan",
    "rowspan",
    "scope",
    "title",
    "role",
    "start",
    "open",
    "datetime",
    "href",
    "id",
}
RELATIVE = re.compile(r"^(#[\w.-]*|(?!/)[\w./ %~-]+)$")  # no scheme, no host


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.open: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self.silent.append(tag)
        elif not self.silent and tag in TAGS:
            kept = "".join(f' {name}="{html.escape(value or "")}"' for name, value in attrs if allowed(name, value))
            self.out.append(f"<{tag}{kept}>")
            if tag not in VOID:
                self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in SILENT:
            self.handle_starttag(tag, attrs)
            if tag in TAGS and tag not in VOID:
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            if tag in self.silent:
                del self.silent[self.silent.index(tag) :]
        elif tag in self.open:
            while True:
                last = self.open.pop()
                self.out.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(html.escape(data, quote=False))


def allowed(name: str, value: str | None) -> bool:
    """Whether the attribute may stay: a known name, and a link that leads nowhere else."""
    if name == "href":
        return bool(RELATIVE.match(value or "")) and ".." not in (value or "")
    if name == "tabindex":
        return value == "0"
    return name in ATTRIBUTES or name.startswith("aria-")


def clean(fragment: str) -> str:
    """The fragment with balanced, harmless tags only; every text is kept and escaped."""
    cleaner = _Cleaner()
    cleaner.feed(fragment)
    cleaner.close()
    return "".join(cleaner.out) + "".join(f"</{tag}>" for tag in reversed(cleaner.open))


def clean_svg(svg: str, prefix: str) -> str:
    """A drawing that cannot act, its ids told apart from the other drawings of the page."""
    svg = re.sub(r"<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", "", svg)
    svg = re.sub(r"(?is)<(script|foreignObject|iframe|a|image|use)\b.*?(</\1\s*>|/>|$)", "", svg)
    svg = re.sub(r"(?i)\s(on\w+|xlink:href|href)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", "", svg)
    svg = re.sub(r'(\bid="|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub(r"(?<=<svg)([^>]*?)\s(?:width|height)=\"([\d.]+)\"", r"\1", svg, count=2)
    return svg
