"""The report: what the page says, in which order, how safe it is, and how large."""

import base64
import hashlib
import html
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from nbformat import v4
from test_charts import NOW, orders, outcomes

from invsync import charts, report, tables
from invsync.report import remediation
from invsync.report.clean import clean
from invsync.runs.record import Record

SUMMARY: dict[str, Any] = {
    "run_id": "20261123T131500Z-ab12",
    "shop": "acme",
    "job": "hard_sync",
    "status": "partial",
    "exit_code": 4,
    "started_at": "2026-11-23T13:15:00Z",
    "finished_at": "2026-11-23T13:16:10Z",
    "window": {"from": None, "thru": "2026-11-23T13:15:00Z"},
    "counts": {
        "read": 1200,
        "selected": 1200,
        "planned": 320,
        "applied": 300,
        "already_right": 860,
        "superseded": 15,
        "refused": 3,
        "held": 21,
        "unknown": 1,
        "needs_a_person": 6,
    },
    "units": {"raised": 540, "lowered": 1310},
    "in_flight": {"orders": 14, "units": 23, "pairs": 19},
    "transport": "bulk",
    "api_version": "2026-10",
    "operation_ids": ["gid://shopify/BulkOperation/1"],
    "files": [{"name": "adjustments.jsonl", "sha256": "ab" * 32, "bytes": 44210, "lines": 2}],
    "guards": [{"name": "max_zeroed_share", "value": 0.01, "limit": 0.05, "stopped": False}],
    "locations": {"70001": "Amsterdam", "70002": "Utrecht", "70003": "Web warehouse"},
    "messages": ["2 products <b>share</b> one Shopify item."],
}
HELD = {"outcome": "held", "delta": None, "after": None}


def example(rows: int = 90) -> pl.DataFrame:
    """Outcomes of every kind over a few locations."""
    sent = [
        {
            "inventory_item_id": n,
            "sku": f"TEE-{n % 31:03d}",
            "location_id": 70001 + n % 4,
            "delta": (n * 7) % 23 - 11,
        }
        for n in range(rows)
    ]
    kinds: list[dict[str, Any]] = [
        HELD | {"reason": "untracked", "sku": "GIFT-CARD"},
        HELD | {"reason": "inactive_level", "target": 4.0, "sku": "MUG-BLUE"},
        HELD | {"reason": "inactive_level", "target": 0.0, "sku": "MUG-RED"},
        HELD | {"reason": "fractional", "sku": "ROPE-1M"},
        {
            "outcome": "refused",
            "reason": "ITEM_NOT_STOCKED_AT_LOCATION",
            "sku": "<i>CAP</i>",
            "message": "The specified inventory item is not stocked at the location.",
        },
        {"outcome": "unknown", "sku": "SOCK-2"},
        {"outcome": "superseded", "sku": "BELT-1", "delta": -2},
    ]
    kinds = [{"inventory_item_id": 9000 + n, "product_id": f"K{n}"} | kind for n, kind in enumerate(kinds)]
    right = [{"outcome": "already_right", "delta": 0, "sku": f"OK-{n}"} for n in range(3 * rows)]
    return outcomes(*sent, *kinds, *right)


def displayed(thing: Any) -> Any:
    """The output a kernel would store for this object."""
    if hasattr(thing, "_repr_mimebundle_"):
        charts.enable()
        made = thing._repr_mimebundle_()
        return v4.new_output("display_data", data=made[0] if isinstance(made, tuple) else made)
    return v4.new_output("display_data", data={"text/html": thing._repr_html_(), "text/plain": repr(thing)})


def notebook(path: Path, frame: pl.DataFrame, *extra: Any) -> Path:
    """An executed notebook as the jobs leave it."""
    names = pl.DataFrame({"location_id": [70001, 70002, 70003], "name": ["Amsterdam", "Utrecht", "Web warehouse"]})
    flights = orders((70001, 3, 4), (70001, 5, 70), (70002, 2, 3000), (70003, 9, 25), (10, 1, 400))

    def shown(*things: Any) -> Any:
        return v4.new_code_cell("secret_code()", outputs=[displayed(thing) for thing in things], execution_count=1)

    book = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Hard sync\n\nEvery pair is compared & set <script>alert(1)</script>."),
            v4.new_code_cell("shop = 'acme'", metadata={"tags": ["parameters"]}),
            shown(report.verdict(Record.of(SUMMARY))),
            v4.new_markdown_cell("## What was wrong"),
            shown(charts.variances_by_product(frame), charts.variances_by_location(frame, names)),
            shown(report.largest_variances(frame, names)),
            v4.new_markdown_cell("## Orders in flight"),
            shown(charts.in_flight(flights, NOW, names)),
            v4.new_markdown_cell("## What happened"),
            shown(charts.what_happened(frame), report.held_rows(frame, names), report.refused_rows(frame, names)),
            shown(report.files_table(Record.of(SUMMARY))),
            *extra,
        ]
    )
    path.write_text(nbformat.writes(book), encoding="utf-8")
    return path


