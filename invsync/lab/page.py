"""Export an executed notebook as one page whose charts stay interactive, without a network or a server.

`jupyter nbconvert --to invsync_page NOTEBOOK.ipynb`, or in JupyterLab File > Save and Export Notebook As.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from markupsafe import Markup
from nbconvert.exporters.exporter import Exporter
from nbformat import NotebookNode

from invsync import __version__
from invsync.charts import SPEC_MIME
from invsync.charts.theme import VEGA_LITE
from invsync.report import cells, markup

TEMPLATE = """{% extends "page.html.j2" %}
{% block body %}
<main>
<h1>{{ title }}</h1>
{% for part in parts %}
{{ part }}
{% endfor %}
</main>
<footer>invsync {{ version }}</footer>
{% if specs %}
<script type="application/json" id="iv-specs">{{ specs }}</script>
<script type="application/gzip" id="iv-vega">{{ vega }}</script>
<script>{{ script }}</script>
{% endif %}
{% endblock %}"""
STYLE = """
.iv-live .vega-bind { display: inline-block; margin: .5rem 1.2rem 0 0; font-size: .9rem; }
.iv-live .vega-bind select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 4px; padding: .15rem .3rem; }
#vg-tooltip-element { font-family: var(--font); }
"""


Spec = dict[str, Any]  # a Vega-Lite specification: JSON


class PageExporter(Exporter):
    """Export a notebook as a page: prose, tables and charts, without code; charts with selections stay live."""

    export_from_notebook = "Page with live charts (HTML)"
    output_mimetype = "text/html"

    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(  # type: ignore[override]  # every exporter to text returns text
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page of an executed notebook."""
        notebook, resources = super().from_notebook_node(nb, resources, **options)
        resources["output_extension"] = ".html"
        return page(notebook), resources


def page(notebook: NotebookNode) -> str:
    """One self-contained HTML file; its policy makes the browser refuse whatever is not in it."""
    shown = [cell for cell in notebook["cells"] if not cells.REMOVED & set(cell.get("metadata", {}).get("tags", []))]
    title, shown = _titled(shown)
    specs = list(_specs(shown))
    live = any(specs)
    script = (Path(__file__).with_name("page.js")).read_text(encoding="utf-8").strip()
    return (
        markup.environment()
        .from_string(TEMPLATE)
        .render(
            title=title,
            style=Markup(markup.style() + STYLE),
            version=__version__,
            parts=[Markup(part) for part in cells.body(shown, finished=True)],
            scripts=Markup(f"{markup.hashed(script)} 'strict-dynamic'") if live else None,
            script=Markup(script),
            specs=Markup(_json(specs)) if live else None,
            vega=_vega() if live else "",
        )
    )


def _titled(shown: list[NotebookNode]) -> tuple[str, list[NotebookNode]]:
    """The notebook's first heading, and its cells without it."""
    head, _, rest = "".join(shown[0]["source"]).partition("\n") if shown else ("", "", "")
    if not head.startswith("# "):
        return "A notebook", shown
    return head.removeprefix("# "), [NotebookNode({**shown[0], "source": rest}), *shown[1:]]


def _specs(shown: Iterable[NotebookNode]) -> Iterator[Spec | None]:
    """The specification of each chart, None for a chart without selections."""
    for cell in shown:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                spec = data.get(SPEC_MIME)
                yield spec if spec and spec.get("params") else None


def _json(specs: list[Spec | None]) -> str:
    return json.dumps(specs, separators=(",", ":")).replace("</", "<\\/")


@cache
def _vega() -> str:
    """Vega and its embedding, from the wheel that draws the charts."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return base64.b64encode(gzip.compress(bundle.encode(), 9, mtime=0)).decode()
