"""A shop's part of invsync.toml from answers; secrets are named by their variables, never written."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from invsync.config import settings
from invsync.errors import UsageError

Ask = Callable[[str, str], str]
HEAD = '[state]\nurl = "sqlite:///invsync.db"\n[reports]\npath = "reports"\n'
SHOP = {
    "domain": ("Shopify domain, as acme.myshopify.com", None),
    "endpoint": ("Another address of Shopify's API (empty: the domain)", ""),
    "token_env": ("Variable that holds the Shopify token", "{name}_TOKEN"),
}
KINDS: dict[str, dict[str, tuple[str, str | None]]] = {
    "database": {"url": ("SQLAlchemy URL of HotWax's database (empty: it holds a secret)", "")},
    "rest": {
        "url": ("Moqui address, as https://acme-maarg.hotwax.io", None),
        "ofbiz_url": ("OFBiz address, as https://acme-oms.hotwax.io (empty: none)", ""),
        "username": ("User of the APIs (empty: a long-lived token)", ""),
    },
    "files": {"path": ("Folder or fsspec URL of the exported files", None)},
}
OMS = {
    "shop_id": ("HotWax's id of this Shopify shop (shopify_shop.shop_id)", None),
    "facility_group_id": ("Facility group whose facilities sell online", "FAC_GRP"),
}


def answers(name: str, given: Mapping[str, str], ask: Ask) -> tuple[dict[str, str], dict[str, str]]:
    """The shop's keys and its oms keys: as given, else as asked, in the order of the questions."""

    def found(questions: Mapping[str, tuple[str, str | None]]) -> dict[str, str]:
        told = {
            key: given.get(key) or ask(text, (default or "").format(name=name.upper().replace("-", "_")))
            for key, (text, default) in questions.items()
        }
        for key, value in told.items():
            if not value and questions[key][1] is None:
                raise UsageError(f"{key} is not known: give --{key.replace('_', '-')}.")
        return {key: value for key, value in told.items() if value}

    shop = found(SHOP)
    kind = given.get("kind") or ask(f"How HotWax is read: {', '.join(KINDS)}", "database")
    if kind not in KINDS:
        raise UsageError(f"Kind {kind!r} is none of {', '.join(KINDS)}: correct --kind.")
    oms = {"kind": kind} | found(KINDS[kind])
    if kind == "database" and "url" not in oms:
        oms |= found({"url_env": ("Variable that holds the database's URL", "HOTWAX_URL")})
    if kind == "rest":
        held = "password" if "username" in oms else "token"
        default = f"HOTWAX_{held.upper()}"
        oms[f"{held}_env"] = given.get("hotwax_env") or ask(f"Variable that holds HotWax's {held}", default)
    return shop, oms | found(OMS)


def write(path: Path, name: str, shop: Mapping[str, str], oms: Mapping[str, str]) -> None:
    """Add the shop to the configuration, which stays as it was when the result would be wrong."""
    for address in filter(None, (oms.get("url"), oms.get("path"), shop.get("endpoint"))):
        if urlsplit(address).password:
            raise UsageError("The address holds a password: put it into a variable and name that (--url-env).")
    before = path.read_bytes() if path.exists() else None
    if before is not None and name in settings.tables(path).get("shops", {}):
        raise UsageError(f"Shop {name} is in {path} already: edit it there, or choose another name.")
    added = f"{_section(f'shops.{name}', shop)}{_section(f'shops.{name}.oms', oms)}"
    start = before or HEAD.encode()
    path.write_bytes(start + (b"" if start.endswith(b"\n") else b"\n") + added.encode())
    try:
        settings.load(path).shop(name)
    except UsageError:
        path.unlink() if before is None else path.write_bytes(before)
        raise


def _section(title: str, values: Mapping[str, str]) -> str:
    return f"[{title}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
