"""The index: what it says of each shop, what it rewrites, and how large it grows."""

import html
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import polars as pl
import pytest
from runfolders import GONE, NOW, leave, leave_many
from test_charts import outcomes
from typer.testing import CliRunner

from invsync.charts import Reader
from invsync.cli import app
from invsync.site import history, index, server, shards

READERS = {"acme": Reader("nl", "Europe/Amsterdam")}
CONFIG = """
[reports]
path = "{root}"
[shops.acme]
domain = "acme.myshopify.com"
token_env = "ACME_TOKEN"
timezone = "Europe/Amsterdam"
[shops.acme.oms]
url = "sqlite://"
shop_id = "ACME"
"""


def data(root: Path) -> dict[str, Any]:
    text = (root / "index.html").read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert match
    return dict(json.loads(match[1]))


def said(root: Path) -> str:
    return html.unescape((root / "index.html").read_text(encoding="utf-8"))


def test_it_says_which_shop_needs_a_person_and_puts_it_first(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}), shop="acme")
    leave(tmp_path, outcomes(GONE), shop="birch", status="partial")
    index.build(tmp_path, READERS)
    text = said(tmp_path)
    assert "<span>1 of 2 products is right; 1 needs you, at birch.</span>" in text
    assert text.index('data-name="birch"') < text.index('data-name="acme"')


def test_a_shop_is_right_only_if_no_fault_is_open_and_its_last_runs_ended_well(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(GONE), status="partial")
    leave(tmp_path, outcomes({"sku": "B", "inventory_item_id": 2, "product_id": "P2"}), at=NOW + timedelta(minutes=15))
    index.build(tmp_path, READERS)
    assert "1 of 2 products is right; 1 needs you." in said(tmp_path), (
        "the next run did not look at the pair that is wrong"
    )
    leave(tmp_path, outcomes({}), at=NOW + timedelta(minutes=30))
    index.build(tmp_path, READERS)
    assert "Shopify is right for all 2 products." in said(tmp_path)
    leave(tmp_path, outcomes({}).clear(), at=NOW, job="hard-sync", status="failed")
    index.build(tmp_path, READERS)
    assert "The last hard sync of acme failed." in said(tmp_path), "the last hard sync failed, whatever other jobs say"
    for shop in ("bolt", "cask"):
        leave(tmp_path, outcomes({}).clear(), at=NOW, shop=shop, status="failed")
    index.build(tmp_path, READERS)
    assert "The last runs of acme, bolt and cask failed." in said(tmp_path)


def test_a_day_is_the_shops_own_day(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"in_flight": 4}), at=NOW.replace(hour=23, minute=30))
    index.build(tmp_path, READERS)
    assert data(tmp_path)["days"]["day"] == ["2026-11-24"] and data(tmp_path)["days"]["in_flight"] == [4]


def test_a_second_build_writes_nothing(tmp_path: Path) -> None:
    leave_many(tmp_path, 40)
    first, second = index.build(tmp_path, READERS), index.build(tmp_path, READERS)
    assert (first.fresh, second.fresh, second.written) == (40, 0, 0)


def test_one_more_run_rewrites_only_the_files_that_mention_it(tmp_path: Path) -> None:
    many = [{"sku": f"S{n}", "inventory_item_id": n, "product_id": f"P{n}"} for n in range(600)]
    leave(tmp_path, outcomes(*many))
    index.build(tmp_path, READERS)
    leave(tmp_path, outcomes(many[7]), at=NOW + timedelta(minutes=15))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "_site").glob("*.js")}
    built = index.build(tmp_path, READERS)
    changed = {path.name for path, stamp in before.items() if path.stat().st_mtime_ns != stamp}
    place = shards.shard("S7", shards.count(600))
    assert changed == {f"items-{place}.js", "runs-2026-11.js"}
    assert built.written == 4, "and the two pages"


def test_a_build_after_runs_were_removed_equals_a_first_build(tmp_path: Path) -> None:
    leave_many(tmp_path / "a", 30)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    index.build(tmp_path / "a", READERS)
    for root in (tmp_path / "a", tmp_path / "b"):
        for folder in sorted((root / "birch" / "upload-recent-changes").iterdir())[-3:]:
            shutil.rmtree(folder)
        index.build(root, READERS)
    assert data(tmp_path / "a") == data(tmp_path / "b")


def test_the_story_of_an_item_is_in_the_file_that_its_name_leads_to(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({"sku": "Tee-Ü1", "delta": -2}))
    index.build(tmp_path, READERS)
    place = shards.shard("TEE-ü1", data(tmp_path)["shards"])
    text = (tmp_path / "_site" / f"items-{place}.js").read_text(encoding="utf-8")
    assert text.startswith(f"invsync.items({place},{{") and '"tee-ü1"' in text and "Sent and confirmed" in text


def test_the_page_is_small_and_a_page_of_strange_names_is_safe(tmp_path: Path) -> None:
    strange = "</script><b>\u2028"
    leave(tmp_path, outcomes({"sku": strange}), shop="acme", locations={"10": strange})
    index.build(tmp_path, READERS)
    assert said(tmp_path).count("</script>") == 4 and data(tmp_path)["shops"][0]["places"] == {"10": strange}


def test_a_thousand_runs_make_a_page_below_a_megabyte(tmp_path: Path) -> None:
    leave_many(tmp_path, 1000, rows=4)
    index.build(tmp_path, READERS)
    assert (tmp_path / "index.html").stat().st_size < 300_000
    assert data(tmp_path)["total"] == 1000 == len(data(tmp_path)["runs"]["run_id"])


