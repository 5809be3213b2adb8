"""What the documentation names exists, its configurations load, and its site builds."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import pytest
from test_layout import ORDER
from typer.main import get_command

from invsync.cli import app
from invsync.config.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GUIDES = [DOCS / f"{name}.md" for name in ["first-steps", "connect", "in-flight", "fleet", "state", "performance"]]
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
SHOP = {"domain": "acme.myshopify.com", "token_env": "ACME_TOKEN"}  # what a page's block may leave to another
OMS = {"url_env": "HOTWAX_URL", "shop_id": "ACME"}
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"[a-z_]+(\.\w+)+")
FILE = re.compile(r"(\.ci|\.github|docs|invsync|notebooks|tests)/[\w./*-]+")
SUFFIXES = {".jsonl", ".json", ".ipynb", ".parquet", ".py", ".html", ".toml", ".txt", ".md", ".yml", ".graphql", ".db"}
PARTS = ["Context", "Decision", "Consequences", "Tried and lost", "Where"]
LINES_A_PAGE = 60


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def names(page: Path) -> set[str]:
    """The names of this package that a page writes as code, without `invsync.` before them."""
    text = BLOCK.sub("", page.read_text())
    written = {code.removesuffix("()").removeprefix("invsync.") for code in CODE.findall(text)}
    dotted = {name for name in written if NAME.fullmatch(name) and Path(name).suffix not in SUFFIXES}
    return {name for name in dotted if name.split(".")[0] in ORDER}


def files(page: Path) -> set[str]:
    """The files and folders of the repository that a page writes as code."""
    return {code for code in CODE.findall(page.read_text()) if FILE.fullmatch(code)}


@pytest.mark.parametrize("page", GUIDES, ids=label)
def test_a_guide_shows_commands(page: Path) -> None:
    assert any(line.startswith("invsync ") for text in blocks(page, "") for line in text.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_command_and_option_exists(page: Path) -> None:
    typed = [line.split("#")[0].split() for text in blocks(page, "") for line in text.splitlines()]

    for words in [words[1:] for words in typed if words[:1] == ["invsync"]]:
        command = get_command(app)
        while hasattr(command, "commands") and words[0] in command.commands:
            command, words = command.commands[words[0]], words[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert not hasattr(command, "commands"), words
        assert {word for word in words if word.startswith("--")} <= options, words


def test_some_pages_have_configurations() -> None:
    assert [page.name for page in PAGES if blocks(page, "toml")]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_configuration_loads(page: Path) -> None:
    for text in blocks(page, "toml"):
        written = tomllib.loads(text)
        oms = written.setdefault("shops", {}).setdefault("acme", {}).setdefault("oms", OMS)
        shop = Settings(**{**written, "shops": {"acme": SHOP | written["shops"]["acme"]}}).shop("acme")
        assert shop.oms.shop_id == oms["shop_id"] == "ACME"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())

    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    assert not [file for file in files(page) if not any(ROOT.glob(file.rstrip("/")))]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_name_that_a_page_gives_exists(page: Path) -> None:
    for name in names(page):
        resolve_name(f"invsync.{name}")


def test_the_paths_through_the_code_are_named() -> None:
    assert len(names(DOCS / "architecture.md")) > 60
    assert len(files(ROOT / "CONTRIBUTING.md")) > 20


def test_the_picture_of_the_packages_is_their_reading_order() -> None:
    (picture, *_) = blocks(DOCS / "architecture.md", "")
    lines = [line.removeprefix(line.split(" ")[0]).strip() for line in picture.splitlines() if line[:1].isupper()]

    assert [name for line in lines for name in line.split(" · ")] == ORDER


@pytest.mark.parametrize("page", DECISIONS, ids=label)
def test_a_decision_is_one_page_of_the_same_parts(page: Path) -> None:
    text = page.read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert len(text.splitlines()) <= LINES_A_PAGE
    assert names(page)


def test_every_decision_is_in_the_list_and_in_the_site() -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions" / "index.md").read_text())
    in_site = re.findall(r"decisions/(\d{4}-[\w-]+\.md)", (ROOT / "mkdocs.yml").read_text())

    assert [page.name for page in DECISIONS] == listed == in_site


def test_the_workflow_tests_each_python_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    (matrix,) = re.findall(r"python: \[(.+)\]", (ROOT / ".github/workflows/test.yml").read_text())

    assert re.findall(r'"([\d.]+)"', matrix) == named


@pytest.mark.skipif(
    not (find_spec("material") and find_spec("mkdocstrings")),
    reason="mkdocs-material and mkdocstrings are not installed",
)
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert built.returncode == 0, built.stderr
    loaded = re.compile(r'<(?:script|img|link)[^>]*?(?:src|href)="?https?:')
    assert not [page for page in tmp_path.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))]
    assert "invsync.equation.variances" in (tmp_path / "core.html").read_text(encoding="utf-8")
