"""The executed notebook's cells as parts of the page, in order: prose, charts, tables; code is left out."""

import html
import re
from typing import Any

import mistune
from markupsafe import Markup

from invsync import errors
from invsync.charts import NARROW_MIME
from invsync.report.clean import clean, clean_svg
from invsync.report.markup import macro

REMOVED = {"remove-cell", "parameters", "injected-parameters", "papermill-error-cell-tag"}
SPEC = re.compile(r"^application/vnd\.vegalite")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TOLD_ABOVE = re.compile(r'\s*<section class="iv-(verdict|files)\b')  # the page says these from run.json
TOLD = set(vars(errors))  # errors that are one sentence; the page says it at the top
SHORT = 400  # characters that a cell may say without being folded
LOG_LIMIT = 20_000
_markdown = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])


def body(cells: list[Any], *, finished: bool) -> list[str]:
    """The page's parts; an unfinished run's end with the last cell that showed something, and describe no step."""
    cells = [cell for cell in cells if not REMOVED & set(cell.get("metadata", {}).get("tags", []))]
    if not finished:
        last = max((place for place, cell in enumerate(cells) if cell.get("outputs")), default=-1)
        cells = cells[: last + 1]
    parts: list[str] = []
    charts = 0
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = _text(cell["source"])
            parts.append(prose(text if finished else headings(text)))
        for output in cell.get("outputs", []):
            drawn = "image/svg+xml" in output.get("data", {})
            parts.append(shown(output, charts))
            charts += drawn
    return [part for part in without_empty_headings(parts) if part]


def prose(markdown: str) -> str:
    """Markdown as HTML, its headings one step down, below the page's own."""
    made = clean(str(_markdown(markdown)))
    return re.sub(r"<(/?)h([1-5])\b", lambda match: f"<{match[1]}h{max(2, int(match[2]))}", made)


def headings(markdown: str) -> str:
    """The headings alone: what follows them says what the step does once it is made."""
    return "\n\n".join(line for line in markdown.splitlines() if line.startswith("#"))


def without_empty_headings(parts: list[str]) -> list[str]:
    """The parts without those that are only a heading that nothing follows."""
    filled = [part for part in parts if part]
    alone = re.compile(r"^\s*<h([2-6])[^>]*>(?:(?!</?h[1-6]).)*</h\1>\s*$", re.DOTALL)

    def stands(place: int) -> bool:
        mine = alone.match(filled[place])
        if not mine:
            return True
        after = re.match(r"\s*<h([2-6])", filled[place + 1]) if place + 1 < len(filled) else None
        return place + 1 < len(filled) and not (after and int(after[1]) <= int(mine[1]))

    return [part for place, part in enumerate(filled) if stands(place)]


def shown(output: Any, number: int) -> str:
    """One output of a cell as HTML; the richest form that the page can hold."""
    kind = output["output_type"]
    if kind == "stream":
        return said(_text(output["text"]), quiet=output.get("name") == "stderr")
    if kind == "error" and output.get("ename") in TOLD:
        return ""
    if kind == "error":
        trace = "\n".join(output.get("traceback", [])) or f"{output.get('ename')}: {output.get('evalue')}"
        return folded("Technical details: the traceback", trace, "iv-trace")
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return figure(_text(data["image/svg+xml"]), _text(data.get(NARROW_MIME, "")), _described(data), number)
    if "image/png" in data:
        code = re.sub(r"[^A-Za-z0-9+/=]", "", _text(data["image/png"]))
        image = f'<img alt="{html.escape(_described(data))}" src="data:image/png;base64,{code}">'
        return f'<figure class="iv-chart">{image}</figure>'
    if "text/html" in data:
        made = _text(data["text/html"])
        return "" if TOLD_ABOVE.match(made) else f'<div class="iv-cell">{clean(made)}</div>'
    if "text/markdown" in data:
        return prose(_text(data["text/markdown"]))
    text = _text(data.get("text/plain", ""))
    return f"<pre>{html.escape(text[:LOG_LIMIT])}</pre>" if text else ""


def figure(wide: str, slim: str, words: str, number: int) -> str:
    """A chart with its text alternative, drawn for a desk and for a phone; the page shows the one that fits."""
    drawn = [Markup(clean_svg(svg, f"{kind}{number}-")) if svg else "" for kind, svg in (("w", wide), ("s", slim))]
    return str(macro("chart", *drawn, words))


def said(text: str, *, quiet: bool) -> str:
    """What a cell printed: a sentence stands in the text, a longer log is folded."""
    if quiet or len(text) > SHORT or "\n" in text.strip():
        return folded("Log", text)
    return f'<p class="iv-said">{html.escape(ANSI.sub("", text).strip())}</p>'


def folded(title: str, text: str, kind: str = "iv-log") -> str:
    """Long text behind a line that opens it."""
    text = ANSI.sub("", text)
    return str(macro("folded", title, text if len(text) <= LOG_LIMIT else "…\n" + text[-LOG_LIMIT:], kind))


def _described(data: Any) -> str:
    specs = [data[mime] for mime in data if SPEC.match(mime)]
    words = specs[0].get("description") if specs and isinstance(specs[0], dict) else None
    return str(words or _text(data.get("text/plain", "")) or "A chart.")


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
