"""The sample in the repository: whole, small, free of this machine, and made by the package as it stands."""

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from invsync.report.markup import asset, style
from invsync.site import shards

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "reports" / "sample"
INDEX = SAMPLE / "index.html"
RUNS = sorted(SAMPLE.glob("*/*/*/report.html"))
WEEKS = sorted(SAMPLE.glob("*/weekly/*.html"))
INBOX = SAMPLE / "inbox.html"
PAGES = [INDEX, INBOX, *RUNS, *WEEKS]


def test_it_has_an_index_a_week_and_the_pages_of_its_runs() -> None:
    assert INDEX.exists() and len(WEEKS) == 1 and len(RUNS) >= 12
    statuses = {json.loads((page.parent / "run.json").read_text())["status"] for page in RUNS}
    assert statuses == {"done", "partial", "stopped", "failed", "planned"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_no_link_is_dead(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {unquote(link).split("#")[0] for link in re.findall(r'<a [^>]*href="([^"]+)"', text)} - {""}
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_run_of_the_index_has_its_page() -> None:
    match = re.search(r'id="data">(.*?)</script>', INDEX.read_text(encoding="utf-8"))
    assert match
    data = json.loads(match[1])
    runs = data["runs"]
    paths = [
        SAMPLE / data["shops"][shop]["name"] / data["jobs"][job] / run / "report.html"
        for shop, job, run in zip(runs["shop"], runs["job"], runs["run_id"], strict=True)
    ]
    assert sorted(paths) == RUNS
    assert {path.stem for path in (SAMPLE / "_site").glob("items-*")} == {f"items-{n}" for n in range(data["shards"])}
    assert shards.shard("x", data["shards"]) < data["shards"]


def test_it_is_small_and_its_picture_is_on_the_first_screen() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 2_200_000
    assert (SAMPLE / "run.png").stat().st_size < 300_000
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any("reports/sample/run.png" in line for line in first_screen)


def test_it_contains_nothing_about_the_machine_that_made_it() -> None:
    for path in SAMPLE.rglob("*"):
        if path.suffix in {".html", ".json", ".js", ".jsonl", ".parquet", ".graphql"}:
            hashes = path.read_bytes()
            assert not re.search(rb"/(tmp|home|root|usr|var|Users|work)/|sandbox-token|127\.0\.0\.1", hashes), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_its_pages_are_made_as_the_package_makes_them_now(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    scripts = {INDEX: ["index.js", "days.js", "fleet.js"], INBOX: ["inbox.js"]}.get(
        page, [] if page in WEEKS else ["run.js"]
    )
    assert style() in text and all(asset(name) in text for name in scripts), "make sample"


def test_the_files_of_the_whole_run_are_those_that_its_page_names() -> None:
    (folder,) = {path.parent for path in SAMPLE.rglob("adjustments.jsonl")}
    hashes = {one["name"]: one["sha256"] for one in json.loads((folder / "run.json").read_text())["files"]}
    page = (folder / "report.html").read_text(encoding="utf-8")
    kept = [path for path in folder.iterdir() if path.name not in {"run.json", "report.html"}]
    assert len(kept) >= 5
    for path in kept:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == hashes[path.name] and hashes[path.name] in page