def folder(path: Path, frame: pl.DataFrame, *extra: Any) -> Path:
    """A run's folder as the jobs leave it; its notebook."""
    path.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path / "outcomes.parquet")
    return notebook(path / "report.ipynb", frame, *extra)


def body(page: str) -> str:
    return page[page.index("<header>") :]


@pytest.fixture
def page(tmp_path: Path) -> str:
    return report.render(folder(tmp_path / "run", example()), Record.of(SUMMARY))


def test_the_verdict_stands_first_then_what_needs_a_person_then_what_changed_and_the_rest_is_folded(page: str) -> None:
    marks = [
        "6 pairs need a person.",
        "Pairs right",
        "What needs you",
        "Refused by Shopify: The specified",
        "What changed",
        "For engineers",
        "What was wrong",
        "Furthest off: TEE-",
        "Furthest off: Amsterdam",
        "Largest variances",
        "Orders in flight",
        "Already right: 270 of 367 pairs",
        "Held back",
        "Refused by Shopify, or",
        "Files of this run",
        "How the numbers were made",
    ]
    places = [body(page).index(mark) for mark in marks]
    assert places == sorted(places)
    assert page.count("iv-verdict") - page.count(".iv-verdict") == 1 and page.count('<h2 id="files">') == 1
    assert page.count('<figure class="iv-chart">') == page.count("<figcaption>") == 4


