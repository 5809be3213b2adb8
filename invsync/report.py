"""The run's report: tables for the notebook, and the one self-contained page that a manager opens."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from invsync import charts
from invsync._report import cells
from invsync._report import verdict as words

HERE = Path(__file__).parent / "_report"
MAX_ROWS = 200
MAX_HTML = 400_000  # characters that one notebook output may add to the page
TOKEN = re.compile(r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{16,}")
BENIGN = {"unmapped_product", "unmapped_location", "untracked", "bundle", "no_oms_row"}
REMEDIES = {
    "unmapped_product": "None needed if not sold on Shopify; else link the product to its Shopify item.",
    "unmapped_location": "None needed if it is not sold from; else link the facility to a Shopify location.",
    "untracked": "None needed if it is never counted; else switch on “Track quantity” in Shopify.",
    "bundle": "None needed: Shopify counts it by its parts.",
    "no_oms_row": "None needed if it is not stocked; else record its stock in HotWax.",
    "inactive_level": "Stock the item at that location in Shopify, or let the shop activate levels.",
    "fractional": "Correct the quantity in HotWax to a whole number.",
    "too_large": "Correct the quantity in HotWax: Shopify takes at most 1,000,000,000.",
    "ambiguous_mapping": "Remove the second link in HotWax, so that one product or facility is left.",
    "malformed": "Correct the value in HotWax; the name is in the run's messages.",
    "moving": "Run again at a quieter hour; orders moved it during every attempt.",
}


@dataclass(frozen=True)
class Html:
    """A piece of HTML that a notebook shows; `str()` gives the markup, `repr()` the plain words."""

    markup: str
    plain: str

    def _repr_html_(self) -> str:
        return self.markup

    def __str__(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.plain


def verdict(summary: dict[str, Any]) -> Html:
    """The verdict sentence and the key figures (pairs, units) of a run.json."""
    told = "; ".join(f"{one.name}: {one.value}" for one in words.figures(summary))
    return Html(words.markup(summary, "h2"), f"{words.sentence(summary)} {told}.")


def largest_variances(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """The pairs with the largest change in units, at most 200 rows (OUTCOMES or VARIANCES)."""
    changed = charts.named(charts.classed(outcomes), locations).filter(pl.col("delta").fill_null(0) != 0)
    rows = changed.sort(pl.col("delta").abs(), "inventory_item_id", "location_id", descending=[True, False, False])
    heads = [
        "Item",
        "Location",
        "Shopify had n",
        "HotWax n",
        "In flight n",
        "Buffer n",
        "Should be n",
        "Change n",
        "Outcome",
    ]

    def line(row: dict[str, Any]) -> list[str]:
        numbers = [_amount(row[name]) for name in ("available", "oms", "in_flight", "buffer", "target")]
        return [_item(row), row["label"], *numbers, _amount(row["delta"], "+"), _outcome(row["outcome"])]

    return _table("Largest variances, in units", heads, rows, line, "No pair differed.", limit)


def held_rows(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = MAX_ROWS) -> Html:
    """The pairs that were held back, with the reason in plain words and what to do; faults first."""
    held = charts.named(charts.classed(outcomes), locations).filter(pl.col("outcome") == "held")
    rows = held.with_columns(fault=_fault()).sort(
        "fault", "reason", "sku", "label", descending=[True, False, False, False]
    )

    def line(row: dict[str, Any]) -> list[str]:
        remedy = REMEDIES.get(row["reason"] or "", "Look at the run's messages.")
        if row["reason"] == "inactive_level" and not row["fault"]:
            remedy = "None needed: it has nothing to sell there."
        why = charts.plain(row["reason"]) or "no reason given"
        return [_item(row), row["label"], why[:1].upper() + why[1:], remedy, "yes" if row["fault"] else "no"]

    heads = ["Item", "Location", "Why it was held w", "What to do w", "Needs a person"]
    return _table("Held back: nothing was sent for these", heads, rows, line, "Nothing was held back.", limit)


def refused_rows(outcomes: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = MAX_ROWS) -> Html:
    """The pairs that Shopify refused, in Shopify's own words, and those whose outcome is not known."""
    frame = charts.named(charts.classed(outcomes), locations).filter(pl.col("outcome").is_in(["refused", "unknown"]))

    def line(row: dict[str, Any]) -> list[str]:
        said = row.get("message") or row["reason"] or "no answer was found"
        return [
            _item(row),
            row["label"],
            _amount(row["delta"], "+"),
            said,
            row["reason"] or "",
            _outcome(row["outcome"]),
        ]

    heads = ["Item", "Location", "Change n", "Shopify's words w", "Code", "Outcome"]
    rows = frame.sort("outcome", "reason", "sku", "label")
    return _table("Refused by Shopify, or not known", heads, rows, line, "Shopify refused nothing.", limit)


def needs_a_person(outcomes: pl.DataFrame) -> int:
    """How many pairs were refused, are not known, or were held by a fault (for `counts.needs_a_person`)."""
    frame = charts.classed(outcomes)
    wrong = pl.col("outcome").is_in(["refused", "unknown"]) | ((pl.col("outcome") == "held") & _fault())
    return int(frame.select(wrong.sum()).item() or 0)


def files_table(summary: dict[str, Any]) -> Html:
    """The files beside the report, linked, each with its lines, bytes and SHA-256."""
    files = [one for one in summary.get("files") or [] if isinstance(one, dict) and one.get("name")]
    body = "".join(map(_file, files))
    heads = _heads(["File", "Lines n", "Bytes n", "SHA-256"])
    table = f'<div class="iv-table"><table><thead>{heads}</thead><tbody>{body}</tbody></table></div>'
    inner = table if files else "<p>This run left no other files.</p>"
    names = ", ".join(str(one["name"]) for one in files) or "none"
    return Html(f'<section class="iv-files">{inner}</section>', f"Files: {names}.")


