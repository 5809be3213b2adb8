"""A shop's sections of invsync.toml, from options and answers; secrets are named by their variables, never written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from invsync.config import settings
from invsync.config.connectors import DEFAULT, REGISTERED, Ask, connector
from invsync.errors import UsageError

Prompt = Callable[[str, str], str]
"""Asks a question with a default; returns the answer."""

HEAD = '[state]\nurl = "sqlite:///invsync.db"\n[reports]\npath = "reports"\n'


@dataclass(frozen=True)
class Sections:
    """The keys of [shops.<name>] and of [shops.<name>.oms], in the order in which they are written."""

    name: str
    shop: Mapping[str, str]
    oms: Mapping[str, str]

    def toml(self) -> str:
        """Return both sections as TOML."""
        return _table(f"shops.{self.name}", self.shop) + _table(f"shops.{self.name}.oms", self.oms)


def ask(name: str, options: Mapping[str, str], prompt: Prompt) -> Sections:
    """Return a shop's sections from the options that are not empty, and from the answers to the other questions.

    Raises UsageError for a required key without an answer, and for an unknown kind of OMS.
    """

    def answer(key: str, question: str, default: str | None = None) -> str:
        value = options.get(key) or prompt(question, default or "")
        if not value and default is None:
            raise UsageError(f"{key} is not known: give --{key.replace('_', '-')}.")
        return value

    variable = f"{name.upper().replace('-', '_')}_TOKEN"
    shop = {
        "domain": answer("domain", "Shopify domain (for example acme.myshopify.com)"),
        "endpoint": answer("endpoint", "Another address of Shopify's API (empty: the domain)", ""),
        "token_env": answer("token_env", "Variable that holds the Shopify token", variable),
    }
    return Sections(name, _filled(shop), _filled(_oms(answer)))


def _oms(ask: Ask) -> dict[str, str]:
    kind = ask("kind", f"How HotWax is read: {', '.join(REGISTERED)}", DEFAULT)
    if kind not in REGISTERED:
        raise UsageError(f"Kind {kind!r} is none of {', '.join(REGISTERED)}: correct --kind.")
    return {
        "kind": kind,
        **connector(kind).setup(ask),
        "shop_id": ask("shop_id", "HotWax's id of this Shopify shop (shopify_shop.shop_id)"),
        "facility_group_id": ask("facility_group_id", "Facility group whose facilities sell online", "FAC_GRP"),
    }


def _filled(answers: Mapping[str, str]) -> dict[str, str]:
    return {key: answer for key, answer in answers.items() if answer}


def add(path: Path, sections: Sections) -> None:
    """Append a shop's sections to the configuration, or create it.

    Raises UsageError, and leaves the file as it was, if an address holds a password, the shop is in the file already,
    or the configuration would be wrong.
    """
    if any(urlsplit(value).password for value in (*sections.shop.values(), *sections.oms.values())):
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
