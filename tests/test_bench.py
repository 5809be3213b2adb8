"""Every subject of the bench at a tiny size: its variants agree, and its targets can be evaluated."""

import compileall
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.bench import SUBJECTS, environments
from tests.bench.measure import ROOT, Measured, Target

PEERS = {"pandas": ["pandas", "pyarrow"], "duckdb": ["duckdb"], "orjson loop": ["orjson"], "msgspec loop": ["msgspec"]}
LONG = {"nochange", "commands", "pacing", "idle"}  # they start kernels, or wait; other tests run the same code


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name not in LONG])
def test_the_variants_of_a_subject_agree(name: str, tmp_path: Path) -> None:
    subject: Any = import_module(f"tests.bench.{name}")
    absent = {one: [peer for peer in PEERS.get(one, []) if find_spec(peer) is None] for one in subject.VARIANTS}
    subject.prepare(tmp_path, 0.001)

    made = {
        variant: subject.digest(prepared(tmp_path)())
        for variant, prepared in subject.VARIANTS.items()
        if not absent[variant]
    }

    assert len({made[variant] for variant in made if variant not in getattr(subject, "LIMITS", [])}) == 1
    one = {variant: Measured(wall=1.0, cpu=1.0, peak=1.0, whole=1.0, digest="") for variant in subject.VARIANTS}
    assert all(target.number(one) > 0 for target in subject.TARGETS)
    if missing := [peer for peers in absent.values() for peer in peers]:
        pytest.skip(f"the extra 'bench' is not installed: {', '.join(missing)} missing; the other variants agree")


def test_a_target_is_met_at_its_bound_and_missed_beyond_it() -> None:
    low, high = (Target("", lambda m: 0.0, **{side: 2.0}) for side in ("at_least", "at_most"))

    assert [low.met(x) for x in (1.9, 2.0)] == [False, True]
    assert [high.met(x) for x in (2.0, 2.1)] == [True, False]


def test_a_target_without_a_bound_is_printed_and_never_missed() -> None:
    free, low = Target("", lambda m: 0.0), Target("", lambda m: 0.0, at_least=2.0)

    assert (free.met(0.1), free.verdict(0.1)) == (True, "")
    assert [low.verdict(x) for x in (1.9, 2.0)] == [" (at least 2): MISSED", " (at least 2): met"]


def installed(packages: Path, name: str) -> list[Path]:
    """Install a made-up package of two modules into this folder; the modules."""
    modules = [packages / name / "__init__.py", packages / name / "core.py"]
    metadata = packages / f"{name}-1.0.dist-info"
    for folder in (packages / name, metadata):
        folder.mkdir(parents=True)
    for module in modules:
        module.write_text("")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("".join(f"{module.relative_to(packages)},,\n" for module in modules))
    return modules


def test_a_package_is_uncompiled_without_compiled_modules_or_with_those_of_other_times(tmp_path: Path) -> None:
    modules = installed(tmp_path, "quick") + installed(tmp_path, "slow")
    before = environments.uncompiled(tmp_path)
    compileall.compile_dir(tmp_path, quiet=1)
    after = environments.uncompiled(tmp_path)
    for module in modules[2:]:
        os.utime(module, (0, 0))

    assert (before, after, environments.uncompiled(tmp_path)) == (["quick", "slow"], [], ["slow"])


def test_the_bench_stops_before_it_measures_where_packages_are_not_compiled(tmp_path: Path) -> None:
    variables = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path)}  # where no compiled module is yet

    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "start"], cwd=ROOT, env=variables, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "alembic" in done.stderr and "-m compileall -q" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_environment_of_the_commands_is_checked_like_that_of_the_bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(environments.packages(tmp_path), "slow")

    with pytest.raises(SystemExit) as stopped:
        environments.require_compiled(tmp_path)

    assert stopped.value.code == 2 and "again: slow; run" in capsys.readouterr().err
