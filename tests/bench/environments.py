"""Environments to measure commands in: a lean one beside that of the bench, which may have JupyterLab."""

import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

from tests.bench.measure import ROOT

SHOWN = 8  # names in a message


def has_jupyterlab() -> bool:
    """Whether JupyterLab is installed beside invsync."""
    try:
        return bool(distribution("jupyterlab"))
    except PackageNotFoundError:
        return False


def packages(prefix: Path) -> Path:
    """Return the folder of the packages that are installed in the environment at this prefix."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(prefix)}))


def lean(folder: Path) -> Path:
    """Return the interpreter of a new environment with invsync's dependencies alone, linked to those installed here.

    The links share the compiled modules of this environment, so both start from the same files.
    """
    venv.create(folder, symlinks=True)
    for name in _needed():
        for entry in _entries(distribution(name)):
            link = packages(folder) / entry.name
            if not link.exists():
                link.symlink_to(entry)
    return folder / "bin" / "python"


def require_compiled(prefix: Path) -> None:
    """Exit with 2 and a sentence that says what to do, where packages of this environment are not compiled."""
    if names := uncompiled(packages(prefix)):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(
            f"Packages in {prefix} are not compiled, so each process would compile them again: {', '.join(names[:SHOWN])}"
            f"{more}; run `{sys.executable} -m compileall -q {packages(Path(sys.prefix))}` first.",
            file=sys.stderr,
        )
        sys.exit(2)


def uncompiled(installed: Path) -> list[str]:
    """Return the names of the distributions in this folder with modules of which none is compiled, as after a copy.

    Python compiles such modules in every process, if it may not write beside them.
    """
    modules = {one.name: list(_modules(one)) for one in distributions(path=[str(installed)])}
    return sorted((name for name, paths in modules.items() if paths and all(map(_is_uncompiled, paths))), key=str.lower)


def _is_uncompiled(path: Path) -> bool:
    """Whether Python must compile this module when it is imported: its compiled file is missing or of another time."""
    compiled = Path(cache_from_source(str(path)))
    if not compiled.exists():
        return True
    flags, stamp = (int.from_bytes(part, "little") for part in _header(compiled))
    return flags == 0 and stamp != int(path.stat().st_mtime) & 0xFFFFFFFF


def _header(compiled: Path) -> tuple[bytes, bytes]:
    """The flags of a compiled file, 0 where it goes by time, and the time of its source."""
    with compiled.open("rb") as file:
        head = file.read(12)
    return head[4:8], head[8:12]


def _modules(installed: Distribution) -> Iterator[Path]:
    """The first few modules of a distribution, for a copy leaves none or all of them behind."""
    modules = (file for file in installed.files or () if file.suffix == ".py" and len(file.parts) == 2)
    for file, _ in zip(modules, range(3), strict=False):
        if (path := Path(str(installed.locate_file(file)))).exists() and ".." not in file.parts:
            yield path


def _needed() -> list[str]:
    """The names of the distributions that invsync needs without any extra, with what those need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names: list[str] = []
    waiting: list[str] = list(project["dependencies"])
    while waiting:
        needed = Requirement(waiting.pop())
        if needed.name in names or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        try:
            requires = distribution(needed.name).requires or ()
        except PackageNotFoundError:
            continue
        names.append(needed.name)
        waiting += [text for text in requires if not _is_extra(text, needed.extras)]
    return names


def _is_extra(text: str, extras: set[str]) -> bool:
    marker = Requirement(text).marker
    return marker is not None and not any(marker.evaluate({"extra": extra}) for extra in {"", *extras})


def _entries(installed: Distribution) -> set[Path]:
    """What a distribution has in its site-packages: packages, modules, libraries and its metadata."""
    tops = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
    return {path for top in tops if (path := Path(str(installed.locate_file(top)))).exists()}


if __name__ == "__main__":
    print(lean(Path(sys.argv[1])))
