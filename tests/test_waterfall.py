"""The steps of a level add up to its target, wherever they are shown; a system that does not answer is not waited for."""

import html
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import polars as pl
import pytest
from browsing import EVERYWHERE, chromium, needs_chromium, opened
from rehearsal import HARD, ONLINE, START, STORE, TOKEN, Rehearsal, of_shop
from typer.testing import CliRunner

from invsync import charts, oms, web
from invsync.charts import level as drawn
from invsync.cli import app
from invsync.config.settings import OmsSettings, ShopSettings, load
from invsync.errors import OmsFailed, ShopifyFailed, UsageError
from invsync.explain import (
    Explanation,
    Facility,
    OnlineTerms,
    OrderInFlight,
    Stock,
    answering,
    drawing,
    explain,
    explain_in,
)
from invsync.explain.bars import number
from invsync.explain.waterfall import MOST_ORDERS, steps
from invsync.oms.sql import ping
from invsync.sandbox.shop import Product

PARASOL = Product(71, "Paper Parasol", "Acme Supply", "Parasols", "Home & Garden > Decor", "https://cdn.example/71.jpg")
BAR = re.compile(r"  (\D.*?)  +([+\u2212]?[\d,]+)  ( *[#-]+)$")
SECRET = "planted-password-0123456789"


def flying(*units: int) -> tuple[OrderInFlight, ...]:
    return tuple(OrderInFlight(n, f"#{n}", START, one, "not imported") for n, one in enumerate(units, 1001))


def facility(name: str, units: float, *, counts: bool | None = True) -> Facility:
    return Facility(name, units, 0.0, units, "Y", START, counts)


@pytest.fixture
def level(rehearsal: Rehearsal) -> Explanation:
    """A level with every kind of term, two runs behind it, and two units too few in Shopify."""
    now = datetime.now(UTC)
    of_shop(rehearsal.config, "buffer = { units = 2 }", "guards = { max_changed_share = 1 }", 'locale = "en-GB"')
    rehearsal.store()
    rehearsal.product(1, "A", oms=1240, available=1200, product=PARASOL, variant_title="Pink", price="2.95")
    rehearsal.oms.set_stock("P1", "ST", 5, START, minimum_stock=2)
    rehearsal.oms.import_order("O1", 900, [("P1", 3)], START)
    rehearsal.shop.place_order(1001, "#1001", now - timedelta(minutes=40), [(1, 4)], ONLINE)
    rehearsal.run(now, HARD)
    rehearsal.shop.place_order(1002, "#1002", now - timedelta(minutes=20), [(1, 1)], ONLINE)
    rehearsal.run(now, HARD)
    rehearsal.shop.clock = lambda: now - timedelta(minutes=10)
    rehearsal.shop.set_level(1, ONLINE, 1228)
    return explain("demo", "A", str(rehearsal.config))


# -- the steps


def test_the_steps_of_an_aggregate_pair_add_up_to_its_target(level: Explanation) -> None:
    assert [(step.label, step.units) for step in level.steps] == [
        ("ST", 3),
        ("Warehouse (WH)", 1240),
        ("Brokering queue", -3),
        ("Order #1001", -4),
        ("Order #1002", -1),
        ("Buffer", -2),
    ]
    assert sum(step.units for step in level.steps) == level.steps[-1].after == level.target == 1233


def test_the_steps_of_a_physical_pair_add_up_to_its_target(rehearsal: Rehearsal) -> None:
    rehearsal.store()
    rehearsal.product(1, "A", oms=20, available=17)
    rehearsal.oms.set_stock("P1", "ST", 9, START, minimum_stock=2)
    rehearsal.shop.set_level(1, STORE, 5)
    rehearsal.shop.place_order(1001, "#1001", datetime.now(UTC) - timedelta(minutes=5), [(1, 4)], STORE)

    level = explain("demo", "A", str(rehearsal.config), location=STORE)

    assert [(step.label, step.units) for step in level.steps] == [("ST", 7), ("Order #1001", -4)]
    assert level.mode == "physical" and level.target == 3


def test_the_steps_of_a_closed_channel_end_at_nothing(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=20, available=20)
    rehearsal.oms.add_facility("CFG", "Channel", type="CONFIGURATION")
    rehearsal.oms.set_stock("P1", "CFG", 0, START, minimum_stock=4, allow_brokering="N")

    level = explain("demo", "A", str(rehearsal.config))

    assert level.oms.online is not None and level.oms.online.closed and level.target == 0
    assert [(step.label, step.units) for step in level.steps] == [
        ("Warehouse (WH)", 20),
        ("Threshold", -4),
        ("Channel closed: none sold online", -16),
    ]


