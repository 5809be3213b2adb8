"""The sample is current: made again, it is the same but for ids, hashes and durations."""

import re
import runpy
from pathlib import Path

from test_sample import SAMPLE

VOLATILE = [
    (r"(\d{8}T\d{6}Z)-[0-9a-f]{4}", r"\1"),  # run ids
    (r"\b[0-9a-f]{64}\b", "hash"),
    (r", took [^<]{1,12} (s|min)\b", ""),
    (r'<td class="n">[\d,]+</td><td><code', '<td class="n">bytes</td><td><code'),
    (r'<script type="application/json" id="pairs">.*?</script>', ""),  # gzip
    (r'"seconds": ?\[[^\]]*\]', ""),
    (r"(\d{4}-\d\d-\d\dT\d\d:\d\d):\d\d(\.\d+)?Z", r"\1"),
    (r",1\d{9}\]", ""),  # seconds of a run in a story
    (r'"t": ?\[[^\]]*\]|data-t="\d+"', ""),
]


def stable_pages(root: Path) -> dict[str, str]:
    """The pages and scripts of a sample by name, without what differs from one making to the next."""
    pages = {}
    for path in [*root.rglob("*.html"), *root.rglob("_site/*.js")]:
        name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
        for pattern, instead in VOLATILE:
            name, text = re.sub(pattern, instead, name), re.sub(pattern, instead, text, flags=re.DOTALL)
        pages[name] = text
    return pages


def test_making_it_again_changes_nothing_that_a_reader_sees(tmp_path: Path) -> None:
    runpy.run_path(str(SAMPLE / "make.py"))["make"](tmp_path)
    before, after = stable_pages(SAMPLE), stable_pages(tmp_path)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == [], "make sample"
