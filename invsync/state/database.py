"""Open, create and upgrade the state database, and translate its errors into one sentence each."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection

from invsync.errors import InvsyncError, SystemFailed, UsageError
from invsync.state.schema import META, VERSION

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"  # the newest migration, named here so that a run that needs none does not load Alembic
WAIT_SECONDS, IDLE_SECONDS = 30, 30
LOCK = 8_301_447_224  # PostgreSQL's advisory lock under which one process creates or upgrades the tables
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
    """Return the engine of the database at this SQLAlchemy URL, with its tables created or upgraded.

    Raises UsageError where the URL or the database cannot be used. Errors of its connections are translated too.
    """
    try:
        engine = sa.create_engine(url, connect_args={"timeout": WAIT_SECONDS} if url.startswith("sqlite") else {})
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise UsageError(
            f"The state database cannot be opened ({type(error).__name__}): correct [state] url."
        ) from None
    sa.event.listen(engine, "handle_error", _translate)
    if engine.dialect.name == "postgresql":
        sa.event.listen(engine, "connect", _set_timeouts)
    if version(engine) != HEAD:
        migrate(engine)
    return engine


def _set_timeouts(connection: DBAPIConnection, _: object) -> None:
    """Let the server end the transaction of a process that stands still, so that locks do not outlive the lease."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        cursor.execute(f"SET lock_timeout = '{WAIT_SECONDS + IDLE_SECONDS}s'")
    connection.commit()


def _translate(context: ExceptionContext) -> None:
    """Raise a fault of the database as one sentence; leave a mistake in a statement of ours as it is."""
    fault, ours = context.original_exception, context.sqlalchemy_exception
    if isinstance(ours, sa.exc.IntegrityError):
        return
    if isinstance(ours, sa.exc.ProgrammingError) and "permission denied" not in str(fault):
        return
    if context.engine is not None and (error := translated(context.engine, fault)) is not None:
        raise error from fault


def translated(engine: sa.Engine, fault: BaseException) -> InvsyncError | None:
    """Return a fault of this database as an error of ours, in one sentence; None where it is not known."""
    for pattern, kind, words in FAULTS:
        if re.search(pattern, str(fault)):
            return kind(f"The state database {name(engine)} {words}.")
    return None


def name(engine: sa.Engine) -> str:
    """Return the file or URL of the database, without a password."""
    url = engine.url.set(query={})
    return str(url.database if engine.dialect.name == "sqlite" else url.render_as_string())


def version(engine: sa.Engine) -> str | None:
    """Return the revision of the tables: empty for tables from before revisions, None for an empty database.

    Raises UsageError where the tables are another program's.
    """
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: sa.Connection) -> str | None:
    inspector = sa.inspect(connection)
    names = set(inspector.get_table_names())
    if VERSION.name in names:
        return connection.execute(sa.select(VERSION.c.version_num)).scalar()
    if not names:
        return None
    columns = {column["name"] for column in inspector.get_columns("run")} if "run" in names else set()
    if not {"run_id", "shop", "job", "thru"} <= columns:
        some = ", ".join(sorted(names)[:3])
        raise UsageError(
            f"The state database {name(connection.engine)} belongs to another program (it has {some}): "
            "name a database of its own in [state] url."
        )
    return ""


def migrate(engine: sa.Engine) -> None:
    """Create the tables of a new database; back up an older one and upgrade it."""
    _check_known(engine, version(engine))
    with engine.connect() as connection, _exclusive(connection):
        revision = _revision(connection)  # again: another process may have been faster
        if revision is None:
            META.create_all(connection)
            connection.execute(sa.insert(VERSION).values(version_num=HEAD))
        elif revision != HEAD:
            _check_known(engine, revision)
            backup(connection, revision)
            upgrade(connection)


def _check_known(engine: sa.Engine, revision: str | None) -> None:
    if revision and not is_known(revision):
        raise UsageError(
            f"The state database {name(engine)} was written by a newer invsync (revision {revision}, this one "
            f"knows {HEAD}): install that version, or name another database."
        )


@contextmanager
def _exclusive(connection: sa.Connection) -> Iterator[None]:
    """A transaction in which no other process creates or upgrades the tables."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks, in the transaction of this connection."""
    from alembic import command  # late: a run whose database is up to date needs no Alembic

    config = migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migrations() -> "Config":
    """Return Alembic's configuration for the migrations of this package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def is_known(revision: str) -> bool:
    """Whether this version of invsync has a migration of this name."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(migrations()).walk_revisions()}


def backup(connection: sa.Connection, revision: str) -> str:
    """Copy an older database beside itself, and return the file or schema of the copy.

    The connection holds the database, so that the copy is what stood there before anybody upgraded it.
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


def _backup_file(connection: sa.Connection, suffix: str) -> str:
    source = Path(file(connection))
    copy = source.with_name(f"{source.name}.{suffix}")
    try:
        with closing(sqlite3.connect(source, timeout=WAIT_SECONDS)) as old, closing(sqlite3.connect(copy)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        copy.unlink(missing_ok=True)
        raise SystemFailed(
            f"The state database {source} is older and was not upgraded, for its backup {copy.name} could not "
            f"be written beside it ({error}): let invsync write there, then run again."
        ) from error
    return str(copy)


def file(connection: sa.Connection) -> str:
    """Return the path of an SQLite database, however its URL names it; empty for one in memory."""
    return next(str(row[2]) for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
