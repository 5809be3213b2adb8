"""The state database itself: opened, made or upgraded, and its faults told in one sentence each."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from invsync.errors import SystemFailed, UsageError
from invsync.state.schema import META, RUNS, VERSION

HEAD = "0002"  # the newest migration, said here so that a run that needs none does not load Alembic
WAIT_SECONDS, IDLE_SECONDS = 30, 30
LOCK = 8_301_447_224  # of PostgreSQL's advisory locks: one process makes or upgrades the tables
FAULTS: list[tuple[str, type[Exception], str]] = [
    ("readonly database|read-only transaction|permission denied", UsageError,
     "cannot be written: give invsync the right to write it, or correct [state] url"),
    ("database is locked|lock timeout|deadlock detected", SystemFailed,
     "is locked by another program: end that program, then run again"),
    ("disk is full|No space left", SystemFailed, "is full: make room on its disk, then run again"),
    ("not a database|file is encrypted", UsageError, "is no database of invsync's: correct [state] url"),
    ("malformed", SystemFailed, "is damaged: restore it from a backup, then run hard-sync"),
    ("unable to open database file", UsageError, "cannot be opened: make its folder, or correct [state] url"),
    ("idle-in-transaction timeout|could not connect|connection refused|Connection refused|could not translate|server closed|terminating connection"
     "|connection failed|timeout expired|Can't connect", SystemFailed,
     "cannot be reached: see that its server runs, then run again"),
    ("password authentication|Access denied|does not exist", UsageError, "refuses us: correct [state] url"),
]  # fmt: skip


def opened(url: str) -> sa.Engine:
    """The database at this SQLAlchemy URL with every table of today: made when it is new, upgraded when it is older."""
    try:
        engine = sa.create_engine(url, connect_args={"timeout": WAIT_SECONDS} if url.startswith("sqlite") else {})
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise UsageError(
            f"The state database cannot be opened ({type(error).__name__}): correct [state] url."
        ) from None
    sa.event.listen(engine, "handle_error", _named)
    if engine.dialect.name == "postgresql":
        sa.event.listen(engine, "connect", _bounded)
    if version(engine) != HEAD:
        bring_up(engine)
    return engine


def _bounded(made: Any, _: object) -> None:
    """Let the server end a transaction of a process that stands still, so that its locks do not outlive its lease."""
    with made.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        cursor.execute(f"SET lock_timeout = '{WAIT_SECONDS + IDLE_SECONDS}s'")
    made.commit()


def _named(context: Any) -> None:
    """Turn a fault of the database into one sentence; a fault of ours stays what it is."""
    fault = context.original_exception
    if isinstance(context.sqlalchemy_exception, sa.exc.IntegrityError | sa.exc.ProgrammingError):
        return
    for pattern, kind, sentence in FAULTS:
        if re.search(pattern, str(fault)):
            raise kind(f"The state database {name(context.engine)} {sentence}.") from fault


def name(engine: sa.Engine) -> str:
    """The database as people know it, without a password."""
    return str(engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string())


def version(engine: sa.Engine) -> str | None:
    """The revision of its tables: empty for those made before revisions began, None without tables of ours."""
    with engine.connect() as connection:
        there = sa.inspect(connection)
        if there.has_table(VERSION.name):
            return connection.execute(sa.select(VERSION.c.version_num)).scalar()
        names = set(there.get_table_names())
        if not names:
            return None
        columns = {column["name"] for column in there.get_columns("run")} if "run" in names else set()
        if not {"run_id", "shop", "job", "thru"} <= columns:
            some = ", ".join(sorted(names)[:3])
            raise UsageError(f"The state database {name(engine)} belongs to another program (it has {some}): "
                             "name a database of its own in [state] url.")  # fmt: skip
        return ""


def bring_up(engine: sa.Engine) -> None:
    """Make the tables of a new database; keep a copy of an older one and upgrade it."""
    before = version(engine)
    if before and not known(before):
        raise UsageError(f"The state database {name(engine)} was written by a newer invsync (revision {before}, this one "
                         f"knows {HEAD}): install that version, or name another database.")  # fmt: skip
    if before is not None:
        backup(engine, before)
    with engine.connect() as connection, _alone(connection):
        if (now := _inside(connection, engine)) == HEAD:
            return
        if now is None:
            META.create_all(connection)
            connection.execute(sa.insert(VERSION).values(version_num=HEAD))
        else:
            upgrade(connection)


def _inside(connection: sa.Connection, engine: sa.Engine) -> str | None:
    """The revision, now that nobody else can change it."""
    there = sa.inspect(connection)
    if there.has_table(VERSION.name):
        return connection.execute(sa.select(VERSION.c.version_num)).scalar()
    return "" if there.has_table(RUNS.name) else None


class _alone:
    """A transaction in which no other process makes or upgrades the tables."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        if self._connection.dialect.name == "sqlite":
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        (self._connection.rollback if kind else self._connection.commit)()


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks, in the transaction of this connection."""
    from alembic import command

    config = migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migrations() -> Any:
    """Alembic's configuration for the migrations of this package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def known(revision: str) -> bool:
    """Whether this version of invsync has a migration of this name."""
    from alembic.script import ScriptDirectory

    return revision in {one.revision for one in ScriptDirectory.from_config(migrations()).walk_revisions()}


def backup(engine: sa.Engine, revision: str) -> str:
    """Keep what an older database holds beside it, before it is upgraded; where the copy is."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if engine.dialect.name == "sqlite":
        source = Path(str(engine.url.database))
        copy = source.with_name(f"{source.name}.{revision or 'before'}-{stamp}.bak")
        with closing(sqlite3.connect(source, timeout=WAIT_SECONDS)) as there, closing(sqlite3.connect(copy)) as here:
            there.backup(here)
        return str(copy)
    schema = f"invsync_{revision or 'before'}_{stamp.lower()}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        for table in sa.inspect(connection).get_table_names():
            if table in META.tables:
                connection.exec_driver_sql(f"CREATE TABLE {schema}.{table} AS SELECT * FROM {table}")
    return schema
