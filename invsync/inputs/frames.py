"""The library that declares what a frame may hold.

It imports two dialects of SQLAlchemy for those who make tables from its schemas; we do not, and they are slow.
"""

from invsync.startup import deferred

DIALECTS = [f"sqlalchemy.dialects.{name}" for name in ("mssql", "mssql.pyodbc", "postgresql", "postgresql.psycopg2")]

with deferred(*DIALECTS):
    import dataframely as dy

__all__ = ["dy"]
