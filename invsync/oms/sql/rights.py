"""What doctor asks of a database alone: which of HotWax's tables its role may write."""

import re

import sqlalchemy as sa

from invsync.oms.checks import Answer, SourceCheck, counted
from invsync.oms.sql.source import Database
from invsync.oms.sql.statements import COLUMNS

WRITES = {"ALL", "ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER"}
GRANT = re.compile(r"GRANT (.+?) ON (?:TABLE )?(`[^`]+`|\*)\.(`[^`]+`|\*) TO ")
POSTGRESQL = sa.text(
    "SELECT has_table_privilege(:name, 'DELETE, TRUNCATE') OR has_any_column_privilege(:name, 'INSERT, UPDATE')"
)


def role(source: Database) -> Answer | None:
    """Whether the role may do more than read; a file has no roles."""
    if (rights := writable(source)) is None:
        return None
    name, tables = rights
    if tables:
        fix = "give invsync a role of its own that has SELECT alone"
        return "warning", counted(f"Role {name} may write HotWax's tables", tables, fix)
    return "ok", f"Role {name} may read HotWax's tables and write none of them."


def writable(source: Database) -> tuple[str, list[str]] | None:
    """Return the role, and which of the tables that invsync reads it may write; None for SQLite, which has no roles."""
    tables = sorted(source.catalog.names[name] for name in COLUMNS if name in source.catalog.names)
    with source.reader.transaction() as connection:
        if connection.dialect.name == "sqlite":
            return None
        role = str(connection.exec_driver_sql("SELECT CURRENT_USER").scalar())
        if connection.dialect.name == "postgresql":
            quote = connection.dialect.identifier_preparer.quote
            return role, [name for name in tables if connection.execute(POSTGRESQL, {"name": quote(name)}).scalar()]
        grants = [str(line) for line in connection.exec_driver_sql("SHOW GRANTS").scalars()]
        return role, granted(grants, str(source.reader.engine.url.database), tables)


def granted(grants: list[str], database: str, tables: list[str]) -> list[str]:
    """Return the tables of which these lines of SHOW GRANTS let a role write at least one column."""
    allowed: set[str] = set()
    for line in grants:
        if grant := GRANT.match(line):
            rights, place, name = grant.groups()
            if _writes(rights) and re.fullmatch(_like(place), database):
                allowed |= {table for table in tables if name in ("*", f"`{table}`")}
    return sorted(allowed)


def _writes(rights: str) -> bool:
    return any(right.strip() in WRITES for right in re.sub(r"\([^)]*\)", "", rights).split(","))


def _like(place: str) -> str:
    """Return a grant's database, in which % and _ are wildcards unless escaped, as a regular expression."""
    if place == "*":
        return ".*"
    parts = re.findall(r"\\.|.", place.strip("`"))
    return "".join({"%": ".*", "_": "."}.get(part, re.escape(part[-1])) for part in parts)


CHECKS: list[SourceCheck[Database]] = [SourceCheck("role", role, group="HotWax")]
