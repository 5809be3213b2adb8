"""The bill of materials names what production installs, at the versions that constraints.txt pins."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_has_the_pinned_versions() -> None:
    made = subprocess.run(["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True)
    if "No matching distribution" in made.stderr:
        pytest.skip("no package index is reachable")
    assert made.returncode == 0, made.stderr
    bill = json.loads((ROOT / "build" / "sbom" / "invsync.cdx.json").read_text())
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    versions = {canonicalize_name(one["name"]): one["version"] for one in bill["components"]}

    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "invsync")
    assert {"polars", "sqlalchemy", "apscheduler", "psycopg", "apprise"} <= versions.keys()
    assert versions.items() <= {canonicalize_name(name): version for name, version in pins.items()}.items()
    assert "pytest" not in versions
    print(f"{len(versions)} components.")
