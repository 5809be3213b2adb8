"""Texts that break what is careless with them: a run is never failed by one, and whatever it writes can be read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal import HARD, START, Rehearsal
from typer.testing import CliRunner

from invsync import explain
from invsync.cli import app
from invsync.jobs import launch

ODD = {
    "line separator": "\u2028724812-22",
    "paragraph separator": "a\u2029b",
    "turned": "abc\u202etxt.exe",
    "isolated": "\u2066\u2067x\u2069",
    "script": "</script><script>alert(1)</script>",
    "comment": "<!--<script>",
    "backtick": "`${alert(1)}`",
    "quotes": "\"'\\",
    "emoji": "\U0001f9e6 sock \U0001f469\u200d\U0001f467",
    "long": "x" * 3000,
    "control": "a\x01b\x1b[31mc\x7f",
    "newline": "one\ntwo\r\nthree\tfour",
    "blank": " ",
    "byte order mark": "\ufeffBOM",
    "json": '{"a": [1]}',
    "vega": "datum['x'] | {{x}}",
    "half a pair": "half \ud83d",
    "nothing": "a\0b",
}
ENGINES = ["inprocess", "kernel"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def odd(rehearsal: Rehearsal) -> Iterator[Rehearsal]:
    """A world whose SKUs, titles, locations, facilities and orders all have odd names."""
    for item, text in enumerate(ODD.values(), start=1):
        kept = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\x02")
        rehearsal.product(item, kept, oms=10, available=item + 1)
        rehearsal.shop.place_order(1000 + item, f"#{text}", START, [(item, 1)], 7)
    for number, text in enumerate(ODD.values(), start=101):
        rehearsal.shop.add_location(number, text)
    rehearsal.oms.add_facility("ODD", "".join(list(ODD.values())[:9]), type="RETAIL_STORE")
    rehearsal.oms.map_location("ODD", 101)
    rehearsal.oms.set_stock("P1", "ODD", 5, START)
    rehearsal.shop.set_level(1, 101, 2)
    yield rehearsal


def test_a_world_of_odd_texts_is_kept_right(odd: Rehearsal, engine: str, tmp_path: Path) -> None:
    facts = launch.run(HARD, {"shop": "demo", "config": str(odd.config), "at": START.isoformat()}, engine=engine)

    folder = odd.folder(facts)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (facts["status"], facts["exit_code"]) == ("done", 0), facts["messages"]
    assert odd.available(*range(1, len(ODD) + 1)) == [14] + [9] * (len(ODD) - 1)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["counts"] == facts["counts"]
    assert len([json.loads(line) for line in (folder / "adjustments.jsonl").open()]) == 1
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", page)
    assert "<script>alert(1)" not in page and page.count("iv-chart") >= 4, facts["messages"]


def test_what_is_built_from_such_runs_can_be_read(odd: Rehearsal) -> None:
    odd.run(job=HARD)
    typed = CliRunner()
    config = ["--config", str(odd.config)]

    for words in (["reports", "build"], ["reports", "week", "--shop", "demo"], ["doctor", "--shop", "demo"]):
        done = typed.invoke(app, [*words, *config])
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
        assert done.exit_code in (0, 4), done.output
    texts = [path.read_text(encoding="utf-8") for path in (odd.config.parent / "reports").rglob("*.html")]
    assert len(texts) >= 3 and not any("<script>alert(1)" in text for text in texts)


def test_one_number_of_each_odd_sku_is_taken_apart(odd: Rehearsal) -> None:
    skus = [text for name, text in ODD.items() if name not in ("half a pair", "nothing")]
    explained = [explain.explain("demo", sku, str(odd.config), location=7) for sku in skus]

    assert all(repr(level).encode() for level in explained)
    assert json.loads(json.dumps([level.to_dict() for level in explained], default=str))