def test_the_page_is_one_file_without_code_or_outside_address(page: str) -> None:
    assert "secret_code" not in page and "shop = " not in page
    assert not re.findall(r"(?:src|href)=[\"'](?:[a-z]+:)?//", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_page_links_every_file_of_the_run_and_nothing_else(page: str) -> None:
    links = set(re.findall(r'href="([^"#]+)"', body(page)))
    assert links == {"adjustments.jsonl", "outcomes.parquet", "run.json"}


def test_only_the_pages_own_script_may_run(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1 and page.count("<script") == 2 and page.count('<script type="application/json"') == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'" in page


def test_every_text_is_escaped(page: str) -> None:
    assert "&lt;i&gt;CAP&lt;/i&gt;" in page and "<i>CAP" not in page
    assert "2 products &lt;b&gt;share&lt;/b&gt;" in page
    assert "&lt;script&gt;alert(1)" in page


def test_ids_are_unique_over_the_page(page: str) -> None:
    ids = re.findall(r"\bid=\"([^\"]+)\"", page)
    assert len(ids) == len(set(ids))
    assert all(f'id="{target}"' in page for target in re.findall(r"url\(#([^)]+)\)", page))


def test_rendering_is_quick_and_repeatable(tmp_path: Path) -> None:
    book = folder(tmp_path, example())
    first = report.render(book, Record.of(SUMMARY))
    start = time.perf_counter()
    assert report.render(book, Record.of(SUMMARY)) == first
    assert time.perf_counter() - start < 1


def test_a_hundred_thousand_pairs_fit_a_mailable_page(tmp_path: Path) -> None:
    frame = example(25_000)
    assert frame.height > 100_000
    assert len(report.render(folder(tmp_path, frame), Record.of(SUMMARY)).encode()) < 1_500_000


def test_a_failed_run_says_so_first_and_folds_the_traceback(tmp_path: Path) -> None:
    trace = v4.new_output("error", ename="ValueError", evalue="gone", traceback=["\x1b[31mValueError\x1b[0m: <gone>"])
    broken = v4.new_code_cell("read()", outputs=[trace])
    summary = SUMMARY | {
        "status": "failed",
        "exit_code": 5,
        "messages": ["HotWax could not be reached: run again."],
    }
    book = notebook(tmp_path / "r.ipynb", example(), broken, v4.new_markdown_cell("## Never reached"))
    made = report.render(book, Record.of(summary))
    shown = body(made)
    assert shown.index("The run failed") < shown.index("HotWax could not be reached") < shown.index("iv-trace")
    assert shown.index("Why it failed") < shown.index("What needs you")
    assert '<details class="iv-trace">' in made and "ValueError: &lt;gone&gt;" in made and "\x1b" not in made
    assert "Never reached" not in made


def test_an_error_that_is_one_sentence_stands_without_its_traceback(tmp_path: Path) -> None:
    trace = v4.new_output("error", ename="OmsFailed", evalue="gone", traceback=["File /somewhere/run.py"])
    summary = SUMMARY | {"status": "failed", "exit_code": 5, "messages": ["HotWax could not be reached: run again."]}
    made = report.render(
        notebook(tmp_path / "r.ipynb", example(), v4.new_code_cell("", outputs=[trace])), Record.of(summary)
    )
    assert "HotWax could not be reached" in made and "/somewhere" not in made


def test_a_run_that_failed_before_it_looked_claims_nothing(tmp_path: Path) -> None:
    blank = SUMMARY | {"status": "failed", "exit_code": 5, "counts": dict.fromkeys(SUMMARY["counts"], 0)}
    made = report.minimal(Record.of(blank))
    assert "the run ended before it could tell" in made and "Nothing: no pair" not in made
    assert made.count("<dd>\N{EN DASH}") >= 5


def test_the_page_of_a_delta_run_states_its_own_rule() -> None:
    made = report.minimal(Record.of(SUMMARY | {"job": "push-deltas"}))
    assert "own stock events that no run had sent" in made and "target = HotWax" not in made


def test_a_dead_kernel_leaves_no_empty_headings(tmp_path: Path) -> None:
    book = v4.new_notebook(
        cells=[v4.new_markdown_cell("# Job"), v4.new_code_cell("x"), v4.new_markdown_cell("## Next")]
    )
    path = tmp_path / "r.ipynb"
    path.write_text(nbformat.writes(book), encoding="utf-8")
    made = report.render(path, Record.of({"status": "failed"}))
    assert "The run failed" in made and "Next" not in made


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "cells": [{}]}'])
def test_an_unreadable_notebook_still_gives_a_page(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.ipynb"
    path.write_text(text, encoding="utf-8")
    assert "did not survive" in report.render(path, Record.of(SUMMARY))
    assert "did not survive" in report.render(tmp_path / "none.ipynb", Record.of(SUMMARY))


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"status": 3},
        {"counts": None, "files": None, "guards": 1},
        {"counts": {"held": "x"}, "messages": {"a": 1}},
        {"files": ["x", {"name": "../../etc/passwd"}, {"name": "a b.jsonl", "lines": "<x>"}]},
    ],
)
def test_a_page_stands_on_any_summary_and_never_calls_it_a_success(summary: dict[str, Any]) -> None:
    made = report.minimal(Record.of(summary))
    assert "The run failed" in made and "etc/" not in made


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        ("done", 0, "all 1,175 pairs"),
        ("partial", 4, "6 pairs need a person"),
        ("stopped", 3, "before anything was sent"),
        ("planned", 0, "320 pairs would be changed; nothing was sent"),
        ("failed", 5, "do not rely"),
    ],
)
def test_each_status_has_its_sentence_icon_and_colour(status: str, code: int, sentence: str) -> None:
    made = report.verdict(Record.of(SUMMARY | {"status": status, "exit_code": code}))
    assert sentence in html.unescape(str(made)) and sentence in repr(made)
    assert f'class="iv-verdict {status}"' in str(made) and '<svg class="iv-icon"' in str(made)


def test_a_stopped_runs_page_explains_the_stop_first(tmp_path: Path) -> None:
    guard = {"name": "max_zeroed_share", "value": 0.4, "limit": 0.05, "stopped": True}
    why = "Nothing was sent: max_zeroed_share is 0.4 against the limit 0.05; check the OMS."
    summary = SUMMARY | {"status": "stopped", "guards": [*SUMMARY["guards"], guard], "messages": [why]}
    shown = body(html.unescape(report.render(folder(tmp_path, example()), Record.of(summary))))
    marks = [
        "A guard stopped the run",
        "Why it stopped<",
        why,
        "Share of pairs that would go to zero",
        "40\N{NO-BREAK SPACE}%",
        "at most 5\N{NO-BREAK SPACE}%",
        "stopped the run</td>",
        "What to do",
        "What needs you",
    ]
    places = [shown.index(mark) for mark in marks]
    assert places == sorted(places)


