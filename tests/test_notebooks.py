"""The tour shows what the code does today; the job notebooks are stored short, flat and without outputs."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "notebooks" / "tour.ipynb"
JOBS = sorted(path for path in TOUR.parent.glob("*.ipynb") if path != TOUR)
BRANCHES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.IfExp)
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.Lambda)
Cell = dict[str, Any]


def cells(path: Path) -> list[Cell]:
    listed: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return listed


def code(path: Path) -> list[Cell]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def tags(cell: Cell) -> list[str]:
    listed: list[str] = cell["metadata"].get("tags", [])
    return listed


def nodes(path: Path) -> set[type[ast.AST]]:
    return {type(node) for cell in code(path) for node in ast.walk(ast.parse(source(cell)))}


def test_there_are_job_notebooks() -> None:
    assert "upload_recent_changes.ipynb" in {path.name for path in JOBS}


def test_the_tour_gives_the_outputs_that_it_is_stored_with() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-cell-timeout", "120"]
    done = subprocess.run([*command, "notebooks/tour.ipynb"], cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_cell_of_the_tour_is_compared() -> None:
    assert [cell["execution_count"] for cell in code(TOUR)] == list(range(1, len(code(TOUR)) + 1))
    assert all(cell["metadata"] == {} for cell in cells(TOUR))
    assert not any("nbval" in source(cell).lower() for cell in code(TOUR))
    assert all(cell["outputs"] for cell in code(TOUR)[1:])
    assert {output["output_type"] for cell in code(TOUR) for output in cell["outputs"]} == {"stream"}


def test_every_code_cell_of_the_tour_is_short_flat_and_introduced() -> None:
    kinds = [cell["cell_type"] for cell in cells(TOUR)]

    assert kinds == ["markdown", "code"] * (len(kinds) // 2)
    assert max(len(source(cell).splitlines()) for cell in code(TOUR)) <= 6
    assert not nodes(TOUR) & set(BRANCHES)


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_job_notebook_is_stored_without_outputs(path: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code(path))


@pytest.mark.parametrize("path", [*JOBS, TOUR], ids=lambda path: path.name)
def test_cell_ids_are_unique(path: Path) -> None:
    ids = [cell["id"] for cell in cells(path)]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_the_first_code_cell_of_a_job_notebook_is_its_only_parameters_cell(path: Path) -> None:
    assert ["parameters" in tags(cell) for cell in code(path)] == [True] + [False] * (len(code(path)) - 1)
    assert not any("parameters" in tags(cell) for cell in cells(path) if cell["cell_type"] != "code")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_job_notebook_is_short_and_flat(path: Path) -> None:
    assert len(code(path)) <= 14
    assert max(len(source(cell).splitlines()) for cell in code(path) if tags(cell) != ["parameters"]) <= 6
    assert not nodes(path) & {*BRANCHES, *LOOPS, ast.comprehension}