@pytest.mark.parametrize(
    ("stock", "orders", "set_aside", "buffer", "target", "last"),
    [
        (Stock(7, (facility("A", 9), facility("B", 9, counts=False)), OnlineTerms(9, 2, 0, False)), (2,), 0, 9, 0, -5),
        (Stock(0, (facility("A", 2),), OnlineTerms(2, 0, 7, False)), (), 0, 3, -3, -3),
        (Stock(0, (facility("A", 2),), OnlineTerms(2, 0, 0, False)), (), 0, 0, 0, -2),
        (Stock(6.5, (facility("A", 6.5, counts=None),)), (), 2, 1, 3, -0.5),
        (Stock(-4, (facility("A", -4, counts=None),)), (3,), 0, 2, -7, -3),
        (Stock(12), (1,) * 14, 0, 0, -2, -5),
        (Stock(0), (), 0, 0, 0, 0),
    ],
    ids=["buffer only down to 0", "debt", "below zero on hand", "fraction", "negative", "many orders", "nothing"],
)
def test_every_rule_of_the_equation_is_a_step(
    stock: Stock, orders: tuple[int, ...], set_aside: int, buffer: int, target: float, last: float
) -> None:
    made = steps(stock, flying(*orders), set_aside=set_aside, buffer=buffer, target=target)

    assert sum(step.units for step in made) == made[-1].after == target and made[-1].units == last
    assert [step.after for step in made] == [sum(one.units for one in made[: n + 1]) for n in range(len(made))]
    assert sum("rder" in step.label for step in made) <= MOST_ORDERS


def test_a_target_that_is_not_known_has_no_steps() -> None:
    assert steps(Stock(None), (), set_aside=0, buffer=0, target=None) == ()
    assert steps(Stock(float("nan")), (), set_aside=0, buffer=0, target=0) == ()


# -- where they are shown


def test_the_page_the_terminal_and_the_notebook_show_the_same_numbers(level: Explanation, rehearsal: Rehearsal) -> None:
    file = rehearsal.config.parent / "level.html"
    drawing.write(level, file, load(rehearsal.config).shop("demo"))
    made = html.unescape(file.read_text(encoding="utf-8"))
    labels = re.findall(r'aria-label="([^";]+); ([^";]+)', made)
    drawn = dict(labels)
    typed = {label: text for label, text, _ in map(re.Match.groups, filter(None, map(BAR.match, level.lines)))}

    expected = {step.label: number(step.units, signed=True) for step in level.steps}
    expected |= {"Should show": "1,233", "Shopify shows": "1,228"}
    assert {label: drawn[label] for label in expected} == expected == typed
    finding = "Shopify shows 1,228, 5 too few: it should show 1,233"
    assert finding in made and finding in repr(level) and finding in level._repr_html_()
    assert "Paper Parasol, Pink" in made and "Paper Parasol, Pink (A) at Online (location 7)" in level.lines[0]


def test_the_levels_history_marks_runs_and_orders(level: Explanation) -> None:
    first, second = level.levels
    assert (first.available, first.left, second.available) == (1196, 1234, 1233)
    assert [order.name for order in level.orders] == ["#1001", "#1002"]

    spec = drawing.levels(level).to_dict()
    marks = next(rows for rows in spec["datasets"].values() if "kind" in rows[0])
    assert [mark["kind"] for mark in marks] == ["Run that changed it", "Run that left it", "Now", *["Order placed"] * 2]
    assert spec["title"] == "On sale: 1,196 to 1,234 units; 1 of 2 runs changed it"
    text = repr(level)
    assert "hard-sync +38" in text and f"{number(-1)}  order #1002" in text


def test_only_classes_that_occur_are_in_a_charts_legend() -> None:
    looks = pl.DataFrame([(START, 4, 4, "hard-sync")], schema=drawn.LOOKS, orient="row")
    spec = drawn.levels(looks, pl.DataFrame(schema=drawn.PLACED)).to_dict()

    assert spec["layer"][1]["encoding"]["color"]["scale"]["domain"] == ["Run that left it"]
    assert drawn.levels(looks.clear(), pl.DataFrame(schema=drawn.PLACED)).to_dict()["usermeta"] == {"sentence": True}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_bars_are_as_wide_as_the_terminal_and_plain(level: Explanation, width: int) -> None:
    bars = [line for line in level.text(width).splitlines() if BAR.match(line)]

    assert len(bars) == 8 and max(map(len, bars)) <= width
    assert not re.search(r"[^\x20-\x7e\u2212]", "".join(bars))


def test_the_command_writes_the_page_and_prints_no_colour(level: Explanation, rehearsal: Rehearsal) -> None:
    file = rehearsal.config.parent / "level.html"
    words = ["explain", "--shop", "demo", "--sku", "A", "--config", str(rehearsal.config)]
    done = CliRunner().invoke(app, [*words, "--html", str(file)], env={"COLUMNS": "100"})

    assert done.exit_code == 0 and "\x1b" not in done.output and f"Page: {file}" in done.output
    assert file.read_text().count("<svg") >= 4 and "http-equiv" in file.read_text() and TOKEN not in file.read_text()
    as_json = json.loads(CliRunner().invoke(app, [*words, "--json", "--html", str(file)]).output)
    assert sum(step["units"] for step in as_json["steps"]) == as_json["target"]
    with pytest.raises(UsageError, match="cannot be written"):
        drawing.write(level, file / "none.html", load(rehearsal.config).shop("demo"))


