"""Pieces of HTML: a template's macro filled in, shown in a notebook or on a page."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from invsync import charts
from invsync.inputs import texts
from invsync.vocabulary import STATUSES

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Html:
    """A piece of HTML that a notebook shows; `str()` gives the markup, `repr()` the plain words."""

    markup: str
    plain: str

    def _repr_html_(self) -> str:
        return f"{self.markup}<style>{asset('notebook.css')}</style>"

    def __str__(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.plain


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and whether it holds numbers (`n`) or long text (`wide`)."""

    head: str
    kind: str = ""


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, note: Any = "") -> Html:
    """A table with a caption and a note below it; cells are escaped unless they are Markup."""
    made = macro("table", title, columns, rows, note)
    return Html(made, f"{title}: {len(rows)} rows.")


def macro(name: str, *given: Any, **named: Any) -> Markup:
    """The markup of one macro of the shared parts."""
    return Markup(getattr(environment().get_template("parts.html.j2").module, name)(*given, **named))


def page(template: str, **given: Any) -> str:
    """A whole page from its template, with the shared style."""
    return texts.printable(environment().get_template(template).render(style=Markup(style()), **given))


def style() -> str:
    """The style of every page: the charts' colours as names, then the rules."""
    colours = {"raised": charts.RAISED, "lowered": charts.LOWERED, "protected": charts.PROTECTED}
    named = "".join(f"--{name}: {colour}; " for name, colour in colours.items())
    return f":root {{ {named}--font: {charts.FONT}; }}\n{asset('page.css')}"


def hashed(*scripts: str) -> str:
    """The hashes by which a page's policy lets these scripts run."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def asset(name: str) -> str:
    """A static file of the pages, as text."""
    return (HERE / "static" / name).read_text(encoding="utf-8").strip()


@cache
def environment() -> Environment:
    """Where the templates are; every value that they are given is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["statuses"] = STATUSES
    made.globals["icons"] = {name: status.mark for name, status in STATUSES.items()}
    return made
