"""The state database is created, upgraded from an older invsync's, and refused where it is another's or cannot be used."""

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import oldstate
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from rehearsal import DELTAS, HARD, RECENT, START, Rehearsal, open_rehearsal
from typer.testing import CliRunner

from invsync.cli import app
from invsync.errors import SystemFailed
from invsync.state import State, database
from invsync.state.schema import META, VERSION

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as it was before its schema had revisions."""
    return oldstate.put(tmp_path)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as rehearsal:
        yield rehearsal


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def differences(engine: sa.Engine) -> list[object]:
    """The changes by which Alembic would still bring the database to META."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": VERSION.name})
        return [one for one in compare_metadata(context, META) if VERSION.name not in str(one)]


# -- upgraded


def test_the_newest_migration_is_the_one_that_is_named() -> None:
    assert ScriptDirectory.from_config(database.migrations()).get_heads() == [database.HEAD]


def test_an_old_database_is_upgraded_to_exactly_the_schema_of_a_new_one(old: Path, tmp_path: Path) -> None:
    engine, new = State(url_of(old)).engine, State(url_of(tmp_path / "new.db")).engine

    assert differences(engine) == differences(new) == []
    assert database.version(engine) == database.version(new) == database.HEAD


def test_a_difference_from_the_schema_would_be_seen(tmp_path: Path) -> None:
    engine = State(url_of(tmp_path / "new.db")).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX run_by_shop")

    assert "run_by_shop" in str(differences(engine))


def test_an_upgrade_keeps_every_row_and_leaves_a_copy_of_what_was(old: Path) -> None:
    before = oldstate.rows(old)

    State(url_of(old)).close()

    after = oldstate.rows(old)
    assert {
        table: [{name: row[name] for name in was} for row, was in zip(after[table], before[table], strict=True)]
        for table in before
    } == before
    (backup,) = old.parent.glob("invsync.db.before-*.bak")
    with closing(sqlite3.connect(backup)) as copy, closing(sqlite3.connect(":memory:")) as original:
        original.executescript((oldstate.GOLDEN / "state-before-revisions.sql").read_text())
        assert [row[0] for row in copy.execute("select sql from sqlite_master order by 1")] == [
            row[0] for row in original.execute("select sql from sqlite_master order by 1")
        ]
    assert oldstate.rows(backup) == before


def test_what_was_left_open_is_settled_under_its_keys_and_nothing_is_counted_twice(kept: Rehearsal) -> None:
    oldstate.live(kept)
    folder = kept.config.parent
    oldstate.put(folder)
    oldstate.send(kept, oldstate.open_file(folder))
    assert kept.available(1, 2, 3, 4) == [17, 18, 17, 20]

    deltas = kept.run(START + HOUR + 25 * MINUTE, DELTAS)
    hard = kept.run(START + HOUR + 30 * MINUTE, HARD)

    assert kept.available(1, 2, 3, 4) == [17, 18, 17, 19]
    assert any(f"Run {oldstate.OPEN_RUN} was cut short" in message for message in deltas["messages"])
    assert [deltas["counts"]["planned"], deltas["exit_code"], hard["exit_code"]] == [0, 4, 0]
    assert [len(kept.shop.journal), kept.state("select count(*) from outbox where settled is null")] == [2, [(0,)]]
    assert kept.state("select status, count(*) from claim group by 1 order by 1") == [
        ("baseline", 5),
        ("reset", 2),
        ("sent", 2),
    ]


OPEN = """
import sys, time
from pathlib import Path
from invsync.state import State
Path(sys.argv[2]).touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.001)
with State(sys.argv[1]).lease(sys.argv[2], "R1") as lease:
    print(lease.fence)
"""


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "fresh"])
def test_two_processes_that_open_a_database_at_once_both_work(tmp_path: Path, is_old: bool) -> None:
    path, ready = oldstate.put(tmp_path) if is_old else tmp_path / "invsync.db", [tmp_path / name for name in "ab"]
    command = [sys.executable, "-c", OPEN, url_of(path)]
    both = [subprocess.Popen([*command, str(mine), str(tmp_path / "go")], stdout=subprocess.PIPE) for mine in ready]
    while not all(mine.exists() for mine in ready):
        assert not any(process.poll() for process in both)

    (tmp_path / "go").touch()

    assert [process.communicate(timeout=60)[0] for process in both] == [b"1\n"] * 2
    assert differences(State(url_of(path)).engine) == []
    assert [oldstate.rows(copy)["claim"] == oldstate.rows(path)["claim"] for copy in tmp_path.glob("*.bak")] == (
        [True] if is_old else []
    )