@needs_chromium
def test_the_page_reads_on_a_desk_and_a_phone_in_light_and_dark(level: Explanation, rehearsal: Rehearsal) -> None:
    file = rehearsal.config.parent / "level.html"
    drawing.write(level, file, load(rehearsal.config).shop("demo"))
    with chromium() as browser:
        for width, scheme in EVERYWHERE:
            with opened(browser, file, width=width, scheme=scheme) as visit:
                assert visit.faults() == [] and visit.complaints == [] and visit.sideways() <= 0
                assert visit.asked == [file.resolve().as_uri()]
                assert visit.marks() == [8 + 3, 5 + 4]  # with their titles, axes and legend
                visit.page.hover(".iv-view [aria-label*='order #1002'] >> visible=true")
                assert "order #1002" in visit.page.inner_text(".iv-tip")


# -- a system that does not answer


@contextmanager
def mute() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


def unplug(rehearsal: Rehearsal, system: str, port: int) -> None:
    """The configuration with this system at another port."""
    text = rehearsal.config.read_text()
    if system == "Shopify":
        text = re.sub(r'endpoint = "[^"]+"', f'endpoint = "http://127.0.0.1:{port}"', text)
    else:
        text = re.sub(r'url = "sqlite[^"]+oms.db"', f'url = "{system}://reader:{SECRET}@127.0.0.1:{port}/hotwax"', text)
    rehearsal.config.write_text(text)


@pytest.mark.parametrize("server", [mute, refusing])
@pytest.mark.parametrize("system", ["Shopify", "mysql", "postgresql"])
def test_the_last_run_is_shown_within_two_seconds(
    rehearsal: Rehearsal, level: Explanation, system: str, server: Any
) -> None:
    last = level.history[0]
    charts.enable()
    with server() as port:
        unplug(rehearsal, system, port)
        begun = time.monotonic()
        past = explain("demo", "A", str(rehearsal.config))
        seconds = time.monotonic() - begun
        file = rehearsal.config.parent / "level.html"
        drawing.write(past, file, load(rehearsal.config).shop("demo"))

    name = "Shopify" if system == "Shopify" else "HotWax"
    at = datetime.fromisoformat(last.finished_at)
    says = f"{name} does not answer; this is what the run of {at:%Y-%m-%d %H:%M} UTC saw (hard-sync {last.run_id})."
    assert seconds < 2 and says in past.lines
    assert (past.target, past.available) == (1233, 1233) and past.finding() == "Shopify showed 1,233, as it should."
    assert [step.label for step in past.steps] == ["Stock in HotWax", "Order #1001", "Order #1002", "Buffer"]
    assert sum(step.units for step in past.steps) == past.target
    page = file.read_text(encoding="utf-8")
    assert f"{name} does not answer" in page and "Shopify showed" in page and "Should show" not in page
    assert not [
        text for text in (page, repr(past), str(past.to_dict())) for secret in (SECRET, TOKEN) if secret in text
    ]


def test_without_a_run_it_is_named_what_does_not_answer(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "A", oms=20, available=17)
    with refusing() as port:
        unplug(rehearsal, "Shopify", port)
        with pytest.raises(ShopifyFailed, match="Shopify does not answer, and no run of the last 500 looked at A"):
            explain("demo", "A", str(rehearsal.config))
        unplug(rehearsal, "mysql", port)
        with pytest.raises(OmsFailed, match="HotWax and Shopify do not answer"):
            explain_in(load(rehearsal.config), "demo", "A")


def test_apis_and_gateways_are_asked_without_a_secret() -> None:
    given = {"kind": "rest", "shop_id": "S", "url": "http://127.0.0.1:9/rest/s1", "token_env": "T"}
    shop = ShopSettings(domain="x.myshopify.com", token_env="T", oms=given)

    assert not oms.answers(shop.oms, 1)
    with mute() as port:
        silent = shop.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
        assert answering.silent_shops({"acme": silent}, 0.2) == ("Shopify of acme",)
    assert oms.answers(OmsSettings(kind="files", shop_id="S"), 1)


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (404, True), (500, True), (503, False)])
def test_a_gateways_excuse_is_no_answer(status: int, answers: bool) -> None:
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers and "X-Shopify-Access-Token" not in self.headers
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert web.answers(f"http://127.0.0.1:{server.server_port}/", 5) == answers


def test_a_postgresql_server_is_asked_for_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://reader:{SECRET}@127.0.0.1:{server.getsockname()[1]}/hotwax"
        asked = answering.unanswered(
            {"HotWax": lambda: ping.answers(ping.DatabaseSettings(shop_id="S", url=url), 5)}, 0.2
        )
        connection, _ = server.accept()
        with connection:
            assert asked == ("HotWax",) and connection.recv(64) == ping.GREETINGS["postgresql"]


def test_a_wrong_configuration_is_said_as_ever(rehearsal: Rehearsal) -> None:
    with pytest.raises(UsageError, match="Shop 'acme'"):
        explain("acme", "A", str(rehearsal.config))
    rehearsal.config.write_text(rehearsal.config.read_text().replace(str(rehearsal.config.parent), "/nowhere"))
    with pytest.raises((UsageError, OmsFailed)):
        explain("demo", "A", str(rehearsal.config))
