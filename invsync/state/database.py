"""The state database itself: opened, made or upgraded, and its faults told in one sentence each."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from invsync.errors import InvsyncError, SystemFailed, UsageError
from invsync.state.schema import META, VERSION

HEAD = "0002"  # the newest migration, said here so that a run that needs none does not load Alembic
WAIT_SECONDS, IDLE_SECONDS = 30, 30
LOCK = 8_301_447_224  # of PostgreSQL's advisory locks: one process makes or upgrades the tables
FAULTS: list[tuple[str, type[InvsyncError], str]] = [
    (
        "readonly database|read-only transaction|permission denied",
        UsageError,
        "cannot be written: give invsync the right to write it, or correct [state] url",
    ),
    (
        "database is locked|lock timeout|deadlock detected",
        SystemFailed,
        "is locked by another program: end that program, then run again",
    ),
    ("disk is full|No space left", SystemFailed, "is full: make room on its disk, then run again"),
    (
        "disk I/O error",
        SystemFailed,
        "could not be read or written: look at its disk and at the limits of this process, then run again",
    ),
    ("not a database|file is encrypted", UsageError, "is no database of invsync's: correct [state] url"),
    ("malformed", SystemFailed, "is damaged: restore it from a backup, then run hard-sync"),
    (
        "unable to open database file",
        UsageError,
        "cannot be opened: make its folder and let invsync write there, or correct [state] url",
    ),
    (
        "authentication failed|no password supplied|Access denied|no pg_hba.conf entry"
        "|(role|database) .* does not exist|Unknown database",
        UsageError,
        "refuses us: correct [state] url",
    ),
    (
        "idle-in-transaction timeout|could not connect|connection refused|Connection refused|could not translate"
        "|failed to resolve|server closed|terminating connection|connection failed|timeout expired|Can't connect",
        SystemFailed,
        "cannot be reached: see that its server runs, then run again",
    ),
]


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
    fault, ours = context.original_exception, context.sqlalchemy_exception
    if isinstance(ours, sa.exc.IntegrityError):
        return
    if isinstance(ours, sa.exc.ProgrammingError) and "permission denied" not in str(fault):
        return
    if (error := sentence(context.engine, fault)) is not None:
        raise error from fault


def sentence(engine: sa.Engine, fault: BaseException) -> InvsyncError | None:
    """A fault of this database in one sentence, as the error that says what the caller does next."""
    for pattern, kind, words in FAULTS:
        if re.search(pattern, str(fault)):
            return kind(f"The state database {name(engine)} {words}.")
    return None


def name(engine: sa.Engine) -> str:
    """The database as people know it, without a password."""
    url = engine.url.set(query={})
    return str(url.database if engine.dialect.name == "sqlite" else url.render_as_string())


def version(engine: sa.Engine) -> str | None:
    """The revision of its tables: empty for those made before revisions began, None without tables of ours."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: sa.Connection) -> str | None:
    there = sa.inspect(connection)
    names = set(there.get_table_names())
    if VERSION.name in names:
        return connection.execute(sa.select(VERSION.c.version_num)).scalar()
    if not names:
        return None
    columns = {column["name"] for column in there.get_columns("run")} if "run" in names else set()
    if not {"run_id", "shop", "job", "thru"} <= columns:
        some = ", ".join(sorted(names)[:3])
        raise UsageError(
            f"The state database {name(connection.engine)} belongs to another program (it has {some}): "
            "name a database of its own in [state] url."
        )
    return ""


def bring_up(engine: sa.Engine) -> None:
    """Make the tables of a new database; keep a copy of an older one and upgrade it."""
    _check_known(engine, version(engine))
    with engine.connect() as connection, _alone(connection):
        now = _revision(connection)
        if now is None:
            META.create_all(connection)
            connection.execute(sa.insert(VERSION).values(version_num=HEAD))
        elif now != HEAD:
            _check_known(engine, now)
            backup(connection, now)
            upgrade(connection)


def _check_known(engine: sa.Engine, revision: str | None) -> None:
    if revision and not known(revision):
        raise UsageError(
            f"The state database {name(engine)} was written by a newer invsync (revision {revision}, this one "
            f"knows {HEAD}): install that version, or name another database."
        )


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


def backup(connection: sa.Connection, revision: str) -> str:
    """Keep what an older database holds beside it, before it is upgraded; where the copy is.

    The caller holds the database, so that the copy is what stood there before anybody upgraded it.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if connection.dialect.name == "sqlite":
        return _backup_file(connection, f"{revision or 'before'}-{stamp}.bak")
    schema = f"invsync_{revision or 'before'}_{stamp.lower()}"
    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    for table in sa.inspect(connection).get_table_names():
        if table in META.tables:
            connection.exec_driver_sql(f"CREATE TABLE {schema}.{table} AS SELECT * FROM {table}")
    return schema


def _backup_file(connection: sa.Connection, ending: str) -> str:
    source = Path(file(connection))
    copy = source.with_name(f"{source.name}.{ending}")
    try:
        with closing(sqlite3.connect(source, timeout=WAIT_SECONDS)) as there, closing(sqlite3.connect(copy)) as here:
            there.backup(here)
    except sqlite3.Error as error:
        copy.unlink(missing_ok=True)
        raise SystemFailed(
            f"The state database {source} is older and was not upgraded, for its backup {copy.name} could not "
            f"be written beside it ({error}): let invsync write there, then run again."
        ) from error
    return str(copy)


def file(connection: sa.Connection) -> str:
    """Where the file of an SQLite database is, whatever its URL calls it; empty for one in memory."""
    return next(str(row[2]) for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