def test_numbers_and_times_are_the_shops_own(tmp_path: Path) -> None:
    made = report.render(folder(tmp_path, example()), Record.of(SUMMARY), timezone="Europe/Amsterdam", locale="nl")
    assert "1.175" in made and "23 nov 2026, 14:15 CET" in made


def test_only_faults_need_a_person() -> None:
    assert report.needs_a_person(example()) == 4  # inactive with a target, fractional, refused, unknown
    assert report.needs_a_person(tables.empty(tables.OUTCOMES)) == 0


def test_each_class_of_fault_has_its_count_remedy_and_examples(page: str) -> None:
    needs = remediation.needs(
        outcomes(
            *[
                {"outcome": "refused", "reason": "INVALID_INVENTORY_ITEM", "message": "Gone.", "sku": f"S{n}"}
                for n in range(5)
            ],
            HELD | {"reason": "bundle"},
        )
    )
    assert [(one.what, one.pairs, len(one.examples)) for one in needs] == [("Refused by Shopify: Gone.", 5, 3)]
    assert "remove its link in HotWax" in needs[0].remedy and str(needs[0].examples[0]) == "S0 at Location 10"


def test_held_rows_say_why_and_what_to_do_faults_first() -> None:
    made = str(report.held_rows(example()))
    assert made.index("MUG-BLUE") < made.index("GIFT-CARD")
    assert "Not tracked in Shopify" in made and "to a whole number" in made


def test_refused_rows_keep_shopifys_words() -> None:
    assert "The specified inventory item is not stocked at the location." in str(report.refused_rows(example()))


def test_tables_are_capped_and_link_to_the_rest() -> None:
    frame = outcomes(*[{"delta": n} for n in range(1, 1001)])
    made = str(report.largest_variances(frame, limit=5000))
    assert made.count("<tr>") == 201 and "200 of 1,000 rows" in made and 'href="outcomes.parquet"' in made


@pytest.mark.parametrize("show", [report.largest_variances, report.held_rows, report.refused_rows])
def test_an_empty_table_is_a_sentence(show: Any) -> None:
    assert re.fullmatch(r'<p class="iv-none">[^<]+\.</p>', str(show(tables.empty(tables.OUTCOMES))))


@pytest.mark.parametrize("show", [report.largest_variances, report.held_rows, report.refused_rows])
def test_a_rehearsal_shows_the_same_tables(show: Any) -> None:
    assert show(example().select(list(tables.VARIANCES)))


def test_foreign_html_is_made_harmless(tmp_path: Path) -> None:
    evil = (
        '<div onclick="x()"><script src="https://e.example/x.js">1</script><img src=x onerror=y>'
        '<a href="javascript:alert(1)">a</a><a href="//e.example">b</a><a href="https://e.example">c</a>'
        '<a href="plan.parquet">d</a><style>@import "https://e.example"</style>'
        '<iframe src="//e"></iframe><p>kept'
    )
    svg = '<svg><script>1</script><g onload="x()"><a href="https://e.example"><text>t</text></a></g></svg>'
    cell = v4.new_code_cell(
        "",
        outputs=[
            v4.new_output("display_data", data={"text/html": evil}),
            v4.new_output("display_data", data={"image/svg+xml": svg, "text/plain": "s"}),
            v4.new_output("stream", name="stdout", text="<log>"),
        ],
    )
    made = report.render(notebook(tmp_path / "r.ipynb", example(), cell), Record.of(SUMMARY))
    shown = body(made)
    assert "e.example" not in shown and "javascript:" not in shown and "onclick" not in shown and "onload" not in shown
    assert 'href="plan.parquet"' in shown and "<p>kept</p>" in shown and "&lt;log&gt;" in shown


@pytest.mark.parametrize(
    ("fragment", "kept"),
    [
        ('<a href="../../other/run.json">up</a>', "<a>up</a>"),
        ('<a href="/etc/passwd">root</a><a href="java\nscript:x()">act</a>', "<a>root</a><a>act</a>"),
        ('<p tabindex="3" aria-label="x" style="position:fixed" data-x="1">text', '<p aria-label="x">text</p>'),
        ('<noscript><p title="</noscript><img src=x onerror=x()>">', '"&gt;'),
        ('<svg><style><img src=x onerror=x()></style></svg><math href="x">y</math>z', "z"),
        ("<custom>a < b & c</custom>", "a &lt; b &amp; c"),
        ('<table><tr><td colspan="2">cell', '<table><tbody><tr><td colspan="2">cell</td></tr></tbody></table>'),
    ],
)
def test_only_known_tags_attributes_and_links_of_the_folder_stay(fragment: str, kept: str) -> None:
    assert clean(fragment) == kept


