"""The state on PostgreSQL: made, upgraded from what an older invsync left, refused where it is not ours, pruned."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import oldstate
import polars as pl
import pytest
import servers
import sqlalchemy as sa
from rehearsal import DELTAS, HARD, START, Rehearsal, open_rehearsal
from test_state_database import OPEN, differences, typed
from test_upkeep import CONFIG, NOW, run_id

from invsync import upkeep
from invsync.config import settings
from invsync.errors import UsageError
from invsync.state import CLAIMS, State, database

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with servers.postgresql() as url:
        yield url


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new, empty database."""
    name = f"state{abs(hash(request.node.name))}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.rsplit("/", 1)[0] + f"/{name}"
    engine.dispose()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        yield rehearsal


def put(path: Path, url: str) -> None:
    """The rows of an old SQLite database in the tables that its version made on a server."""
    old, engine = sa.MetaData(), sa.create_engine(url)
    with sa.create_engine(f"sqlite:///{path}").connect() as source, engine.begin() as target:
        old.reflect(source)
        old.tables["webhook"].c.number.type = sa.BigInteger()
        old.tables["webhook"].indexes.clear()
        for name in ("sold", "in_flight"):
            old.tables["order_ledger"].c[name].type = sa.LargeBinary()
        old.create_all(target)
        target.exec_driver_sql("CREATE INDEX webhook_waiting ON webhook (shop, number) WHERE covered_by IS NULL")
        for table in old.sorted_tables:
            if rows := [dict(row) for row in source.execute(sa.select(table)).mappings()]:
                target.execute(sa.insert(table), rows)
    engine.dispose()


def rows(engine: sa.Engine, schema: str | None = None) -> dict[str, list[str]]:
    tables = sa.MetaData()
    with engine.connect() as connection:
        tables.reflect(connection, schema=schema, only=oldstate.TABLES)
        return {
            table.name: sorted(
                str(sorted(dict(row).items())) for row in connection.execute(sa.select(table)).mappings()
            )
            for table in tables.sorted_tables
        }


def test_an_old_database_is_upgraded_to_exactly_the_schema_and_its_rows_are_copied(url: str, tmp_path: Path) -> None:
    put(oldstate.put(tmp_path), url)
    before = rows(sa.create_engine(url))

    engine = State(url).engine

    assert differences(engine) == [] and database.version(engine) == database.HEAD
    (copy,) = [name for name in sa.inspect(engine).get_schema_names() if name.startswith("invsync_before_")]
    assert rows(engine, copy) == before
    assert {name: len(now) for name, now in rows(engine).items()} == {name: len(was) for name, was in before.items()}


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "fresh"])
def test_two_processes_that_open_a_database_at_once_both_work(url: str, tmp_path: Path, is_old: bool) -> None:
    if is_old:
        put(oldstate.put(tmp_path), url)
    ready = [tmp_path / name for name in "ab"]
    both = [
        subprocess.Popen([sys.executable, "-c", OPEN, url, str(mine), str(tmp_path / "go")], stdout=subprocess.PIPE)
        for mine in ready
    ]
    while not all(mine.exists() for mine in ready):
        assert not any(process.poll() for process in both)

    (tmp_path / "go").touch()

    assert [process.communicate(timeout=60)[0] for process in both] == [b"1\n"] * 2
    schemas = [name for name in sa.inspect(State(url).engine).get_schema_names() if name.startswith("invsync_before_")]
    assert differences(State(url).engine) == [] and len(schemas) == is_old