def render(notebook: Path, summary: dict[str, Any]) -> str:
    """The executed notebook as one self-contained page: verdict from the run.json, charts, tables, files."""
    try:
        read = json.loads(notebook.read_text(encoding="utf-8"))
        parts = cells.body(read["cells"], finished=words.status(summary) != "failed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return minimal(summary, f"The notebook could not be read: {type(error).__name__}: {error}")
    parts = [part if len(part) <= MAX_HTML else _too_long(part) for part in parts]
    return _page(summary, parts)


def minimal(summary: dict[str, Any], detail: str = "") -> str:
    """A page without charts, for a run whose notebook did not survive."""
    parts = ["<p>The notebook of this run did not survive, so there are no charts.</p>"]
    return _page(summary, parts + ([cells.folded("Technical details", detail)] if detail else []))


def leaks(text: str, secrets: Mapping[str, str] | Iterable[str]) -> list[str]:
    """Names of the secrets found in the text, plain or encoded; their values are never repeated."""
    items = secrets.items() if isinstance(secrets, Mapping) else ((f"secret {n}", s) for n, s in enumerate(secrets, 1))
    found = [name for name, value in items if value and any(form in text for form in _forms(value))]
    return found + (["a Shopify access token"] if TOKEN.search(text) and not found else [])


def _page(summary: dict[str, Any], parts: list[str]) -> str:
    template, style, script = _assets()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    files = files_table(summary).markup.replace(">", '><h2 id="files">Files of this run</h2>', 1)
    shown = {
        "banner": Markup(words.markup(summary)),
        "files": Markup(files),
        "parts": [Markup(part) for part in parts],
    }
    fixed = {"style": Markup(style), "script": Markup(script), "script_hash": Markup(f"sha256-{digest}")}
    return str(template.render(title=f"{words.ICONS[words.status(summary)]} {words.about(summary)}", **shown, **fixed))


@cache
def _assets() -> tuple[Any, str, str]:
    template = Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template("page.html.j2")
    style, script = (
        (HERE / "static" / name).read_text(encoding="utf-8").strip() for name in ("page.css", "tooltip.js")
    )
    return template, style, script


def _table(title: str, heads: list[str], rows: pl.DataFrame, line: Any, none: str, limit: int) -> Html:
    if rows.is_empty():
        return Html(f'<p class="iv-none">{html.escape(none)}</p>', none)
    shown = rows.head(max(1, min(limit, MAX_ROWS)))
    kinds = [f' class="{_kind(head)}"' if _kind(head) else "" for head in heads]
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, line(row), strict=True))
        + "</tr>"
        for row in shown.to_dicts()
    )
    told = f"{shown.height:,} of {rows.height:,} rows" if shown.height < rows.height else f"{rows.height:,} rows"
    file = "outcomes.parquet" if "after" in rows.columns else "plan.parquet"
    note = f'<p class="iv-note">{told}; every row is in <a href="{file}">{file}</a>.</p>'
    caption = f"<caption>{html.escape(title)}</caption><thead>{_heads(heads)}</thead>"
    table = f"<table>{caption}<tbody>{body}</tbody></table>"
    return Html(f'<div class="iv-table">{table}</div>{note}', f"{title}: {told}.")


def _heads(heads: list[str]) -> str:
    cut = [(head[:-2] if _kind(head) else head, _kind(head)) for head in heads]
    return "<tr>" + "".join(f'<th scope="col" class="{kind}">{html.escape(head)}</th>' for head, kind in cut) + "</tr>"


def _kind(head: str) -> str:
    return {" n": "n", " w": "wide"}.get(head[-2:], "")


def _fault() -> pl.Expr:
    aside = (pl.col("reason") == "inactive_level") & (pl.col("target").fill_null(0) <= 0)
    return ~(pl.col("reason").is_in(BENIGN) | aside).fill_null(False)


def _file(one: dict[str, Any]) -> str:
    name, digest = Path(str(one["name"])).name, html.escape(str(one.get("sha256") or ""))
    return (
        f'<tr><td><a href="{html.escape(quote(name))}">{html.escape(name)}</a></td>'
        f'<td class="n">{_amount(one.get("lines"))}</td><td class="n">{_amount(one.get("bytes"))}</td>'
        f'<td class="wide"><code>{digest}</code></td></tr>'
    )


def _item(row: dict[str, Any]) -> str:
    return str(row["sku"] or row["product_id"] or row["inventory_item_id"] or words.NONE)


def _outcome(name: str) -> str:
    return charts.OUTCOMES.get(name, (name, ""))[0]


def _amount(value: Any, sign: str = "") -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return words.NONE if value is None else html.escape(str(value))
    return format(int(value) if value == int(value) else value, f"{sign},")


def _forms(secret: str) -> set[str]:
    texts = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
    }
    return texts | {quote(secret, safe="")} | set(filter(None, (_inside_base64(secret, n) for n in range(3))))


def _inside_base64(secret: str, before: int) -> str:
    """What base64 makes of the secret after `before` bytes (mod 3), without the ends its neighbours shape."""
    plain = b"\0" * before + secret.encode()
    sure = base64.b64encode(plain)[: len(plain) * 8 // 6].decode()[(before * 8 + 5) // 6 :]
    return sure if len(sure) >= 8 else ""


def _too_long(part: str) -> str:
    return f"<p>An output of {len(part):,} characters is left out of this page; it is in the notebook.</p>"
