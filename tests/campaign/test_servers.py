"""HotWax on MariaDB and PostgreSQL: the same reader, the same answers, one consistent snapshot, at volume."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import servers
import sqlalchemy as sa
import volume
from builders import exported
from test_oms import *  # noqa: F403  the reader's own tests, again on each server
from test_oms import TEN, execute, opened
from test_oms_rest import same

from invsync.config import settings
from invsync.config.settings import ShopSettings
from invsync.doctor import Check
from invsync.doctor.checks import Asked, ask
from invsync.doctor.findings import Findings
from invsync.doctor.questions import QUESTIONS
from invsync.jobs import launch
from invsync.oms import Source, mapping_rules, open_source
from invsync.oms.rest.connector import RestSettings
from invsync.oms.sql.connector import DatabaseSettings
from invsync.oms.sql.rights import role
from invsync.oms.sql.source import Database
from invsync.oms.sql.statements import COLUMNS
from invsync.sandbox import demo
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.oms import Oms
from invsync.sandbox.oms_tables import METADATA
from invsync.sandbox.server import hosting, serve

del test_a_number_that_is_none_does_not_stop_the_read  # noqa: F821  a server's numbers are numbers
del test_an_events_quantity_that_is_none_is_nan  # noqa: F821
del test_a_missing_database_is_reported_and_not_created  # noqa: F821
del test_a_failed_login_never_shows_the_password  # noqa: F821
del test_a_column_of_numbers_of_all_kinds, test_values  # noqa: F821

EVENTS, PRODUCTS, ORDERS = int(os.environ.get("INVSYNC_EVENTS", 5_000_000)), 200_000, 500_000
PLANNED = 5_000_000  # with fewer events a planner may rightly prefer to read them all


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    with servers.mariadb() as url:
        yield url


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with servers.postgresql() as url:
        yield url


@pytest.fixture(params=["mariadb", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The server, with no table in it."""
    return emptied(request.getfixturevalue(request.param))


def emptied(url: str) -> str:
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    metadata.drop_all(engine)
    engine.dispose()
    return url


def test_a_snapshot_is_of_one_moment_while_others_write(hotwax: str, source: Source) -> None:
    """An order is imported, reserved and counted between the snapshot's first read and its second."""
    engine: Any = source.reader.engine  # type: ignore[attr-defined]
    waiting = [
        "insert into order_header values ('O9', 'SALES_ORDER', '7009', '2026-03-02 09:00:00', 'STORE')",
        "insert into inventory_item_detail (inventory_item_id, inventory_item_detail_seq_id, order_id,"
        " available_to_promise_diff, created_stamp) values ('I1', '9', 'O9', -8, '2026-03-02 09:00:00')",
        "update product_facility set computed_last_inventory_count = 0 where product_id = 'A'",
    ]

    @sa.event.listens_for(engine, "after_cursor_execute")
    def write(*_: Any) -> None:
        while waiting:
            execute(hotwax, waiting.pop())

    before = source.snapshot(orders=[7009], events_from=TEN)
    after = source.snapshot(orders=[7009], events_from=TEN)
    assert 7009 not in before.known_orders["external_id"] and 7009 in after.known_orders["external_id"]
    assert "I1/9" not in before.events["event_id"] and "I1/9" in after.events["event_id"]
    counts = [
        dict(s.product_facility.select("product_id", "computed_last_inventory_count").rows())["A"]
        for s in (before, after)
    ]
    assert counts == [8.0, 0.0] and not waiting


@pytest.fixture
def crowded(url: str) -> str:
    started = time.monotonic()
    volume.fill(url, products=PRODUCTS, events=EVENTS, orders=ORDERS)
    print(f"\nfilled in {time.monotonic() - started:.0f} s: {EVENTS} events, {PRODUCTS * volume.FACILITIES} stock rows")
    return url


