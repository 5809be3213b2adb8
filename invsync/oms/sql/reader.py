"""Read a SQL database: consistent transactions, rows streamed into frames, errors as one sentence."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from invsync import tables
from invsync.errors import OmsFailed, UsageError
from invsync.oms.sql.statements import Column, Rows
from invsync.oms.sql.values import frame, stamp

FETCH = 5_000
CHUNK = 1_000
MANY = 20_000
DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql", "postgresql": "postgresql+psycopg"}


def connect(url: str, timezone: str = "UTC") -> sa.Engine:
    """Return an engine for a URL; raises UsageError, or OmsFailed for a SQLite file that does not exist."""
    try:
        address = sa.make_url(url)
        file = address.database
        if address.get_backend_name() == "sqlite" and file and file != ":memory:" and "file:" not in file:
            _must_exist(Path(file))
        return _engine(address.set(drivername=DRIVERS.get(address.drivername, address.drivername)), timezone)
    except ImportError as error:
        extra = f"invsync[{sa.make_url(url).get_backend_name()}]"
        raise UsageError(f"The driver of the OMS database is missing ({error.name}): install {extra}.") from None
    except SQLAlchemyError as error:
        raise UsageError(f"The OMS address is unusable ({type(error).__name__}): correct url or url_env.") from None


def _must_exist(file: Path) -> None:
    if not file.exists():
        raise OmsFailed(f"The OMS database file {file} does not exist: correct url under the shop's oms.")


def _engine(address: sa.URL, timezone: str) -> sa.Engine:
    """Return an engine that reads in REPEATABLE READ and returns decimals as floats, and MySQL's timestamps as text."""
    if address.get_backend_name() == "sqlite":
        return sa.create_engine(address)
    driver: Any = address.get_dialect().import_dbapi()
    arguments: dict[str, object] = {}
    if address.get_driver_name() == "pymysql":
        kinds = driver.constants.FIELD_TYPE
        kept = {k: v for k, v in driver.converters.conversions.items() if k not in (kinds.DATETIME, kinds.TIMESTAMP)}
        arguments = {"conv": kept | {kinds.DECIMAL: float, kinds.NEWDECIMAL: float}}
    if address.get_driver_name() == "psycopg":
        arguments = {"options": f"-c timezone={timezone}"}
    engine = sa.create_engine(address, isolation_level="REPEATABLE READ", connect_args=arguments)
    if address.get_driver_name() == "psycopg":
        loader = driver.types.numeric.FloatLoader
        sa.event.listen(engine, "connect", lambda made, _: made.adapters.register_loader("numeric", loader))
    return engine


class Reader:
    """A database whose timestamps without a zone are in `timezone`."""

    def __init__(self, engine: sa.Engine, timezone: str) -> None:
        self.engine, self.timezone = engine, timezone

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a consistent read; raises OmsFailed, without the address, for any database error."""
        try:
            with self.engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                yield connection
                connection.rollback()
        except SQLAlchemyError as error:
            raise OmsFailed(
                f"The OMS ({self}) could not be read: {self._message(error)}; check it, run again."
            ) from None

    def __str__(self) -> str:
        return f"{self.engine.dialect.name} database {Path(self.engine.url.database or 'memory').name}"

    def _message(self, error: SQLAlchemyError) -> str:
        password = str(self.engine.url.password or "")
        message = " ".join(str(getattr(error, "orig", None) or error).split())
        return message.replace(password, "***") if password else message

    def now(self, connection: sa.Connection) -> datetime:
        """Return the database's clock, UTC."""
        clock = "UTC_TIMESTAMP(6)" if connection.dialect.name in ("mysql", "mariadb") else "CURRENT_TIMESTAMP"
        now = stamp(connection.exec_driver_sql(f"SELECT {clock}").scalar(), UTC)
        if now is None:
            raise OmsFailed("The OMS database did not tell its time: check its CURRENT_TIMESTAMP.")
        return now

    def rows(self, connection: sa.Connection, query: Rows, schema: tables.Schema) -> pl.DataFrame:
        """Return the query's rows as a frame of this schema, fetched in batches."""
        options = {"yield_per": FETCH} if connection.dialect.name == "postgresql" else {}
        result = connection.execute(query, execution_options=options)
        cursor: Any = result.cursor
        batches = result.partitions() if options else iter(lambda: cursor.fetchmany(FETCH), ())
        parts = [frame(batch, schema, self.timezone) for batch in itertools.takewhile(len, batches)]
        return pl.concat([tables.empty(schema), *parts])

    def rows_of(
        self,
        connection: sa.Connection,
        query: Rows,
        column: Column,
        values: Sequence[str],
        schema: tables.Schema,
    ) -> pl.DataFrame:
        """Return the query's rows whose column is among the values, queried in chunks."""
        chunks = (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
        frames = [self.rows(connection, query.where(column.in_(chunk)), schema) for chunk in chunks]
        return pl.concat([tables.empty(schema), *frames])
