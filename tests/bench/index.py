"""The index of 26,000 runs of three shops over nine months, beside a loop that only parses every run.json.

A run looks at about a hundred pairs, each night's hard sync at two thousand. Built for the first time, with nothing
new, and with one run more: each must leave the same pages. The loop is the limit of anything that reads every run.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from invsync.site import index
from tests.bench.measure import ROOT, Target
from tests.runfolders import leave_many

RUNS, SHOPS, MINUTES, ROWS = 26_000, ("acme", "birch", "cedar"), 45, 100
LIMITS = ["parsing every run.json"]
TARGETS = [
    Target("first build, seconds", lambda m: m["first build"].wall, at_most=15),
    Target("nothing new, seconds", lambda m: m["nothing new"].wall, at_most=1),
    Target(
        "nothing new / parsing every run.json, CPU",
        lambda m: m["nothing new"].cpu / m["parsing every run.json"].cpu,
        at_most=1,
    ),
    Target(
        "first build / parsing every run.json, CPU",
        lambda m: m["first build"].cpu / m["parsing every run.json"].cpu,
        at_most=30,
    ),
]
DIGESTED = ["index.html", "inbox.html", "_site/*.js"]
FILES = ["adjustments.jsonl", "report.ipynb", "report.html", "mutation.graphql", "plan.parquet", "outcomes.parquet"]
GUARDS = ["max_zeroed_share", "max_changed_share", "max_units", "min_rows_share"]
RECORD = {
    "files": [{"name": name, "sha256": f"{n:064x}", "bytes": 7000 + n, "lines": None} for n, name in enumerate(FILES)],
    "guards": [{"name": name, "value": 0.01, "limit": 0.5, "stopped": False} for name in GUARDS],
    "transport": "direct",
    "api_version": "2026-10",
    "operation_ids": [],
    "version": 1,
}


def prepare(folder: Path, scale: float) -> None:
    """The runs, and the site as it was before the newest one."""
    leave_many(folder / "reports", max(30, int(RUNS * scale)), shops=SHOPS, minutes=MINUTES, rows=ROWS, **RECORD)
    newest = max((folder / "reports").glob("*/*/2*"), key=lambda run: (run.name, run.parts[-3]))
    newest.rename(folder / "newest")
    build(folder)
    (folder / "reports" / "_site").rename(folder / "before")
    (folder / "newest").rename(newest)


def build(folder: Path) -> None:
    """Bring the index up to date in a process of its own."""
    words = [
        "from pathlib import Path",
        "from invsync.site import index",
        f"index.build(Path({str(folder)!r}) / 'reports', {{}})",
    ]
    subprocess.run([sys.executable, "-c", "; ".join(words)], cwd=ROOT, check=True)


def first(folder: Path) -> Callable[[], Path]:
    """A build without anything that an earlier one kept."""
    shutil.rmtree(folder / "reports" / "_site", ignore_errors=True)
    return lambda: index.build(folder / "reports", {}).page.parent


def again(folder: Path) -> Callable[[], Path]:
    """A build right after another."""
    build(folder)
    return lambda: index.build(folder / "reports", {}).page.parent


def one_more(folder: Path) -> Callable[[], Path]:
    """A build that finds one run that the one before it did not."""
    shutil.rmtree(folder / "reports" / "_site", ignore_errors=True)
    shutil.copytree(folder / "before", folder / "reports" / "_site")
    return lambda: index.build(folder / "reports", {}).page.parent


def parse(folder: Path) -> Callable[[], Path]:
    """A plain loop over every run.json."""

    def run() -> Path:
        for path in folder.glob("reports/*/*/*/run.json"):
            json.loads(path.read_bytes())
        return folder / "reports"

    return run


VARIANTS = {"first build": first, "nothing new": again, "one run more": one_more, "parsing every run.json": parse}


def digest(made: Path) -> str:
    """A hash over every file that a browser loads."""
    files = sorted(path for pattern in DIGESTED for path in made.glob(pattern))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()