def test_a_window_of_a_crowded_hotwax_is_read_quickly_and_in_little_memory(crowded: str) -> None:
    source, quarter = opened(crowded, "SANDBOX"), volume.END - timedelta(minutes=15)
    recent = [5_000_000_000 + number for number in range(ORDERS - 1_000, ORDERS)]
    plans = Plans(source)
    products = timed("changed products", lambda: source.changed_products(quarter, volume.END))
    stock = timed("their snapshot", lambda: source.snapshot(products, orders=recent))
    events = timed("stock events", lambda: source.events(quarter, volume.END))
    moved = events["product_id"].unique()
    claimed = timed(
        "their snapshot and a day of their events",
        lambda: source.snapshot(moved, orders=recent, events_from=volume.END - timedelta(days=1)),
    )
    scanned = plans.scanned()
    assert stock.product_facility.height == len(products) * volume.FACILITIES
    assert events.height == EVENTS // (volume.DAYS * 96) and set(events["event_id"]) <= set(claimed.events["event_id"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 600 * 1024
    of_products = [whole_tables for name, whole_tables in scanned if "product_id IN" in name]
    assert of_products and (
        EVENTS < PLANNED or not any("inventory_item_detail" in whole_tables for whole_tables in of_products)
    )


def timed(name: str, read: Callable[[], Any]) -> Any:
    started = time.monotonic()
    result = read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name}: {time.monotonic() - started:.2f} s, peak {peak} MB")
    return result


