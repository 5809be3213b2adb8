"""Write a shop's sections of invsync.toml from answers; a secret is named by its variable, never written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from invsync.config import settings
from invsync.errors import UsageError

Prompt = Callable[[str, str], str]
"""Asks a question with a default; returns the answer."""

HEAD = '[state]\nurl = "sqlite:///invsync.db"\n[reports]\npath = "reports"\n'


@dataclass(frozen=True)
class Question:
    """A key of the configuration and how to ask for it; without a default an answer is required."""

    key: str
    text: str
    default: str | None = None


SHOP = (
    Question("domain", "Shopify domain (for example acme.myshopify.com)"),
    Question("endpoint", "Another address of Shopify's API (empty: the domain)", ""),
)
URL_ENV = Question("url_env", "Variable that holds the database's URL", "HOTWAX_URL")
KINDS: Mapping[str, tuple[Question, ...]] = {
    "database": (Question("url", "SQLAlchemy URL of HotWax's database (empty: it holds a secret)", ""),),
    "rest": (
        Question("url", "Moqui address (for example https://acme-maarg.hotwax.io)"),
        Question("ofbiz_url", "OFBiz address (for example https://acme-oms.hotwax.io; empty: none)", ""),
        Question("username", "User of the APIs (empty: a long-lived token)", ""),
    ),
    "files": (Question("path", "Folder or fsspec URL of the exported files"),),
}
OMS = (
    Question("shop_id", "HotWax's id of this Shopify shop (shopify_shop.shop_id)"),
    Question("facility_group_id", "Facility group whose facilities sell online", "FAC_GRP"),
)


@dataclass(frozen=True)
class Sections:
    """The keys of [shops.<name>] and of [shops.<name>.oms], in the order in which they are written."""

    name: str
    shop: Mapping[str, str]
    oms: Mapping[str, str]

    def toml(self) -> str:
        """Both sections as TOML."""
        return _table(f"shops.{self.name}", self.shop) + _table(f"shops.{self.name}.oms", self.oms)


def ask(name: str, options: Mapping[str, str], prompt: Prompt) -> Sections:
    """A shop's sections from the options that are not empty, and from the answers to the other questions.

    Raises UsageError for a required key without an answer, and for an unknown kind of OMS.
    """
    token_env = Question(
        "token_env", "Variable that holds the Shopify token", f"{name.upper().replace('-', '_')}_TOKEN"
    )
    shop = _answers((*SHOP, token_env), options, prompt)
    kind = options.get("kind") or prompt(f"How HotWax is read: {', '.join(KINDS)}", "database")
    if kind not in KINDS:
        raise UsageError(f"Kind {kind!r} is none of {', '.join(KINDS)}: correct --kind.")
    oms = {"kind": kind} | _answers(KINDS[kind], options, prompt)
    if kind == "database" and "url" not in oms:
        oms |= _answers((URL_ENV,), options, prompt)
    if kind == "rest":
        oms |= _credential("password" if "username" in oms else "token", options, prompt)
    return Sections(name, shop, oms | _answers(OMS, options, prompt))


def _answers(questions: tuple[Question, ...], options: Mapping[str, str], prompt: Prompt) -> dict[str, str]:
    """The answers that are not empty, by key."""
    answers = {
        question.key: options.get(question.key) or prompt(question.text, question.default or "")
        for question in questions
    }
    for question in questions:
        if question.default is None and not answers[question.key]:
            raise UsageError(f"{question.key} is not known: give --{question.key.replace('_', '-')}.")
    return {key: answer for key, answer in answers.items() if answer}


def _credential(secret: str, options: Mapping[str, str], prompt: Prompt) -> dict[str, str]:
    """The key that names the variable of HotWax's password or token."""
    variable = options.get("hotwax_env") or prompt(f"Variable that holds HotWax's {secret}", f"HOTWAX_{secret.upper()}")
    return {f"{secret}_env": variable}


def add(path: Path, sections: Sections) -> None:
    """Append a shop's sections to the configuration, or create it.

    Raises UsageError, and leaves the file as it was, if an address holds a password, the shop is in the file already,
    or the configuration would be wrong.
    """
    for address in filter(None, (sections.oms.get("url"), sections.oms.get("path"), sections.shop.get("endpoint"))):
        if urlsplit(address).password:
            raise UsageError("The address holds a password: put it into a variable and name that (--url-env).")
    before = path.read_bytes() if path.exists() else None
    if before is not None and sections.name in settings.tables(path).get("shops", {}):
        raise UsageError(f"Shop {sections.name} is in {path} already: edit it there, or choose another name.")
    start = before or HEAD.encode()
    path.write_bytes(start + (b"" if start.endswith(b"\n") else b"\n") + sections.toml().encode())
    try:
        settings.load(path).shop(sections.name)
    except UsageError:
        path.unlink() if before is None else path.write_bytes(before)
        raise


def _table(title: str, values: Mapping[str, str]) -> str:
    return f"[{title}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
