"""The reading order of the package, what its core may touch, and the files that install it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "invsync"
ORDER = [
    "startup",
    "scrub",
    "errors",
    "vocabulary",
    "inputs",
    "config",
    "logs",
    "web",
    "serving",
    "retry",
    "tables",
    "mapping",
    "inflight",
    "equation",
    "shadow",
    "delta",
    "plan",
    "bulkfile",
    "verify",
    "charts",
    "simulate",
    "oms",
    "shopify",
    "state",
    "inbox",
    "runs",
    "telemetry",
    "alerts",
    "report",
    "site",
    "engine",
    "ledger",
    "jobs",
    "explain",
    "doctor",
    "upkeep",
    "webhooks",
    "schedule",
    "cli",
    "sandbox",
    "lab",
    "api",
]
CORE = [
    "vocabulary",
    "tables",
    "mapping",
    "inflight",
    "equation",
    "shadow",
    "delta",
    "plan",
    "bulkfile",
    "verify",
    "charts",
]
OUTSIDE = {"httpx", "os", "time", "sqlalchemy"}
FILES = {"pathlib"}
MAY_READ_FILES = {"bulkfile", "verify"}
LATE = {("cli", "sandbox")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = (ROOT / "constraints.txt").read_text().splitlines()


def part(dotted: str) -> str:
    """The module of the reading order that a dotted name or a path inside the package belongs to."""
    return dotted.split(".")[0]


def sources(name: str) -> list[Path]:
    return [
        path
        for path in PACKAGE.rglob("*.py")
        if part(".".join(path.relative_to(PACKAGE).with_suffix("").parts)) == name
    ]


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Each import statement with every dotted name that it may load, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def loaded(path: Path) -> Iterator[tuple[str, bool]]:
    """Each dotted name that a file imports, and whether it does so outside of functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node, name in imported(tree):
        yield name, id(node) not in inside


def ours(path: Path) -> Iterator[tuple[str, bool]]:
    """Each part of the package that a file imports, and whether it does so when it is loaded or type-checked."""
    for name, at_load in loaded(path):
        if name.startswith("invsync.") and name != "invsync.__version__":
            yield part(name.removeprefix("invsync.")), at_load


def dotted(path: Path) -> str:
    """The name of a module of the package by its file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph() -> dict[str, set[str]]:
    """Each module of the package with the others that it imports when it is loaded or type-checked."""
    paths = {dotted(path): path for path in PACKAGE.rglob("*.py")}
    graph = {}
    for module, path in paths.items():
        names = [name for name, at_load in loaded(path) if at_load]
        others = {name if name in paths else name.rpartition(".")[0] for name in names}
        graph[module] = others & paths.keys() - {module}
    return graph


def reachable(graph: dict[str, set[str]], module: str) -> set[str]:
    """The modules that loading one loads, itself only by way of others."""
    seen: set[str] = set()
    waiting = set(graph[module])
    while waiting:
        seen |= waiting
        waiting = {other for name in waiting for other in graph[name]} - seen
    return seen


def cycles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Each group of modules that reach one another."""
    reach = {module: reachable(graph, module) for module in graph}
    return {
        frozenset(other for other in others if module in reach[other])
        for module, others in reach.items()
        if module in others
    }


def test_the_reading_order_names_every_module() -> None:
    parts = {part(path.stem) for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert parts - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_those_before_it(name: str) -> None:
    wrong = {
        (path.name, other)
        for path in sources(name)
        for other, at_load in ours(path)
        if ORDER.index(other) > ORDER.index(name) and (at_load or (name, other) not in LATE)
    }

    assert sources(name)
    assert not wrong


def test_no_modules_import_one_another() -> None:
    assert cycles(import_graph()) == set()


def test_a_cycle_is_a_group_that_reaches_itself() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set[str]()}

    assert cycles(graph) == {frozenset("abc")}
    assert cycles(graph | {"c": set()}) == set()


def test_an_import_for_types_counts_and_one_inside_a_function_does_not(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from invsync.a import B\n"
        "def late() -> None:\n    import invsync.c\n"
    )

    assert dict(loaded(tmp_path / "m.py")) == {"typing.TYPE_CHECKING": True, "invsync.a.B": True, "invsync.c": False}


@pytest.mark.parametrize("name", CORE)
def test_the_core_touches_no_system_and_no_clock(name: str) -> None:
    forbidden = OUTSIDE if name in MAY_READ_FILES else OUTSIDE | FILES
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources(name)]

    assert not {other.split(".")[0] for tree in trees for _, other in imported(tree)} & forbidden


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["completion", "bash"]])
def test_the_command_line_is_light_to_start(words: list[str]) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from invsync.cli import app; "
        f"done = CliRunner().invoke(app, {words}); assert done.exit_code == 0, done.output; "
        "print(sorted({'polars', 'altair', 'papermill', 'pydantic_settings', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_conda_installs_what_pyproject_says() -> None:
    text = (ROOT / "environment.yml").read_text()

    assert re.search(r"^ +- -e \.\[lab,dev\]$", text, re.MULTILINE)
    assert re.findall(r"^ +- python(.*)$", text, re.MULTILINE) == [PROJECT["requires-python"]]


def test_constraints_are_plain_pins() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in PINS)
    assert not any("//" in line or "--" in line for line in PINS)


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    pinned = {canonicalize_name(name): version for name, version in (line.split("==") for line in PINS)}
    extras = PROJECT["optional-dependencies"].values()
    direct = [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]

    assert not [r.name for r in direct if canonicalize_name(r.name) not in pinned]
    assert not [str(r) for r in direct if not r.specifier.contains(pinned[canonicalize_name(r.name)])]


def test_the_audit_reads_every_pin_and_no_build_waits_for_it() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True, check=True)
    workflow = (ROOT / ".github/workflows/test.yml").read_text()

    assert "pip-audit --requirement constraints.txt --no-deps" in done.stdout
    assert re.search(r"pip install --quiet pip-audit==\d+\.\d+\.\d+$", done.stdout, re.MULTILINE)
    assert "run: make audit" in workflow and re.search(r"schedule:\n +- cron:", workflow)
    assert "audit" not in (ROOT / ".ci/run").read_text()
