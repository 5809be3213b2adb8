"""What the pages under docs/ tell a reader to type exists, and their configurations load."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from invsync.cli import app
from invsync.config.settings import Settings

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
SHOP = {"domain": "acme.myshopify.com", "token_env": "ACME_TOKEN"}  # what a page's block may leave to another
OMS = {"url_env": "HOTWAX_URL", "shop_id": "ACME"}
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    typed = [line.split("#")[0].split() for text in blocks(page, "") for line in text.splitlines()]
    commands = [words[1:] for words in typed if words[:1] == ["invsync"]]

    assert commands
    for words in commands:
        command = get_command(app)
        while hasattr(command, "commands") and words[0] in command.commands:
            command, words = command.commands[words[0]], words[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert not hasattr(command, "commands"), words
        assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_loads(page: Path) -> None:
    for text in blocks(page, "toml"):
        found = tomllib.loads(text)
        oms = found.setdefault("shops", {}).setdefault("acme", {}).setdefault("oms", OMS)
        shop = Settings(**{**found, "shops": {"acme": SHOP | found["shops"]["acme"]}}).shop("acme")
        assert shop.oms.shop_id == oms["shop_id"] == "ACME"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())

    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