def test_a_second_upgrade_has_nothing_to_do(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    State(url_of(old)).close()
    monkeypatch.setattr(database, "version", lambda engine: "")  # as it looked before the other one was done

    State(url_of(old)).close()

    assert len(list(old.parent.glob("*.bak"))) == 1


def test_an_upgrade_that_is_cut_short_leaves_the_old_database(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.read_bytes()

    def cut(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DROP TABLE claim")
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "upgrade", cut)
    with pytest.raises(KeyboardInterrupt):
        State(url_of(old))

    assert old.read_bytes() == before


def test_an_old_database_whose_backup_cannot_be_written_is_not_upgraded(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def connect(path: object, **options: object) -> sqlite3.Connection:
        if str(path).endswith(".bak"):
            raise sqlite3.OperationalError("unable to open database file")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(database.sqlite3, "connect", connect)
    with pytest.raises(
        SystemFailed, match=r"is older and was not upgraded, for its backup invsync\.db\.before-.* could not"
    ):
        State(url_of(old))

    assert "shop" not in tables_of(old)


def tables_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


# -- refused


def typed(
    kept: Rehearsal, url: str | None = None, job: str = RECENT, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit code of a run by the command line, and the last line of its standard error."""
    variables = {"INVSYNC_STATE__URL": url} if url else {}
    words = [
        "run",
        job,
        "--shop",
        "demo",
        "--config",
        str(kept.config),
        "--engine",
        "inprocess",
        "--at",
        (START + HOUR).isoformat(),
    ]
    done = CliRunner().invoke(app, words, env=variables | (env or {}))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, (done.stderr.strip().splitlines() or [""])[-1]


def folders(kept: Rehearsal) -> list[Path]:
    return [path for path in (kept.config.parent / "reports").glob("demo/*/*") if path.is_dir()]


def test_a_newer_database_is_recognised_by_its_revision_and_not_touched(kept: Rehearsal) -> None:
    path = kept.config.parent / "invsync.db"
    State(url_of(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update invsync_schema set version_num = '0099'")
    before = path.read_bytes()

    code, said = typed(kept)

    assert (code, path.read_bytes(), folders(kept)) == (2, before, [])
    assert said == (
        f"The state database {path} was written by a newer invsync (revision 0099, this one knows "
        f"{database.HEAD}): install that version, or name another database."
    )
    assert not list(path.parent.glob("*.bak"))
    assert "a newer invsync (revision 0099" in typed(kept, f"sqlite:///file:{path}?mode=ro&uri=true")[1]


FOREIGN = {
    "other tables": "create table customer (id integer)",
    "a table named run": "create table run (run_id text, experiment text)",
    "a table named alert": "create table alert (shop text, kind text)",
}


@pytest.mark.parametrize("ddl", FOREIGN.values(), ids=FOREIGN)
def test_another_programs_database_is_recognised_by_its_tables_and_not_touched(kept: Rehearsal, ddl: str) -> None:
    path = kept.config.parent / "invsync.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(ddl)
    before = path.read_bytes()

    code, said = typed(kept)

    assert (code, path.read_bytes()) == (2, before)
    assert said == (
        f"The state database {path} belongs to another program (it has {ddl.split()[2]}): "
        "name a database of its own in [state] url."
    )


def test_a_file_that_is_no_database_is_refused(kept: Rehearsal) -> None:
    path = kept.config.parent / "invsync.db"
    path.write_text("Dear diary, " * 100)

    assert typed(kept) == (2, f"The state database {path} is no database of invsync's: correct [state] url.")
    assert path.read_text().startswith("Dear diary")


def test_a_folder_that_does_not_exist_is_named(kept: Rehearsal) -> None:
    path = kept.config.parent / "nowhere" / "invsync.db"

    assert typed(kept, url_of(path)) == (
        2,
        f"The state database {path} cannot be opened: make its folder and let invsync "
        "write there, or correct [state] url.",
    )


def test_an_unreachable_server_is_named_without_its_password(kept: Rehearsal) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    code, said = typed(kept, f"postgresql+psycopg://oms:planted-pw@127.0.0.1:{port}/state?password=planted-pw")

    assert (code, "planted" in said) == (5, False)
    assert said.endswith(f"127.0.0.1:{port}/state cannot be reached: see that its server runs, then run again.")


# -- a database that fails


def test_a_read_only_database_is_named_and_the_next_run_works(kept: Rehearsal) -> None:
    kept.product(1, "A", oms=5, available=3)
    path = kept.config.parent / "invsync.db"
    State(url_of(path)).close()

    code, said = typed(kept, f"sqlite:///file:{path}?mode=ro&uri=true")

    assert (code, said) == (
        2,
        f"The state database file:{path} cannot be written: give invsync the right to write it, or "
        "correct [state] url.",
    )
    assert folders(kept) == [] and kept.available(1) == [3]
    assert typed(kept)[0] == 0 and kept.available(1) == [5]


def test_a_locked_database_is_named_and_the_next_run_works(kept: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    kept.product(1, "A", oms=5, available=3)
    path = kept.config.parent / "invsync.db"
    State(url_of(path)).close()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        ended = typed(kept)

    assert ended == (5, f"The state database {path} is locked by another program: end that program, then run again.")
    assert folders(kept) == [] and typed(kept)[0] == 0 and kept.available(1) == [5]


@contextmanager
def once_sent(kept: Rehearsal, *pragmas: str) -> Iterator[None]:
    """A state database that fails from the moment that the shop has executed something, until the block ends."""

    def fail(connection: sqlite3.Connection, *_: object) -> None:
        if connection.execute("PRAGMA database_list").fetchone()[2].endswith("invsync.db") and kept.shop.journal:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(sa.pool.Pool, "checkout", fail)
    try:
        yield
    finally:
        sa.event.remove(sa.pool.Pool, "checkout", fail)
        with sqlite3.connect(kept.config.parent / "invsync.db") as connection:
            connection.execute("delete from lease")  # as when the process of that run has ended


@pytest.mark.parametrize("job", [RECENT, DELTAS])
def test_a_database_that_fails_after_the_sending_leaves_a_folder_and_nothing_is_sent_twice(
    kept: Rehearsal, job: str
) -> None:
    if job == DELTAS:
        kept.keep_by_deltas()
        kept.oms.add_delta_reason("VAR_DAMAGED")
    kept.product(1, "A", oms=5, available=5)
    kept.run(START + HOUR - MINUTE, job)
    kept.oms.damage("P1", "WH", 2, START + HOUR - MINUTE, "PI1")

    with once_sent(kept, "query_only = on"):
        code, said = typed(kept, job=job)

    facts = json.loads((max(folders(kept)) / "run.json").read_text())
    assert (code, facts["status"], len(kept.shop.journal)) == (5, "failed", 1)
    assert (
        "cannot be written: give invsync the right to write it" in " ".join(facts["messages"])
        and said in facts["messages"]
    )
    assert [kept.run(START + HOUR + MINUTE, job)["exit_code"], kept.available(1), len(kept.shop.journal)] == [0, [3], 1]
    assert kept.state("select count(*) from outbox where settled is null") == [(0,)]


def test_a_run_that_settled_anothers_file_and_cannot_go_on_keeps_its_folder(kept: Rehearsal) -> None:
    oldstate.live(kept)
    oldstate.put(kept.config.parent)
    State(url_of(kept.config.parent / "invsync.db")).close()

    with once_sent(kept, "query_only = on"):
        code, _ = typed(kept, job=DELTAS)

    assert (code, kept.available(1)) == (5, [17])
    assert (max(folders(kept)) / "run.json").exists() and len(folders(kept)) == 2
    kept.run(START + HOUR + 30 * MINUTE, DELTAS)
    assert kept.available(1) == [17] and len(kept.shop.journal) == 1


def test_a_full_database_is_named_and_the_next_run_works(kept: Rehearsal) -> None:
    kept.keep_by_deltas()
    kept.oms.add_delta_reason("VAR_DAMAGED")
    for item in range(1, 121):
        kept.product(item, f"A{item}", oms=5, available=5)
    kept.run(START + HOUR - MINUTE, DELTAS)
    for item in range(1, 51):
        kept.oms.damage(f"P{item}", "WH", 2, START + HOUR - MINUTE, f"PI{item}")
    kept.shop.journal.append("so that it fails from the start")

    with once_sent(kept, "max_page_count = 1"):
        code, said = typed(kept, job=DELTAS)

    path = kept.config.parent / "invsync.db"
    assert (code, said) == (5, f"The state database {path} is full: make room on its disk, then run again.")
    assert kept.available(1, 50) == [5, 5]
    assert kept.run(START + HOUR + MINUTE, DELTAS)["exit_code"] == 0 and kept.available(1, 50) == [3, 3]


LIMITED = """
import resource, sys
from invsync.errors import InvsyncError
from invsync.state import State
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    State(sys.argv[1])
except InvsyncError as error:
    print(error, error.exit_code)
"""


def test_a_database_that_may_not_grow_is_named_and_works_once_it_may(tmp_path: Path) -> None:
    path = tmp_path / "invsync.db"

    done = subprocess.run([sys.executable, "-c", LIMITED, url_of(path)], capture_output=True, text=True, timeout=60)

    assert done.stdout == (
        f"The state database {path} could not be read or written: look at its disk and at the limits of "
        "this process, then run again. 5\n"
    ), done.stderr
    assert differences(State(url_of(path)).engine) == []