def test_older_runs_are_listed_by_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "INLINE", 5)
    for months in range(8):
        leave(tmp_path, outcomes({}), at=NOW - timedelta(days=31 * months))
    index.build(tmp_path, READERS)
    assert len(data(tmp_path)["months"]) == 3
    assert all((tmp_path / "_site" / f"runs-{month}.js").exists() for month in data(tmp_path)["months"])


def test_the_command_builds_it_and_an_empty_folder_has_a_page_too(tmp_path: Path) -> None:
    config = tmp_path / "invsync.toml"
    config.write_text(CONFIG.format(root=tmp_path / "reports"))
    done = CliRunner().invoke(app, ["reports", "build", "--config", str(config)])
    assert done.exit_code == 0 and "0 runs" in done.stdout
    assert "No run has left a report here yet." in said(tmp_path / "reports")


def test_the_command_serves_it_on_loopback_until_interrupted(tmp_path: Path) -> None:
    config = tmp_path / "invsync.toml"
    config.write_text(CONFIG.format(root=tmp_path / "reports"))
    leave(tmp_path / "reports", outcomes({}))
    words = [sys.executable, "-u", "-m", "invsync.cli", "reports", "serve", "--port", "0", "--config", str(config)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout
        address = served.stdout.readline().split()[2]
        assert address.startswith("http://127.0.0.1:")
        with urlopen(address) as answer:
            assert (
                "acme is late: a job has missed two of its times." in answer.read().decode()
                and answer.headers["Cache-Control"] == "no-cache"
            )
        served.send_signal(signal.SIGINT)
        assert served.wait(30) == 0


def test_an_index_that_cannot_be_updated_is_updated_the_next_time(capsys: pytest.CaptureFixture[str]) -> None:
    ends: list[OSError | None] = [OSError("no space left"), None]
    done = threading.Event()

    def update() -> None:
        if not ends:
            done.set()
        elif error := ends.pop(0):
            raise error

    stop = server.repeat(update, 0.01)

    assert done.wait(10) and "no space left" in capsys.readouterr().err
    stop.set()


def test_the_history_stays_when_only_the_page_is_lost(tmp_path: Path) -> None:
    leave(tmp_path, outcomes({}))
    index.build(tmp_path, READERS)
    (tmp_path / "index.html").unlink()
    assert index.build(tmp_path, READERS).fresh == 0 and (tmp_path / "index.html").exists()
    assert history.load(tmp_path / "_site" / "state").runs.height == 1


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{}], "Shopify is right for the one product."),
        ([GONE], "0 of 1 products are right; 1 needs you."),
        ([GONE, {"product_id": "P2", "inventory_item_id": 2}], "1 of 2 products is right; 1 needs you."),
    ],
)
def test_the_first_sentence_counts_products(tmp_path: Path, rows: list[dict[str, Any]], sentence: str) -> None:
    leave(tmp_path, outcomes(*rows), status="partial" if GONE in rows else "done")
    index.build(tmp_path, READERS)
    assert f"<span>{sentence}</span>" in said(tmp_path)


def test_a_run_whose_every_fault_was_mended_since_asks_for_nobody(tmp_path: Path) -> None:
    leave(tmp_path, outcomes(GONE), job="hard-sync", status="partial", counts={"needs_a_person": 1})
    leave(tmp_path, outcomes({}), at=NOW + timedelta(minutes=15))
    index.build(tmp_path, READERS)
    assert "Shopify is right for the one product." in said(tmp_path)
    leave(
        tmp_path,
        outcomes({}),
        at=NOW + timedelta(minutes=30),
        job="hard-sync",
        status="partial",
        counts={"needs_a_person": 1},
    )
    index.build(tmp_path, READERS)
    assert "The last run of acme needs a look" in said(tmp_path), "its message is about no pair"


def test_the_tiles_lead_on_and_draw_fourteen_days(tmp_path: Path) -> None:
    for day in (20, 13, 1, 0):
        leave(tmp_path, outcomes({"delta": 5}), at=NOW - timedelta(days=day))
    index.build(tmp_path, READERS)
    tiles = re.findall(
        r'<li[^>]*><a href="([^"]+)"><span class="iv-name">(.*?)</span> <strong>(.*?)</strong>', said(tmp_path)
    )
    run = f"acme/upload-recent-changes/{NOW:%Y%m%dT%H%M%SZ}-0000/report.html"
    assert tiles == [
        ("inbox.html", "Products that need you", "0"),
        (run, "Runs that finished", "3"),
        (run, "Units put right", "15"),
        (run, "Sold units kept off sale", "0"),
    ]
    bars = re.findall(r"<title>(.*?): (\d+) units?</title>", said(tmp_path))[:14]
    assert [int(units) for _, units in bars] == [5, *[0] * 11, 5, 5]


def test_titles_are_beside_the_skus_that_one_searches(tmp_path: Path) -> None:
    frame = outcomes({"sku": "B"}, {"sku": "A", "inventory_item_id": 2})
    leave(tmp_path, frame.with_columns(title=pl.Series(["Mug", None])))
    index.build(tmp_path, READERS)
    assert (tmp_path / "_site" / "names.js").read_text() == 'invsync.names(["A","B"],[null,"Mug"])\n'