def test_expired_rows_are_removed_and_a_check_lists_the_rest(url: str, tmp_path: Path) -> None:
    state, config = State(url), tmp_path / "invsync.toml"
    config.write_text(CONFIG.replace("sqlite:///{folder}/invsync.db", url).format(folder=tmp_path))
    state.shops.kept_as("acme", settings.load(config).shop("acme").identity)
    for days in (300, 200, 1):
        facts = {"status": "done", "thru": NOW - timedelta(days=days), "finished_at": NOW - timedelta(days=days)}
        state.runs.record(run_id(days), "acme", "push-deltas", folder=str(tmp_path), advances=True, sent=True, **facts)
        row = [(f"E{days}", 7, 1, "sent", run_id(days), NOW - timedelta(days=days))]
        state.outbox.claim("acme", pl.DataFrame(row, schema=CLAIMS, orient="row"))

    assert upkeep.prune(config).removed["acme"] == {"claims": 2, "files": 0, "runs": 2, "webhooks": 0, "folders": 0}
    checks = {one.name: one.message for one in upkeep.check(config)}
    assert checks["events"] == "acme: 1 sent." and checks["file"].startswith("postgresql postgresql+psycopg://oms@")
    assert upkeep.prune(config).removed["acme"] == dict.fromkeys(("claims", "files", "runs", "webhooks", "folders"), 0)


def test_a_run_after_the_upgrade_settles_what_was_open_and_counts_nothing_twice(
    url: str, kept: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldstate.live(kept)
    put(oldstate.put(kept.config.parent), url)
    (kept.config.parent / "invsync.db").unlink()
    oldstate.send(kept, oldstate.open_file(kept.config.parent))
    monkeypatch.setenv("INVSYNC_STATE__URL", url)

    deltas = kept.run(START + HOUR + 25 * MINUTE, DELTAS)
    hard = kept.run(START + HOUR + 30 * MINUTE, HARD)

    assert kept.available(1, 2, 3, 4) == [17, 18, 17, 19] and len(kept.shop.journal) == 2
    assert any(f"Run {oldstate.OPEN_RUN} was cut short" in message for message in deltas["messages"])
    assert hard["exit_code"] == 0 and not (kept.config.parent / "invsync.db").exists()


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE customer (id int)",
        "CREATE TABLE run (run_id text, experiment text)",
        "CREATE TABLE alert (shop text, kind text)",
    ],
)
def test_another_programs_database_is_refused_and_not_touched(url: str, ddl: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(ddl)

    with pytest.raises(UsageError, match=rf"belongs to another program \(it has {ddl.split()[2]}\)"):
        State(url)

    assert sa.inspect(engine).get_table_names() == [ddl.split()[2]]


def test_a_wrong_password_is_reported_and_never_shown(server: str, url: str, kept: Rehearsal) -> None:
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE stranger LOGIN PASSWORD 'right'")
        path = connection.exec_driver_sql("SHOW hba_file").scalar_one()
        first = (
            "SELECT 'host all stranger 127.0.0.1/32 scram-sha-256' UNION ALL SELECT 'host all oms 127.0.0.1/32 trust'"
        )
        connection.exec_driver_sql(f"COPY ({first}) TO '{path}'")
        connection.exec_driver_sql("SELECT pg_reload_conf()")

    wrong = url.replace("oms@", "stranger:planted-pw@")

    code, message = typed(kept, wrong)

    assert (code, message) == (
        2,
        f"The state database {wrong.replace('planted-pw', '***')} refuses us: correct [state] url.",
    )


def test_a_role_that_may_not_write_is_reported(url: str, kept: Rehearsal) -> None:
    engine = State(url).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        connection.exec_driver_sql(f"COPY (SELECT 'host all all 127.0.0.1/32 trust') TO '{_hba(engine)}'")
        connection.exec_driver_sql("SELECT pg_reload_conf()")

    code, message = typed(kept, url.replace("oms@", "reader@"))

    assert (code, "cannot be written: give invsync the right to write it" in message) == (2, True)


def _hba(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SHOW hba_file").scalar_one())


def test_a_database_that_is_not_there_is_reported(url: str, kept: Rehearsal) -> None:
    code, message = typed(kept, f"{url}_not")

    assert (code, message) == (2, f"The state database {url}_not refuses us: correct [state] url.")
