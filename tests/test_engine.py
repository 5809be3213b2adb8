"""A run's kernel is this interpreter, whatever kernels a user, a hub or conda has installed."""

import json
import sys
from pathlib import Path

import pytest
from rehearsal import HARD, START, Rehearsal

from invsync.engine import kernel
from invsync.jobs import launch


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another environment's kernel stands first under the name python3; the folder of connection files is read-only."""
    place = tmp_path / "share" / "kernels" / "python3"
    place.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/proc/none")


def test_the_kernel_is_this_interpreter(foreign: None) -> None:
    spec = kernel.OwnKernel(kernel_name="python3").kernel_spec

    assert spec.argv[0] == sys.executable and "ipykernel_launcher" in spec.argv


def test_a_run_does_not_start_the_kernel_of_another_environment(rehearsal: Rehearsal, foreign: None) -> None:
    rehearsal.product(1, "A", oms=10, available=1)

    facts = launch.run(HARD, {"shop": "demo", "config": str(rehearsal.config), "at": START.isoformat()})

    assert (facts["status"], rehearsal.available(1)) == ("done", [10])
