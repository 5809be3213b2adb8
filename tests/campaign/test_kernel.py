"""Runs in a real kernel, good and failed: each leaves its run.json, and no file holds the shop's token."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tripwire import Tripwire, at_length

from invsync import report
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

TOKEN = 'shpat_"planted\\&<0123456789>/+='  # written otherwise by JSON, by HTML, in an address and in base64
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
ONLINE = 7


@dataclass
class Rehearsal:
    """A shop of three products, one of them wrong, and the door to its server."""

    folder: Path
    shop: Shop
    server: ExitStack

    def run(self) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        command = [
            sys.executable,
            "-m",
            "invsync.cli",
            "run",
            demo.JOB,
            "--shop",
            "demo",
            "--json",
            "--engine",
            "kernel",
            "--config",
            str(self.folder / "invsync.toml"),
            "--at",
            (START + timedelta(hours=1)).isoformat(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=self.folder)
        return done, json.loads(done.stdout.splitlines()[-1])

    def kept(self, facts: dict[str, Any], name: str) -> Path:
        return self.folder / "reports" / "demo" / demo.JOB / facts["run_id"] / name


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    shop, oms = Shop(token=TOKEN), Oms(f"sqlite:///{tmp_path}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.stock_up([(f"P{item}", f"S{item}", item, 10) for item in (1, 2, 3)], "WH", START)
    oms.close()
    for item in (1, 2, 3):
        shop.add_item(item, f"S{item}")
        shop.set_level(item, ONLINE, 10 if item > 1 else 7)
    with ExitStack() as server:
        demo.configure(tmp_path, server.enter_context(serve(shop)))
        yield Rehearsal(tmp_path, shop, server)


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder as text; Parquet by its rows."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows = path.suffix == ".parquet"
        yield path, pl.read_parquet(path).write_json() if rows else path.read_bytes().decode("latin-1")


def token_is_refused(rehearsal: Rehearsal) -> None:
    rehearsal.shop.requests = Tripwire(at_length(1), rehearsal.shop.rotate_token)


CASES: dict[str, tuple[Callable[[Rehearsal], None], int, str]] = {
    "good": (lambda r: None, 0, ""),
    "the token refused after the first answer": (token_is_refused, 5, "refused the token"),
    "the shop unreachable": (lambda r: r.server.close(), 5, "no answer in 6 tries"),
    "a page that repeats the token": (lambda r: r.shop.faults.arm("garbage", 99), 5, "no answer in 6 tries"),
    "the upload answered by such a page": (
        lambda r: r.shop.faults.arm("garbage", 99, "inventoryAdjustQuantities"),
        4,
        "",
    ),
    "no scope": (lambda r: setattr(r.shop, "scopes", "read_inventory"), 5, "lacks the scope"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_in_a_kernel_leaves_its_truth_and_the_token_nowhere(rehearsal: Rehearsal, case: str) -> None:
    damage, exit_code, message = CASES[case]
    damage(rehearsal)

    done, facts = rehearsal.run()

    leaking = [str(path) for path, text in texts(rehearsal.folder) if report.leaks(text, [TOKEN])]
    print(f"{case}: exit {done.returncode}, {len(list(texts(rehearsal.folder)))} files searched; {facts['messages']}")
    assert leaking == [] and not report.leaks(done.stdout + done.stderr, [TOKEN])
    assert done.returncode == facts["exit_code"] == exit_code and message in " ".join(facts["messages"])
    assert json.loads(rehearsal.kept(facts, "run.json").read_text()) == facts
    assert all(rehearsal.kept(facts, name).stat().st_size > 0 for name in ("report.html", "report.ipynb"))
    assert "Traceback" not in done.stdout + done.stderr