@pytest.mark.parametrize("form", ["{}", "x={};", '"{}"'])
def test_leaks_names_a_secret_and_never_repeats_it(form: str) -> None:
    value = 'tok/en"&+0123456789'
    assert report.leaks(form.format(value), {"ACME_TOKEN": value}) == ["ACME_TOKEN"]
    assert report.leaks(form.format(html.escape(value)), [value]) == ["secret 1"]
    assert report.leaks(form.format("tok%2Fen%22%26%2B0123456789"), [value]) == ["secret 1"]
    assert report.leaks("nothing", {"ACME_TOKEN": value, "UNSET": ""}) == []


def test_leaks_knows_a_shopify_token_by_its_shape() -> None:
    assert report.leaks("X: shpat_" + "0a" * 16, []) == ["a Shopify access token"]


def test_leaks_finds_a_basic_authorization() -> None:
    assert report.leaks("Basic " + base64.b64encode(b"hotwax:pass-word-1").decode(), {"OMS": "pass-word-1"}) == ["OMS"]


def test_a_number_that_is_none_is_shown_as_it_stands() -> None:
    made = str(report.largest_variances(outcomes({"oms": float("nan"), "target": 2.5}, {"oms": None})))
    assert "nan" in made and ">2.5<" in made and "\N{EN DASH}" in made


def test_a_rehearsals_page_links_to_the_plan_that_it_left(tmp_path: Path) -> None:
    book = folder(tmp_path, example().with_columns(outcome=pl.lit("planned")))
    (tmp_path / "outcomes.parquet").rename(tmp_path / "plan.parquet")
    made = report.render(book, Record.of(SUMMARY | {"status": "planned", "exit_code": 0}))
    assert set(re.findall(r'href="([^"#]+)"', body(made))) == {"adjustments.jsonl", "plan.parquet", "run.json"}


def test_a_rehearsal_links_to_its_plan() -> None:
    made = str(report.largest_variances(example().select(list(tables.VARIANCES))))
    assert 'href="plan.parquet"' in made and "outcomes.parquet" not in made


def test_each_order_in_flight_is_listed_with_its_reason_oldest_first() -> None:
    rows = [
        (None, "not visible yet", None, 1, 7, 3, "not visible yet"),
        (9, "#9", NOW, 1, 7, 2, "edited after import"),
        (8, "#8", NOW - timedelta(hours=2), 1, 7, 1, "not imported"),
        (8, "#8", NOW - timedelta(hours=2), 2, 7, 4, "not imported"),
    ]
    in_flight = pl.DataFrame(rows, schema=tables.IN_FLIGHT, orient="row")

    page = report.orders_in_flight(in_flight, pl.DataFrame({"location_id": [7], "name": ["Online"]})).markup

    assert page.index("#8") < page.index("#9") < page.index("not visible yet")
    assert page.count("not imported") == 1 and page.count("<td") == 15 and "parquet" not in page


def test_a_run_leads_to_the_run_before_it_and_through_the_index_to_the_one_after(tmp_path: Path) -> None:
    shop = tmp_path / "acme" / "hard-sync"
    first, lost, last = (folder(shop / name, example()).parent for name in ("20261121T1", "20261122T1", "20261123T1"))
    (first / "report.html").write_text("the first")
    assert lost.exists() and "<nav" in report.render(last / "report.ipynb", Record.of(SUMMARY))
    for name in ("index.html", "inbox.html"):
        (tmp_path / name).write_text("")
    nav = re.search(r"<nav.*?</nav>", report.render(last / "report.ipynb", Record.of(SUMMARY)))
    assert nav and re.findall(r'href="([^"]+)">([^<]+)<', nav[0]) == [
        ("../../../index.html", "All runs"),
        ("../../../inbox.html", "Inbox"),
        ("../20261121T1/report.html", "Previous run"),
        ("../../../index.html#next=acme/hard-sync/20261123T1", "Next run"),
    ]
