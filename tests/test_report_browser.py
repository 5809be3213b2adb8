"""The report as a reader sees it: headless Chromium, offline, wide, narrow, dark and printed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_report import SUMMARY, example, notebook

from invsync import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
OFFLINE = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=3000",
]  # fmt: skip


def browse(page: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Chromium's answer for the page, opened as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), *OFFLINE, f"--user-data-dir={folder / 'profile'}", *options]
    address = (folder / "report.html").as_uri()
    return subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report.render(notebook(tmp_path_factory.mktemp("book") / "report.ipynb", example()), SUMMARY)


def test_the_browser_draws_every_chart_and_asks_nobody(page: str, tmp_path: Path) -> None:
    seen = browse(page, tmp_path, "--dump-dom")
    assert seen.stdout.count("<svg") == seen.stdout.count('class="iv-view"') == 4
    assert 'class="iv-tip"' in seen.stdout, "the page's own script ran under its policy"
    assert not re.findall(r"\b(?:src|href)=[\"']?(?:[a-z]+:)?//", seen.stdout)
    assert "Refused to" not in seen.stderr and "violates the following" not in seen.stderr


def test_a_foreign_script_is_stopped_by_the_policy(page: str, tmp_path: Path) -> None:
    added = page.replace("</body>", "<script>document.title='owned'</script></body>")
    seen = browse(added, tmp_path, "--dump-dom")
    assert "<title>owned" not in seen.stdout


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(page: str, tmp_path: Path, width: int) -> None:
    frame = f'<iframe id="f" srcdoc="" style="width:{width}px;height:3000px;border:0"></iframe>'
    inner = re.sub(r"<meta http-equiv[^>]+>", "", page)
    script = (
        "const f=document.getElementById('f');f.srcdoc=document.getElementById('p').textContent;"
        "f.onload=()=>{document.title='w'+f.contentDocument.documentElement.scrollWidth}"
    )
    held = inner.replace("</script", "<\\/script")
    outer = f'<html><title>-</title><body>{frame}<script type="text/plain" id="p">{held}</script>'
    seen = browse(outer + f"<script>{script}</script></body></html>", tmp_path, "--dump-dom", "--window-size=1400,900")
    assert f"<title>w{width}</title>" in seen.stdout


def test_a_reader_gets_a_picture_wide_and_dark_and_a_printed_page(page: str, tmp_path: Path) -> None:
    for name, options in {
        "wide": ["--window-size=1280,3600"],
        "dark": ["--window-size=1280,3600", "--blink-settings=preferredColorScheme=0"],
    }.items():
        browse(page, tmp_path / name, f"--screenshot={tmp_path / name}.png", *options)
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
    browse(page, tmp_path / "paper", f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