class Plans:
    """The plan of each statement that a source executes."""

    def __init__(self, source: Source) -> None:
        self.engine: Any = source.reader.engine  # type: ignore[attr-defined]
        self.statements: dict[str, Any] = {}
        sa.event.listen(self.engine, "after_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM" in statement:
            self.statements[" ".join(statement.split())] = parameters

    def scanned(self) -> list[tuple[str, list[str]]]:
        """Each statement with the tables that its plan reads whole; printed as they are."""
        statements, scans = dict(self.statements), []
        with self.engine.connect() as connection:
            for statement, parameters in statements.items():
                lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
                whole = (
                    [str(line[2]) for line in lines if line[3] in ("ALL", "index")]
                    if connection.dialect.name == "mysql"
                    else [str(line[0]).split("Seq Scan on ")[1].split()[0] for line in lines if "Seq Scan" in line[0]]
                )
                tables = statement.split(" FROM ", 1)[1].split(" WHERE ")[0]
                print(f"reads whole {', '.join(whole) or 'nothing'}: FROM {tables[:110]}")
                scans.append((statement, whole))
        return scans


def test_the_tables_of_the_sandbox_are_made_on_every_server(url: str) -> None:
    engine = sa.create_engine(url)
    METADATA.create_all(engine)
    assert set(METADATA.tables) <= set(sa.inspect(engine).get_table_names())
    engine.dispose()


def copied(source: str, target: str) -> str:
    """The sandbox's tables with their rows, on another server."""
    theirs, ours = sa.create_engine(source), sa.create_engine(emptied(target))
    METADATA.create_all(ours)
    with theirs.connect() as read, ours.begin() as write:
        for table in METADATA.sorted_tables:
            if rows := [dict(row) for row in read.execute(sa.select(table)).mappings()]:
                write.execute(sa.insert(table), rows)
    theirs.dispose(), ours.dispose()
    return target


def test_five_ways_of_reading_hotwax_give_one_file(
    mariadb: str, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of real sales and 300 counts, planned from SQLite, MariaDB, PostgreSQL, exported files and the HTTP APIs."""
    monkeypatch.setenv(demo.TOKEN_ENV, "shpat_planted")
    monkeypatch.setattr(launch, "new_run_id", lambda: "20261123T100000Z-0000")
    world = demo.build(tmp_path / "sqlite")
    world.advance(world.start + timedelta(hours=14))
    with world.oms.batch():
        for number, sku in enumerate(sorted(world.items)[:300]):
            world.oms.damage(f"P{sku}", "WH", 1 + number % 3, world.now, f"COUNT{number}")
    sqlite = f"sqlite:///{tmp_path / 'sqlite' / 'oms.db'}"
    hotwax = HotWax(sqlite)
    monkeypatch.setenv("HOTWAX_PASSWORD", hotwax.password)
    files, frames = {}, {}
    with serve(world.shop) as shop, hosting(create_app(hotwax)) as address:
        with world.oms.batch() as connection:
            export = exported(connection, tmp_path / "export", "parquet")
        ways = {
            "sqlite": f'kind = "database"\nurl = "{sqlite}"',
            "mariadb": f'kind = "database"\nurl = "{copied(sqlite, mariadb)}"',
            "postgresql": f'kind = "database"\nurl = "{copied(sqlite, postgresql)}"',
            "files": f'kind = "files"\npath = "{export}"',
            "moqui": f'kind = "rest"\nurl = "{address}"\nusername = "sync"\npassword_env = "HOTWAX_PASSWORD"',
        }
        for name, way in ways.items():
            (tmp_path / name).mkdir(exist_ok=True)
            config = demo.configure(tmp_path / name, shop)
            text = config.read_text()
            config.write_text(text[: text.index('kind = "database"')] + way + text[text.index("\nshop_id") :])
            given = {"shop": "demo", "config": str(config), "dry_run": True, "at": world.now.isoformat()}
            started = time.monotonic()
            facts = launch.run(demo.JOB, given, engine="inprocess")
            print(
                f"{name}: {facts['status']}, {facts['counts']['planned']} planned, {time.monotonic() - started:.1f} s"
            )
            assert facts["exit_code"] == 0 and facts["counts"]["planned"] >= 300, facts["messages"]
            [written] = (tmp_path / name / "reports").rglob("adjustments.jsonl")
            files[name] = written.read_bytes()
            with closing(open_source(settings.load(config).shop("demo").oms)) as source:
                day = world.now - timedelta(days=1)
                frames[name] = source.snapshot(orders=list(world.shop.orders), events_from=day)
    assert len(set(files.values())) == 1
    for frame in frames.values():
        same(frame, frames["sqlite"])
    world.oms.close()


def test_a_full_read_over_http_goes_on_after_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 stock rows, an answer every 20 ms, of which three in the middle end in the middle."""
    url, orders = f"sqlite:///{tmp_path / 'oms.db'}", [5_000_000_000 + number for number in range(19_900, 20_000)]
    volume.fill(url, products=20_000, events=50_000, orders=20_000)
    hotwax = HotWax(url)
    hotwax.traps.slow = 0.02
    monkeypatch.setenv("HOTWAX_PASSWORD", hotwax.password)
    find, left = hotwax.find, [200]

    def cutting(*arguments: Any) -> Any:
        left[0] -= 1
        hotwax.traps.cut = 3 if left[0] == 0 else hotwax.traps.cut
        return find(*arguments)

    hotwax.find = cutting  # type: ignore[method-assign]
    oms = DatabaseSettings(url=url, shop_id="SANDBOX")
    with hosting(create_app(hotwax)) as address:
        apis = RestSettings(url=address, username=hotwax.user, password_env="HOTWAX_PASSWORD", shop_id=oms.shop_id)
        source = open_source(apis)
        started = time.monotonic()
        mine, theirs = source.snapshot(orders=orders), open_source(oms).snapshot(orders=orders)
        print(f"{len(hotwax.requests)} requests in {time.monotonic() - started:.1f} s")
        source.close()
    assert left[0] < 0 and hotwax.traps.cut == 0 and mine.product_facility.height == 200_000
    assert mine.product_facility.equals(theirs.product_facility.sort("product_id", "facility_id"))
    assert len(hotwax.requests) < 1_060  # 1,044 without a cut


ROLES = {
    "mysql": [
        "CREATE OR REPLACE USER 'reader' IDENTIFIED BY 'reader'",
        "GRANT SELECT ON oms.* TO 'reader'",
        "CREATE OR REPLACE USER 'clerk' IDENTIFIED BY 'clerk'",
        "GRANT SELECT ON oms.* TO 'clerk'",
        "GRANT UPDATE (minimum_stock) ON oms.product_facility TO 'clerk'",
        "CREATE OR REPLACE ROLE stewards",
        "GRANT DELETE ON oms.facility TO stewards",
        "CREATE OR REPLACE USER 'steward' IDENTIFIED BY 'steward'",
        "GRANT SELECT ON oms.* TO 'steward'",
        "GRANT stewards TO 'steward'",
        "SET DEFAULT ROLE stewards FOR 'steward'",
    ],
    "postgresql": [
        *(f"CREATE ROLE {role} LOGIN" for role in ("reader", "clerk", "steward")),
        "CREATE ROLE stewards",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader, clerk, steward",
        "GRANT UPDATE (minimum_stock) ON product_facility TO clerk",
        "GRANT DELETE ON facility TO stewards",
        "GRANT stewards TO steward",
    ],
}
WRITES = {"reader": [], "clerk": ["product_facility"], "steward": ["facility"]}


def test_the_doctor_distinguishes_a_role_that_may_write_hotwax_from_one_that_only_reads(url: str) -> None:
    """Rights to a table, to one column of it, and through another role; the owner may write every table."""
    Oms(url).create().close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for text in ROLES[engine.dialect.name]:
            connection.exec_driver_sql(text)
    engine.dispose()
    checks = {role: role_check(engine.url.set(username=role, password=role)) for role in WRITES}
    owner = role_check(engine.url)

    assert all(checks[role].status == ("warning" if names else "ok") for role, names in WRITES.items())
    assert all(
        f" ({len(names)}): {', '.join(names)}; give invsync" in checks[role].message
        for role, names in WRITES.items()
        if names
    )
    assert owner.status == "warning" and f"({len(COLUMNS)}): enumeration_group_member, " in owner.message


def role_check(url: sa.URL) -> Check:
    """The doctor's check of the role at this address."""
    source = open_source(DatabaseSettings(url=url.render_as_string(hide_password=False), shop_id="SANDBOX"))
    assert isinstance(source, Database)
    answer = role(source)
    source.close()
    assert answer is not None
    check = Check("HotWax", "role", *answer)
    print(f"\n{check.status}: {check.message}")
    return check


def test_the_doctors_questions_have_one_answer_on_every_server(url: str, tmp_path: Path) -> None:
    """A day of real sales with a reservation, a reset, a count and a switched-off facility, asked of both."""
    world = demo.build(tmp_path)
    world.advance(world.start + timedelta(hours=14))
    with world.oms.batch() as connection:
        first, second, *_ = (f"P{sku}" for sku in sorted(world.items))
        order = connection.execute(sa.text("SELECT max(order_id) FROM order_header")).scalar_one()
        world.oms.reserve(order, "WH", world.now)
        world.oms.reset(first, "WH", 3, world.now)
        world.oms.adjust(second, "WH", -1, world.now, "CYCLE_COUNT", physical_inventory_id="COUNT1")
        connection.execute(sa.text("UPDATE facility SET maximum_order_limit = 0"))
        connection.execute(sa.text(f"UPDATE product SET product_type_id = 'DIGITAL_GOOD' WHERE product_id = '{first}'"))
    world.oms.close()
    theirs, ours = answers(world.oms.url), answers(copied(world.oms.url, url))

    assert theirs == ours
    assert [name for name, (status, _) in ours.items() if status == "warning"] == ["order limits", "digital goods"]
    assert ours["reservations"][1].endswith("HotWax has taken those units off itself, and no run does so again.")
    assert ours["resets"][1].endswith("(1 looked at).") and "each changes ATP" in ours["delta events"][1]


def answers(url: str) -> dict[str, tuple[str, str]]:
    """The doctor's answers about the OMS at this address."""
    oms = DatabaseSettings(url=url, shop_id="SANDBOX", facility_group_id="FAC_GRP")
    shop, source = ShopSettings(domain="acme.myshopify.com", token_env="T", oms=oms), open_source(oms)
    findings, snapshot = Findings("acme", shop, datetime.now(UTC)), source.snapshot()
    rules = mapping_rules(shop, source, snapshot.now)
    asked = Asked(shop, source, snapshot, rules)
    ask(findings, {name: partial(question, asked) for name, question in QUESTIONS.items()})
    source.close()
    return {check.name: (check.status, check.message) for check in findings.checks}
