"""The wheel alone, in an environment that never saw the checkout: the notebooks travel in it and the demo works."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def call(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "INVSYNC"))}
    given = [str(part) for part in command]
    return subprocess.run(given, capture_output=True, text=True, timeout=3600, cwd=folder, env=environment)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a fresh environment with nothing but pip."""
    made = call(sys.executable, "-m", "venv", tmp_path / "fresh", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    python = tmp_path / "fresh" / "bin" / "python"
    if call(python, "-m", "pip", "download", "--no-deps", "hatchling", folder=tmp_path).returncode:
        pytest.skip("no package index is reachable")
    return python


def test_the_demo_runs_from_the_wheel_alone(tmp_path: Path, python: Path) -> None:
    built = call(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT, folder=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("invsync-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    installed = call(python, "-m", "pip", "install", "--constraint", ROOT / "constraints.txt", wheel, folder=tmp_path)
    assert installed.returncode == 0, installed.stderr

    shown = call(python.with_name("invsync"), "demo", "--hours", "1", folder=tmp_path)

    print(f"{wheel.name}: {wheel.stat().st_size} bytes, {len(names)} files; {shown.stdout.strip()}")
    assert {Path(name).name for name in names if name.startswith("invsync/_notebooks/")} >= NOTEBOOKS
    assert shown.returncode == 0, shown.stderr
    page = tmp_path / shown.stdout.strip().removeprefix("Report: ")
    assert page.is_relative_to(tmp_path / "demo") and "<html" in page.read_text()[:500]
